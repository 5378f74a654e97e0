//! sersync mirrors directory trees to rsync daemons, in real time and in periodic passes, and keeps what it replaces.
//!
//! Data flows one way: settings become scopes, scopes become rsync jobs, jobs have outcomes, outcomes are reported.

pub mod config;
pub mod exit;
