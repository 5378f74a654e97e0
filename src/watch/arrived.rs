//! Directories that were put in a place by a rename. What the mirror has there may be another one, with files of the same names,
//! sizes and times: two directories that changed places, or a new release in the place of the old one. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::places::Places;

/// With more of them, everything is taken for one.
const MOST: usize = 10_000;

/// What was known to happen to a place shortly before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Before {
    /// Nothing that is still to be sent.
    Nothing,
    /// A directory left it, or changed there.
    Something,
}

/// The directories.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrived(BTreeMap<PathBuf, Before>);

impl Arrived {
    /// Notes one.
    pub(super) fn add(&mut self, directory: &Path, before: Before) {
        if self.0.len() >= MOST {
            self.0 = BTreeMap::from([(PathBuf::new(), Before::Something)]);
        }
        let known = self.0.entry(directory.to_owned()).or_insert(before);
        *known = before.max(*known);
    }

    /// Those in the place of which the mirror may have another one, when this is where directories came and went before.
    pub(super) fn replacing(self, before: &Places) -> impl Iterator<Item = PathBuf> {
        let replaces = |path: &Path, known| known == Before::Something || !before.are_apart_from(path);
        self.0.into_iter().filter(move |(path, known)| replaces(path, *known)).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_places_where_something_was_are_told() {
        let mut before = Places::default();
        before.add(Path::new("b"));
        let mut arrived = Arrived::default();
        arrived.add(Path::new("a"), Before::Nothing);
        arrived.add(Path::new("b"), Before::Nothing);
        arrived.add(Path::new("c"), Before::Something);
        arrived.add(Path::new("c"), Before::Nothing);
        assert_eq!(arrived.replacing(&before).collect::<Vec<_>>(), ["b", "c"].map(PathBuf::from));
        let mut many = Arrived::default();
        (0..=MOST).for_each(|number| many.add(Path::new(&number.to_string()), Before::Nothing));
        assert!(many.replacing(&Places::default()).any(|path| path.as_os_str().is_empty()));
    }
}
