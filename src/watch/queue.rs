//! What is pending for one mirror, shared by the event source that fills it and the worker that empties it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::News;
use super::arrived::{Arrived, Before};
use super::moves::Moves;
use super::places::Places;
use super::suspects::Suspects;
use crate::config::settings::Watch;
use crate::dirty::{DirtySet, Mark};
use crate::events::{Arrival, Identity, Sink, Waker};
use crate::state::record::Moment;

/// The pending changes of one mirror.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the event source.
    waker: OnceLock<Waker>,
    delay: Duration,
    max_delay: Duration,
}

#[derive(Debug)]
struct State {
    dirty: DirtySet,
    /// When the oldest and the youngest pending change were reported.
    first: Instant,
    last: Instant,
    /// When the oldest change was reported of which it is not known yet that it has arrived.
    unsettled: Option<Instant>,
    /// How often the kernel's queue was too short.
    overflows: u64,
    /// Directories that have an inotify watch.
    watches: usize,
    /// The watched root; none while there is none.
    root: Option<Identity>,
    /// Why changes in some directories are found late.
    degraded: Option<String>,
    /// Places of directories among the pending changes.
    places: Places,
    /// Files among them that were written or put there.
    suspects: Suspects,
    /// What was renamed.
    moves: Moves,
    /// Directories that were put in a place.
    arrived: Arrived,
    /// Everything before this instant was reported.
    delivered: Instant,
    /// Somebody waits for that.
    awaited: bool,
    /// Everything before this moment was reported, which can be told to a later process.
    reported: Option<Moment>,
    /// The same for what was handed out last.
    handed_out: Option<Moment>,
    /// The worker has something to do, so the mirror is not idle.
    busy: bool,
    course: Course,
}

/// Whether there will be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is watched.
    GoesOn,
    /// What happens from now on is for the next watch to find.
    Stopped,
    /// The worker is to end when everything is sent.
    Closing,
}

/// What was pending.
#[derive(Debug)]
pub(super) struct Changes {
    /// The paths.
    pub(super) dirty: DirtySet,
    /// The places of directories among them.
    pub(super) places: Places,
    /// The files among them that were written or put there.
    pub(super) suspects: Suspects,
    /// What was renamed.
    pub(super) moves: Moves,
    /// Directories that were put in a place.
    pub(super) arrived: Arrived,
}

/// What the worker is woken for.
#[derive(Debug)]
pub(super) enum Wake {
    /// These changes are due.
    Batch(Changes),
    /// The time that it asked for has come, or the root is another one.
    Time,
    /// There will be no more.
    Closing,
}

impl Queue {
    /// An empty queue that is not watched yet.
    #[must_use]
    pub(super) fn new(settings: &Watch) -> Self {
        let now = Instant::now();
        let dirty = DirtySet::new(settings.max_pending);
        let state = State {
            dirty,
            first: now,
            last: now,
            unsettled: None,
            overflows: 0,
            watches: 0,
            root: None,
            degraded: None,
            places: Places::default(),
            suspects: Suspects::default(),
            moves: Moves::default(),
            arrived: Arrived::default(),
            delivered: now,
            awaited: false,
            reported: None,
            handed_out: None,
            busy: true,
            course: Course::GoesOn,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
            waker: OnceLock::new(),
            delay: settings.delay,
            max_delay: settings.max_delay,
        }
    }

