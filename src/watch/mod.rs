//! The real-time engine: an event source per source tree, a queue and a worker per mirror.
//!
//! Threads: the caller's thread controls; per source a supervisor (which reads events) and a crawler; per mirror a
//! worker, which waits for its rsync. Events go from source to queue, batches from queue to worker; nothing goes back.
//! To end, the sources deliver what has happened and stop, then the queues are closed, then the workers send the rest;
//! when that takes too long their rsync processes are stopped, which ends them.

mod arrived;
pub mod batch;
mod moves;
mod places;
mod progress;
mod queue;
mod service;
mod suspects;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use log::{error, info};

use crate::config::settings::{Settings, Source};
use crate::events::source::EventSource;
use crate::executor::{Executor, Mode};
use crate::exit::{Exit, Failure};
use crate::guard::EmptySource;
use crate::history::keeper::Keeper;
use crate::meter::Meter;
use crate::metrics::Textfiles;
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::progress::{Bars, Place};
use crate::rsync::argv::{pattern_for, pattern_for_directory};
use crate::rsync::children::Children;
use crate::rsync::output::Change;
use crate::state::StateDir;
use crate::state::lock::Lock;
use crate::tree::exclude::Excludes;
use batch::Batch;
use queue::{Queue, ToQueues};
use service::Service;
use worker::{Published, Worker};

/// When and how to end.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// After this time.
    pub run_for: Option<Duration>,
    /// After this many batches per mirror.
    pub batches: Option<u64>,
    /// When nothing changed for this long.
    pub until_idle: Option<Duration>,
    /// What is pending at the end is sent for at most this long.
    pub drain_timeout: Duration,
}

/// What the engine works with.
pub struct Engine<'a> {
    /// The validated settings.
    pub settings: &'a Settings,
    /// Locks and buckets.
    pub state: &'a StateDir,
    /// The processes of this program.
    pub children: &'a Children,
    /// Whether anything is changed.
    pub mode: Mode,
    /// Whether a source may be empty.
    pub empty: EmptySource,
    /// When and how to end.
    pub bounds: Bounds,
    /// Told about each path that is changed or, in a dry run, would be.
    pub on_item: fn(&Mirror, Change, &Path),
    /// Told about each batch that was sent.
    pub on_batch: fn(&Mirror, &Batch),
    /// The lines of the mirrors on the terminal.
    pub bars: &'a Bars,
    /// Where figures for monitoring go.
    pub metrics: &'a Textfiles,
    /// Where messages go, if they go to a file.
    pub log_file: Option<&'a Path>,
    /// Tells whoever wants to know how the mirrors do.
    pub notifier: &'a Notifier,
    /// Says whether a source that was not there at the beginning is there now; nothing when all were, or it is to end by itself.
    pub missing: Option<&'a dyn Fn() -> bool>,
    /// Says whether the settings can be read again and are good; they are read by whoever begins anew.
    pub may_reload: &'a dyn Fn() -> bool,
}

/// What the controlling thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A signal asks for the end.
    Signal(i32),
    /// Somebody asks for the settings to be read again.
    Reload,
    /// A source is watched for the first time.
    Watched,
    /// A worker ended.
    Ended(Exit),
}

/// How the engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit codes of all mirrors.
    pub exits: Vec<Exit>,
    /// The signal that asked for it, if any did.
    pub signal: Option<i32>,
    /// It is to begin anew, with other settings.
    pub reload: bool,
}

/// How often it is looked whether all is idle, or a source has ended.
const TICK: Duration = Duration::from_millis(20);
/// How often sources that were not there at the beginning are looked for.
const LOOK_FOR_SOURCES: Duration = Duration::from_secs(10);
/// For so long what is pending is sent before the settings are read again.
const LONGEST_RELOAD: Duration = Duration::from_secs(5);
/// Even with nothing to send, the workers need a moment to end.
const LEAST_TIME_TO_END: Duration = Duration::from_millis(500);

