//! The worker of one mirror: it catches up, then sends batches of changes. It never waits for another mirror.

mod catching_up;
mod placing;
mod publishing;
mod results;
mod sending;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::batch::{Batch, Occasion};
use super::progress::{Cure, FIRST_RETRY, Progress};
use super::queue::{Queue, Wake};
use crate::config::settings::Watch;
use crate::dirty::DirtySet;
use crate::executor::{Executor, Mode, Tally};
use crate::exit::Exit;
use crate::guard::EmptySource;
use crate::metrics::Textfiles;
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::text::count;
use crate::rsync::children::Children;
use crate::rsync::outcome::SETTLE;
use crate::rsync::output::Change;
use crate::state::StateDir;
use crate::state::lock::{self, Kind, Lock};
use crate::state::record::Record;
use crate::tree::exclude::Excludes;
pub(super) use publishing::Published;

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    /// Runs its jobs.
    pub(super) executor: Executor<'a>,
    /// The processes of this program.
    pub(super) children: &'a Children,
    /// Its changes.
    pub(super) queue: Arc<Queue>,
    /// What is left out in real time: `exclude` and `watch.exclude` of the source.
    pub(super) excludes: Excludes,
    /// The same as patterns.
    pub(super) patterns: Vec<OsString>,
    /// `[watch]`.
    pub(super) settings: &'a Watch,
    /// Where the locks are.
    pub(super) state: &'a StateDir,
    /// The watcher's lock of the mirror.
    pub(super) lock: Option<Lock>,
    /// After so many batches it ends.
    pub(super) batches: Option<u64>,
    /// Whether the source may be empty.
    pub(super) empty: EmptySource,
    /// At the end it tries for at most this long.
    pub(super) drain_timeout: Duration,
    /// Told about each path that is changed or, in a dry run, would be.
    pub(super) on_item: fn(&Mirror, Change, &Path),
    /// Told about each batch that was sent.
    pub(super) on_batch: fn(&Mirror, &Batch),
    /// Where figures for monitoring go.
    pub(super) metrics: &'a Textfiles,
    /// Tells whoever wants to know how the mirror does.
    pub(super) notifier: &'a Notifier,
    /// What was written down last.
    pub(super) published: Published,
}

/// How often a running pass is looked for, and a root that is not the watched one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often what fails is tried once more at the end.
const LAST_RETRIES: u32 = 3;
/// How often the stamp is moved on at most.
const STAMP_EVERY: Duration = Duration::from_secs(5);

