//! The source tree: what of it is left out, how big it is, and how a pass over it is divided.

pub mod exclude;
pub mod partition;
pub mod walk;
