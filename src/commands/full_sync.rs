//! `full-sync`: one pass over every mirror that was asked for, all endpoints at once.

mod args;
mod mirror;
mod sources;

use std::sync::mpsc;
use std::thread;

use anyhow::Result;
use chrono::{Local, Utc};
use log::{debug, error, info};

pub(super) use self::args::FullSyncArgs;
use self::args::IfOlderThan;
use self::sources::Sources;
use super::interrupt::Interruptible;
use super::setup::{self, Setup};
use super::{Arguments, End, at_once, is_shown};
use crate::cli::{Global, Logging};
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::hooks::{Hooks, Over};
use crate::mirror::Mirror;
use crate::notify::{Health, Hurry, Notifier};
use crate::pass::summary::Summary;
use crate::report::progress::{Bars, Conditions};
use crate::report::{self, logger};
use crate::rsync::children::Children;
use crate::state::notices::Work;
use crate::state::passes::{Passes, Reached};
use crate::state::record::Record;
use crate::tree::shard::Shard;

impl Arguments for FullSyncArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }

    fn logging(&self) -> Logging {
        self.logging.clone()
    }
}

fn run(global: &Global, args: &FullSyncArgs) -> Result<End> {
    let mut setup = setup::prepare(global, &args.selection)?;
    check_shard(&setup, args)?;
    leave_out_recent(&mut setup, args);
    let children = Interruptible::install()?;
    let hooks = &children.hooks;
    let notifier = Notifier::start(&setup.settings.notify, Work::Pass, &setup.state, hooks);
    if !args.writing.dry_run {
        setup.mirrors.iter().for_each(|mirror| setup.metrics.correct(&setup.state, mirror));
    }
    let summaries = all(&setup, args, &children, hooks, &notifier);
    Summary::log_all(&summaries);
    notifier.finish(hooks, Hurry::None);
    let show = is_shown(Mode::of(args.writing.dry_run));
    for summary in &summaries {
        if logger::is_kept() {
            summary.log_result("full-sync", &summary.line());
        }
        if args.json {
            report::print(&(summary.json() + "\n"))?;
        } else if show {
            report::print(&(summary.line() + "\n"))?;
        }
    }
    Ok(match children.signal() {
        0 => End::Exit(Exit::merge(summaries.iter().map(|summary| summary.exit))),
        signal => End::Signal(signal),
    })
}

/// Works on all sources until they are done or the time is over.
fn all(setup: &Setup, args: &FullSyncArgs, children: &Children, hooks: &Hooks, notifier: &Notifier) -> Vec<Summary> {
    // They go before the results are printed.
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists: args.writing.dry_run });
    let one = |mirror: &Mirror| {
        let place = bars.begin(&mirror.to_string());
        mirror::run(setup, args, mirror, children, place.meter())
    };
    let sources = Sources { setup, args, children, hooks, notifier, mirror: &one };
    let (done, results) = mpsc::channel();
    let mut summaries = thread::scope(|scope| {
        let sources = &sources;
        // The results end when this thread drops its end of the channel.
        scope.spawn(move || sources.run(&done));
        at_once::gather(&results, setup.settings.full_sync.timeout, || {
            error!("the pass takes longer than `timeout` in [full-sync]: stopping it");
            children.stop();
            // What `before` has done to a source, `after` may have to undo.
            hooks.stop(Over::Beginnings);
        })
    });
    summaries.sort_by(|a, b| a.mirror.cmp(&b.mirror));
    summaries
}

/// Writes down how a pass ended, and tells whoever wants to know.
fn note(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, summary: &Summary, notifier: Option<&Notifier>) {
    // What did not run, because another pass did, says nothing about the mirror.
    if args.writing.dry_run || summary.exit == Exit::Locked {
        return;
    }
    let asked = if args.changed { Reached::Changed } else { Reached::Everything };
    let reached = summary.reached.clone().unwrap_or(asked);
    let tell = |passes: &Passes| setup.metrics.passes(&mirror.to_string(), passes);
    let ended = summary.ended(reached);
    if let Err(e) = Passes::add(&setup.state, mirror, &ended, summary.failing_paths(), tell) {
        // The state directory has said it aloud.
        debug!(mirror:%; "{mirror}: how the pass ended cannot be written down: {e}");
    }
    let health = match summary.exit {
        Exit::Done => Health::Well,
        exit => Health::Failing { why: ended.error.unwrap_or_default(), exit, paths: ended.failing },
    };
    if let Some(notifier) = notifier {
        notifier.note(mirror, &health);
    }
}

/// Links between files of different shards cannot be kept.
fn check_shard(setup: &Setup, args: &FullSyncArgs) -> Result<(), Failure> {
    let linked = setup.mirrors.iter().find(|mirror| mirror.rsync.attributes.hard_links);
    let Some(mirror) = linked.filter(|_| args.shard != Shard::WHOLE) else { return Ok(()) };
    let why = "`hard-links` is set, and one rsync has to see the whole source to keep them; leave out --shard";
    Err(Failure::new(Exit::Usage, format!("{mirror}: {why}")))
}

/// Leaves out the mirrors whose last good pass is recent enough.
fn leave_out_recent(setup: &mut Setup, args: &FullSyncArgs) {
    let age = match args.if_older_than {
        None => return,
        Some(IfOlderThan::Every) => setup.settings.full_sync.every,
        Some(IfOlderThan::Age(age)) => age,
    };
    let Setup { mirrors, state, .. } = setup;
    mirrors.retain(|mirror| {
        let record = Record::load(state, mirror, args.shard);
        // One in the future comes from a clock that was wrong, and says nothing.
        let recent = record.filter(|record| (Utc::now() - record.compared).to_std().is_ok_and(|since| since < age));
        if let Some(record) = &recent {
            let when = record.compared.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
            info!(mirror:%; "{mirror}: the last good pass was at {when}, which is recent enough");
        }
        recent.is_none()
    });
}
