//! Works on many mirrors, or the like, at the same time, if need be within a time limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::error;

use crate::rsync::children::Children;

/// Things that are worked on at the same time; each is an rsync with its daemon's processes.
const MOST: usize = 16;

/// How long the work may take.
pub(super) struct Limit<'a> {
    pub(super) time: Duration,
    /// What is said when it takes longer.
    pub(super) too_late: &'a str,
    /// What is stopped then.
    pub(super) children: &'a Children,
}

/// What `work` makes of each item, in their order.
pub(super) fn all<I: Sync, T: Send>(items: &[I], limit: Option<&Limit<'_>>, work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let (next, work) = (&AtomicUsize::new(0), &work);
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        items.get(at).map(|item| (at, item))
    };
    let (done, results) = mpsc::channel();
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        // The results end when this thread drops its end of the channel.
        scope.spawn(move || {
            pool(items.len(), || {
                while let Some((at, item)) = take() {
                    // The receiver lives as long as this scope.
                    let _ = done.send((at, work(item)));
                }
            });
        });
        match limit {
            None => results.iter().collect(),
            Some(limit) => gather(&results, limit.time, || {
                error!("{}", limit.too_late);
                limit.children.stop();
            }),
        }
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

/// Runs workers, no more than there are things to do, until all of them are done.
pub(super) fn pool(things: usize, worker: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..things.min(MOST) {
            scope.spawn(&worker);
        }
    });
}

/// Gathers results until there will be no more. When the time is over before that, `too_late` has the rest come to its end.
pub(super) fn gather<T>(results: &Receiver<T>, time: Duration, too_late: impl FnOnce()) -> Vec<T> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + time);
    loop {
        match results.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(result) => all.push(result),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => {
                too_late();
                all.extend(results.iter());
                return all;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_done_by_a_few_and_comes_in_its_order() {
        let most = AtomicUsize::new(0);
        let busy = AtomicUsize::new(0);
        let items: Vec<usize> = (0..100).collect();
        let doubled = all(&items, None, |item| {
            most.fetch_max(busy.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            thread::yield_now();
            busy.fetch_sub(1, Ordering::Relaxed);
            item * 2
        });
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(most.into_inner() <= MOST);
        assert!(all(&[0_u8; 0], None, |item| *item).is_empty());
    }

    #[test]
    fn what_is_late_comes_all_the_same() {
        let (done, results) = mpsc::channel();
        done.send(1).unwrap();
        let too_late = || {
            done.send(2).unwrap();
            drop(done);
        };
        assert_eq!(gather(&results, Duration::ZERO, too_late), [1, 2]);
    }
}
