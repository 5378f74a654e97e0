//! The configuration: what was written, and the validated settings that come of it.

pub mod settings;
