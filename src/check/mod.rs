//! Checks before the first pass: whether endpoints can be mirrored to, and whether this host can watch its sources.

mod address;
mod connection;
mod greeting;
pub mod kernel;
mod leftover;
mod sessions;
pub mod target;
mod trial;
mod verdict;
