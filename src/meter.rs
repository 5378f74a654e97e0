//! How far the work on one mirror is, as those who do it tell, for whoever wants to show it. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};

use crate::mutex::lock;
use crate::scope::Scope;

/// What is being done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing yet: another run may be at work.
    #[default]
    Waiting,
    /// The source is walked.
    Looking,
    /// So many entries are compared, if that is known.
    Comparing(Option<u64>),
    /// What differs is looked at once more.
    Again,
}

/// How a mirror does that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Following {
    /// What is being done, in a word or two.
    pub state: &'static str,
    /// Paths that are still to be sent.
    pub pending: usize,
    /// Paths that fail.
    pub failing: usize,
    /// Entries that were created, updated or deleted since it began.
    pub changes: u64,
    /// The size of the files that were sent since then, in bytes.
    pub bytes: u64,
    /// When the last batch was sent.
    pub last: Option<DateTime<Utc>>,
    /// Since when something has not arrived.
    pub behind_since: Option<DateTime<Utc>>,
}

/// What a meter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What is being done.
    pub stage: Stage,
    /// Entries that were compared in this stage, never more than there are.
    pub looked: u64,
    /// The size of what was sent, in all stages together, in bytes.
    pub sent: u64,
    /// How a mirror does that is watched, unless it is being compared.
    pub following: Option<Following>,
}

/// Adds up what the jobs of one mirror tell.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// For each scope how many entries were compared. A scope that is tried again keeps what it had until it gets further,
    /// so nothing counts twice and nothing ever goes back.
    scopes: HashMap<u64, u64>,
    looked: u64,
    sent: u64,
    following: Option<Following>,
}

impl Meter {
    /// A stage begins, and with it the counting of entries.
    pub fn begin(&self, stage: Stage) {
        let mut all = self.lock();
        *all = State { stage, sent: all.sent, ..State::default() };
    }

    /// A mirror is watched, and does so. What was counted of single jobs is over.
    pub fn follow(&self, following: Following) {
        let mut all = self.lock();
        *all = State { following: Some(following), sent: all.sent, ..State::default() };
    }

    /// An rsync run is started for this scope.
    #[must_use]
    pub fn job(&self, scope: &Scope) -> Job<'_> {
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        let (beside, most) = match scope {
            // The directories themselves are entries of those above them.
            Scope::Tree(roots) => (roots.len() as u64, u64::MAX),
            // rsync counts the directories on the way as well.
            Scope::Listed(listed) if listed.shallow.is_empty() => (0, listed.len() as u64),
            Scope::Listed(_) => (0, u64::MAX),
        };
        Job { meter: self, scope: hasher.finish(), beside, most, bytes: 0 }
    }

    /// What it shows now.
    #[must_use]
    pub fn read(&self) -> Reading {
        let State { stage, looked, sent, following, .. } = *self.lock();
        let most = if let Stage::Comparing(Some(total)) = stage { total } else { u64::MAX };
        // Directories that lead to several scopes are compared for each of them, so there may be a few more.
        Reading { stage, looked: looked.min(most), sent, following }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// One rsync run, seen from the meter.
#[derive(Debug)]
pub struct Job<'a> {
    meter: &'a Meter,
    scope: u64,
    /// Entries that rsync counts and others count as well.
    beside: u64,
    /// More do not count.
    most: u64,
    bytes: u64,
}

impl Job<'_> {
    /// The run has sent so many bytes, and compared so many entries if that is known.
    pub fn at(&mut self, bytes: u64, looked: Option<u64>) {
        let mut state = self.meter.lock();
        state.sent = state.sent.saturating_add(bytes.saturating_sub(self.bytes));
        self.bytes = self.bytes.max(bytes);
        if let Some(looked) = looked {
            let looked = looked.saturating_sub(self.beside).min(self.most);
            let before = state.scopes.entry(self.scope).or_default();
            let more = looked.saturating_sub(*before);
            *before += more;
            state.looked = state.looked.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Listed;

    fn tree(root: &str) -> Scope {
        Scope::Tree(vec![root.into()])
    }

    fn reading(meter: &Meter) -> (u64, u64) {
        let Reading { looked, sent, .. } = meter.read();
        (looked, sent)
    }

    #[test]
    fn scopes_add_up_and_one_that_is_tried_again_counts_once() {
        let meter = Meter::default();
        meter.begin(Stage::Comparing(Some(100)));
        let (mut a, mut b) = (meter.job(&tree("a")), meter.job(&tree("b")));
        a.at(5, Some(31));
        b.at(7, Some(41));
        assert_eq!(reading(&meter), (70, 12));
        let mut again = meter.job(&tree("a"));
        again.at(0, Some(1));
        assert_eq!(reading(&meter), (70, 12));
        again.at(6, Some(36));
        assert_eq!(reading(&meter), (75, 18));
        b.at(3, None);
        assert_eq!(reading(&meter), (75, 18));
    }

    #[test]
    fn there_are_never_more_than_there_are() {
        let meter = Meter::default();
        meter.begin(Stage::Comparing(Some(10)));
        meter.job(&tree("")).at(0, Some(u64::MAX));
        meter.job(&tree("a")).at(u64::MAX, Some(u64::MAX));
        assert_eq!(reading(&meter), (10, u64::MAX));
    }

    #[test]
    fn of_a_list_only_what_is_on_it_counts_and_a_new_stage_starts_at_nothing() {
        let meter = Meter::default();
        meter.begin(Stage::Comparing(Some(100)));
        let listed = Listed { present: vec!["a/b/c".into(), "a/d".into()], ..Listed::default() };
        meter.job(&Scope::Listed(listed)).at(1, Some(4));
        assert_eq!(reading(&meter), (2, 1));
        meter.begin(Stage::Again);
        assert_eq!(meter.read(), Reading { stage: Stage::Again, looked: 0, sent: 1, following: None });
    }
}
