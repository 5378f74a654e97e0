//! The source tree: what of it is left out.

pub mod exclude;
