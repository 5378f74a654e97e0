//! `prune-history`: removes what has expired from the history of every mirror that was asked for, or on the backup server.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Result;
use log::{Level, log_enabled, warn};

use super::interrupt::Interruptible;
use super::setup;
use super::{End, at_once};
use crate::cli::{Cli, PruneHistoryArgs};
use crate::config::settings::History;
use crate::config::{self, locate};
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::history::retention::Policy;
use crate::metrics::Textfiles;
use crate::prune::report::Report;
use crate::prune::{self, local};
use crate::report;
use crate::signals::{self, Hangup};

/// The list is written in portions of this size, in bytes.
const PORTION: usize = 64 * 1024;

/// What is said when the time is over.
const TOO_LATE: &str = "pruning takes longer than `timeout` in [full-sync]: stopping it";

pub(super) fn run(cli: &Cli, args: &PruneHistoryArgs) -> Result<End> {
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Real };
    match &args.local {
        Some(root) => on_this_host(cli, args, root, mode),
        None => over_rsync(cli, args, mode),
    }
}

fn over_rsync(cli: &Cli, args: &PruneHistoryArgs, mode: Mode) -> Result<End> {
    let setup = setup::prepare(cli, &args.selection)?;
    let history = &setup.settings.history;
    let Some(keep_days) = days(args, Some(history))? else { return Ok(End::Exit(Exit::Done)) };
    let children = Interruptible::install()?;
    let (resolution, lock_wait) = (history.resolution, args.lock_wait);
    let terms = prune::Terms { state: &setup.state, keep_days, resolution, mode, lock_wait };
    let timeout = setup.settings.full_sync.timeout;
    let mut reports =
        at_once::all(&setup.mirrors, &children, timeout, TOO_LATE, |mirror| prune::run(mirror, &children, terms));
    reports.sort_by(|a, b| a.summary.mirror.cmp(&b.summary.mirror));
    for report in &reports {
        report.note(&setup.metrics);
    }
    finish(&reports, args, children.signal())
}

fn on_this_host(cli: &Cli, args: &PruneHistoryArgs, root: &Path, mode: Mode) -> Result<End> {
    let file = locate::named(cli.config.as_deref());
    let settings = file.as_deref().map(config::load).transpose().map_err(Failure::from)?;
    let metrics = settings.as_ref().map(|settings| Textfiles::new(&settings.metrics));
    let history = settings.map(|settings| settings.history);
    let Some(keep_days) = days(args, history.as_ref())? else { return Ok(End::Exit(Exit::Done)) };
    let (stop, ended_by) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(0)));
    let on_first = {
        let (stop, ended_by) = (Arc::clone(&stop), Arc::clone(&ended_by));
        move |signal| {
            ended_by.store(signal, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
        }
    };
    signals::install(Hangup::Ends, on_first, || ())?;
    let max_size = args.max_size.or(history.as_ref().and_then(|history| history.max_size));
    let resolution = history.unwrap_or_default().resolution;
    // Nobody here can tell whether something is being mirrored. Within a day, the newest bucket may be in use.
    let policy = Policy { keep_days, resolution, in_use: keep_days == 0 };
    let reports = local::run(&args.selection.sources, local::Terms { root, policy, max_size, mode, stop: &stop })?;
    if let Some(metrics) = metrics {
        for report in &reports {
            report.note(&metrics);
        }
    }
    finish(&reports, args, ended_by.load(Ordering::Relaxed))
}

/// For how many days a history is kept; none when nothing is to be done.
fn days(args: &PruneHistoryArgs, configured: Option<&History>) -> Result<Option<u32>, Failure> {
    match (args.keep_days, configured.map(|history| history.keep_days)) {
        (None, Some(0)) => {
            warn!(
                "`keep-days` in [history] is 0, so no history is made, and nothing is removed; to remove what is left of \
                 an older one: --keep-days 0"
            );
            Ok(None)
        }
        (given, configured) => match given.or(configured) {
            Some(days) => Ok(Some(days)),
            None => Err(Failure::new(Exit::Usage, "without a configuration (-c FILE) --local needs --keep-days N")),
        },
    }
}

fn finish(reports: &[Report], args: &PruneHistoryArgs, signal: i32) -> Result<End> {
    let show = args.dry_run || log_enabled!(Level::Info) || (io::stdout().is_terminal() && log_enabled!(Level::Warn));
    let mut text = String::new();
    for report in reports {
        report.log();
        let summary = if args.json { Some(report.json()) } else { show.then(|| report.line()) };
        for line in report.decisions(args.json).chain(summary) {
            text.push_str(&line);
            text.push('\n');
            if text.len() >= PORTION {
                report::print(&std::mem::take(&mut text))?;
            }
        }
        report::print(&std::mem::take(&mut text))?;
    }
    Ok(match signal {
        0 => End::Exit(Exit::merge(reports.iter().map(|report| report.summary.exit))),
        signal => End::Signal(signal),
    })
}
