//! Figures for Prometheus, as text files that its `node_exporter` reads.
//!
//! Every mirror has a file for each kind of work: passes, the watch, its being alive, the history. Whoever does such work
//! holds the lock for it, so no process ever replaces what another one has written. What is written comes from the state
//! directory, so that a run which fails does not lose what the last good one has left.

pub mod exposition;
pub mod families;
pub mod history;
pub mod metric;
pub mod passes;
pub mod subject;
pub mod textfiles;
pub mod watching;

pub use textfiles::Textfiles;
