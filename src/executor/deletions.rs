//! How much the jobs of a pass delete, and how much they may delete together.
//!
//! rsync's own limit holds for one process. So what may still be deleted is divided among the jobs that run at the same
//! time; one that needs more than its share says so, and runs again by itself with all that is left.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Mode;
use crate::exit::Exit;
use crate::rsync::outcome::Trouble;

/// The deletions of one pass.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    limit: Option<u64>,
    made: AtomicU64,
}

impl Deletions {
    /// None so far, and at most `limit`.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Deletions { limit, made: AtomicU64::new(0) }
    }

    /// Counts some that were made.
    pub(super) fn add(&self, more: u64) {
        self.made.fetch_add(more, Ordering::Relaxed);
    }

    /// How many each of so many jobs may make that run at the same time; nothing when there is no limit.
    pub(super) fn share(&self, jobs: usize) -> Option<u64> {
        let left = self.limit?.saturating_sub(self.made.load(Ordering::Relaxed));
        Some(left / jobs.max(1) as u64)
    }

    /// What is to be said when there are more to be made than may be.
    pub(super) fn refusal(&self, mode: Mode) -> Trouble {
        let limit = self.limit.unwrap_or_default();
        let deleted = self.made.load(Ordering::Relaxed);
        let what = match mode {
            Mode::Real => {
                format!("this one deleted {deleted}, which are in the history if one is kept, and left the rest")
            }
            Mode::DryRun => format!("this one would delete {deleted}"),
        };
        let why =
            format!("a pass may delete {limit} paths here (`max-delete`); {what}; if it is meant: --force-delete");
        Trouble::new(Exit::Refused, why)
    }

    /// Whether there were more than may be.
    pub(super) fn are_too_many(&self) -> bool {
        self.limit.is_some_and(|limit| self.made.load(Ordering::Relaxed) > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_come_to_more_than_what_is_left() {
        let deletions = Deletions::new(Some(10));
        assert_eq!((deletions.share(3), deletions.share(1), deletions.share(11)), (Some(3), Some(10), Some(0)));
        deletions.add(8);
        assert_eq!((deletions.share(3), deletions.share(1)), (Some(0), Some(2)));
        deletions.add(5);
        assert_eq!(deletions.share(1), Some(0));
        assert!(deletions.are_too_many());
        assert_eq!(Deletions::default().share(1), None);
    }
}
