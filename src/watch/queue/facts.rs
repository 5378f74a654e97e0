//! What the worker and the event source of a mirror let others know, for whom nobody waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Course, Doing, Ending, Queue};
use crate::moment::Moment;
use crate::root::Identity;

impl Queue {
    /// The moment before which everything has been handed out, if nothing was put back since.
    #[must_use]
    pub(in crate::watch) fn handed_out_until(&self) -> Option<Moment> {
        self.lock().pending.handed_out_until().cloned()
    }

    /// The worker has something that it is trying to do.
    pub(in crate::watch) fn begins_work(&self) {
        self.lock().doing = Doing::Something;
    }

    /// The worker has nothing left that it is trying to do.
    pub(in crate::watch) fn ends_work(&self) {
        self.lock().doing = Doing::Nothing;
    }

    /// Whether the worker is still finding out what happened before it was watched, and nothing keeps it from that.
    #[must_use]
    pub(in crate::watch) fn is_catching_up(&self) -> bool {
        !self.is_stuck() && self.lock().doing == Doing::CatchingUp
    }

    /// What comes after the end, when it is to end.
    #[must_use]
    pub(in crate::watch) fn ending(&self) -> Option<Ending> {
        match self.lock().course {
            Course::Closing(ending) => Some(ending),
            Course::GoesOn | Course::Stopped => None,
        }
    }

    /// Nothing is to be expected of the worker soon.
    pub(in crate::watch) fn gets_stuck(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    /// It goes on.
    pub(in crate::watch) fn goes_on(&self) {
        self.stuck.store(false, Ordering::Relaxed);
    }

    /// Whether nothing is to be expected of the worker soon.
    #[must_use]
    pub(in crate::watch) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// How long nothing has changed while nothing was being done; nothing when that is not so.
    #[must_use]
    pub(in crate::watch) fn idle_for(&self) -> Option<Duration> {
        let state = self.lock();
        (state.doing == Doing::Nothing).then(|| state.pending.last().elapsed())
    }

    /// How many paths are pending.
    #[must_use]
    pub(in crate::watch) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Why changes in some directories are found late; nothing when that is not so.
    #[must_use]
    pub(in crate::watch) fn degraded(&self) -> Option<String> {
        self.lock().degraded.clone()
    }

    /// How often the kernel's queue was too short.
    #[must_use]
    pub(in crate::watch) fn overflows(&self) -> u64 {
        self.lock().overflows
    }

    /// Directories that have an inotify watch.
    #[must_use]
    pub(in crate::watch) fn watches(&self) -> usize {
        self.lock().watches
    }

    /// Everything that was handed out has arrived.
    pub(in crate::watch) fn settle(&self) {
        self.lock().pending.settle();
    }

    /// For how long something has been reported of which it is not known that it has arrived.
    #[must_use]
    pub(in crate::watch) fn unsettled_for(&self) -> Option<Duration> {
        self.lock().pending.unsettled_since().map(|since| since.elapsed())
    }

    /// The root that is watched now.
    #[must_use]
    pub(in crate::watch) fn root(&self) -> Option<Identity> {
        self.lock().root
    }
}
