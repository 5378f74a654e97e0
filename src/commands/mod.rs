//! The subcommands, one file each: what they are given, and what is done with it. They read settings, make mirrors, have the
//! work done and report.
#![allow(
    rustdoc::broken_intra_doc_links,
    clippy::doc_markdown,
    reason = "clap shows comments on arguments as they are"
)]

mod at_once;
mod check_kernel;
mod check_target;
mod completions;
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

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use log::{Level, LevelFilter, error, log_enabled};

use crate::cli::{Global, Logging, exit_status};
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::report::logger::{self, Lifetime, Wishes};
use crate::signals;

/// Mirror directory trees to rsync daemons, in real time and in periodic passes, keeping what is overwritten or deleted.
#[derive(Debug, Parser)]
#[command(name = "sersync", version, max_term_width = 100, after_long_help = exit_status())]
pub struct Cli {
    #[command(flatten)]
    global: Global,

    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What a subcommand is given, and what it does with that.
trait Arguments {
    /// Does it.
    fn run(&self, global: &Global) -> Result<End>;

    /// What becomes of its messages, where that can be chosen.
    fn logging(&self) -> Logging {
        Logging::default()
    }

    /// How long it runs.
    fn lifetime(&self) -> Lifetime {
        Lifetime::Short
    }
}

macro_rules! subcommands {
    ($($(#[$attribute:meta])* $name:ident($arguments:ty),)*) => {
        /// The subcommands.
        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$attribute])* $name($arguments),)*
        }

        impl Command {
            fn arguments(&self) -> &dyn Arguments {
                match self {
                    $(Command::$name(arguments) => arguments,)*
                }
            }
        }
    };
}

// All of them, in the order of the help, which is also what the manual and the completions are made of.
subcommands! {
    FullSync(full_sync::FullSyncArgs),
    Verify(verify::VerifyArgs),
    Watch(watch::WatchArgs),
    PruneHistory(prune_history::PruneHistoryArgs),
    Restore(restore::RestoreArgs),
    Status(status::StatusArgs),
    History(history::HistoryArgs),
    GenRsyncdConf(gen_rsyncd_conf::GenRsyncdConfArgs),
    CheckTarget(check_target::CheckTargetArgs),
    CheckKernel(check_kernel::CheckKernelArgs),
    GenSchedule(gen_schedule::GenScheduleArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
}

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
pub fn run(Cli { global, command }: &Cli) -> ExitCode {
    let command = command.arguments();
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::Error,
        (_, 0) => LevelFilter::Warn,
        (_, 1) => LevelFilter::Info,
        (_, 2) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let Logging { log_file, log_format: format } = command.logging();
    let wishes = Wishes { level, lifetime: command.lifetime(), format, file: log_file.as_deref() };
    let logging = logger::init(wishes);
    match logging.map_err(Into::into).and_then(|()| command.run(global)) {
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

/// Whether the results of a command are shown to people: on a terminal, when they are what was asked for, and with `-v` unless
/// that goes to a log that has them already.
fn is_shown(mode: Mode) -> bool {
    let on_terminal = io::stdout().is_terminal() && log_enabled!(Level::Warn);
    mode == Mode::DryRun || on_terminal || (log_enabled!(Level::Info) && !logger::is_kept())
}
