//! The real-time engine: an event source per source tree, a queue and a worker per mirror.
//!
//! Threads: the caller's thread controls (`control.rs`); per source a supervisor (which reads events) and a crawler; per mirror a
//! worker, which waits for its rsync. Events go from source to queue, batches from queue to worker; nothing goes back.
//! To end, the sources deliver what has happened and stop, then the queues are closed, then the workers send the rest;
//! when that takes too long their rsync processes are stopped, which ends them.

mod arrived;
mod assembly;
pub mod batch;
mod control;
mod moves;
mod places;
mod progress;
mod queue;
mod service;
mod suspects;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use self::batch::Batch;
use self::control::Control;
use self::queue::Queue;
use self::worker::Worker;
use crate::config::settings::Settings;
use crate::executor::Mode;
use crate::exit::Exit;
use crate::guard::EmptySource;
use crate::metrics::Textfiles;
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::progress::{Bars, Place};
use crate::rsync::children::Children;
use crate::rsync::output::Change;
use crate::state::StateDir;
use crate::state::lock::Lock;

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
    /// Whether it goes on where a watch with other settings has stopped. What happened in between is only found when it has
    /// caught up.
    pub anew: bool,
    /// Told about each path that is changed or, in a dry run, would be.
    pub on_item: &'a (dyn Fn(&Mirror, Change, &Path) + Sync),
    /// Told about each batch that was sent.
    pub on_batch: &'a (dyn Fn(&Mirror, &Batch) + Sync),
    /// The lines of the mirrors on the terminal.
    pub bars: &'a Bars,
    /// Where figures for monitoring go.
    pub metrics: &'a Textfiles,
    /// Where messages go, if they go to a file.
    pub log_file: Option<&'a Path>,
    /// Tells whoever wants to know how the mirrors do.
    pub notifier: &'a Notifier,
    /// Says why a mirror that was left out at the beginning could be watched now, if one could; nothing when none was left out,
    /// or it is to end by itself.
    pub left_out: Option<&'a dyn Fn() -> Option<&'static str>>,
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
pub struct Ended {
    /// The exit codes of all mirrors.
    pub exits: Vec<Exit>,
    /// The signal that asked for it, if any did.
    pub signal: Option<i32>,
    /// It is to begin anew, with other settings.
    pub reload: bool,
}

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
    ) -> Result<Ended> {
        let (mirrors, locks): (Vec<Mirror>, Vec<Option<Lock>>) = mirrors.into_iter().unzip();
        let queues: Vec<Arc<Queue>> = mirrors.iter().map(|_| Arc::new(Queue::new(&self.settings.watch))).collect();
        let places: Vec<Place<'_>> = mirrors.iter().map(|mirror| self.bars.begin(&mirror.to_string())).collect();
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
            Control::new(self, &mirrors, &sources, &queues, news).run()
        }))
    }
}
