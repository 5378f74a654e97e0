//! What a tree was like at a moment in the past, and where each entry of it is now. Pure.
//!
//! It goes back from what the mirror has now, bucket by bucket: what was new in a bucket was not there before, and what a
//! bucket has a version of was there as that version. A bucket has one version of a path at most, and never both a version
//! of a path that it had made itself (`history::current`), so the order within a bucket does not matter: what is replaced is
//! there before what replaces it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::retention::Unit;

/// What one bucket tells about a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Paths of which it has a version, and the directories above them; with whether they are directories.
    pub versions: BTreeMap<PathBuf, bool>,
    /// Paths that were not there before.
    pub created: Vec<PathBuf>,
    /// Directories that were removed.
    pub removed: Vec<PathBuf>,
}

/// Where an entry of the tree is to be had from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It has not changed since.
    Mirror,
    /// This bucket has it.
    Bucket(Unit),
    /// A directory of which nothing is left but that it was there.
    Nowhere,
}

/// An entry of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it is to be had from.
    pub origin: Origin,
    /// Whether it is a directory.
    pub directory: bool,
}

/// The entries of a tree before all these steps, of which the last one is the youngest. `now` is what the mirror has; with
/// whether each is a directory.
#[must_use]
pub fn before(now: BTreeMap<PathBuf, bool>, steps: &[(Unit, Step)]) -> BTreeMap<PathBuf, Entry> {
    let entry = |(path, directory)| (path, Entry { origin: Origin::Mirror, directory });
    let mut tree: BTreeMap<PathBuf, Entry> = now.into_iter().map(entry).collect();
    for (unit, step) in steps.iter().rev() {
        for path in &step.created {
            remove(&mut tree, path);
        }
        for path in &step.removed {
            directory(&mut tree, path, Origin::Nowhere);
        }
        for (path, _) in step.versions.iter().filter(|(_, directory)| !**directory) {
            remove(&mut tree, path);
            for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
                let listed = step.versions.get(above) == Some(&true);
                directory(&mut tree, above, if listed { Origin::Bucket(*unit) } else { Origin::Nowhere });
            }
            tree.insert(path.clone(), Entry { origin: Origin::Bucket(*unit), directory: false });
        }
    }
    tree
}

/// Sees to it that there is a directory, in the place of whatever else is there.
fn directory(tree: &mut BTreeMap<PathBuf, Entry>, path: &Path, origin: Origin) {
    match tree.get_mut(path) {
        Some(entry) if entry.directory && (entry.origin != Origin::Nowhere || origin == Origin::Nowhere) => {}
        Some(entry) => *entry = Entry { origin, directory: true },
        None => {
            tree.insert(path.to_owned(), Entry { origin, directory: true });
        }
    }
}

/// Removes a path and all below it.
fn remove(tree: &mut BTreeMap<PathBuf, Entry>, path: &Path) {
    let below: Vec<PathBuf> = tree
        .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
        .map(|(found, _)| found)
        .take_while(|found| found.starts_with(path))
        .cloned()
        .collect();
    for path in below {
        tree.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(day: u32) -> Unit {
        Unit::Day(chrono::NaiveDate::from_ymd_opt(2026, 11, day).unwrap())
    }

    fn step(versions: &[(&str, bool)], created: &[&str], removed: &[&str]) -> Step {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        let versions = versions.iter().map(|(path, directory)| (PathBuf::from(path), *directory)).collect();
        Step { versions, created: paths(created), removed: paths(removed) }
    }

    fn tree(now: &[(&str, bool)], steps: &[(Unit, Step)]) -> Vec<(String, Origin, bool)> {
        let now = now.iter().map(|(path, directory)| (PathBuf::from(path), *directory)).collect();
        let entries = before(now, steps).into_iter();
        entries.map(|(path, entry)| (path.to_string_lossy().into_owned(), entry.origin, entry.directory)).collect()
    }

    #[test]
    fn the_oldest_version_after_the_moment_is_the_one() {
        let now = [("a", true), ("a/same", false), ("a/edited", false), ("a/new", false)];
        let steps = [
            (
                unit(1),
                step(&[("a", true), ("a/edited", false), ("gone", true), ("gone/x", false)], &[], &["gone", "empty"]),
            ),
            (unit(2), step(&[("a", true), ("a/edited", false)], &["a/new"], &[])),
        ];
        let of = |day| Origin::Bucket(unit(day));
        let expected = [
            ("a", Origin::Mirror, true),
            ("a/edited", of(1), false),
            ("a/same", Origin::Mirror, false),
            ("empty", Origin::Nowhere, true),
            ("gone", of(1), true),
            ("gone/x", of(1), false),
        ];
        assert_eq!(tree(&now, &steps), expected.map(|(path, origin, dir)| (path.to_owned(), origin, dir)));
        assert_eq!(tree(&now, &steps[1..])[1], ("a/edited".to_owned(), of(2), false));
    }

    #[test]
    fn what_took_the_place_of_another_type_makes_room_again() {
        // `f` was a file and is a directory now; `d` the other way round.
        let now = [("f", true), ("f/in", false), ("d", false)];
        let changes = step(&[("f", false), ("d", true), ("d/was", false)], &["f", "f/in", "d"], &[]);
        let of = Origin::Bucket(unit(1));
        let expected = [("d", of, true), ("d/was", of, false), ("f", of, false)];
        assert_eq!(tree(&now, &[(unit(1), changes)]), expected.map(|(p, origin, dir)| (p.to_owned(), origin, dir)));
    }
}
