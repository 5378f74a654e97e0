//! Jobs that run at the same time, each by a client of its own: fewer clients when the daemon has no connection free for all.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use log::debug;

use super::division::jobs;
use super::session::{Ended, Together};
use super::{Executor, OnItem};
use crate::backoff::WaitsForAConnection;
use crate::mutex::{into_inner, lock};
use crate::rsync::outcome::Outcome;
use crate::rsync::probe;
use crate::rsync::tally::Tally;
use crate::scope::Scope;

impl Executor<'_> {
    /// Runs scopes that do not overlap, up to `most` at the same time, in this order. Each comes back with what became of
    /// it. When the daemon has no connection free, fewer run at the same time.
    pub fn run_at_once(
        &mut self,
        scopes: &[Scope],
        most: usize,
        exclude: &[OsString],
        on_item: &OnItem<'_>,
    ) -> (Vec<(Scope, Outcome)>, Tally) {
        let scopes: Vec<Scope> = self.adapted(scopes, exclude).into_iter().flat_map(jobs).collect();
        if let Some(outcome) = probe::target_missing(&self.mirror.endpoint).map(Outcome::Permanent) {
            return (scopes.into_iter().map(|scope| (scope, outcome.clone())).collect(), Tally::default());
        }
        let bucket = self.bucket_for(&scopes);
        let clients = most.min(self.most_clients).min(scopes.len());
        let together = Together { clients, jobs: scopes.len() };
        let shared = Shared::new(scopes, clients);
        let executor = &*self;
        let run =
            |job: &Scope, tally: &mut Tally| executor.job(job, exclude, bucket.as_ref(), together, tally, on_item);
        thread::scope(|scope| {
            (0..clients).for_each(|_| drop(scope.spawn(|| shared.work(executor, run))));
        });
        let (ended, mut tally, left) = shared.end();
        if left < clients {
            self.most_clients = left;
        }
        let mut results = self.pass_by_in_turn(ended, exclude, &mut tally, on_item);
        if results.iter().any(|(_, outcome)| *outcome == Outcome::NoMissingArgs) && self.fall_back() {
            let refused = results.extract_if(.., |(_, outcome)| *outcome == Outcome::NoMissingArgs);
            let again: Vec<Scope> = refused.map(|(scope, _)| scope).collect();
            let (more, counted) = self.run_at_once(&again, most, exclude, on_item);
            results.extend(more);
            tally.add(counted);
        }
        // One after the other, each with all that may still be deleted.
        for (scope, outcome) in results.iter_mut().filter(|(_, outcome)| *outcome == Outcome::Limited) {
            let bucket = self.bucket_for_more(scope);
            let ended = self.job(scope, exclude, bucket.as_ref(), Together::ALONE, &mut tally, on_item);
            *outcome = match self.pass_by(scope, ended, exclude, &mut tally, on_item) {
                Outcome::Limited => Outcome::Permanent(self.deletions.refusal(self.mode)),
                outcome => outcome,
            };
        }
        if !results.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done | Outcome::Partial(_))) {
            self.history().leave();
        }
        (results, tally)
    }

    /// Goes on with the jobs that were broken off because of paths, one after the other: each may have to wait, and none may
    /// use a bucket that others use at the same time. Where one gets nothing through, no other will.
    fn pass_by_in_turn(
        &self,
        ended: Vec<(Scope, Ended)>,
        exclude: &[OsString],
        tally: &mut Tally,
        on_item: &OnItem<'_>,
    ) -> Vec<(Scope, Outcome)> {
        let mut fails = false;
        let go_on = |(job, ended): (Scope, Ended)| {
            if ended.broken_off.is_none() || fails {
                return (job, ended.outcome);
            }
            let outcome = self.pass_by(&job, ended, exclude, tally, on_item);
            fails = !matches!(outcome, Outcome::Done | Outcome::Partial(_));
            (job, outcome)
        };
        ended.into_iter().map(go_on).collect()
    }
}

/// The jobs that clients share, and what became of those that are done.
struct Shared {
    waiting: Mutex<VecDeque<Scope>>,
    /// The clients that have a connection, as far as is known.
    working: AtomicUsize,
    done: Mutex<(Vec<(Scope, Ended)>, Tally)>,
}

impl Shared {
    fn new(jobs: Vec<Scope>, clients: usize) -> Self {
        Shared { waiting: Mutex::new(jobs.into()), working: AtomicUsize::new(clients), done: Mutex::default() }
    }

    /// What one client does: one job after the other, until none is left, or the daemon has no connection for this one.
    fn work(&self, executor: &Executor<'_>, run: impl Fn(&Scope, &mut Tally) -> Ended) {
        let mut waits = WaitsForAConnection::new();
        while let Some(job) = { lock(&self.waiting).pop_front() } {
            let mut tally = Tally::default();
            let ended = run(&job, &mut tally);
            lock(&self.done).1.add(tally);
            if matches!(ended.outcome, Outcome::Busy(_)) {
                // As long as others have a connection, one fewer does it as well.
                if self.working.fetch_sub(1, Ordering::Relaxed) > 1 {
                    let mirror = executor.mirror;
                    debug!(mirror:%; "{mirror}: the daemon is busy: one rsync fewer at the same time");
                    return lock(&self.waiting).push_front(job);
                }
                self.working.store(1, Ordering::Relaxed);
                if let Some(wait) = waits.next() {
                    lock(&self.waiting).push_front(job);
                    executor.children.pause(wait);
                    continue;
                }
            }
            lock(&self.done).0.push((job, ended));
        }
    }

    /// What became of all jobs, and how many clients had a connection in the end.
    fn end(self) -> (Vec<(Scope, Ended)>, Tally, usize) {
        let (mut results, tally) = into_inner(self.done);
        let waiting = into_inner(self.waiting);
        // When the last client was refused as well, what it left is refused with it.
        let busy = results.iter().map(|(_, ended)| &ended.outcome).find(|outcome| matches!(outcome, Outcome::Busy(_)));
        if let Some(busy) = busy.cloned() {
            let ended = || Ended { outcome: busy.clone(), broken_off: None };
            results.extend(waiting.into_iter().map(|scope| (scope, ended())));
        }
        (results, tally, self.working.into_inner())
    }
}
