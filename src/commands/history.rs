//! `history`: what is in the histories of the mirrors that were asked for. Nothing is changed anywhere.

pub(super) mod find;
pub(super) mod list;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::at_once::{self, Limit};
use super::interrupt::Interruptible;
use super::setup::Setup;
use super::{Arguments, End};
use crate::cli::{Global, exit_status};
use crate::exit::Exit;
use crate::history::remote::Remote;
use crate::mirror::Mirror;
use crate::pass::summary::Summary;
use crate::report;
use crate::rsync::outcome::Outcome;
use crate::rsync::tally::Tally;

/// List the history of mirrors, or find old versions in it
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct HistoryArgs {
    /// What to do.
    #[command(subcommand)]
    command: HistoryCommand,
}

const EXAMPLES: &str = "\
Examples:
  sersync history list                       the buckets of all sources on all their targets
  sersync history find documents report.txt  every old version of a file

";

/// What can be looked at.
#[derive(Debug, Subcommand)]
enum HistoryCommand {
    List(list::HistoryListArgs),
    Find(find::HistoryFindArgs),
}

impl Arguments for HistoryArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }
}

/// What is said when the time is over.
const TOO_LATE: &str = "this takes longer than `timeout` in [full-sync]: stopping it";

/// Results are written in portions of this size, in bytes.
const PORTION: usize = 64 * 1024;

fn run(global: &Global, args: &HistoryArgs) -> Result<End> {
    match &args.command {
        HistoryCommand::List(args) => list::run(global, args),
        HistoryCommand::Find(args) => find::run(global, args),
    }
}

/// What was learned of each mirror.
struct Answers<T> {
    /// By the name of the mirror, in that order; nothing where it failed.
    all: Vec<(Summary, Option<T>)>,
    /// The signal that ended it, or 0.
    signal: i32,
}

impl<T: Send> Answers<T> {
    /// Asks all mirrors at the same time.
    fn of(setup: &Setup, ask: impl Fn(&mut Remote<'_>) -> Result<(T, Outcome), Outcome> + Sync) -> Result<Self> {
        let children = Interruptible::install()?;
        let one = |mirror: &Mirror| {
            let begun = Instant::now();
            let mut remote = Remote::new(mirror, &children);
            let (answer, outcome) = match ask(&mut remote) {
                Ok((answer, outcome)) => (Some(answer), outcome),
                Err(outcome) => (None, outcome),
            };
            let tally = Tally { runs: remote.runs(), ..Tally::default() };
            (Summary::new(mirror, outcome, tally, begun.elapsed()), answer)
        };
        let limit = Limit { time: setup.settings.full_sync.timeout, too_late: TOO_LATE, children: &children };
        let mut all = at_once::all(&setup.mirrors, Some(&limit), one);
        all.sort_by(|(one, _), (other, _)| one.mirror.cmp(&other.mirror));
        Ok(Answers { all, signal: children.signal() })
    }

    /// Says what failed, and how that ends the command.
    fn end(&self) -> End {
        self.all.iter().for_each(|(summary, _)| summary.log_errors());
        match self.signal {
            0 => End::Exit(Exit::merge(self.all.iter().map(|(summary, _)| summary.exit))),
            signal => End::Signal(signal),
        }
    }
}

/// Prints lines as they come.
fn print(lines: impl Iterator<Item = String>) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
        if text.len() >= PORTION {
            report::print(&std::mem::take(&mut text))?;
        }
    }
    Ok(report::print(&text)?)
}