impl Engine<'_> {
    /// Mirrors changes until a bound is reached or a signal arrives. Each mirror comes with its lock, if it needs one.
    ///
    /// # Errors
    /// When an event source cannot be started at all.
    pub fn run(
        &self,
        mirrors: Vec<(Mirror, Option<Lock>)>,
        news: &Receiver<News>,
        tell: &Sender<News>,
    ) -> Result<Outcome> {
        let (mirrors, locks): (Vec<Mirror>, Vec<Option<Lock>>) = mirrors.into_iter().unzip();
        let queues: Vec<Arc<Queue>> = mirrors.iter().map(|_| Arc::new(Queue::new(&self.settings.watch))).collect();
        let places: Vec<Place<'_>> = mirrors.iter().map(|mirror| self.bars.begin(mirror)).collect();
        let worker = |(((mirror, queue), lock), place)| self.worker(mirror, queue, lock, Place::meter(place));
        let parts = mirrors.iter().zip(&queues).zip(locks).zip(&places);
        let workers: Vec<Worker<'_>> = parts.map(worker).collect::<Result<_, _>>()?;
        let sources = self.start_sources(&mirrors, &queues, tell)?;
        Ok(thread::scope(|scope| {
            for worker in workers {
                let tell = tell.clone();
                scope.spawn(move || {
                    // The receiver lives as long as this scope.
                    let _ = tell.send(News::Ended(worker.run()));
                });
            }
            self.control(&mirrors, &sources, &queues, news)
        }))
    }

    fn worker<'a>(
        &'a self,
        mirror: &'a Mirror,
        queue: &Arc<Queue>,
        lock: Option<Lock>,
        meter: Option<&'a Meter>,
    ) -> Result<Worker<'a>, Failure> {
        let history = match self.settings.history.keep_days {
            0 => Keeper::none(),
            _ => Keeper::new(self.state.clone(), self.settings.history.resolution),
        };
        let patterns = self.real_time_patterns(&mirror.source)?;
        Ok(Worker {
            executor: Executor::new(mirror, self.children, self.mode, history).metered(meter),
            children: self.children,
            queue: Arc::clone(queue),
            excludes: compiled(&patterns)?,
            patterns: patterns.iter().map(OsString::from).collect(),
            settings: &self.settings.watch,
            state: self.state,
            lock,
            batches: self.bounds.batches,
            empty: self.empty,
            drain_timeout: self.bounds.drain_timeout,
            on_item: self.on_item,
            on_batch: self.on_batch,
            metrics: self.metrics,
            notifier: self.notifier,
            published: Published::default(),
        })
    }

    /// One event source per source tree, which delivers to all its mirrors.
    fn start_sources(
        &self,
        mirrors: &[Mirror],
        queues: &[Arc<Queue>],
        tell: &Sender<News>,
    ) -> Result<Vec<EventSource>> {
        let mut by_source: BTreeMap<&str, (&Arc<Source>, Vec<Arc<Queue>>)> = BTreeMap::new();
        for (mirror, queue) in mirrors.iter().zip(queues) {
            by_source.entry(&mirror.source.name).or_insert((&mirror.source, Vec::new())).1.push(Arc::clone(queue));
        }
        let start = |(source, queues): (&Arc<Source>, Vec<Arc<Queue>>)| {
            let excludes = compiled(&self.real_time_patterns(source)?)?;
            let sink = Arc::new(ToQueues::new(queues.clone(), tell.clone()));
            let events = EventSource::start(Arc::clone(source), self.settings.watch.backend, excludes, sink)
                .with_context(|| format!("source `{}`: its event source cannot be started", source.name))?;
            for queue in &queues {
                queue.set_waker(events.waker());
            }
            Ok(events)
        };
        by_source.into_values().map(start).collect()
    }

    /// What is left out in real time. So is what this program writes, should it lie inside the source: every batch changes it,
    /// which would be a reason for the next batch.
    fn real_time_patterns(&self, source: &Source) -> Result<Vec<String>, Failure> {
        let mut patterns: Vec<String> = source.exclude.iter().chain(&source.watch_exclude).cloned().collect();
        let state = self.state.within(&source.path).map(|inside| pattern_for_directory(&inside));
        let log = self.log_file.and_then(|file| {
            let (file, source) = (file.canonicalize().ok()?, source.path.canonicalize().ok()?);
            Some(pattern_for(file.strip_prefix(source).ok()?))
        });
        let own = [("state directory", state), ("log file", log)];
        let own = own.into_iter().filter_map(|(what, pattern)| pattern.map(|pattern| (what, pattern)));
        let metrics = self.metrics.patterns_within(&source.path).into_iter().map(|pattern| ("`textfile-dir`", pattern));
        for (what, pattern) in own.chain(metrics) {
            patterns.push(pattern.into_string().map_err(|_| {
                let why = format!("the {what} lies inside the source under a name that is not UTF-8");
                Failure::new(Exit::Failed, format!("source `{}`: {why}; choose another place for it", source.name))
            })?);
        }
        Ok(patterns)
    }

    /// Says that this process is alive, if it is time for that.
    fn alive(&self, service: &mut Service, mirrors: &[Mirror]) {
        if service.alive() {
            self.note_alive(mirrors, Some(Utc::now()));
        }
    }

    fn note_alive(&self, mirrors: &[Mirror], at: Option<DateTime<Utc>>) {
        if self.mode == Mode::Real {
            for mirror in mirrors {
                self.metrics.alive(&mirror.to_string(), at);
            }
        }
    }

    fn control(
        &self,
        mirrors: &[Mirror],
        sources: &[EventSource],
        queues: &[Arc<Queue>],
        news: &Receiver<News>,
    ) -> Outcome {
        let mut service = Service::new(sources.len(), queues.len());
        if service.is_watchdog() {
            self.note_alive(mirrors, Some(Utc::now()));
        }
        let mut outcome = Outcome { exits: Vec::new(), signal: None, reload: false };
        let end = self.bounds.run_for.map(|time| Instant::now() + time);
        let mut look = self.missing.map(|_| Instant::now() + LOOK_FOR_SOURCES);
        while outcome.exits.len() < queues.len() && outcome.signal.is_none() {
            if std::mem::take(&mut outcome.reload) && (self.may_reload)() {
                outcome.reload = true;
                break;
            }
            if look.is_some_and(|look| look <= Instant::now()) {
                look = Some(Instant::now() + LOOK_FOR_SOURCES);
                if self.missing.is_some_and(|is_there| is_there()) {
                    info!("a source that was missing is there now");
                    outcome.reload = true;
                    break;
                }
            }
            let tick = self.bounds.until_idle.map(|_| Instant::now() + TICK);
            self.alive(&mut service, mirrors);
            self.notifier.beat();
            let due = service.due().into_iter().chain(self.notifier.due()).chain(look);
            if !outcome.wait(news, end.into_iter().chain(tick).chain(due).min(), &mut service) {
                let idle = |limit| queues.iter().all(|queue| queue.idle_for().is_some_and(|idle| idle >= limit));
                if end.is_some_and(|end| end <= Instant::now()) || self.bounds.until_idle.is_some_and(idle) {
                    break;
                }
            }
        }
        // What is not sent by then is found from the stamp on.
        let drain =
            if outcome.reload { self.bounds.drain_timeout.min(LONGEST_RELOAD) } else { self.bounds.drain_timeout };
        if outcome.reload {
            info!("beginning anew with other settings: sending what is pending");
            Service::reloading();
        } else {
            if outcome.exits.len() < queues.len() {
                info!("ending: sending what is pending");
            }
            Service::ending();
        }
        let deadline = Instant::now() + drain;
        sources.iter().for_each(EventSource::stop);
        while !sources.iter().all(EventSource::is_finished) && Instant::now() < deadline {
            self.alive(&mut service, mirrors);
            thread::sleep(TICK);
        }
        for queue in queues {
            queue.close();
        }
        let mut until = Some(deadline.max(Instant::now() + LEAST_TIME_TO_END));
        while outcome.exits.len() < queues.len() {
            if !outcome.wait(news, until.into_iter().chain(service.due()).min(), &mut service) {
                self.alive(&mut service, mirrors);
                if until.is_none_or(|until| Instant::now() < until) {
                    continue;
                }
                if !outcome.reload {
                    error!("not everything could be sent within --drain-timeout");
                }
                self.children.stop();
                until = None;
            }
        }
        if service.is_watchdog() && !outcome.reload {
            self.note_alive(mirrors, None);
        }
        outcome
    }
}

impl Outcome {
    /// Takes one piece of news; false when there was none until the given time.
    fn wait(&mut self, news: &Receiver<News>, until: Option<Instant>, service: &mut Service) -> bool {
        let piece = match until {
            None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => news.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match piece {
            Ok(News::Ended(exit)) => self.exits.push(exit),
            Ok(News::Signal(signal)) => self.signal = Some(signal),
            Ok(News::Reload) => self.reload = true,
            Ok(News::Watched) => service.watched(),
            Err(_) => return false,
        }
        true
    }
}

fn compiled(patterns: &[String]) -> Result<Excludes, Failure> {
    Excludes::new(patterns).map_err(|e| Failure::new(Exit::Config, e.to_string()))
}
