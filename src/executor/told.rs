//! What rsync has told of already. Several runs of a pass tell of the same: of directories on the way, of what was tried
//! again, of all that a dry run did not change.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Mutex;

use crate::mutex::lock;
use crate::rsync::output::Change;

/// Beyond this many, what is new is not remembered, and may be counted again: some 20 MB.
const MOST: usize = 1_000_000;

/// The changes that were told, by their hashes. Nobody can choose names that have the same one.
#[derive(Debug, Default)]
pub(super) struct Told {
    hasher: RandomState,
    changes: Mutex<HashSet<u64>>,
}

impl Told {
    /// Whether this is told for the first time.
    pub(super) fn is_new(&self, change: Change, path: &Path) -> bool {
        let number = self.hasher.hash_one((change, path));
        let mut changes = lock(&self.changes);
        if changes.len() < MOST { changes.insert(number) } else { !changes.contains(&number) }
    }

    /// Forgets all of it.
    pub(super) fn clear(&self) {
        lock(&self.changes).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_path_is_new_once() {
        let all = Told::default();
        let told = |change, path: &str| all.is_new(change, Path::new(path));
        assert!(told(Change::Create, "a") && told(Change::Update, "a") && told(Change::Create, "b/"));
        assert!(!told(Change::Create, "a") && !told(Change::Create, "b"));
        all.clear();
        assert!(told(Change::Create, "a"));
    }
}
