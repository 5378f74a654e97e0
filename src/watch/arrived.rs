//! Directories that were put in a place. What the mirror has there may be another one, with files of the same names, sizes and
//! times: two directories that changed places, or a new release in the place of the old one. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::places::Places;
use crate::events::Arrival;

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

impl Arrival {
    /// Whether none of these places is where the directory arrived. One that was made is in nothing that it came with.
    pub(super) fn is_apart_from(self, places: &Places, directory: &Path) -> bool {
        match self {
            Arrival::Renamed => places.are_apart_from(directory),
            Arrival::Made => !places.have(directory),
        }
    }
}

/// The directories.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrived(BTreeMap<PathBuf, (Arrival, Before)>);

impl Arrived {
    /// Notes one.
    pub(super) fn add(&mut self, directory: &Path, how: Arrival, before: Before) {
        if self.0.len() >= MOST && !self.0.contains_key(directory) {
            self.overflow();
        }
        let known = self.0.entry(directory.to_owned()).or_insert((how, before));
        *known = (how.max(known.0), before.max(known.1));
    }

    /// Makes room. Of what was only made, where nothing is known to have been before, nothing is lost but a hint.
    fn overflow(&mut self) {
        self.0.retain(|_, known| *known != (Arrival::Made, Before::Nothing));
        if self.0.len() >= MOST {
            self.0 = BTreeMap::from([(PathBuf::new(), (Arrival::Renamed, Before::Something))]);
        }
    }

    /// Those in the place of which the mirror may have another one, when this is where directories came and went before.
    pub(super) fn replacing(self, before: &Places) -> impl Iterator<Item = PathBuf> {
        let replaces = |path: &Path, (how, known): (Arrival, Before)| {
            known == Before::Something || !how.is_apart_from(before, path)
        };
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
        let (made, renamed) = (Arrival::Made, Arrival::Renamed);
        arrived.add(Path::new("a"), renamed, Before::Nothing);
        arrived.add(Path::new("b"), renamed, Before::Nothing);
        arrived.add(Path::new("b/below"), renamed, Before::Nothing);
        arrived.add(Path::new("b/made"), made, Before::Nothing);
        arrived.add(Path::new("c"), renamed, Before::Something);
        arrived.add(Path::new("c"), made, Before::Nothing);
        assert_eq!(arrived.replacing(&before).collect::<Vec<_>>(), ["b", "b/below", "c"].map(PathBuf::from));
        let mut again = Arrived::default();
        again.add(Path::new("b"), made, Before::Nothing);
        assert_eq!(again.replacing(&before).collect::<Vec<_>>(), [PathBuf::from("b")]);
        for (how, everything) in [(renamed, true), (made, false)] {
            let mut many = Arrived::default();
            (0..=MOST).for_each(|number| many.add(Path::new(&number.to_string()), how, Before::Nothing));
            assert_eq!(many.replacing(&Places::default()).any(|path| path.as_os_str().is_empty()), everything);
        }
    }
}
