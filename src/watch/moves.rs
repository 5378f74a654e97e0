//! What was renamed within the source: where the mirror may still have it under its old name. Pure.
//!
//! This is never more than a hint. What the mirror has under the old name is compared with what is there now, like
//! everything else; when the hint was wrong, the data is sent.

use std::path::{Path, PathBuf};

/// More are not remembered: what they moved is sent again.
const MOST: usize = 1_000;

/// Something that has another path now than the mirror knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// Its path when the mirror was last brought up to date.
    pub(super) from: PathBuf,
    /// Its path now.
    pub(super) to: PathBuf,
}

/// All moves since the mirror was last brought up to date, as one: a chain of renames is one move.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves(Vec<Move>);

impl Moves {
    /// Notes that what was at `from` is at `to` now, with all that is in it. Nothing is known of where it came from when
    /// there is no `from`: it was not in the source, or not mirrored.
    pub(super) fn add(&mut self, from: Option<&Path>, to: &Path) {
        self.0.retain(|known| !known.to.starts_with(to));
        let Some(from) = from else { return };
        let origin = self.origin(from);
        for known in &mut self.0 {
            if let Ok(below) = known.to.strip_prefix(from) {
                known.to = joined(to, below);
            }
        }
        let known = |known: &Move| known.from == origin;
        if !self.0.iter().any(known) && self.0.len() < MOST {
            self.0.push(Move { from: origin, to: to.to_owned() });
        }
    }

    /// Adds what happened after that.
    pub(super) fn merge(&mut self, later: Moves) {
        if self.0.is_empty() {
            self.0 = later.0;
        } else {
            later.0.iter().for_each(|later| self.add(Some(&later.from), &later.to));
        }
    }

    /// All of them, those farther up before those below them. Where something is in its old place again within what was moved,
    /// both paths are the same.
    #[must_use]
    pub(super) fn all(&self) -> Vec<&Move> {
        let mut all: Vec<&Move> = self.0.iter().collect();
        all.sort_by(|a, b| a.to.cmp(&b.to));
        all
    }

    /// What the mirror calls what is at this path.
    fn origin(&self, path: &Path) -> PathBuf {
        let deepest =
            self.0.iter().filter(|known| path.starts_with(&known.to)).max_by_key(|known| known.to.as_os_str().len());
        let below = |known: &Move| path.strip_prefix(&known.to).ok().map(|below| joined(&known.from, below));
        deepest.and_then(below).unwrap_or_else(|| path.to_owned())
    }
}

/// `below` in `above`; `above` itself when `below` is empty.
fn joined(above: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { above.to_owned() } else { above.join(below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn told(moves: &Moves) -> Vec<(&str, &str)> {
        moves.all().iter().map(|it| (it.from.to_str().unwrap(), it.to.to_str().unwrap())).collect()
    }

    fn after(renames: &[(&str, &str)]) -> Moves {
        let mut moves = Moves::default();
        for (from, to) in renames {
            moves.add((!from.is_empty()).then_some(Path::new(from)), Path::new(to));
        }
        moves
    }

    #[test]
    fn chains_are_one_move_and_what_came_from_elsewhere_is_none() {
        for (renames, expected) in [
            (&[("a", "b"), ("b", "c")][..], &[("a", "c")][..]),
            (&[("a", "b"), ("b", "a")], &[("a", "a")]),
            (&[("a/a", "c/a"), ("c", "b"), ("b", "a")], &[("c", "a"), ("a/a", "a/a")]),
            (&[("a", "b"), ("b/x", "y")], &[("a", "b"), ("a/x", "y")]),
            (&[("x", "a/x"), ("a", "b")], &[("a", "b"), ("x", "b/x")]),
            (&[("a", "t"), ("b", "a"), ("t", "b")], &[("b", "a"), ("a", "b")]),
            (&[("a", "b"), ("", "b")], &[]),
            (&[("a", "b"), ("", "c")], &[("a", "b")]),
            (&[("ab", "c"), ("a", "d")], &[("ab", "c"), ("a", "d")]),
        ] {
            assert_eq!(told(&after(renames)), expected, "{renames:?}");
        }
    }

    #[test]
    fn later_moves_go_on_from_earlier_ones_and_too_many_are_not_remembered() {
        let mut moves = after(&[("a", "b")]);
        moves.merge(after(&[("b", "c"), ("x", "y")]));
        assert_eq!(told(&moves), [("a", "c"), ("x", "y")]);
        for number in 0..2 * MOST {
            moves.add(Some(Path::new(&format!("f{number}"))), Path::new(&format!("g{number}")));
        }
        assert_eq!(moves.0.len(), MOST);
    }

    /// The paths of a small tree: two levels, three names.
    fn path() -> impl Strategy<Value = PathBuf> {
        prop_oneof!["[abc]", "[abc]/[abc]"].prop_map(PathBuf::from)
    }

    proptest! {
        #[test]
        fn every_move_tells_where_something_was(renames in prop::collection::vec((path(), path()), 0..12)) {
            // Every path has something with a number of its own.
            let names = ["a", "b", "c"];
            let inside = names.iter().flat_map(|dir| names.iter().map(move |name| format!("{dir}/{name}")));
            let start: BTreeMap<PathBuf, usize> =
                names.iter().map(|name| (*name).to_owned()).chain(inside).map(PathBuf::from).zip(0..).collect();
            let (mut tree, mut moves) = (start.clone(), Moves::default());
            for (from, to) in renames {
                let is_possible = tree.contains_key(&from) && !to.starts_with(&from) && !from.starts_with(&to);
                let has_place = to.parent().is_none_or(|dir| dir.as_os_str().is_empty() || tree.contains_key(dir));
                if !is_possible || !has_place {
                    continue;
                }
                tree.retain(|path, _| !path.starts_with(&to));
                let (moved, stays): (BTreeMap<_, _>, _) = tree.into_iter().partition(|(path, _)| path.starts_with(&from));
                tree = stays;
                tree.extend(moved.iter().map(|(path, id)| (joined(&to, path.strip_prefix(&from).unwrap()), *id)));
                moves.add(Some(&from), &to);
            }
            for it in moves.all() {
                prop_assert_eq!(tree.get(&it.to), start.get(&it.from), "{:?}", it);
            }
            // And nothing that can be found under its old name is forgotten.
            for (path, id) in &tree {
                prop_assert_eq!(start.get(&moves.origin(path)), Some(id), "{}", path.display());
            }
        }
    }
}
