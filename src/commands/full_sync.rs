//! `full-sync`: one pass over every mirror that was asked for, all endpoints at once.

mod sources;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{Local, Utc};
use log::{Level, debug, error, info, log_enabled, warn};

use self::sources::Sources;
use super::End;
use super::setup::{self, Setup};
use crate::cli::{Cli, FullSyncArgs, IfOlderThan};
use crate::executor::{Executor, Mode};
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::history::keeper::Keeper;
use crate::hooks::{Hooks, Over};
use crate::meter::Meter;
use crate::mirror::Mirror;
use crate::notify::{Health, Hurry, Notifier};
use crate::pass::{self, Extent, Patience, Terms};
use crate::report::logger::PATHS;
use crate::report::progress::{Bars, Conditions};
use crate::report::summary::Summary;
use crate::report::{self, json, screen, text};
use crate::rsync::argv::Compare;
use crate::rsync::children::Children;
use crate::rsync::outcome::SETTLE;
use crate::rsync::output::Change;
use crate::signals::{self, Hangup};
use crate::state::lock::{self, Kind, Lock};
use crate::state::notices::Work;
use crate::state::passes::{Passes, Reached};
use crate::state::record::Record;
use crate::tree::changed::Directories;
use crate::tree::shard::Shard;

pub(super) fn run(cli: &Cli, args: &FullSyncArgs) -> Result<End> {
    let mut setup = setup::prepare(cli, &args.selection)?;
    check_shard(&setup, args)?;
    leave_out_recent(&mut setup, args);
    let children = Arc::new(Children::default());
    let hooks = Arc::new(Hooks::default());
    let ended_by = Arc::new(AtomicI32::new(0));
    let on_first = {
        let (children, hooks, ended_by) = (Arc::clone(&children), Arc::clone(&hooks), Arc::clone(&ended_by));
        move |signal| {
            ended_by.store(signal, Ordering::Relaxed);
            children.stop();
            hooks.stop(Over::Everything);
        }
    };
    let at_once = {
        let (children, hooks) = (Arc::clone(&children), Arc::clone(&hooks));
        move || {
            screen::end();
            children.stop();
            hooks.kill();
        }
    };
    signals::install(Hangup::Ends, on_first, at_once)?;
    let notifier = Notifier::start(&setup.settings.notify, Work::Pass, &setup.state, &hooks);
    let summaries = all(&setup, args, &children, &hooks, &notifier);
    let show =
        log_enabled!(Level::Info) || (io::stdout().is_terminal() && log_enabled!(Level::Warn)) || args.writing.dry_run;
    Summary::log_all(&summaries);
    notifier.finish(&hooks, Hurry::None);
    for summary in &summaries {
        if args.json {
            report::print(&(summary.json() + "\n"))?;
        } else if show {
            report::print(&(summary.line() + "\n"))?;
        }
    }
    Ok(match ended_by.load(Ordering::Relaxed) {
        0 => End::Exit(Exit::merge(summaries.iter().map(|summary| summary.exit))),
        signal => End::Signal(signal),
    })
}

/// Works on all sources until they are done or the time is over.
fn all(setup: &Setup, args: &FullSyncArgs, children: &Children, hooks: &Hooks, notifier: &Notifier) -> Vec<Summary> {
    // They go before the results are printed.
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists: args.writing.dry_run });
    let mirror = |mirror: &Mirror| {
        let place = bars.begin(mirror);
        one(setup, args, mirror, children, place.meter())
    };
    let sources = Sources { setup, args, children, hooks, notifier, mirror: &mirror };
    let (done, results) = mpsc::channel();
    let mut summaries = thread::scope(|scope| {
        let sources = &sources;
        // The results end when this thread drops its end of the channel.
        scope.spawn(move || sources.run(&done));
        collect(&results, children, hooks, setup.settings.full_sync.timeout)
    });
    summaries.sort_by(|a, b| a.mirror.cmp(&b.mirror));
    summaries
}

/// Gathers the results; when the time is over the rest is stopped.
fn collect(results: &mpsc::Receiver<Summary>, children: &Children, hooks: &Hooks, timeout: Duration) -> Vec<Summary> {
    let mut summaries = Vec::new();
    let deadline = Instant::now() + timeout;
    loop {
        match results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(summary) => summaries.push(summary),
            Err(RecvTimeoutError::Disconnected) => return summaries,
            Err(RecvTimeoutError::Timeout) => {
                error!("the pass takes longer than `timeout` in [full-sync]: stopping it");
                children.stop();
                // What `before` has done to a source, `after` may have to undo.
                hooks.stop(Over::Beginnings);
                summaries.extend(results.iter());
            }
        }
    }
}

