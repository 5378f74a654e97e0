//! The dirty set against a model: the plain list of all marks that went in.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

impl DirtySet {
    fn mark_all(&mut self, marks: &[(PathBuf, Mark)]) {
        for (path, mark) in marks {
            self.mark(path, *mark);
        }
    }
}

/// Whether the set would have `path` looked at again.
fn covers(set: &DirtySet, path: &Path) -> bool {
    let names: Vec<&OsStr> = path.iter().collect();
    let mut node = set.root();
    for (i, name) in names.iter().enumerate() {
        let is_last = i + 1 == names.len();
        if node.mark() == Some(Mark::Deep) || (is_last && node.mark() == Some(Mark::Shallow)) {
            return true;
        }
        match node.children().find(|(n, _)| n == name) {
            Some((_, child)) => node = child,
            None => return false,
        }
    }
    node.mark().is_some()
}

/// Everything of a small universe that one mark asks to look at again.
fn meant(path: &Path, mark: Mark) -> Vec<PathBuf> {
    universe()
        .into_iter()
        .filter(|candidate| match mark {
            Mark::Path => candidate == path,
            Mark::Shallow => candidate == path || candidate.parent() == Some(path),
            Mark::Deep => candidate.starts_with(path),
        })
        .collect()
}

fn universe() -> Vec<PathBuf> {
    let mut all = vec![PathBuf::new()];
    let mut level = all.clone();
    for _ in 0..3 {
        level = level.iter().flat_map(|dir| ["a", "b", "c"].map(|name| dir.join(name))).collect();
        all.extend(level.clone());
    }
    all
}

fn marks() -> impl Strategy<Value = Vec<(PathBuf, Mark)>> {
    let mark = prop_oneof![5 => Just(Mark::Path), 2 => Just(Mark::Shallow), 1 => Just(Mark::Deep)];
    prop::collection::vec((prop::sample::select(universe()), mark), 0..40)
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(first in marks(), second in marks(), limit in 1usize..40) {
        let (mut set, mut other) = (DirtySet::new(limit), DirtySet::new(limit));
        set.mark_all(&first);
        other.mark_all(&second);
        set.merge(&other);
        for (path, mark) in first.iter().chain(&second) {
            for wanted in meant(path, *mark) {
                prop_assert!(covers(&set, &wanted), "{wanted:?} of {mark:?} {path:?} is lost in {set:?}");
            }
        }
    }

    #[test]
    fn whatever_goes_in_is_reached(first in marks(), second in marks(), limit in 1usize..40) {
        let (mut set, mut other) = (DirtySet::new(limit), DirtySet::new(limit));
        set.mark_all(&first);
        other.mark_all(&second);
        set.merge(&other);
        for wanted in first.iter().chain(&second).flat_map(|(path, mark)| meant(path, *mark)) {
            for above in wanted.ancestors() {
                prop_assert!(set.reaches(above), "{above:?} above {wanted:?} is not reached by {set:?}");
            }
        }
    }

    #[test]
    fn below_the_limit_nothing_else_is_reached(marks in marks()) {
        let mut set = DirtySet::new(1000);
        set.mark_all(&marks);
        let meant: Vec<PathBuf> = marks.iter().flat_map(|(path, mark)| meant(path, *mark)).collect();
        for path in universe().into_iter().filter(|path| !path.as_os_str().is_empty()) {
            prop_assert_eq!(set.reaches(&path), meant.iter().any(|wanted| wanted.starts_with(&path)), "{:?}", path);
        }
    }

    #[test]
    fn the_limit_holds_and_the_size_is_true(marks in marks(), limit in 1usize..40) {
        let mut set = DirtySet::new(limit);
        for (path, mark) in &marks {
            set.mark(path, *mark);
            prop_assert!(set.size <= limit);
            prop_assert_eq!(set.size, set.root.count());
        }
        prop_assert_eq!(set.is_empty(), marks.is_empty());
    }

    #[test]
    fn below_the_limit_nothing_is_coarser_than_it_was_marked(marks in marks()) {
        let mut set = DirtySet::new(1000);
        set.mark_all(&marks);
        let meant: Vec<PathBuf> = marks.iter().flat_map(|(path, mark)| meant(path, *mark)).collect();
        for path in universe() {
            prop_assert_eq!(covers(&set, &path), meant.contains(&path), "{:?}", path);
        }
    }
}

#[test]
fn a_crowded_directory_becomes_one_level_before_anything_becomes_a_subtree() {
    let mut set = DirtySet::new(200);
    set.mark(Path::new("other/deep/file"), Mark::Path);
    for i in 0..500 {
        set.mark(Path::new(&format!("crowd/{i}")), Mark::Path);
    }
    let marks: Vec<_> = set.root().children().map(|(name, node)| (name.to_owned(), node.mark())).collect();
    assert_eq!(marks, [("crowd".into(), Some(Mark::Shallow)), ("other".into(), None)]);
}
