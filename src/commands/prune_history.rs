//! `prune-history`: removes what has expired from the history of every mirror that was asked for, or on the backup server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use log::warn;

use super::at_once::{self, Limit};
use super::interrupt::Interruptible;
use super::setup;
use super::{Arguments, End, is_shown};
use crate::cli::{Global, Logging, Selection, exit_status, span};
use crate::config::settings::History;
use crate::config::units::Size;
use crate::config::{self, locate};
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::metrics::Textfiles;
use crate::prune::report::Report;
use crate::prune::{self, local};
use crate::report::{self, Form, logger};
use crate::retention::Policy;
use crate::signals::{self, Hangup};

/// Remove what is older than `keep-days` from the history
///
/// The history of a mirror is in `history-backup/NAME/YYYY-MM-DD/HHMMSS[-n]/` beside it; each such directory is a bucket. A
/// bucket is removed when `keep-days` times 24 hours have passed since its start, and `resolution`, for which `watch` may go on
/// using it. A day directory with no bucket in it (of a system that kept one directory for each day) is removed as a whole
/// when `keep-days` times 24 hours have passed since the end of that day. Day directories that have become empty go as well.
///
/// Whatever has another name, or is no directory, is never touched; it is named in a warning. In a day that has buckets, that
/// is every other name. When all buckets of such a day have expired, the last one is emptied and its directory stays, so that
/// the day is not taken for one without buckets the next time.
///
/// Nothing is removed when the clock is behind the newest bucket: the exit status is 4 then. The newest bucket is kept while a
/// watch of the same mirror is running. All mirrors are worked on at the same time, each in one rsync run. Without a
/// terminal nothing else is printed when all went well.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct PruneHistoryArgs {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    logging: Logging,

    /// Keep so many days of history [default: `keep-days` from the configuration]. 0 keeps nothing that is not in use; a 0 in the
    /// configuration means that no history is made, and removes nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=36_500))]
    keep_days: Option<u32>,

    /// Work on this directory of this host instead, without rsync: that of a module, which has history-backup in it. Needs no
    /// configuration file, and takes SOURCE for names in history-backup. No link is followed and no other file system entered
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "to", "lock_wait"])]
    local: Option<PathBuf>,

    /// Remove more, the oldest first, until the history of each source takes up no more space than this, such as 500G; the newest
    /// bucket is always kept [default: `max-size` from the configuration]
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "local")]
    max_size: Option<u64>,

    /// Show what would be removed and what kept, with the reasons, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0s", hide_default_value = true)]
    lock_wait: Duration,

    /// Print one JSON object per bucket and one per mirror
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync prune-history                     all sources on all their targets, by keep-days in [history]
  sersync prune-history -n                  only show what would be removed, and why
  sersync prune-history documents --keep-days 30
  sersync prune-history --local /backup/module1 --keep-days 7 --max-size 500G
                                            on the backup server itself, for all sources there

Names in the history are in the local time of the host that mirrors. On a server in another time zone, give --local that
zone, as in `TZ=Asia/Shanghai sersync prune-history --local ...`. --local takes no lock, and cannot tell what is in use: with
--keep-days 0 it keeps the newest bucket.

With --json each line is an object. sersync-prune-history(8) lists the fields.

";

fn size(text: &str) -> Result<u64, String> {
    match text.parse::<Size>()? {
        Size(0) => Err("that would leave nothing but the newest bucket".to_owned()),
        Size(bytes) => Ok(bytes),
    }
}

impl Arguments for PruneHistoryArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }

    fn logging(&self) -> Logging {
        self.logging.clone()
    }
}

/// The list is written in portions of this size, in bytes.
const PORTION: usize = 64 * 1024;

/// What is said when the time is over.
const TOO_LATE: &str = "pruning takes longer than `timeout` in [full-sync]: stopping it";

fn run(global: &Global, args: &PruneHistoryArgs) -> Result<End> {
    let mode = Mode::of(args.dry_run);
    match &args.local {
        Some(root) => on_this_host(global, args, root, mode),
        None => over_rsync(global, args, mode),
    }
}

fn over_rsync(global: &Global, args: &PruneHistoryArgs, mode: Mode) -> Result<End> {
    let setup = setup::prepare(global, &args.selection)?;
    let history = &setup.settings.history;
    let Some(keep_days) = days(args, Some(history))? else { return Ok(End::Exit(Exit::Done)) };
    let children = Interruptible::install()?;
    let (resolution, lock_wait) = (history.resolution, args.lock_wait);
    let terms = prune::Terms { state: &setup.state, keep_days, resolution, mode, lock_wait };
    let limit = Limit { time: setup.settings.full_sync.timeout, too_late: TOO_LATE, children: &children };
    let mut reports = at_once::all(&setup.mirrors, Some(&limit), |mirror| prune::run(mirror, &children, terms));
    reports.sort_by(|a, b| a.summary.mirror.cmp(&b.summary.mirror));
    for report in &reports {
        report.note(&setup.metrics);
    }
    if mode == Mode::Real {
        setup.mirrors.iter().for_each(|mirror| setup.metrics.correct(&setup.state, mirror));
    }
    finish(&reports, args, children.signal())
}

fn on_this_host(global: &Global, args: &PruneHistoryArgs, root: &Path, mode: Mode) -> Result<End> {
    let file = locate::named(global.config.as_deref());
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
    let show = is_shown(Mode::of(args.dry_run));
    let mut text = String::new();
    for report in reports {
        report.log();
        if logger::is_kept() {
            report.summary.log_result("prune-history", &report.line());
        }
        let summary = if args.json { Some(report.json()) } else { show.then(|| report.line()) };
        for line in report.decisions(Form::of(args.json)).chain(summary) {
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
