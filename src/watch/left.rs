//! Directories that left their place. Where something else stands there now, a push moves the directory's content on the
//! mirror to the history and then puts a file in its place. When a pass puts an older file there in between, rsync finds
//! that one in its way, makes a backup of it under the directory's name, and removes the saved content for that (seen with
//! 3.5.0). So such a push and a pass must not run at the same time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// More are not remembered one by one.
const MOST: usize = 10_000;

/// The places that directories left.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    places: BTreeSet<PathBuf>,
    /// There were more than are remembered.
    many: bool,
}

impl Left {
    /// Notes that a directory left this place.
    pub(super) fn add(&mut self, place: &Path) {
        if self.places.len() < MOST {
            self.places.insert(place.to_owned());
        } else {
            self.many = true;
        }
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, mut other: Left) {
        self.places.append(&mut other.places);
        self.many |= other.many || self.places.len() > MOST;
    }

    /// Whether something else than a directory stands in one of the places, as far as is known.
    #[must_use]
    pub(super) fn is_taken_by_others(&self, root: &Path) -> bool {
        let taken = |place: &PathBuf| fs::symlink_metadata(root.join(place)).is_ok_and(|meta| !meta.is_dir());
        self.many || self.places.iter().any(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_a_directory_any_more_counts_and_too_many_always_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut left = Left::default();
        left.add(Path::new("gone"));
        left.add(Path::new("back"));
        fs::create_dir(dir.path().join("back")).unwrap();
        assert!(!left.is_taken_by_others(dir.path()));
        fs::write(dir.path().join("gone"), "").unwrap();
        assert!(left.is_taken_by_others(dir.path()));
        let mut many = Left::default();
        (0..=MOST).for_each(|number| many.add(Path::new(&number.to_string())));
        assert!(many.is_taken_by_others(dir.path()));
    }
}
