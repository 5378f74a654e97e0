//! The worker of one mirror: it catches up, then sends batches of changes. It never waits for another mirror.

mod beside;
mod catching_up;
mod ending;
mod mounts;
mod placing;
mod publishing;
mod results;
mod sending;
mod standing;
mod transfer;
mod turn;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info};

use super::batch::{Batch, Occasion};
use super::progress::Progress;
use super::queue::{Queue, Wake};
use crate::config::settings::Watch;
use crate::dirty::DirtySet;
use crate::exclude::Excludes;
use crate::executor::{Executor, Mode};
use crate::exit::Exit;
use crate::guard::EmptySource;
use crate::metrics::Textfiles;
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::text;
use crate::root::Identity;
use crate::rsync::children::Children;
use crate::rsync::output::Change;
use crate::rsync::tally::Tally;
use crate::state::StateDir;
use crate::state::lock::Lock;
use crate::state::record::Record;
pub(super) use publishing::Published;

/// What a worker works with.
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
    /// The lock of a watch on the mirror.
    pub(super) lock: Option<Lock>,
    /// After so many batches it ends.
    pub(super) batches: Option<u64>,
    /// Whether the source may be empty.
    pub(super) empty: EmptySource,
    /// At the end it tries for at most this long.
    pub(super) drain_timeout: Duration,
    /// Told about each path that is changed or, in a dry run, would be.
    pub(super) on_item: &'a (dyn Fn(&Mirror, Change, &Path) + Sync),
    /// Told about each batch that was sent.
    pub(super) on_batch: &'a (dyn Fn(&Mirror, &Batch) + Sync),
    /// Where figures for monitoring go.
    pub(super) metrics: &'a Textfiles,
    /// Tells whoever wants to know how the mirror does.
    pub(super) notifier: &'a Notifier,
    /// What was written down last.
    pub(super) published: Published,
}

/// How often a running pass is looked for, and a root that is not the watched one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether what is to be in the state directory is there.
const LOOK_AT_STATE: Duration = Duration::from_secs(10);
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
                self.children.let_settle(self.executor.mirror(), "the run before");
            }
            progress.cut_off = false;
            self.begin_with_mounts(&mut progress);
            self.publish(&progress, 0);
            self.catch_up(&mut progress);
            self.live(&mut progress);
        }
        self.drain(&mut progress);
        if self.queue.pending() == 0 && progress.outage.trouble.is_none() {
            self.stamp(&mut progress, Instant::now());
        }
        self.publish_end(&progress);
        let exit = self.end(&progress);
        self.lock.filter(|_| !progress.cut_off).into_iter().for_each(Lock::end);
        self.queue.gets_stuck();
        exit
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
        let settled = progress.retries.is_empty() && progress.again.is_empty() && progress.left_out.is_empty();
        let complete = self.patterns.len() == self.executor.mirror().source.exclude.len();
        let until = self.queue.handed_out_until().filter(|_| settled && complete && self.executor.mode() == Mode::Real);
        if let (Some(covered), Some(until)) = (&progress.covered, until) {
            progress.stamped = now;
            let mirror = self.executor.mirror();
            if let Err(e) = Record::advance(self.state, mirror, covered, &until) {
                // The state directory has said it aloud.
                debug!(mirror:%; "{mirror}: how far it is cannot be remembered: {e}");
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
            self.keep_place(&mut *progress);
            let root = self.queue.root();
            if root.is_none() {
                let path = text::path(&self.executor.mirror().source.path);
                progress.note_error(&format!("the source {path} is gone or was replaced; waiting for it"));
            }
            self.publish(progress, 0);
            if progress.again.is_empty() {
                self.queue.ends_work();
            } else {
                self.queue.begins_work();
            }
            let again_at = (!progress.again.is_empty()).then(|| Instant::now() + LOOK_AGAIN);
            let wake_at = progress.retries.at.into_iter().chain(again_at).min();
            match self.next(progress, wake_at, root) {
                Wake::Batch(changes) => {
                    let batch = progress.take_in(changes);
                    self.send(progress, &batch);
                }
                Wake::Time | Wake::News => {}
                Wake::Closing => return,
            }
            if progress.retries.at.is_some_and(|time| time <= Instant::now()) {
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

    /// Waits for what has to be done next, and keeps its place meanwhile. An idle mirror writes nothing for that.
    fn next(&mut self, progress: &mut Progress, wake_at: Option<Instant>, root: Option<Identity>) -> Wake {
        loop {
            let look_at = Instant::now() + LOOK_AT_STATE;
            let wake = self.queue.next(progress.outage.hold, wake_at.into_iter().chain([look_at]).min(), root);
            let is_due = wake_at.is_some_and(|time| time <= Instant::now());
            if !matches!(wake, Wake::Time) || is_due || self.queue.root() != root {
                return wake;
            }
            self.keep_place(progress);
            self.look_for_mounts(progress);
            if self.published.lost {
                self.publish(progress, 0);
            }
        }
    }

    /// Sends what did not only just change.
    fn send_for(&mut self, progress: &mut Progress, occasion: Occasion, batch: &DirtySet) {
        progress.occasion = occasion;
        self.send(progress, batch);
        progress.retries.attempted();
        progress.occasion = Occasion::Changes;
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
        let Tally { bytes, sent, .. } = tally;
        let (cause, paths, seconds) = (occasion.word(), tally.changes() + tally.attributes, batch.took.as_secs_f64());
        info!(mirror:%, cause, paths, bytes, sent, seconds; "{mirror}: {batch}");
        (self.on_batch)(mirror, &batch);
    }
}