/// One mirror, from its lock to its result.
fn one(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, children: &Children, meter: Option<&Meter>) -> Summary {
    let begun = Instant::now();
    let mode = if args.writing.dry_run { Mode::DryRun } else { Mode::Real };
    // A dry run changes nothing, so it disturbs nobody.
    let locks = match mode {
        Mode::Real => locks(setup, args, mirror, children),
        Mode::DryRun => Ok(Vec::new()),
    };
    let locks = match locks {
        Ok(locks) => locks,
        Err(failure) => return Summary::not_begun(mirror, &failure),
    };
    if locks.iter().any(Lock::after_crash) {
        info!("{mirror}: the run before was cut off; giving the daemon time to end its session");
        children.pause(SETTLE);
    }
    let history = match setup.settings.history.keep_days {
        0 => Keeper::none(),
        _ => Keeper::new(setup.state.clone(), Duration::MAX),
    };
    let last = Record::load(&setup.state, mirror, args.shard);
    let mounted = !args.force_delete && Record::was_mounted(&setup.state, mirror);
    let guarding = last.as_ref().filter(|_| !args.force_delete);
    if let Err(failure) = guard::check_mounted(&mirror.source, mounted) {
        locks.into_iter().for_each(Lock::end);
        return Summary::not_begun(mirror, &failure);
    }
    let compare = if args.checksum { Compare::Content } else { Compare::Quick };
    let beside_watch = lock::is_held(&setup.state, mirror, Kind::Watch).unwrap_or_else(|e| {
        // Then it is taken for one: to leave alone too much does less harm.
        warn!("{mirror}: cannot tell whether a watch is running: {e}");
        true
    });
    let executor = Executor::new(mirror, children, mode, history).comparing(compare).metered(meter);
    let mut executor = executor.beside_watch(beside_watch);
    // An empty source that is empty on purpose has its mirror emptied, however much that is.
    let vouched = args.force_delete || args.writing.allow_empty && guard::is_empty(&mirror.source);
    let directories = changed_only(setup, args, mirror, last.as_ref());
    let terms = Terms {
        patience: Patience::Some,
        last: guarding,
        max_delete: (!vouched).then_some(setup.settings.full_sync.max_delete),
        shard: args.shard,
        extent: match (&last, &directories) {
            (Some(last), Some(directories)) => Extent::Changed(last, directories),
            _ => Extent::Everything,
        },
        state: Some(&setup.state),
    };
    let unwritten = AtomicBool::new(false);
    let passed = pass::run(&mut executor, children, terms, &|change, path| match mode {
        Mode::DryRun => list(mirror, args.json, change, path, &unwritten),
        Mode::Real => debug!(target: PATHS, "{mirror}: {} {}", change.word(), text::path(path)),
    });
    if mode == Mode::Real {
        passed.remember(&setup.state, mirror, args.shard);
    }
    if passed.tally.runs == 0 || !passed.outcome.cut_off() {
        locks.into_iter().for_each(Lock::end);
    }
    let reached = match terms.extent {
        _ if args.shard != Shard::WHOLE => Reached::Shard(format!("{}/{}", args.shard.number, args.shard.of)),
        Extent::Changed(..) => Reached::Changed,
        Extent::Everything => Reached::Everything,
    };
    Summary { reached: Some(reached), ..Summary::new(mirror, passed.outcome, passed.tally, begun.elapsed()) }
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
    if let Err(e) = Passes::add(&setup.state, mirror, &ended, tell) {
        warn!("{mirror}: how the pass ended cannot be written down: {e}");
    }
    let health = match summary.exit {
        Exit::Done => Health::Well,
        exit => Health::Failing { why: ended.error.unwrap_or_default(), exit, paths: ended.failing },
    };
    if let Some(notifier) = notifier {
        notifier.note(mirror, &health);
    }
}

/// Keeps other passes out, and then waits until a watcher has sent what it is just sending.
fn locks(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, children: &Children) -> Result<Vec<Lock>, Failure> {
    let give_up = || children.is_closed();
    let take = |kind, wait| Lock::take(&setup.state, mirror, kind, wait, give_up);
    let pass = take(Kind::Pass, args.writing.lock_wait)?;
    if lock::is_held(&setup.state, mirror, Kind::Turn).is_ok_and(|held| held) {
        info!("{mirror}: waiting until watch has sent what it is just sending");
    }
    match take(Kind::Turn, setup.settings.full_sync.timeout) {
        Ok(turn) => Ok(vec![turn, pass]),
        Err(failure) => {
            pass.end();
            if failure.exit != Exit::Locked {
                return Err(failure);
            }
            let why = format!("{mirror}: stopped while it was waiting until watch has sent what it is just sending");
            Err(Failure::new(Exit::Partial, why))
        }
    }
}

/// How much of the mirror is looked at, with what is known of the source for that.
fn changed_only(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, last: Option<&Record>) -> Option<Directories> {
    if !args.changed {
        return None;
    }
    let known = || {
        let last = last.ok_or("no pass over it was ever good under these settings")?;
        last.directories(&setup.state, mirror, args.shard)
    };
    known().map_err(|why| info!("{mirror}: everything is compared: {why}")).ok()
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
            info!("{mirror}: the last good pass was at {when}, which is recent enough");
        }
        recent.is_none()
    });
}

/// One line of a dry run. That it is `unwritten` is said once.
fn list(mirror: &Mirror, as_json: bool, change: Change, path: &Path, unwritten: &AtomicBool) {
    let line = if as_json {
        json::item(mirror, change, path)
    } else {
        format!("{mirror}: {:6} {}", change.word(), text::path(path))
    };
    if let Err(e) = report::print(&(line + "\n"))
        && !unwritten.swap(true, Ordering::Relaxed)
    {
        error!("the list cannot be written: {e}");
    }
}
