//! `watch`: mirrors changes as they happen.

mod admission;
mod args;

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use indicatif::HumanDuration;
use log::{Level, error, log_enabled, warn};

use self::admission::{Admission, admitted, not_begun};
pub(super) use self::args::WatchArgs;
use super::interrupt::at_once;
use super::setup::{self, Setup};
use super::{Arguments, End};
use crate::cli::{Global, Logging};
use crate::config::settings::Start;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard::EmptySource;
use crate::hooks::Hooks;
use crate::mirror::Mirror;
use crate::notify::{Hurry, Notifier};
use crate::report::items::List;
use crate::report::logger::Lifetime;
use crate::report::progress::{Bars, Conditions};
use crate::report::{Form, logger, text};
use crate::rsync::children::Children;
use crate::rsync::output::Change;
use crate::rsync::tally::Tally;
use crate::signals::{self, Hangup, Listener};
use crate::state::condition::Condition;
use crate::state::notices::Work;
use crate::watch::{Bounds, Engine, News};

/// Set when this process watched before with other settings.
const RELOADED: &str = "SERSYNC_RELOADED";

impl Arguments for WatchArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }

    fn logging(&self) -> Logging {
        self.logging.clone()
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime::Long
    }
}

fn run(global: &Global, args: &WatchArgs) -> Result<End> {
    let begun = Instant::now();
    let setup = prepare(global, args)?;
    let children = Arc::new(Children::default());
    let (tell, news) = mpsc::channel();
    let asked_to_end = Arc::new(AtomicBool::new(false));
    let hooks = Arc::new(Hooks::default());
    let listener = listen(&children, &hooks, &tell, &asked_to_end)?;
    let mode = Mode::of(args.writing.dry_run);
    let empty = EmptySource::of(args.writing.allow_empty);
    let notifier = Notifier::start(&setup.settings.notify, Work::Watch, &setup.state, &hooks);
    let Admission { mirrors, failures } = admitted(&setup, args, mode, empty, &|| asked_to_end.load(Ordering::Acquire));
    let mut exits: Vec<Exit> = failures.iter().map(|(_, failure)| failure.exit).collect();
    if mode == Mode::Real {
        for (mirror, failure) in &failures {
            not_begun(&setup, mirror, failure, &notifier);
        }
    }
    if mirrors.is_empty() {
        notifier.finish(&hooks, Hurry::None);
        return Ok(signal_among(&news).map_or_else(|| End::Exit(Exit::merge(exits)), End::Signal));
    }
    let left_out: Vec<(Mirror, Exit)> = failures.into_iter().map(|(mirror, failure)| (mirror, failure.exit)).collect();
    let is_there = || left_out.iter().find_map(|(mirror, why)| admission::may_begin(&setup, mirror, *why, empty));
    let lists = mode == Mode::DryRun;
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists });
    let list = List::new(Form::of(args.json));
    let engine = Engine {
        settings: &setup.settings,
        state: &setup.state,
        children: &children,
        mode,
        empty,
        bounds: bounds(args, begun),
        anew: has_begun_anew(),
        on_item: &|mirror, change, path| tell_item(&list, mode, mirror, change, path),
        metrics: &setup.metrics,
        log_file: args.logging.log_file.as_deref(),
        notifier: &notifier,
        bars: &bars,
        left_out: (mode == Mode::Real && !left_out.is_empty() && !is_bounded(args)).then_some(&is_there),
        may_reload: &|| may_reload(global, args, &left_out),
        on_batch: &|mirror, batch| list.object(|| batch.json(mirror)),
    };
    let watched: Vec<Mirror> = mirrors.iter().map(|(mirror, _)| mirror.clone()).collect();
    let outcome = engine.run(mirrors, &news, &tell)?;
    drop(bars);
    notifier.finish(&hooks, if outcome.reload { Hurry::Some } else { Hurry::None });
    // Also when the end was asked for meanwhile: nobody has seen what happened since the sources were stopped.
    if outcome.reload {
        return Err(begin_anew(listener));
    }
    exits.extend(&outcome.exits);
    if mode == Mode::Real && !args.json {
        summarize(&setup, &watched, begun.elapsed(), &list);
    }
    Ok(match (outcome.signal, Exit::merge(exits)) {
        (Some(signal), Exit::Done) => End::Signal(signal),
        // What was left undone is more important than why it ended.
        (_, exit) => End::Exit(exit),
    })
}

