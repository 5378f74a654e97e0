//! Paths that failed while others went through: they are tried again by themselves, and named once. Pure: it is told what time it
//! is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local};

use super::super::batch::Occasion;
use crate::backoff::Backoff;
use crate::dirty::DirtySet;
use crate::report::repeats::{Repeats, Say};
use crate::rsync::outcome::{Failing, VANISHED};

/// How soon a path that failed is tried again.
pub(in crate::watch) const FIRST_RETRY: Duration = Duration::from_secs(1);
/// So many messages without a path are remembered; further ones are not said.
const MOST_UNNAMED: usize = 200;

/// What waits for another attempt.
pub(in crate::watch) struct Retries {
    /// What fails, with why.
    pub(in crate::watch) failing: BTreeMap<PathBuf, String>,
    /// What failed before the attempt that is being made.
    tried: BTreeMap<PathBuf, String>,
    /// When it is tried again.
    pub(in crate::watch) at: Option<Instant>,
    paths: DirtySet,
    backoff: Backoff,
    /// Attempts in which only some paths failed, so that they are not said again and again.
    partly: Repeats,
    /// What rsync said about failures without a path, and was said already.
    unnamed: BTreeSet<String>,
    /// Failing paths that were named in the log already.
    named: BTreeSet<PathBuf>,
}

impl Retries {
    /// None. No more than `most` paths are kept one by one.
    pub(in crate::watch) fn new(most: usize) -> Self {
        Retries {
            failing: BTreeMap::new(),
            tried: BTreeMap::new(),
            at: None,
            paths: DirtySet::new(most),
            backoff: Backoff::new(FIRST_RETRY, Duration::from_secs(60)),
            partly: Repeats::default(),
            unnamed: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    /// Whether nothing waits for another attempt.
    pub(in crate::watch) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Puts paths aside that failed when they were sent for that reason. What fails for the first time is tried again soon,
    /// whatever else has been failing for long.
    pub(in crate::watch) fn put_aside(&mut self, again: &DirtySet, occasion: Occasion, now: Instant) {
        self.paths.merge(again);
        let wait = if occasion == Occasion::Retry { self.backoff.after_failure() } else { FIRST_RETRY };
        let at = now + wait;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// The failing paths that were not named yet and are worth it, with why.
    pub(in crate::watch) fn to_name<'f>(&self, failing: &'f Failing) -> Vec<(&'f PathBuf, &'f String)> {
        let worth_telling = |path: &PathBuf, why: &str| why != VANISHED && !self.named.contains(path);
        failing.paths.iter().filter(|(path, why)| worth_telling(path, why)).collect()
    }

    /// Whether a message without a path is to be said.
    pub(in crate::watch) fn is_to_be_said(&mut self, why: &str) -> bool {
        self.unnamed.len() < MOST_UNNAMED && self.unnamed.insert(why.to_owned())
    }

    /// Remembers what fails. Tells what is to be said of how long that has been so.
    pub(in crate::watch) fn fail(&mut self, failing: Failing, now: Instant, clock: DateTime<Local>) -> Say {
        if failing.paths.is_empty() {
            // It has no name, but it counts.
            let why = failing.unattributed.first().cloned().unwrap_or_default();
            self.failing.insert(PathBuf::new(), why);
        }
        self.named.extend(failing.paths.keys().cloned());
        self.failing.extend(failing.paths);
        self.partly.failed("some paths", now, clock)
    }

    /// What failed, for one more attempt.
    pub(in crate::watch) fn take(&mut self) -> DirtySet {
        self.at = None;
        self.tried = std::mem::take(&mut self.failing);
        self.paths.take()
    }

    /// What fails, also while it is being tried once more.
    pub(in crate::watch) fn known(&self) -> impl Iterator<Item = (&PathBuf, &String)> + Clone {
        self.failing.iter().chain(&self.tried)
    }

    /// The attempt is over, whatever became of it.
    pub(in crate::watch) fn attempted(&mut self) {
        self.tried.clear();
    }

    /// The endpoint failed as a whole when these were tried once more, perhaps because of them: they stay apart from the rest,
    /// which is sent without them, and go on failing. They are not tried again before `hold`.
    pub(in crate::watch) fn put_off(&mut self, again: &DirtySet, hold: Option<Instant>, now: Instant) {
        self.put_aside(again, Occasion::Retry, now);
        self.at = self.at.max(hold);
        let tried = std::mem::take(&mut self.tried);
        self.failing.extend(tried);
    }

    /// Everything went through. Tells whether that is news: something had failed, and nothing waits any more.
    pub(in crate::watch) fn are_over(&mut self) -> bool {
        let is_news = self.paths.is_empty() && self.partly.worked() > 0;
        if is_news {
            self.named.clear();
            self.unnamed.clear();
            self.backoff.reset();
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirty::Mark;
    use std::path::Path;

    #[test]
    fn what_fails_is_named_once_and_tried_again_until_it_is_well() {
        let (now, clock) = (Instant::now(), Local::now());
        let failing = |path: &str| Failing { paths: [(path.into(), "why".to_owned())].into(), ..Failing::default() };
        let mut retries = Retries::new(10);
        let mut again = DirtySet::new(10);
        again.mark(Path::new("a"), Mark::Deep);
        assert_eq!(retries.to_name(&failing("a")).len(), 1);
        retries.put_aside(&again, Occasion::Changes, now);
        assert_eq!(retries.fail(failing("a"), now, clock), Say::Reason);
        assert_eq!(retries.at, Some(now + FIRST_RETRY));
        // What fails later does not put off what is due.
        retries.put_aside(&again, Occasion::Changes, now + FIRST_RETRY);
        assert_eq!((retries.at, retries.to_name(&failing("a")).len()), (Some(now + FIRST_RETRY), 0));
        assert!(!retries.are_over());
        assert_eq!((retries.take().len(), retries.is_empty(), retries.at), (1, true, None));
        // The endpoint fails meanwhile.
        let hold = now + FIRST_RETRY * 100;
        retries.put_off(&again, Some(hold), now);
        assert_eq!((retries.failing.len(), retries.at, retries.are_over()), (1, Some(hold), false));
        assert_eq!((retries.take().len(), retries.is_empty(), retries.at), (1, true, None));
        assert_eq!((retries.failing.len(), retries.known().count()), (0, 1));
        retries.attempted();
        assert_eq!(retries.known().count(), 0);
        assert_eq!((retries.are_over(), retries.are_over()), (true, false));
        assert_eq!(retries.to_name(&failing("a")).len(), 1);
        assert!(retries.is_to_be_said("no path") && !retries.is_to_be_said("no path"));
    }
}
