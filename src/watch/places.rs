//! Places where a directory came, went or changed: there the mirror may have something of another type than the source.
//!
//! Where a directory has to make room for a file, or a file for a directory, rsync moves what was there to the history and
//! then puts the other in its place. When a second rsync puts something there in between, the first one makes a backup of
//! that too, and removes what it has saved under the same name for it (seen with 3.5.0). So nothing of this kind may be
//! sent beside a pass. Everywhere else two clients may work on the same file: each saves and replaces it as one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::tree::known::Moved;

/// More are not remembered one by one.
const MOST: usize = 10_000;

/// Those of a set of paths that are at, above or below one of the others.
pub(super) fn around<'p>(set: &BTreeSet<PathBuf>, others: impl Iterator<Item = &'p PathBuf>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for other in others {
        found.extend(other.ancestors().filter_map(|above| set.get(above)).cloned());
        found.extend(set.range(other.clone()..).take_while(|path| path.starts_with(other)).cloned());
    }
    found
}

/// The places of which nothing was sent for sure since.
#[derive(Debug, Clone)]
pub(super) enum Places {
    /// These.
    These(BTreeSet<PathBuf>),
    /// It is not known which, or there are too many.
    Anywhere,
}

impl Default for Places {
    fn default() -> Self {
        Places::These(BTreeSet::new())
    }
}

impl Places {
    /// Notes that a directory came to this place, left it or changed there.
    pub(super) fn add(&mut self, place: &Path) {
        match self {
            Places::These(places) if places.len() < MOST => drop(places.insert(place.to_owned())),
            _ => *self = Places::Anywhere,
        }
    }

    /// The same for what is remembered of the source.
    pub(super) fn as_moved(&self) -> Moved {
        match self {
            Places::These(places) => Moved::These(places.iter().map(|place| place.clone().into_os_string()).collect()),
            Places::Anywhere => Moved::Anywhere,
        }
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: Places) {
        match other {
            Places::These(others) => others.iter().for_each(|place| self.add(place)),
            Places::Anywhere => *self = Places::Anywhere,
        }
    }

    /// Those at, above or below one of these paths.
    pub(super) fn around<'p>(&self, mut paths: impl Iterator<Item = &'p PathBuf>) -> Places {
        match self {
            Places::These(places) => Places::These(around(places, paths)),
            Places::Anywhere => paths.next().map_or_else(Places::default, |_| Places::Anywhere),
        }
    }

    /// Whether this very path is known to be one of them.
    #[must_use]
    pub(super) fn have(&self, path: &Path) -> bool {
        matches!(self, Places::These(places) if places.contains(path))
    }

    /// Whether the mirror has at this path what the source had there, as far as types go.
    #[must_use]
    pub(super) fn are_apart_from(&self, path: &Path) -> bool {
        match self {
            Places::These(places) => !path.ancestors().any(|above| places.contains(above)),
            Places::Anywhere => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_others_is_found() {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let set = paths(&["a", "a/b", "a/b/c", "ab", "b/c", "d"]);
        for (other, expected) in [
            ("a/b", &["a", "a/b", "a/b/c"][..]),
            ("b", &["b/c"]),
            ("b/c/d/e", &["b/c"]),
            ("x", &[]),
            ("", &["a", "a/b", "a/b/c", "ab", "b/c", "d"]),
        ] {
            assert_eq!(around(&set, paths(&[other]).iter()), paths(expected), "{other}");
        }
        assert!(matches!(Places::Anywhere.around(paths(&[]).iter()), Places::These(_)));
        assert!(matches!(Places::Anywhere.around(paths(&["x"]).iter()), Places::Anywhere));
    }

    #[test]
    fn what_is_at_or_below_a_place_is_not_apart_and_with_too_many_nothing_is() {
        let mut places = Places::default();
        assert!(places.are_apart_from(Path::new("a")));
        places.add(Path::new("a/b"));
        for (path, apart) in [("a", true), ("a/bc", true), ("a/b", false), ("a/b/c/d", false), ("b", true)] {
            assert_eq!(places.are_apart_from(Path::new(path)), apart, "{path}");
        }
        let mut root = Places::default();
        root.add(Path::new(""));
        assert!(!root.are_apart_from(Path::new("z")));
        let mut many = Places::default();
        (0..=MOST).for_each(|number| many.add(Path::new(&number.to_string())));
        assert!(!many.are_apart_from(Path::new("z")));
        places.merge(many);
        assert!(!places.are_apart_from(Path::new("z")));
    }
}
