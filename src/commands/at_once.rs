//! Works on many mirrors at the same time, within a time limit.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::error;

use crate::mirror::Mirror;
use crate::rsync::children::Children;

/// Mirrors that are worked on at the same time; each is an rsync with its daemon's processes.
const MOST: usize = 16;

/// What `work` makes of each mirror, in no particular order. When the time is over, `too_late` is logged and the rest is
/// stopped.
pub(super) fn all<T: Send>(
    mirrors: &[Mirror],
    children: &Children,
    timeout: Duration,
    too_late: &str,
    work: impl Fn(&Mirror) -> T + Sync,
) -> Vec<T> {
    let queue: Mutex<VecDeque<&Mirror>> = Mutex::new(mirrors.iter().collect());
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..mirrors.len().min(MOST) {
            let (done, queue, work) = (done.clone(), &queue, &work);
            scope.spawn(move || {
                while let Some(mirror) = { queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() } {
                    // The receiver lives as long as this scope.
                    let _ = done.send(work(mirror));
                }
            });
        }
        drop(done);
        let mut all = Vec::new();
        let deadline = Instant::now() + timeout;
        loop {
            match results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(result) => all.push(result),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => {
                    error!("{too_late}");
                    children.stop();
                    all.extend(results.iter());
                }
            }
        }
    })
}
