//! Runs the scopes of a pass and settles what fails at first: again after a pause, single paths by themselves, and without
//! the directories that cannot be read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::{debug, info};

use super::Patience;
use super::look::reach;
use crate::backoff::Backoff;
use crate::backoff::SETTLE;
use crate::dirty::{DirtySet, Mark};
use crate::executor::{Executor, OnItem, Versions};
use crate::plan;
use crate::report::text;
use crate::rsync::argv::{pattern_for, pattern_for_directory};
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, VANISHED};
use crate::rsync::tally::Tally;
use crate::scope::{Listed, Scope};

/// What is tried again, and how often.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an attempt has left for the next one.
#[derive(Default)]
struct Left {
    /// What is run again as it is.
    again: Vec<Scope>,
    /// Paths that are tried by themselves.
    failing: Failing,
    /// How long it may take until that is worth a try.
    wait: Duration,
    /// Why the endpoint did not do what it was asked.
    trouble: Option<Outcome>,
}

/// A pass that is at work: what it has done, and what it has given up.
pub(super) struct Pass<'a> {
    exclude: Vec<OsString>,
    /// What no further attempt can mend.
    pub(super) given_up: Failing,
    pub(super) tally: Tally,
    /// Whether links are kept, which only a run over the whole source can do.
    hard_links: bool,
    /// Whether an endpoint that fails is worth waiting for.
    waits: bool,
    children: &'a Children,
    on_item: &'a OnItem<'a>,
}

impl<'a> Pass<'a> {
    /// One that has done nothing so far.
    pub(super) fn new(
        executor: &Executor<'_>,
        children: &'a Children,
        patience: Patience,
        on_item: &'a OnItem<'a>,
    ) -> Self {
        let mirror = executor.mirror();
        Pass {
            exclude: mirror.source.exclude.iter().map(OsString::from).collect(),
            given_up: Failing::default(),
            tally: Tally::default(),
            hard_links: mirror.rsync.attributes.hard_links,
            waits: patience == Patience::Some,
            children,
            on_item,
        }
    }

    /// Compares the contents of files that were not sent although their times tell nothing; the outcome when it has to end
    /// before that is done.
    pub(super) fn compare_contents(&mut self, executor: &mut Executor<'_>, files: Vec<PathBuf>) -> Option<Outcome> {
        if files.is_empty() {
            return None;
        }
        debug!(mirror:% = executor.mirror(); "{}: comparing the content of {}", executor.mirror(), text::count(files.len(), "file"));
        let scope = Scope::Listed(Listed { present: files, ..Listed::default() });
        let (outcome, tally) = executor.run_by_content(&[scope], &self.exclude, self.on_item);
        self.tally.add(tally);
        match outcome {
            Outcome::Done => None,
            Outcome::Partial(failing) => {
                // What is gone by now is found by whoever looks next.
                let left = failing.paths.into_iter().filter(|(_, why)| why != VANISHED);
                self.given_up.paths.extend(left);
                self.given_up.unattributed.extend(failing.unattributed);
                None
            }
            outcome => Some(outcome),
        }
    }

