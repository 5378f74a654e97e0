//! The `sersync` program: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    sersync::commands::run(&sersync::commands::Cli::parse())
}