impl Worker<'_> {
    /// Works until the queue is closed or the number of batches is reached; sends what is pending at the end. Returns the
    /// exit code that this mirror alone would give.
    pub(super) fn run(mut self) -> Exit {
        let settle = self.lock.as_ref().is_some_and(Lock::after_crash);
        let mut progress = Progress::new(self.settings, settle);
        if self.queue.wait_until_watched().is_some() {
            if settle {
                self.settles();
            }
            progress.cut_off = false;
            self.publish(&progress, 0);
            self.catch_up(&mut progress);
            self.live(&mut progress);
        }
        self.drain(&mut progress);
        if self.queue.pending() == 0 && progress.trouble.is_none() {
            self.stamp(&mut progress, Instant::now());
        }
        self.publish_end(&progress);
        let exit = self.end(&progress);
        self.lock.filter(|_| !progress.cut_off).into_iter().for_each(Lock::end);
        exit
    }

    /// Leaves the endpoint alone for a moment.
    fn settles(&self) {
        info!("{}: the run before was cut off; giving the daemon time to end its session", self.executor.mirror());
        self.children.pause(SETTLE);
    }

    /// Waits for something else than changes. False when it is to end and has no time left for that: `end`, which is set
    /// when it is first known that it is to end.
    fn waits(&self, end: &mut Option<Instant>, time: Duration) -> bool {
        if self.queue.pause(time) {
            let end = *end.get_or_insert_with(|| Instant::now() + self.drain_timeout);
            let left = end.saturating_duration_since(Instant::now());
            self.children.pause(time.min(LOOK_AGAIN / 5).min(left));
            return !left.is_zero() && !self.children.is_closed();
        }
        true
    }

    /// Moves the stamp on when everything up to some moment has arrived, so that the next start need not look farther
    /// back. What is left out in real time has not arrived: then the stamp stays.
    fn stamp(&self, progress: &mut Progress, now: Instant) {
        let settled = progress.retry.is_empty() && progress.again.is_empty() && progress.left_out.is_empty();
        let complete = self.patterns.len() == self.executor.mirror().source.exclude.len();
        let until = self.queue.handed_out_until().filter(|_| settled && complete && self.executor.mode() == Mode::Real);
        if let (Some(covered), Some(until)) = (&progress.covered, until) {
            progress.stamped = now;
            if let Err(e) = Record::advance(self.state, self.executor.mirror(), covered, &until) {
                warn!("{}: how far it is cannot be remembered: {e}", self.executor.mirror());
            }
        }
    }

    fn live(&mut self, progress: &mut Progress) {
        while self.batches.is_none_or(|most| progress.sent < most) {
            let now = Instant::now();
            if now.saturating_duration_since(progress.stamped) >= STAMP_EVERY {
                self.stamp(progress, now);
            }
            self.executor.release();
            let root = self.queue.root();
            if root.is_none() {
                let path = self.executor.mirror().source.path.display();
                progress.note_error(&format!("the source {path} is gone or was replaced; waiting for it"));
            }
            self.publish(progress, 0);
            self.queue.set_busy(!progress.again.is_empty());
            let again_at = (!progress.again.is_empty()).then(|| Instant::now() + LOOK_AGAIN);
            let wake_at = progress.retry_at.into_iter().chain(again_at).min();
            match self.queue.next(progress.hold, wake_at, root) {
                Wake::Batch(changes) => {
                    let batch = progress.take_in(changes);
                    self.send(progress, &batch);
                }
                Wake::Time => {}
                Wake::Closing => return,
            }
            if progress.retry_at.is_some_and(|time| time <= Instant::now()) {
                let batch = progress.take_retry();
                self.send_for(progress, Occasion::Retry, &batch);
            }
            if !progress.again.is_empty() && !self.pass_is_running() {
                let batch = progress.again.take();
                self.send_for(progress, Occasion::AfterPass, &batch);
            }
        }
        // What is pending now is sent once more. On a source that is never quiet there would be no end else.
        self.queue.stop();
    }

    /// Sends what did not only just change.
    fn send_for(&mut self, progress: &mut Progress, occasion: Occasion, batch: &DirtySet) {
        progress.occasion = occasion;
        self.send(progress, batch);
        progress.occasion = Occasion::Changes;
    }

    /// Sends everything that is left: what failed once more, what a lost endpoint did not get until the time is over.
    fn drain(&mut self, progress: &mut Progress) {
        let deadline = Instant::now() + self.drain_timeout;
        let mut retries = 0;
        while progress.caught_up() && !self.children.is_closed() && Instant::now() < deadline {
            if !progress.again.is_empty() && self.pass_is_running() {
                self.children.pause(LOOK_AGAIN / 5);
                continue;
            }
            let mut batch = progress.take_in(self.queue.take());
            batch.merge(&progress.again.take());
            if retries < LAST_RETRIES && !progress.retry.is_empty() {
                if retries > 0 {
                    // What fails at once may not fail a moment later: a file that was being replaced.
                    self.children.pause(FIRST_RETRY.min(deadline.saturating_duration_since(Instant::now())));
                }
                retries += 1;
                batch.merge(&progress.take_retry());
            }
            if batch.is_empty() {
                return;
            }
            let failures = progress.failures;
            self.send(progress, &batch);
            if progress.failures > failures && progress.cure == Cure::Operator {
                return;
            }
            if let Some(hold) = progress.hold {
                self.children.pause(hold.min(deadline).saturating_duration_since(Instant::now()));
            }
        }
    }

    fn end(&self, progress: &Progress) -> Exit {
        let mirror = self.executor.mirror();
        let pending = self.queue.pending() + progress.again.len();
        let failing = progress.failing.len() + progress.left_out.len();
        let gone = match self.queue.root() {
            Some(_) => !self.root_is_watched(),
            None => !mirror.source.path.is_dir(),
        };
        if gone && !self.children.is_closed() {
            error!("{mirror}: the source {} is gone or was replaced", mirror.source.path.display());
        }
        let exit = match &progress.trouble {
            Some(trouble) => trouble.exit,
            None if gone => Exit::Unreachable,
            None if !progress.caught_up() || pending > 0 || failing > 0 => Exit::Partial,
            None => Exit::Done,
        };
        // Why it was not, has been said.
        if !progress.caught_up() && progress.trouble.is_none() {
            let why = if progress.kept_out { ", since a pass was running" } else { "" };
            error!("{mirror}: ended before everything was compared{why}; the next start will compare it");
        }
        if pending > 0 {
            error!("{mirror}: ended with {} not sent; the next start will find them", count(pending, "path"));
        }
        if failing > 0 {
            error!("{mirror}: ended with {} failing", count(failing, "path"));
        }
        exit
    }

    /// Whether the directory at the source's path is the one that is watched. When it is not, what is missing there
    /// says nothing about what was deleted.
    fn root_is_watched(&self) -> bool {
        let now = fs::metadata(&self.executor.mirror().source.path).ok().map(|meta| (meta.dev(), meta.ino()));
        now.is_some() && now == self.queue.root()
    }

    /// Tells what was sent since `begun`.
    fn tell(&self, progress: &mut Progress, occasion: Occasion, tally: Tally, begun: Instant) {
        let (mirror, batch) = (self.executor.mirror(), Batch::done(occasion, tally, begun));
        progress.note_batch(&batch);
        let (name, Tally { bytes, sent, .. }) = (mirror.to_string(), tally);
        let (cause, paths, seconds) = (occasion.word(), tally.changes() + tally.attributes, batch.took.as_secs_f64());
        info!(mirror = name.as_str(), cause, paths, bytes, sent, seconds; "{mirror}: {batch}");
        (self.on_batch)(mirror, &batch);
    }

    fn pass_is_running(&self) -> bool {
        lock::is_held(self.state, self.executor.mirror(), Kind::Pass).unwrap_or_else(|e| {
            warn!("{}: cannot tell whether a pass is running: {e}", self.executor.mirror());
            false
        })
    }
}
