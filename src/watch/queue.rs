//! What is pending for one mirror, shared by the event source that fills it (`delivery.rs`) and the worker that empties it: who
//! waits here for what. What is pending and when it is due is in `pending.rs`, what else the two let others know in `facts.rs`.

mod delivery;
mod facts;
mod pending;

use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::delivery::ToQueues;
pub(super) use self::pending::Changes;
use self::pending::Pending;
use super::places::Places;
use crate::config::settings::Watch;
use crate::dirty::DirtySet;
use crate::events::Waker;
use crate::mutex::lock;
use crate::root::Identity;

/// The pending changes of one mirror.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the event source.
    waker: OnceLock<Waker>,
    /// Nothing is to be expected of the worker soon: its endpoint fails, or it has ended.
    stuck: AtomicBool,
    delay: Duration,
    max_delay: Duration,
}

#[derive(Debug)]
struct State {
    pending: Pending,
    /// How often the kernel's queue was too short.
    overflows: u64,
    /// Directories that have an inotify watch.
    watches: usize,
    /// The watched root; none while there is none.
    root: Option<Identity>,
    /// Why changes in some directories are found late.
    degraded: Option<String>,
    /// Everything before this instant was reported.
    delivered: Instant,
    /// Somebody waits for that.
    awaited: bool,
    doing: Doing,
    /// The worker does not know yet what is to be said of the mirror.
    news: bool,
    course: Course,
}

/// What the worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It finds out what happened before it was watched.
    CatchingUp,
    /// It is at work, so the mirror is not idle.
    Something,
    /// It waits.
    Nothing,
}

/// Whether there will be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is watched.
    GoesOn,
    /// What happens from now on is for the next watch to find.
    Stopped,
    /// The worker is to end when everything is sent.
    Closing(Ending),
}

/// What comes after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing that is known of.
    ForGood,
    /// A watch with other settings, at once: it does what this one cannot.
    Anew,
}

/// What the worker is woken for.
#[derive(Debug)]
pub(super) enum Wake {
    /// These changes are due.
    Batch(Changes),
    /// The time that it asked for has come, or the root is another one.
    Time,
    /// Something else is to be said of the mirror than before.
    News,
    /// There will be no more.
    Closing,
}

impl Queue {
    /// An empty queue that is not watched yet.
    #[must_use]
    pub(super) fn new(settings: &Watch) -> Self {
        let now = Instant::now();
        let state = State {
            pending: Pending::new(settings.max_pending, now),
            overflows: 0,
            watches: 0,
            root: None,
            degraded: None,
            delivered: now,
            awaited: false,
            doing: Doing::CatchingUp,
            news: false,
            course: Course::GoesOn,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            waker: OnceLock::new(),
            stuck: AtomicBool::new(false),
            delay: settings.delay,
            max_delay: settings.max_delay,
        }
    }

    /// Waits for what has to be done next. Changes are not handed out before `hold`, nor while the root is not watched. It is
    /// also time when another root is watched than this, or none.
    pub(super) fn next(&self, hold: Option<Instant>, wake_at: Option<Instant>, root: Option<Identity>) -> Wake {
        let mut state = self.lock();
        loop {
            if state.is_closing() {
                return Wake::Closing;
            }
            if state.root != root {
                return Wake::Time;
            }
            if mem::take(&mut state.news) {
                return Wake::News;
            }
            let now = Instant::now();
            let due = state.pending.due(self.delay, self.max_delay).filter(|_| state.root.is_some());
            let due = due.map(|due| hold.map_or(due, |hold| hold.max(due)));
            if due.is_some_and(|due| due <= now) {
                state.doing = Doing::Something;
                return Wake::Batch(state.pending.hand_out(now));
            }
            if wake_at.is_some_and(|time| time <= now) {
                return Wake::Time;
            }
            let until = due.into_iter().chain(wake_at).min();
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let time = until.saturating_duration_since(now);
                    self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Puts back what could not be sent. It is as old as it was: due as soon as the mirror is not held any more.
    pub(super) fn put_back(&self, batch: &DirtySet) {
        let now = Instant::now();
        self.lock().pending.put_back(batch, now.checked_sub(self.max_delay).unwrap_or(now));
    }

    /// Hands out everything, due or not.
    #[must_use]
    pub(super) fn take(&self) -> Changes {
        self.lock().pending.hand_out(Instant::now())
    }

    /// Takes no more changes: those that come later are not pending, and the stamp stays before them.
    pub(super) fn stop(&self) {
        self.lock().course = Course::Stopped;
    }

    /// Lets the event source be woken when it has to be known what has happened.
    pub(super) fn set_waker(&self, waker: Waker) {
        // There is one source, and it is started once.
        let _ = self.waker.set(waker);
    }

    /// The places of directories among everything that has happened up to now and was not handed out; nothing when the
    /// source has not told within the time limit.
    #[must_use]
    pub(super) fn places_by_now(&self, limit: Duration) -> Option<Places> {
        let now = Instant::now();
        self.waker.get()?.wake();
        let mut state = self.lock();
        state.awaited = true;
        let waiting = |state: &mut State| state.delivered < now && !state.is_closing();
        let waited = self.changed.wait_timeout_while(state, limit, waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.awaited = false;
        (state.delivered >= now).then(|| state.pending.places().clone())
    }

    /// Waits until the root is watched for the first time, or the queue is closed; tells which.
    #[must_use]
    pub(super) fn wait_until_watched(&self) -> Option<Identity> {
        let waiting = |state: &mut State| state.root.is_none() && !state.is_closing();
        let state = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        state.root.filter(|_| !state.is_closing())
    }

    /// Waits for a time, or until the queue is closed; tells whether it is.
    #[must_use]
    pub(super) fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !state.is_closing());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closing()
    }

    /// Nothing more will come; the worker shall send the rest and end.
    pub(super) fn close(&self, ending: Ending) {
        let mut state = self.lock();
        if state.course != Course::Stopped {
            state.course = Course::Closing(ending);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn is_closing(&self) -> bool {
        matches!(self.course, Course::Closing(_))
    }
}