    /// Waits for what has to be done next. Changes are not handed out before `hold`, nor while the root is not watched. It is
    /// also time when another root is watched than this, or none.
    pub(super) fn next(&self, hold: Option<Instant>, wake_at: Option<Instant>, root: Option<Identity>) -> Wake {
        let mut state = self.lock();
        loop {
            if state.course == Course::Closing {
                return Wake::Closing;
            }
            if state.root != root {
                return Wake::Time;
            }
            let now = Instant::now();
            let due = (!state.dirty.is_empty() && state.root.is_some()).then(|| {
                let settled = (state.last + self.delay).min(state.first + self.max_delay);
                hold.map_or(settled, |hold| hold.max(settled))
            });
            if due.is_some_and(|due| due <= now) {
                state.busy = true;
                return Wake::Batch(state.hand_out());
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
        let mut state = self.lock();
        state.dirty.merge(batch);
        state.handed_out = None;
        let now = Instant::now();
        state.first = now.checked_sub(self.max_delay).unwrap_or(now);
    }

    /// Hands out everything, due or not.
    #[must_use]
    pub(super) fn take(&self) -> Changes {
        self.lock().hand_out()
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
        let waiting = |state: &mut State| state.delivered < now && state.course != Course::Closing;
        let waited = self.changed.wait_timeout_while(state, limit, waiting);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.awaited = false;
        (state.delivered >= now).then(|| state.places.clone())
    }

    /// The moment before which everything has been handed out, if nothing was put back since.
    #[must_use]
    pub(super) fn handed_out_until(&self) -> Option<Moment> {
        self.lock().handed_out.clone()
    }

    /// Says whether the worker has anything left that it is trying to do.
    pub(super) fn set_busy(&self, busy: bool) {
        self.lock().busy = busy;
    }

    /// How long nothing has changed while nothing was being done; nothing when that is not so.
    #[must_use]
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let state = self.lock();
        (!state.busy).then(|| state.last.elapsed())
    }

    /// How many paths are pending.
    #[must_use]
    pub(super) fn pending(&self) -> usize {
        self.lock().dirty.len()
    }

    /// Why changes in some directories are found late; nothing when that is not so.
    #[must_use]
    pub(super) fn degraded(&self) -> Option<String> {
        self.lock().degraded.clone()
    }

    /// How often the kernel's queue was too short.
    #[must_use]
    pub(super) fn overflows(&self) -> u64 {
        self.lock().overflows
    }

    /// Directories that have an inotify watch.
    #[must_use]
    pub(super) fn watches(&self) -> usize {
        self.lock().watches
    }

    /// Everything that was handed out has arrived.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        if state.dirty.is_empty() {
            state.unsettled = None;
        }
    }

    /// For how long something has been reported of which it is not known that it has arrived.
    #[must_use]
    pub(super) fn unsettled_for(&self) -> Option<Duration> {
        self.lock().unsettled.map(|since| since.elapsed())
    }

    /// The root that is watched now.
    #[must_use]
    pub(super) fn root(&self) -> Option<Identity> {
        self.lock().root
    }

    /// Waits until the root is watched for the first time, or the queue is closed; tells which.
    #[must_use]
    pub(super) fn wait_until_watched(&self) -> Option<Identity> {
        let waiting = |state: &mut State| state.root.is_none() && state.course != Course::Closing;
        let state = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        state.root.filter(|_| state.course != Course::Closing)
    }

    /// Waits for a time, or until the queue is closed; tells whether it is.
    #[must_use]
    pub(super) fn pause(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| state.course != Course::Closing);
        waited.unwrap_or_else(PoisonError::into_inner).0.course == Course::Closing
    }

    /// Nothing more will come; the worker shall send the rest and end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.course == Course::GoesOn {
            state.course = Course::Closing;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn directory(&self, path: &Path, mark: Mark) {
        // Under one lock: what is handed out with the place also has its mark.
        let mut state = self.lock();
        state.places.add(path);
        self.mark_in(state, path, mark);
    }

    fn mark(&self, path: &Path, mark: Mark) {
        self.mark_in(self.lock(), path, mark);
    }

    fn mark_in(&self, mut state: MutexGuard<'_, State>, path: &Path, mark: Mark) {
        if state.course == Course::Stopped {
            return;
        }
        let now = Instant::now();
        let is_first = state.dirty.is_empty();
        if is_first {
            state.first = now;
        }
        state.last = now;
        state.unsettled.get_or_insert(now);
        state.dirty.mark(path, mark);
        drop(state);
        // Any later change only puts off when they are due, which the worker finds out when it wakes: a burst of a hundred
        // thousand changes is not to wake it as often.
        if is_first {
            self.changed.notify_one();
        }
    }

    fn reported_until(&self, moment: Moment) {
        let mut state = self.lock();
        if state.course == Course::Stopped {
            return;
        }
        if state.dirty.is_empty() && state.handed_out.is_some() {
            state.handed_out = Some(moment.clone());
        }
        state.reported = Some(moment);
    }

    fn delivered(&self, before: Instant) {
        let mut state = self.lock();
        state.delivered = before;
        if state.awaited {
            self.changed.notify_all();
        }
    }

    fn watching(&self, root: Option<Identity>) {
        self.lock().root = root;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn moved(&mut self, from: Option<&Path>, to: &Path) {
        if let Some(from) = from {
            self.suspects.follow(from, to);
        }
        self.moves.add(from, to);
    }

    fn arrived(&mut self, directory: &Path, how: Arrival) {
        let before = if how.is_apart_from(&self.places, directory) { Before::Nothing } else { Before::Something };
        self.arrived.add(directory, how, before);
    }

    fn hand_out(&mut self) -> Changes {
        self.handed_out.clone_from(&self.reported);
        Changes {
            dirty: self.dirty.take(),
            places: std::mem::take(&mut self.places),
            suspects: std::mem::take(&mut self.suspects),
            moves: std::mem::take(&mut self.moves),
            arrived: std::mem::take(&mut self.arrived),
        }
    }
}

