//! The integration tests, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod config_errors;
mod excludes;
mod full_sync;
mod scenarios;
mod support;
mod support_works;
