//! The integration tests, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod attributes;
mod bad_input;
mod beside;
mod changed;
mod check_kernel;
mod check_target;
mod checksum;
mod config_errors;
mod content;
mod events;
mod excludes;
mod full_sync;
mod gen_rsyncd_conf;
mod gen_schedule;
mod generated;
mod guards;
mod history;
mod hooks;
mod import;
mod logging;
mod mounts;
mod parallel;
mod progress;
mod prune;
mod renames;
mod restore;
mod scenarios;
mod shards;
mod status;
mod storm;
mod support;
mod support_works;
mod two_hosts;
mod verify;
mod watch;
