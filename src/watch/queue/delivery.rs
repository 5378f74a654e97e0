//! How the events of one source get into the queues of all its mirrors. Nothing here waits for anybody.

use std::path::Path;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::super::News;
use super::{Course, Queue, State};
use crate::dirty::Mark;
use crate::events::{Arrival, Sink};
use crate::moment::Moment;
use crate::root::Identity;

/// Delivers the events of one source to the queues of all its mirrors.
#[derive(Debug)]
pub(in crate::watch) struct ToQueues {
    queues: Vec<Arc<Queue>>,
    tell: Sender<News>,
    /// That it is watched was told.
    told: AtomicBool,
}

impl ToQueues {
    /// `tell` hears when the source is watched for the first time.
    pub(in crate::watch) fn new(queues: Vec<Arc<Queue>>, tell: Sender<News>) -> Self {
        ToQueues { queues, tell, told: AtomicBool::new(false) }
    }
}

impl Sink for ToQueues {
    fn mark(&self, path: &Path, mark: Mark) {
        self.queues.iter().for_each(|queue| queue.mark(queue.lock(), path, mark));
    }

    fn content(&self, path: &Path) {
        for queue in &self.queues {
            let is_due = queue.lock().pending.content(path);
            if is_due {
                queue.changed.notify_one();
            }
        }
    }

    fn moved(&self, from: Option<&Path>, to: &Path) {
        self.queues.iter().for_each(|queue| queue.lock().pending.moved(from, to));
    }

    fn arrived(&self, directory: &Path, how: Arrival) {
        self.queues.iter().for_each(|queue| queue.lock().pending.arrived(directory, how));
    }

    fn directory(&self, path: &Path, mark: Mark) {
        for queue in &self.queues {
            // Under one lock: what is handed out with the place also has its mark.
            let mut state = queue.lock();
            state.pending.place(path);
            queue.mark(state, path, mark);
        }
    }

    fn reported_until(&self, moment: Moment) {
        for queue in &self.queues {
            let mut state = queue.lock();
            if state.course != Course::Stopped {
                state.pending.reported_until(moment.clone());
            }
        }
    }

    fn delivered(&self, before: Instant) {
        for queue in &self.queues {
            let mut state = queue.lock();
            state.delivered = before;
            if state.awaited {
                queue.changed.notify_all();
            }
        }
    }

    fn degraded(&self, why: Option<&str>) {
        for queue in &self.queues {
            let mut state = queue.lock();
            (state.degraded, state.news) = (why.map(ToOwned::to_owned), true);
            drop(state);
            queue.changed.notify_all();
        }
    }

    fn overflowed(&self) {
        self.queues.iter().for_each(|queue| queue.lock().overflows += 1);
    }

    fn watches(&self, number: usize) {
        self.queues.iter().for_each(|queue| queue.lock().watches = number);
    }

    fn watching(&self, root: Option<Identity>) {
        for queue in &self.queues {
            queue.lock().root = root;
            queue.changed.notify_all();
        }
        if root.is_some() && !self.told.swap(true, Ordering::Relaxed) {
            // At the end nobody listens any more.
            let _ = self.tell.send(News::Watched);
        }
    }
}

impl Queue {
    fn mark(&self, mut state: MutexGuard<'_, State>, path: &Path, mark: Mark) {
        if state.course == Course::Stopped {
            return;
        }
        let is_first = state.pending.mark(path, mark, Instant::now());
        drop(state);
        // Any later change only puts off when they are due, which the worker finds out when it wakes: a burst of a hundred
        // thousand changes is not to wake it as often.
        if is_first {
            self.changed.notify_one();
        }
    }
}
