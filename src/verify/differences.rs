//! What differs between a source and its mirror: a bounded set of paths. Pure.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::rsync::output::Change;

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The mirror does not have it, or has something of another kind in its place.
    Missing,
    /// Its content is not the same; of a symbolic link, where it leads.
    Differs,
    /// Only its attributes are not the same: permissions, owner, group or modification time.
    Attributes,
    /// Only the mirror has it.
    Extra,
}

impl Difference {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Difference; 4] =
        [Difference::Missing, Difference::Differs, Difference::Attributes, Difference::Extra];

    /// The word in listings and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Differs => "differs",
            Difference::Attributes => "attributes",
            Difference::Extra => "extra",
        }
    }
}

/// What rsync would do about a path tells how it differs.
impl From<Change> for Difference {
    fn from(change: Change) -> Self {
        match change {
            Change::Create => Difference::Missing,
            Change::Update => Difference::Differs,
            Change::Attributes => Difference::Attributes,
            Change::Delete => Difference::Extra,
        }
    }
}

/// How much is kept of what differs.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Paths.
    pub paths: usize,
    /// Bytes of all paths together.
    pub bytes: usize,
}

impl Bounds {
    /// Nobody reads a longer list, and an empty mirror of millions of files must not fill the memory.
    pub const DEFAULT: Bounds = Bounds { paths: 100_000, bytes: 64 << 20 };
}

/// The paths that differ, relative to the source root.
#[derive(Debug, Clone)]
pub struct Differences {
    bounds: Bounds,
    paths: BTreeMap<PathBuf, Difference>,
    bytes: usize,
    /// Those that there was no room for. A path that was reported twice is counted twice.
    not_kept: u64,
}

impl Differences {
    /// None yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Differences { bounds, paths: BTreeMap::new(), bytes: 0, not_kept: 0 }
    }

    /// Adds one. rsync tells of the same path more than once when several runs pass through it.
    pub fn note(&mut self, path: &Path, difference: Difference) {
        if let Some(known) = self.paths.get_mut(path) {
            *known = difference;
            return;
        }
        let bytes = self.bytes + path.as_os_str().len();
        if self.paths.len() == self.bounds.paths || bytes > self.bounds.bytes {
            self.not_kept += 1;
            return;
        }
        self.bytes = bytes;
        self.paths.insert(path.to_owned(), difference);
    }

    /// Those of them that another look found again; what was there and is not any more, or the other way round, has
    /// changed in the meantime. What only the other look found is of later, and left to the next run.
    #[must_use]
    pub fn found_again(self, again: &Differences) -> Differences {
        let mut both = Differences { not_kept: self.not_kept, ..Differences::new(self.bounds) };
        for (path, before) in &self.paths {
            if let Some((path, now)) = again.paths.get_key_value(path)
                && (*now == Difference::Extra) == (*before == Difference::Extra)
            {
                both.note(path, *now);
            }
        }
        both
    }

    /// Forgets what cannot be known of files that could not be read: rsync takes their content for different.
    pub fn forget_content(&mut self, unread: impl Fn(&Path) -> bool) {
        self.paths.retain(|path, difference| *difference != Difference::Differs || !unread(path));
    }

    /// Whether a path is among those that are kept.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        self.paths.contains_key(path)
    }

    /// None of them, with room for all of them.
    #[must_use]
    pub fn none_of_them(&self) -> Differences {
        Differences::new(self.bounds)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.not_kept == 0
    }

    /// How many paths are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.paths.len()
    }

    /// About how many more there were.
    #[must_use]
    pub fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// The paths that are kept, sorted. Directories have a closing `/`.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, Difference)> {
        self.paths.iter().map(|(path, difference)| (path.as_path(), *difference))
    }

    /// How many of the kept ones differ like this.
    #[must_use]
    pub fn count(&self, difference: Difference) -> usize {
        self.paths.values().filter(|other| **other == difference).count()
    }
}

/// Whether rsync named a directory.
#[must_use]
pub fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Difference::{Attributes, Differs, Extra, Missing};

    fn differences(all: &[(&str, Difference)]) -> Differences {
        let mut differences = Differences::new(Bounds { paths: 4, bytes: 100 });
        for (path, difference) in all {
            differences.note(Path::new(path), *difference);
        }
        differences
    }

    fn listed(differences: &Differences) -> Vec<(String, Difference)> {
        differences.iter().map(|(path, difference)| (path.display().to_string(), difference)).collect()
    }

    #[test]
    fn what_is_mended_between_two_looks_is_forgotten_and_what_is_new_is_left_to_the_next_run() {
        let first = differences(&[("mended", Differs), ("stays", Missing), ("removed", Extra), ("d/", Attributes)]);
        let again = differences(&[("stays", Differs), ("new", Differs), ("removed", Missing), ("d/", Attributes)]);
        let both = first.found_again(&again);
        assert_eq!(listed(&both), [("d/".to_owned(), Attributes), ("stays".to_owned(), Differs)]);
        assert!(both.found_again(&differences(&[])).is_empty());
    }

    #[test]
    fn a_path_counts_once_however_often_it_is_reported() {
        let all = differences(&[("d/", Missing), ("d/", Missing), ("d", Missing), ("d/f", Missing)]);
        assert_eq!((all.kept(), all.not_kept(), all.count(Missing)), (2, 0, 2));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_never_forgotten() {
        let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        let many: Vec<(&str, Difference)> = names.iter().map(|name| (name.as_str(), Missing)).collect();
        let all = differences(&many);
        assert_eq!((all.kept(), all.not_kept()), (4, 6));
        assert!(!all.found_again(&differences(&[])).is_empty(), "six were not looked at again");
        let long = "x".repeat(90);
        let all = differences(&[(long.as_str(), Missing), ("eleven more", Missing)]);
        assert_eq!((all.kept(), all.not_kept()), (1, 1));
    }

    #[test]
    fn the_content_of_what_could_not_be_read_is_not_judged() {
        let mut all = differences(&[("sealed", Differs), ("gone", Missing), ("open", Differs)]);
        all.forget_content(|path| path != Path::new("open"));
        assert_eq!(listed(&all), [("gone".to_owned(), Missing), ("open".to_owned(), Differs)]);
    }
}
