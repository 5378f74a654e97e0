//! Scopes: sets of paths that one rsync run is responsible for. Pure: no path is looked at here.
//!
//! All paths are relative to the source root, without a leading `./`; the empty path is the root itself.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What one rsync run is responsible for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Single paths and single directory levels, which rsync handles in one run.
    Listed(Listed),
    /// These directories, none inside another, and everything below them; what the source does not have is deleted.
    /// Never empty.
    Tree(Vec<PathBuf>),
}

impl Scope {
    /// The same without what is at or below these places; nothing when that is all there is.
    #[must_use]
    pub fn without(mut self, places: &BTreeSet<PathBuf>) -> Option<Scope> {
        let is_apart = |path: &PathBuf| !path.ancestors().any(|above| places.contains(above));
        let is_empty = match &mut self {
            Scope::Listed(listed) => {
                for paths in [&mut listed.present, &mut listed.missing, &mut listed.shallow] {
                    paths.retain(is_apart);
                }
                listed.is_empty()
            }
            Scope::Tree(roots) => {
                roots.retain(is_apart);
                roots.is_empty()
            }
        };
        (!is_empty).then_some(self)
    }
}

/// Paths and directories that are mirrored without descending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Exactly these, which were there when they were looked at: pushed, a directory without its content.
    pub present: Vec<PathBuf>,
    /// Exactly these, which were missing while their parent directory was there: deleted.
    pub missing: Vec<PathBuf>,
    /// These directories, one level: their entries are pushed, and entries that the source does not have are deleted.
    pub shallow: Vec<PathBuf>,
}

/// How much one rsync run may be given.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries in one run.
    pub entries: usize,
    /// Bytes of argument list in one run, pointers included.
    pub argv_bytes: usize,
}

impl Limits {
    /// Half of what Linux allows with the usual 8 MiB stack (a quarter of it), which leaves room for the options
    /// and the environment.
    pub const DEFAULT: Limits = Limits { entries: 50_000, argv_bytes: 1 << 20 };
}

impl Listed {
    /// Whether there is nothing to do. rsync must not be started then: with a daemon path and no source argument it
    /// lists the module and exits 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shallow.len() + self.missing.len() + self.present.len()
    }

    /// All entries, in the order in which rsync gets them.
    pub fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.shallow.iter().chain(&self.missing).chain(&self.present)
    }

    /// The same for a receiver that cannot delete missing paths: their parents are listed instead, one level, which
    /// deletes what is not there.
    #[must_use]
    pub fn without_missing(mut self) -> Listed {
        for path in self.missing.drain(..) {
            self.shallow.push(path.parent().map(PathBuf::from).unwrap_or_default());
        }
        self.shallow.sort();
        self.shallow.dedup();
        self
    }

    /// Splits into pieces that each keep the limits, in order. Every piece has at least one entry.
    #[must_use]
    pub fn split(self, limits: Limits) -> Vec<Listed> {
        type Field = fn(&mut Listed) -> &mut Vec<PathBuf>;
        let mut pieces = Vec::new();
        let mut piece = Listed::default();
        let mut bytes = 0;
        let fields: [(Vec<PathBuf>, Field); 3] = [
            (self.shallow, |listed| &mut listed.shallow),
            (self.missing, |listed| &mut listed.missing),
            (self.present, |listed| &mut listed.present),
        ];
        for (paths, field) in fields {
            for path in paths {
                // "./", a closing "/", the final NUL and the pointer in argv.
                let cost = path.as_os_str().as_bytes().len() + 4 + size_of::<usize>();
                if !piece.is_empty() && (piece.len() == limits.entries || bytes + cost > limits.argv_bytes) {
                    pieces.push(std::mem::take(&mut piece));
                    bytes = 0;
                }
                bytes += cost;
                field(&mut piece).push(path);
            }
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths() -> impl Strategy<Value = Vec<PathBuf>> {
        prop::collection::vec("[a-z]{1,12}".prop_map(PathBuf::from), 0..40)
    }

    proptest! {
        #[test]
        fn split_keeps_every_entry_once_and_every_limit(
            present in paths(), missing in paths(), shallow in paths(),
            entries in 1usize..10, argv_bytes in 1usize..200,
        ) {
            let listed = Listed { present, missing, shallow };
            let mut joined = Listed::default();
            for piece in listed.clone().split(Limits { entries, argv_bytes }) {
                prop_assert!(!piece.is_empty() && piece.len() <= entries);
                let cost: usize = piece.all().map(|p| p.as_os_str().len() + 12).sum();
                prop_assert!(piece.len() == 1 || cost <= argv_bytes);
                joined.present.extend(piece.present);
                joined.missing.extend(piece.missing);
                joined.shallow.extend(piece.shallow);
            }
            prop_assert_eq!(joined, listed);
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_at_or_below_a_place() {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let places: BTreeSet<PathBuf> = ["a/b".into(), "c".into()].into();
        let listed = Listed {
            present: paths(&["a/b/x", "a/bc", "c"]),
            missing: paths(&["a", "a/b"]),
            shallow: paths(&["", "c/d", "a/b/c/d"]),
        };
        let left = Listed { present: paths(&["a/bc"]), missing: paths(&["a"]), shallow: paths(&[""]) };
        assert_eq!(Scope::Listed(listed).without(&places), Some(Scope::Listed(left)));
        let tree = |roots: &[&str]| Scope::Tree(paths(roots));
        assert_eq!(tree(&["a", "a/b/x", "c"]).without(&places), Some(tree(&["a"])));
        assert_eq!(tree(&["a/b", "c/d"]).without(&places), None);
        assert_eq!(tree(&["a/b"]).without(&BTreeSet::new()), Some(tree(&["a/b"])));
    }

    #[test]
    fn parents_stand_in_for_missing_paths() {
        let listed = Listed {
            present: vec!["p".into()],
            missing: ["a/x", "a/y", "z"].map(PathBuf::from).to_vec(),
            shallow: vec!["a".into()],
        };
        let listed = listed.without_missing();
        assert_eq!(listed.shallow, ["", "a"].map(PathBuf::from));
        assert_eq!((listed.missing.len(), listed.present.len()), (0, 1));
    }
}
