//! sersync mirrors directory trees to rsync daemons, in real time and in periodic passes, and keeps what it replaces.
//!
//! Data flows one way: settings become scopes, scopes become rsync jobs, jobs have outcomes, outcomes are reported.

pub mod backoff;
pub mod bucket;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod dirty;
pub mod events;
pub mod exclude;
pub mod executor;
pub mod exit;
pub mod files;
pub mod generated;
pub mod guard;
pub mod hash;
pub mod history;
pub mod hooks;
pub mod kernel_limits;
pub mod local_time;
pub mod meter;
pub mod metrics;
pub mod mirror;
pub mod moment;
pub mod mountinfo;
pub mod mutex;
pub mod notify;
pub mod pass;
pub mod plan;
pub mod prune;
pub mod report;
pub mod restore;
pub mod retention;
pub mod root;
pub mod rsync;
pub mod schedule;
pub mod scope;
pub mod server;
pub mod signals;
pub mod state;
pub mod status;
pub mod tree;
pub mod unfinished;
pub mod verify;
pub mod watch;
