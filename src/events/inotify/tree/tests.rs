//! The tree of watched directories against a plain map of paths.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The node of a path, made with all above it.
fn make(tree: &mut DirTree, path: &str) -> NodeId {
    Path::new(path).iter().fold(tree.root(), |node, name| tree.child_or_new(node, name).unwrap())
}

fn find(tree: &DirTree, path: &Path) -> Option<NodeId> {
    path.iter().try_fold(tree.root(), |node, name| tree.child(node, name))
}

#[derive(Debug, Clone)]
enum Op {
    Make(String),
    Remove(String),
    Move(String, String),
}

fn op() -> impl Strategy<Value = Op> {
    let path = || prop::collection::vec("[abc]", 1..4).prop_map(|names| names.join("/"));
    prop_oneof![
        6 => path().prop_map(Op::Make),
        2 => path().prop_map(Op::Remove),
        3 => (path(), path()).prop_map(|(from, to)| Op::Move(from, to)),
    ]
}

proptest! {
    /// The model is a plain map from path to watch.
    #[test]
    fn it_behaves_like_a_map_of_paths(ops in prop::collection::vec(op(), 0..60)) {
        let mut tree = DirTree::default();
        let mut model: BTreeMap<PathBuf, i32> = BTreeMap::new();
        for (watch, op) in (1..).zip(ops) {
            match op {
                Op::Make(path) => {
                    let node = make(&mut tree, &path);
                    prop_assert!(tree.set_watch(node, watch));
                    model.insert(path.into(), watch);
                }
                Op::Remove(path) => {
                    let node = find(&tree, Path::new(&path));
                    let mut removed = node.map(|node| tree.remove(node)).unwrap_or_default();
                    let (mut expected, kept) = model.into_iter().partition::<Vec<_>, _>(|(p, _)| p.starts_with(&path));
                    model = kept.into_iter().collect();
                    removed.sort_unstable();
                    expected.sort_unstable_by_key(|(_, watch)| *watch);
                    prop_assert_eq!(removed, expected.into_iter().map(|(_, watch)| watch).collect::<Vec<_>>());
                }
                Op::Move(from, to) => {
                    let (dir, name) = to.rsplit_once('/').unwrap_or(("", &to));
                    let there = [&*from, dir].map(|path| find(&tree, Path::new(path)));
                    let [Some(node), Some(parent)] = there else { continue };
                    if Path::new(&to).starts_with(&from) || find(&tree, Path::new(&to)).is_some() {
                        continue;
                    }
                    prop_assert!(tree.relocate(node, parent, OsStr::new(name)));
                    model = model.into_iter().map(|(path, watch)| {
                        let moved = path.strip_prefix(&from).map(|below| Path::new(&to).join(below).iter().collect());
                        (moved.unwrap_or(path), watch)
                    }).collect();
                }
            }
            prop_assert_eq!(tree.watched(), model.len());
            for (path, watch) in &model {
                prop_assert_eq!(tree.by_watch(*watch).and_then(|node| tree.path(node)), Some(path.clone()));
            }
        }
    }
}

#[test]
fn a_watch_has_one_owner_and_an_old_id_stays_invalid() {
    let mut tree = DirTree::default();
    let (a, b) = (make(&mut tree, "a"), make(&mut tree, "b"));
    assert!(tree.set_watch(a, 7) && tree.set_watch(b, 7));
    assert!(!tree.is_watched(a) && tree.is_watched(b));
    assert_eq!(tree.remove(b), [7]);
    assert!(!tree.set_watch(b, 8));
    let again = make(&mut tree, "c");
    assert_eq!((tree.path(b), tree.path(again)), (None, Some("c".into())));
}