/// Delivers the events of one source to the queues of all its mirrors.
#[derive(Debug)]
pub(super) struct ToQueues {
    queues: Vec<Arc<Queue>>,
    tell: Sender<News>,
    /// That it is watched was told.
    told: AtomicBool,
}

impl ToQueues {
    /// `tell` hears when the source is watched for the first time.
    pub(super) fn new(queues: Vec<Arc<Queue>>, tell: Sender<News>) -> Self {
        ToQueues { queues, tell, told: AtomicBool::new(false) }
    }
}

impl Sink for ToQueues {
    fn mark(&self, path: &Path, mark: Mark) {
        self.queues.iter().for_each(|queue| queue.mark(path, mark));
    }

    fn content(&self, path: &Path) {
        self.queues.iter().for_each(|queue| queue.lock().suspects.add(path));
    }

    fn moved(&self, from: Option<&Path>, to: &Path) {
        self.queues.iter().for_each(|queue| queue.lock().moved(from, to));
    }

    fn arrived(&self, directory: &Path, how: Arrival) {
        self.queues.iter().for_each(|queue| queue.lock().arrived(directory, how));
    }

    fn directory(&self, path: &Path, mark: Mark) {
        self.queues.iter().for_each(|queue| queue.directory(path, mark));
    }

    fn reported_until(&self, moment: Moment) {
        self.queues.iter().for_each(|queue| queue.reported_until(moment.clone()));
    }

    fn delivered(&self, before: Instant) {
        self.queues.iter().for_each(|queue| queue.delivered(before));
    }

    fn degraded(&self, why: Option<&str>) {
        self.queues.iter().for_each(|queue| queue.lock().degraded = why.map(ToOwned::to_owned));
    }

    fn overflowed(&self) {
        self.queues.iter().for_each(|queue| queue.lock().overflows += 1);
    }

    fn watches(&self, number: usize) {
        self.queues.iter().for_each(|queue| queue.lock().watches = number);
    }

    fn watching(&self, root: Option<Identity>) {
        self.queues.iter().for_each(|queue| queue.watching(root));
        if root.is_some() && !self.told.swap(true, Ordering::Relaxed) {
            // At the end nobody listens any more.
            let _ = self.tell.send(News::Watched);
        }
    }
}
