//! What the reader of a fanotify group hands to the thread that finds the places of directories.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::session::Ended;
use super::pending::Pending;
use crate::moment::Moment;
use crate::mutex::lock;

/// Batches follow each other not sooner than this, so that what happens elsewhere on a busy file system costs little.
const PACE: Duration = Duration::from_millis(10);

/// Where something was renamed, what follows is waited for so long: renames that belong together are best looked at together.
const TOGETHER: Duration = Duration::from_millis(5);

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What happened.
    pub(super) pending: Pending,
    /// Everything that happened before this is in it, or was before.
    pub(super) reached: Option<(Instant, Option<Moment>)>,
    /// Something was mounted or unmounted.
    pub(super) mounts: bool,
    /// It is time to see whether the root is in its place.
    pub(super) root: bool,
    /// It is the last one.
    pub(super) last: bool,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// When the first rename came into it.
    moved: Option<Instant>,
    /// Somebody waits for it.
    urgent: bool,
    ended: Option<Ended>,
}

/// Holds one batch, which grows until it is taken.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

impl Inbox {
    /// Adds to the batch. The lock is held for as long as `add` runs.
    pub(super) fn add(&self, add: impl FnOnce(&mut Batch)) {
        add(&mut self.lock().batch);
    }

    /// Lets the batch be taken, at its time.
    pub(super) fn hand_over(&self) {
        {
            let mut state = self.lock();
            if state.moved.is_none() && state.batch.pending.has_moves() {
                state.moved = Some(Instant::now());
            }
        }
        self.changed.notify_one();
    }

    /// Lets the batch be taken at once: somebody waits for it.
    pub(super) fn hand_over_now(&self) {
        self.lock().urgent = true;
        self.hand_over();
    }

    /// Waits for a batch, and takes it. `before`: when the last one was taken.
    pub(super) fn next(&self, before: Option<Instant>) -> Batch {
        let mut state = self.lock();
        loop {
            let (batch, now) = (&state.batch, Instant::now());
            let paced = before.filter(|_| !state.urgent).map(|before| before + PACE);
            let settled = state.moved.map(|moved| moved + TOGETHER);
            let due = paced.max(settled).unwrap_or(now);
            let work = batch.reached.is_some() || batch.last;
            if work && (batch.last || due <= now) {
                (state.urgent, state.moved) = (false, None);
                return std::mem::take(&mut state.batch);
            }
            state = if work {
                let waited = self.changed.wait_timeout(state, due.saturating_duration_since(now));
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Says why the session cannot go on.
    pub(super) fn end(&self, ended: Ended) {
        self.lock().ended = Some(ended);
    }

    /// Why it cannot go on.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.lock().ended.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
