//! `watch`: mirrors changes as they happen.

mod admission;

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanDuration;
use log::{Level, debug, error, log_enabled, warn};

use self::admission::{Admission, admitted, not_begun};
use super::End;
use super::setup::{self, Setup};
use crate::cli::{Cli, WatchArgs};
use crate::config::settings::Start;
use crate::executor::{Mode, Tally};
use crate::exit::{Exit, Failure};
use crate::guard::EmptySource;
use crate::hooks::Hooks;
use crate::mirror::Mirror;
use crate::notify::{Hurry, Notifier};
use crate::report::logger::PATHS;
use crate::report::progress::{Bars, Conditions};
use crate::report::{self, json, screen, text};
use crate::rsync::children::Children;
use crate::rsync::output::Change;
use crate::signals::{self, Hangup};
use crate::state::condition::Condition;
use crate::state::notices::Work;
use crate::watch::{Bounds, Engine, News};

/// For so long a watch waits for a lock that it had before.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Set when this process watched before with other settings.
const RELOADED: &str = "SERSYNC_RELOADED";

pub(super) fn run(cli: &Cli, args: &WatchArgs) -> Result<End> {
    let mut setup = setup::prepare(cli, &args.selection)?;
    if env::var_os(RELOADED).is_some() && setup.settings.watch.start == Start::None {
        // Nobody was watching for a moment.
        setup.settings.watch.start = Start::Changed;
    }
    let children = Arc::new(Children::default());
    let (tell, news) = mpsc::channel();
    let asked_to_end = Arc::new(AtomicBool::new(false));
    let on_first = {
        let (tell, asked_to_end) = (tell.clone(), Arc::clone(&asked_to_end));
        move |signal| {
            asked_to_end.store(true, Ordering::Relaxed);
            // When nobody listens any more, the end has come already.
            let _ = tell.send(News::Signal(signal));
        }
    };
    let hooks = Arc::new(Hooks::default());
    let at_once = {
        let (children, hooks) = (Arc::clone(&children), Arc::clone(&hooks));
        move || {
            screen::end();
            children.stop();
            hooks.kill();
        }
    };
    let on_hangup = {
        let tell = tell.clone();
        move || {
            // As above.
            let _ = tell.send(News::Reload);
        }
    };
    signals::install(Hangup::Calls(Box::new(on_hangup)), on_first, at_once)?;
    let mode = if args.writing.dry_run { Mode::DryRun } else { Mode::Real };
    let empty = if args.writing.allow_empty { EmptySource::Allowed } else { EmptySource::Refused };
    let notifier = Notifier::start(&setup.settings.notify, Work::Watch, &setup.state, &hooks);
    let Admission { mirrors, failures } = admitted(&setup, args, mode, empty, &|| asked_to_end.load(Ordering::Relaxed));
    let mut exits: Vec<Exit> = failures.iter().map(|(_, failure)| failure.exit).collect();
    if mode == Mode::Real {
        for (mirror, failure) in &failures {
            not_begun(&setup, mirror, failure, &notifier);
        }
    }
    if mirrors.is_empty() {
        notifier.finish(&hooks, Hurry::None);
        return Ok(match news.try_recv() {
            Ok(News::Signal(signal)) => End::Signal(signal),
            _ => End::Exit(Exit::merge(exits)),
        });
    }
    let missing: Vec<Mirror> =
        failures.into_iter().filter(|(_, failure)| failure.exit != Exit::Locked).map(|(mirror, _)| mirror).collect();
    let is_there = || missing.iter().any(|mirror| admission::check(&setup, mirror, empty).is_ok());
    let lists = mode == Mode::DryRun;
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists });
    let engine = Engine {
        settings: &setup.settings,
        state: &setup.state,
        children: &children,
        mode,
        empty,
        bounds: Bounds {
            run_for: args.run_for,
            batches: args.batches,
            until_idle: args.until_idle,
            drain_timeout: args.drain_timeout,
        },
        on_item: match mode {
            Mode::DryRun if args.json => |mirror, change, path| print(&json::item(mirror, change, path)),
            Mode::DryRun => list,
            Mode::Real => log_item,
        },
        metrics: &setup.metrics,
        log_file: args.logging.log_file.as_deref(),
        notifier: &notifier,
        bars: &bars,
        missing: (mode == Mode::Real && !missing.is_empty() && !is_bounded(args)).then_some(&is_there),
        may_reload: &|| may_reload(cli, args, &missing),
        on_batch: if args.json { |mirror, batch| print(&json::line(&batch.json(mirror))) } else { |_, _| {} },
    };
    let watched: Vec<Mirror> = mirrors.iter().map(|(mirror, _)| mirror.clone()).collect();
    let begun = Instant::now();
    let outcome = engine.run(mirrors, &news, &tell)?;
    drop(bars);
    notifier.finish(&hooks, if outcome.reload { Hurry::Some } else { Hurry::None });
    // Who asks for the end meanwhile, gets it.
    if outcome.reload && outcome.signal.is_none() {
        return begin_anew();
    }
    exits.extend(&outcome.exits);
    if mode == Mode::Real && !args.json && io::stdout().is_terminal() && log_enabled!(Level::Warn) {
        for mirror in &watched {
            print(&summary(&setup, mirror, begun.elapsed()));
        }
    }
    Ok(match (outcome.signal, Exit::merge(exits)) {
        (Some(signal), Exit::Done) => End::Signal(signal),
        // What was left undone is more important than why it ended.
        (_, exit) => End::Exit(exit),
    })
}

