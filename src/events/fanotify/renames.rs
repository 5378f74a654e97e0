//! What paths were at the time of each rename, given where their directories are now, after all of them. Pure.

use std::path::{Path, PathBuf};

/// With more steps than this it is not worth while.
const MOST_STEPS: usize = 1_000_000;

/// A rename. The paths are those that its directories have after all renames; none is outside of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rename {
    pub(super) from: Option<PathBuf>,
    pub(super) to: Option<PathBuf>,
    pub(super) is_dir: bool,
}

/// The same renames with the paths as they were when each of them happened; nothing when that takes too long.
pub(super) fn at_their_time(mut renames: Vec<Rename>) -> Option<Vec<Rename>> {
    let directories = renames.iter().filter(|rename| rename.is_dir).count();
    if directories.saturating_mul(renames.len()) > MOST_STEPS {
        return None;
    }
    // Of directories, the last one first.
    let mut later: Vec<(Option<PathBuf>, PathBuf)> = Vec::new();
    for rename in renames.iter_mut().rev() {
        let before = |path: Option<PathBuf>| path.and_then(|path| before(&later, &path));
        let (from, to) = (before(rename.from.take()), before(rename.to.take()));
        if let Some(to) = to.as_ref().filter(|_| rename.is_dir) {
            later.push((from.clone(), to.clone()));
        }
        *rename = Rename { from, to, is_dir: rename.is_dir };
    }
    Some(renames)
}

/// Undoes the renames of the directories above a path, but not of itself: its name is of its time already.
fn before(later: &[(Option<PathBuf>, PathBuf)], path: &Path) -> Option<PathBuf> {
    let (mut dir, name) = (path.parent()?.to_owned(), path.file_name()?);
    for (from, to) in later {
        if let Ok(below) = dir.strip_prefix(to) {
            dir = from.as_ref()?.join(below);
        }
    }
    Some(dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rename(from: &str, to: &str) -> Rename {
        let path = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
        Rename { from: path(from), to: path(to), is_dir: true }
    }

    #[test]
    fn what_was_moved_along_later_is_where_it_was_before() {
        let found = vec![rename("a", "a1"), rename("a1", "new/b"), rename("other", "new")];
        let expected = vec![rename("a", "a1"), rename("a1", "other/b"), rename("other", "new")];
        assert_eq!(at_their_time(found), Some(expected));
        // What came along with something from outside was not in the source.
        let found = vec![rename("in/x", "in/y"), rename("", "in")];
        assert_eq!(at_their_time(found), Some(vec![rename("", ""), rename("", "in")]));
    }

    proptest! {
        /// Directories with numbers: each has a directory above it and a name.
        #[test]
        fn it_is_as_it_happened(steps in prop::collection::vec((1_usize..6, 0_usize..6, "[ab]"), 0..12)) {
            let mut places: Vec<(usize, String)> = (0..6).map(|number| (0, format!("start{number}"))).collect();
            let path = |places: &[(usize, String)], mut number: usize| {
                let mut names = Vec::new();
                while number != 0 {
                    names.push(places[number].1.clone());
                    number = places[number].0;
                }
                names.iter().rev().collect::<PathBuf>()
            };
            let (mut happened, mut reported) = (Vec::new(), Vec::new());
            for (moved, above, name) in steps {
                let taken = places.iter().skip(1).any(|place| *place == (above, name.clone()));
                if taken || path(&places, above).starts_with(path(&places, moved)) {
                    continue;
                }
                let old = places[moved].clone();
                let (from, to) = (path(&places, moved), path(&places, above).join(&name));
                places[moved] = (above, name.clone());
                happened.push(Rename { from: Some(from), to: Some(to), is_dir: true });
                reported.push((old, (above, name)));
            }
            let now = |(above, name): (usize, String)| Some(path(&places, above).join(name));
            let found = reported.into_iter().map(|(from, to)| Rename { from: now(from), to: now(to), is_dir: true });
            prop_assert_eq!(at_their_time(found.collect()), Some(happened));
        }
    }
}
