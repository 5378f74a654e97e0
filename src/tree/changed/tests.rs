//! What a scan of a real tree finds.

use super::*;
use crate::exclude::Excludes;

#[test]
fn a_moved_directory_is_new_and_what_is_as_it_was_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("root/a/b")).unwrap();
    fs::create_dir_all(at("root/quiet/c")).unwrap();
    fs::create_dir_all(at("outside/with/content")).unwrap();
    for file in ["root/a/b/f", "root/quiet/f", "outside/with/f"] {
        fs::write(at(file), file).unwrap();
    }
    let excludes = Excludes::default();
    let (root, later) = (at("root"), (i64::MAX, 0));
    let reach = Reach { root: &root, excludes: &excludes, longest_directory: 3000, device: None };
    let before = scan(reach, later, &Directories::default(), &Moved::default()).unwrap();
    assert!(scan(reach, later, &before.directories, &Moved::default()).unwrap().dirty.is_empty());
    fs::rename(at("outside/with"), at("root/quiet/with")).unwrap();
    let after = scan(reach, later, &before.directories, &Moved::default()).unwrap();
    let quiet: Vec<_> = after.dirty.root().children().flat_map(|(_, node)| node.children()).collect();
    assert_eq!(quiet.len(), 1, "{:?}", after.dirty);
    assert_eq!((quiet[0].0.to_str(), quiet[0].1.mark()), (Some("with"), Some(Mark::Deep)));
    let everything = scan(reach, (0, 0), &after.directories, &Moved::default()).unwrap();
    assert_eq!(everything.dirty.root().mark(), Some(Mark::Shallow));
    assert_eq!(after.census.directories.len(), 7);
    assert!(after.directories.are_of(&root) && !after.directories.are_of(&at("outside")));
    assert!(!Directories::default().are_of(&root));
}

#[test]
fn without_a_list_what_may_have_arrived_is_new_and_all_else_is_one_level() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for path in ["root/a/b/c", "root/quiet/q", "outside/in/deep"] {
        fs::create_dir_all(at(path)).unwrap();
    }
    fs::write(at("root/a/b/c/f"), "f").unwrap();
    let excludes = Excludes::default();
    let root = at("root");
    let reach = Reach { root: &root, excludes: &excludes, longest_directory: 3000, device: None };
    let whole = [PathBuf::new()];
    // Until the clock of files is past everything that was made above.
    let ctime =
        |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_ctime, stat.st_ctime_nsec.cast_signed())).unwrap();
    let since = loop {
        fs::write(at("clock"), "").unwrap();
        if ctime(&at("clock")) > ctime(&at("root/a/b/c/f")) {
            break ctime(&at("clock"));
        }
    };
    assert!(scan_by_times(reach, since, &whole).unwrap().dirty.is_empty());
    fs::write(at("root/a/b/c/f"), "ff").unwrap();
    fs::write(at("root/a/b/g"), "g").unwrap();
    fs::rename(at("outside/in"), at("root/a/b/in")).unwrap();
    let found = scan_by_times(reach, since, &whole).unwrap().dirty;
    let mut expected = DirtySet::new(100);
    for (path, mark) in [("a/b", Mark::Shallow), ("a/b/in", Mark::Deep), ("a/b/c/f", Mark::Path)] {
        expected.mark(Path::new(path), mark);
    }
    assert_eq!(format!("{:?}", found.root()), format!("{:?}", expected.root()));
    // Of two directories that are looked at, the rest is not.
    let below = ["quiet", "a/b/c"].map(PathBuf::from);
    let found = scan_by_times(reach, since, &below).unwrap().dirty;
    let mut expected = DirtySet::new(100);
    expected.mark(Path::new("a/b/c/f"), Mark::Path);
    assert_eq!(format!("{:?}", found.root()), format!("{:?}", expected.root()));
}
