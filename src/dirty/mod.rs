//! The dirty set: the bounded tree of paths that still have to be pushed to one mirror. Pure.
//!
//! A mark says no more than "look here again": what happened there is decided when the set is flushed. When there are
//! more marks than the limit, directories are folded: nothing is forgotten, it only gets coarser. What is made of what
//! was folded, and when a directory is too large to be listed, is decided in `plan.rs`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

/// How much of a path has to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The path itself; of a directory, only its attributes.
    Path,
    /// A directory, one level.
    Shallow,
    /// Everything at and below the path.
    Deep,
}

/// A set of marked paths, relative to the source root.
#[derive(Debug, Clone)]
pub struct DirtySet {
    root: Node,
    /// How many nodes there are below the root.
    size: usize,
    limit: usize,
}

/// A path that is marked, or that leads to one.
#[derive(Debug, Clone, Default)]
pub struct Node {
    mark: Option<Mark>,
    children: BTreeMap<OsString, Node>,
}

/// A directory with more single marks than this is folded first: one level costs one listing, however many there are.
const MANY_IN_ONE_DIRECTORY: usize = 64;

impl DirtySet {
    /// An empty set that remembers at most `limit` paths one by one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        DirtySet { root: Node::default(), size: 0, limit: limit.max(1) }
    }

    /// Marks a path; the empty path is the source root. What is marked already is never narrowed.
    pub fn mark(&mut self, path: &Path, mark: Mark) {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        if let Some(node) = self.root.reach(names, &mut self.size, mark) {
            node.raise(mark, &mut self.size);
        }
        if self.size > self.limit {
            self.fold();
        }
    }

    /// Adds everything that `other` marks.
    pub fn merge(&mut self, other: &DirtySet) {
        if self.is_empty() {
            self.root = other.root.clone();
            self.size = other.size;
        } else {
            self.root.merge(&other.root, &mut self.size);
        }
        if self.size > self.limit {
            self.fold();
        }
    }

    /// Whether a path is to be looked at again, by itself or with a directory above it.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        let mut node = &self.root;
        for name in path {
            if node.mark == Some(Mark::Deep) {
                return true;
            }
            match node.children.get(name) {
                Some(child) => node = child,
                None => return node.mark == Some(Mark::Shallow),
            }
        }
        node.mark.is_some()
    }

    /// Whether anything at or below a path may be looked at again.
    #[must_use]
    pub fn reaches(&self, path: &Path) -> bool {
        let mut node = &self.root;
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            if node.mark == Some(Mark::Deep) {
                return true;
            }
            match node.children.get(name) {
                Some(child) => node = child,
                None => return names.peek().is_none() && node.mark == Some(Mark::Shallow),
            }
        }
        true
    }

    /// Hands out everything and starts anew.
    #[must_use]
    pub fn take(&mut self) -> DirtySet {
        std::mem::replace(self, DirtySet::new(self.limit))
    }

    /// Whether nothing is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size == 0 && self.root.mark.is_none()
    }

    /// How many paths are remembered, those that only lead to marked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size + usize::from(self.root.mark.is_some())
    }

    /// The source root, where reading the set starts.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Gets below half of the limit, so that folding is rare: crowded directories become one level each, then the
    /// deepest directories become subtrees, level by level.
    fn fold(&mut self) {
        let goal = self.limit / 2;
        self.root.fold_crowded();
        self.size = self.root.count();
        for depth in (0..self.root.height()).rev() {
            if self.size <= goal {
                break;
            }
            self.root.fold_at(depth);
            self.size = self.root.count();
        }
    }
}

impl Node {
    /// How much of this path itself has to be looked at again; nothing when it only leads to marked ones.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// The marked paths below.
    pub fn children(&self) -> impl Iterator<Item = (&OsStr, &Node)> {
        self.children.iter().map(|(name, node)| (name.as_os_str(), node))
    }

    /// The node of a path below, made where it is missing; nothing when a mark on the way covers it already.
    fn reach<'a>(&mut self, names: impl Iterator<Item = &'a OsStr>, size: &mut usize, mark: Mark) -> Option<&mut Node> {
        let mut node = self;
        let mut names = names.peekable();
        while let Some(name) = names.next() {
            if node.mark == Some(Mark::Deep) {
                return None;
            }
            let is_last = names.peek().is_none();
            if is_last && mark == Mark::Path && node.mark == Some(Mark::Shallow) && !node.children.contains_key(name) {
                return None;
            }
            node = node.children.entry(name.to_owned()).or_insert_with(|| {
                *size += 1;
                Node::default()
            });
        }
        Some(node)
    }

    fn raise(&mut self, mark: Mark, size: &mut usize) {
        self.mark = self.mark.max(Some(mark));
        match self.mark {
            Some(Mark::Deep) => {
                *size -= self.count();
                self.children.clear();
            }
            Some(Mark::Shallow) => {
                let before = self.children.len();
                self.children.retain(|_, child| !child.is_single());
                *size -= before - self.children.len();
            }
            Some(Mark::Path) | None => {}
        }
    }

    fn merge(&mut self, other: &Node, size: &mut usize) {
        if self.mark == Some(Mark::Deep) {
            return;
        }
        for (name, child) in &other.children {
            if self.mark == Some(Mark::Shallow) && child.is_single() && !self.children.contains_key(name) {
                continue;
            }
            let own = self.children.entry(name.clone()).or_insert_with(|| {
                *size += 1;
                Node::default()
            });
            own.merge(child, size);
        }
        if let Some(mark) = other.mark {
            self.raise(mark, size);
        }
    }

    /// Marked as a path, with nothing below.
    fn is_single(&self) -> bool {
        self.children.is_empty() && self.mark == Some(Mark::Path)
    }

    fn count(&self) -> usize {
        self.children.values().map(|child| 1 + child.count()).sum()
    }

    /// The number of levels below.
    fn height(&self) -> usize {
        self.children.values().map(|child| 1 + child.height()).max().unwrap_or(0)
    }

    fn fold_crowded(&mut self) {
        if self.children.values().filter(|child| child.is_single()).count() > MANY_IN_ONE_DIRECTORY {
            self.mark = self.mark.max(Some(Mark::Shallow));
            self.children.retain(|_, child| !child.is_single());
        }
        self.children.values_mut().for_each(Node::fold_crowded);
    }

    /// Turns what has something below it `depth` levels down into subtrees.
    fn fold_at(&mut self, depth: usize) {
        if depth > 0 {
            self.children.values_mut().for_each(|child| child.fold_at(depth - 1));
        } else if !self.children.is_empty() {
            self.mark = Some(Mark::Deep);
            self.children.clear();
        }
    }
}

#[cfg(test)]
mod tests;
