//! The subcommands, one file each: they read settings, make mirrors, have the work done and report.

mod at_once;
mod check_kernel;
mod check_target;
mod config;
mod full_sync;
mod gen_rsyncd_conf;
mod gen_schedule;
mod generate;
mod history;
mod interrupt;
pub mod objects;
mod prune_history;
mod restore;
mod setup;
mod status;
mod verify;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use log::{LevelFilter, error};

use crate::cli::{Cli, Command, Logging};
use crate::exit::{Exit, Failure};
use crate::report::logger::{self, Lifetime, Wishes};
use crate::signals;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Exit(Exit),
    /// Because of this signal, after an orderly end.
    Signal(i32),
}

/// Runs the command and reports its error, if any.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        (_, 2) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let lifetime = if matches!(cli.command, Command::Watch(_)) { Lifetime::Long } else { Lifetime::Short };
    let Logging { log_file, log_format: format } = cli.command.logging();
    let logging = logger::init(Wishes { level, lifetime, format, file: log_file.as_deref() });
    match logging.map_err(Into::into).and_then(|()| dispatch(cli)) {
        Ok(End::Exit(exit)) => exit.into(),
        Ok(End::Signal(signal)) => {
            signals::die_of(signal);
            Exit::Failed.into()
        }
        Err(e) => {
            // Several problems of one configuration are a line each.
            format!("{e:#}").lines().for_each(|line| error!("{line}"));
            Failure::exit_of(&e).into()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<End> {
    match &cli.command {
        Command::FullSync(args) => full_sync::run(cli, args),
        Command::Verify(args) => verify::run(cli, args),
        Command::Watch(args) => watch::run(cli, args),
        Command::PruneHistory(args) => prune_history::run(cli, args),
        Command::Restore(args) => restore::run(cli, args),
        Command::Status(args) => status::run(cli, args).map(End::Exit),
        Command::History(args) => history::run(cli, args),
        Command::GenRsyncdConf(args) => gen_rsyncd_conf::run(cli, args).map(End::Exit),
        Command::CheckKernel(args) => check_kernel::run(cli, args).map(End::Exit),
        Command::CheckTarget(args) => check_target::run(cli, args),
        Command::GenSchedule(args) => gen_schedule::run(cli, args).map(End::Exit),
        Command::Config(args) => config::run(cli, args).map(End::Exit),
        Command::Completions { shell } => generate::completions(*shell).map(End::Exit),
        Command::Generate { dir } => generate::all(dir).map(End::Exit),
    }
}
