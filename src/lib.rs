//! sersync mirrors directory trees to rsync daemons, in real time and in periodic passes, and keeps what it replaces.
//!
//! Data flows one way: settings become scopes, scopes become rsync jobs, jobs have outcomes, outcomes are reported.

pub mod backoff;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod dirty;
pub mod events;
pub mod executor;
pub mod exit;
pub mod generated;
pub mod guard;
pub mod hash;
pub mod history;
pub mod hooks;
pub mod meter;
pub mod metrics;
pub mod mirror;
pub mod notify;
pub mod pass;
pub mod prune;
pub mod report;
pub mod restore;
pub mod root;
pub mod rsync;
pub mod schedule;
pub mod scope;
pub mod server;
pub mod signals;
pub mod state;
pub mod status;
pub mod tree;
pub mod verify;
pub mod watch;
