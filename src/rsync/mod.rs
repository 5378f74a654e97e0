//! Everything that knows rsync: its arguments, its processes, what it prints and what its failures mean.

pub mod argv;
pub mod children;
#[cfg(test)]
mod fixture;
pub mod listing;
pub mod outcome;
pub mod output;
pub mod placement;
pub mod probe;
pub mod removal;
pub mod retrieval;
mod standstill;
pub mod tally;
pub mod trial;
mod unhurried;
pub mod version;