    /// Runs scopes until all are done as far as they can be; the outcome when it has to end before.
    pub(super) fn settle(
        &mut self,
        executor: &mut Executor<'_>,
        mut scopes: Vec<Scope>,
        jobs: usize,
    ) -> Option<Outcome> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for attempt in 1..=ATTEMPTS {
            let (results, tally) = executor.run_at_once(&scopes, jobs, &self.exclude, self.on_item);
            if attempt > 1 || results.iter().any(|(_, outcome)| *outcome != Outcome::Done) {
                // What was sent already is a version.
                executor.keep_versions(Versions::Kept);
            }
            self.tally.add(tally);
            self.waits |= results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Done | Outcome::Partial(_)));
            let mut left = Left::default();
            for (scope, outcome) in results {
                if let Some(outcome) = self.sort(scope, outcome, attempt == ATTEMPTS, &mut left) {
                    return Some(outcome);
                }
            }
            let Left { mut again, failing, wait, trouble } = left;
            if let Some(outcome) = self.pause(executor, wait, trouble, &mut backoff) {
                return Some(outcome);
            }
            again.extend(scopes_for(executor, &failing));
            if again.is_empty() {
                return None;
            }
            scopes = again;
        }
        None
    }

    /// Decides what one outcome is left for; the outcome itself when the pass has to end with it.
    fn sort(&mut self, scope: Scope, outcome: Outcome, is_last: bool, left: &mut Left) -> Option<Outcome> {
        match outcome {
            Outcome::Done => {}
            Outcome::Partial(paths) if is_last => self.given_up.extend(paths),
            Outcome::Partial(paths) if paths.deletions_skipped && !paths.unreadable.is_empty() => {
                self.give_up_unreadable(paths);
                left.again.push(scope);
            }
            // A path that is sent by itself loses its links to others. What vanished is mostly gone for good.
            Outcome::Partial(paths)
                if paths.unattributed.is_empty()
                    && !paths.deletions_skipped
                    && (!self.hard_links || paths.paths.values().all(|why| why == VANISHED)) =>
            {
                left.failing.extend(paths);
            }
            Outcome::Partial(_) => {
                left.wait = left.wait.max(FIRST_WAIT);
                left.again.push(scope);
            }
            Outcome::Transient(_) | Outcome::Busy(_) | Outcome::Aborted(_) if self.waits && !is_last => {
                left.again.push(scope);
                left.trouble = Some(outcome);
            }
            outcome => return Some(outcome),
        }
        None
    }

    /// Waits before the next attempt, longer when the endpoint is in trouble; that, when there is to be no further attempt.
    fn pause(
        &self,
        executor: &Executor<'_>,
        wait: Duration,
        trouble: Option<Outcome>,
        backoff: &mut Backoff,
    ) -> Option<Outcome> {
        let Some(outcome) = trouble else {
            self.children.pause(wait);
            return None;
        };
        let mut wait = wait.max(backoff.after_failure());
        if let Outcome::Transient(why) | Outcome::Busy(why) | Outcome::Aborted(why) = &outcome {
            let (mirror, seconds) = (executor.mirror(), wait.as_secs_f64());
            info!(mirror:%; "{mirror}: {}; trying again in {seconds:.1} s", why.why);
        }
        if matches!(outcome, Outcome::Aborted(_)) {
            wait = wait.max(SETTLE);
        }
        self.children.pause(wait);
        self.children.is_closed().then_some(outcome)
    }

    /// How it ended, when nothing ended it before.
    pub(super) fn end(self) -> (Outcome, Tally) {
        let outcome = if self.given_up.is_empty() { Outcome::Done } else { Outcome::Partial(self.given_up) };
        (outcome, self.tally)
    }

    /// Excludes directories that cannot be read: they are neither read nor deleted from, and the deletions everywhere else
    /// are made.
    fn give_up_unreadable(&mut self, failing: Failing) {
        for (path, why) in failing.paths {
            if failing.unreadable.contains(&path) {
                self.give_up_directory(path, why);
            }
        }
    }

    /// Leaves a place as it is on the mirror, whatever is in it now, and names it.
    pub(super) fn leave_alone(&mut self, path: PathBuf, why: String) {
        self.exclude.push(pattern_for(&path));
        self.given_up.paths.insert(path, why);
    }

    /// Leaves a directory as it is on the mirror, and names it.
    pub(super) fn give_up_directory(&mut self, path: PathBuf, why: String) {
        self.exclude.push(pattern_for_directory(&path));
        self.given_up.paths.insert(path, why);
    }
}

/// The scopes that look again at what failed: a directory with all that is in it.
fn scopes_for(executor: &Executor<'_>, failing: &Failing) -> Vec<Scope> {
    let mut dirty = DirtySet::new(failing.paths.len().max(1024));
    for (path, why) in &failing.paths {
        debug!(mirror:% = executor.mirror(); "{}: trying again: {}: {why}", executor.mirror(), text::path(path));
        dirty.mark(path, Mark::Deep);
    }
    plan::plan(reach(executor), &dirty).scopes
}