/// What a watch has done for a mirror, in a line.
fn summary(setup: &Setup, mirror: &Mirror, took: Duration) -> String {
    let name = text::escaped(mirror.to_string().as_bytes());
    let condition = match Condition::load(&setup.state, mirror) {
        Ok(condition) => condition,
        Err(e) => return format!("{name}: what was done is not known: {e}"),
    };
    let Some(Condition { batches, counters, pending, failing, .. }) = condition else {
        return format!("{name}: nothing was done");
    };
    let Tally { created, updated, deleted, bytes, .. } = counters.tally;
    let time = HumanDuration(Duration::from_secs(took.as_secs()));
    let batches = text::count(usize::try_from(batches).unwrap_or(usize::MAX), "batch");
    let left = match (pending, failing) {
        (0, 0) => String::new(),
        (pending, 0) => format!(", {} NOT SENT", text::count(pending, "path")),
        (_, failing) => format!(", {} FAILED", text::count(failing, "path")),
    };
    let bytes = text::bytes(bytes);
    format!("{name}: {batches}: {created} created, {updated} updated, {deleted} deleted, {bytes} in {time}{left}")
}

/// Whether it ends by itself.
fn is_bounded(args: &WatchArgs) -> bool {
    args.run_for.is_some() || args.batches.is_some() || args.until_idle.is_some()
}

/// Whether the configuration can be read again and is good.
fn may_reload(cli: &Cli, args: &WatchArgs, missing: &[Mirror]) -> bool {
    if is_bounded(args) {
        warn!("the settings stay as they were: a run that ends by itself is not begun anew");
        return false;
    }
    let empty = if args.writing.allow_empty { EmptySource::Allowed } else { EmptySource::Refused };
    let prepared = setup::prepare(cli, &args.selection).and_then(|setup| {
        // What is refused at the beginning would end it; what was so before may stay so.
        let was_missing = |mirror: &Mirror| missing.iter().any(|missing| missing.id() == mirror.id());
        for mirror in setup.mirrors.iter().filter(|mirror| !was_missing(mirror)) {
            admission::check(&setup, mirror, empty)?;
        }
        Ok(())
    });
    if let Err(e) = &prepared {
        error!("the settings stay as they were: {e:#}");
    }
    prepared.is_ok()
}

/// Becomes the same program anew, with the same arguments. Nothing is left of the settings, and what happens until everything
/// is watched again is found from the stamp on.
fn begin_anew() -> Result<End> {
    let mut args = env::args_os();
    let program = args.next().unwrap_or_else(|| "sersync".into());
    let mut command = process::Command::new(&program);
    command.args(args).env(RELOADED, "1");
    if let Some(signal) = signals::hand_over() {
        return Ok(End::Signal(signal));
    }
    let e = command.exec();
    Err(Failure::new(Exit::Failed, format!("{} cannot be begun anew: {e}", text::path(Path::new(&program)))).into())
}

fn log_item(mirror: &Mirror, change: Change, path: &Path) {
    debug!(target: PATHS, "{mirror}: {} {}", change.word(), text::path(path));
}

fn list(mirror: &Mirror, change: Change, path: &Path) {
    print(&format!("{mirror}: {:6} {}", change.word(), text::path(path)));
}

fn print(line: &str) {
    if let Err(e) = report::print(&format!("{line}\n")) {
        error!("the list cannot be written: {e}");
    }
}
