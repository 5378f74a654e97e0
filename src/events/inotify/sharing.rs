//! How several threads share the directories that are to be watched: who has many gives some away, who has none takes some.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::NodeId;
use crate::mutex::lock;

/// A directory that is to be watched.
pub(super) type Waiting = (NodeId, PathBuf);

/// What several threads share.
#[derive(Default)]
pub(super) struct Shared {
    /// The directories that anybody may take, and how many threads are at work.
    state: Mutex<(Vec<Waiting>, usize)>,
    changed: Condvar,
    /// How many threads have nothing to do.
    idle: AtomicUsize,
}

impl Shared {
    /// For threads that have nothing of their own yet.
    pub(super) fn new(waiting: Vec<Waiting>) -> Self {
        Shared { state: Mutex::new((waiting, 0)), ..Shared::default() }
    }

    /// Whether a thread has nothing to do.
    pub(super) fn has_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0
    }

    /// Takes some of what waits; false when nobody will add to that any more.
    pub(super) fn take(&self, own: &mut Vec<Waiting>) -> bool {
        let mut state = lock(&self.state);
        self.idle.fetch_add(1, Ordering::Relaxed);
        while state.0.is_empty() && state.1 > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.idle.fetch_sub(1, Ordering::Relaxed);
        let left = state.0.len() / 2;
        own.extend(state.0.drain(left..));
        state.1 += usize::from(!own.is_empty());
        !own.is_empty()
    }

    /// Gives away half: the upper half of the tree, where most of the work is.
    pub(super) fn give(&self, own: &mut Vec<Waiting>) {
        let half = own.len() / 2;
        lock(&self.state).0.extend(own.drain(..half));
        self.changed.notify_one();
    }

    /// What was taken is done.
    pub(super) fn done(&self) {
        lock(&self.state).1 -= 1;
        self.changed.notify_all();
    }
}