/// Whether this process watched before, with other settings.
fn has_begun_anew() -> bool {
    env::var_os(RELOADED).is_some()
}

fn prepare(global: &Global, args: &WatchArgs) -> Result<Setup> {
    let mut setup = setup::prepare(global, &args.selection)?;
    if has_begun_anew() && setup.settings.watch.start == Start::None {
        // Nobody was watching for a moment.
        setup.settings.watch.start = Start::Changed;
    }
    Ok(setup)
}

/// The signal that asked for the end before anything was watched. It may have been asked to read its configuration again before.
fn signal_among(news: &mpsc::Receiver<News>) -> Option<i32> {
    news.try_iter().find_map(|news| match news {
        News::Signal(signal) => Some(signal),
        _ => None,
    })
}

/// When it ends by itself.
fn bounds(args: &WatchArgs, begun: Instant) -> Bounds {
    Bounds {
        // It counts from the beginning, also where it had to wait for a lock: whoever is started every so often with that
        // much time never meets more than one other.
        run_for: args.run_for.map(|time| time.saturating_sub(begun.elapsed())),
        batches: args.batches,
        until_idle: args.until_idle,
        drain_timeout: args.drain_timeout,
    }
}

/// A path was changed or, in a dry run, would be.
fn tell_item(list: &List, mode: Mode, mirror: &Mirror, change: Change, path: &Path) {
    match mode {
        Mode::DryRun => list.item(&mirror.to_string(), change.word(), path),
        Mode::Real => logger::path(mirror, change.word(), path),
    }
}

/// Has signals end it: in order, by another one at once. The one that hangs up has it read its settings again.
fn listen(
    children: &Arc<Children>,
    hooks: &Arc<Hooks>,
    tell: &mpsc::Sender<News>,
    asked_to_end: &Arc<AtomicBool>,
) -> io::Result<Listener> {
    let on_first = {
        let (tell, asked_to_end) = (tell.clone(), Arc::clone(asked_to_end));
        move |signal| {
            // When nobody listens any more, the end has come already. Whoever sees that it was asked for finds out by what.
            let _ = tell.send(News::Signal(signal));
            asked_to_end.store(true, Ordering::Release);
        }
    };
    let on_hangup = {
        let tell = tell.clone();
        move || {
            // As above.
            let _ = tell.send(News::Reload);
        }
    };
    signals::install(Hangup::Calls(Box::new(on_hangup)), on_first, at_once(children, hooks))
}

/// Says on a terminal what was done for each mirror.
fn summarize(setup: &Setup, watched: &[Mirror], took: Duration, list: &List) {
    if io::stdout().is_terminal() && log_enabled!(Level::Warn) {
        for mirror in watched {
            list.line(summary(setup, mirror, took));
        }
    }
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
fn may_reload(global: &Global, args: &WatchArgs, left_out: &[(Mirror, Exit)]) -> bool {
    if is_bounded(args) {
        warn!("the settings stay as they were: a run that ends by itself is not begun anew");
        return false;
    }
    let empty = EmptySource::of(args.writing.allow_empty);
    let prepared = setup::prepare(global, &args.selection).and_then(|setup| {
        // What is refused at the beginning would end it; what was so before may stay so.
        let was_missing =
            |mirror: &Mirror| left_out.iter().any(|(missing, why)| *why != Exit::Locked && missing.id() == mirror.id());
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
/// is watched again is found from the stamp on. Returns why it could not.
fn begin_anew(listener: Listener) -> Error {
    let mut args = env::args_os();
    let program = args.next().unwrap_or_else(|| "sersync".into());
    let mut command = process::Command::new(&program);
    command.args(args).env(RELOADED, "1");
    listener.hand_over();
    let e = command.exec();
    Failure::new(Exit::Failed, format!("{} cannot be begun anew: {e}", text::path(Path::new(&program)))).into()
}
