//! The watched directories: a tree whose nodes know their parents, so that no path is stored twice. Pure: it knows watch
//! descriptors only as numbers.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A node. It stays invalid when its node was removed, also when the place was used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Node {
    /// The index of the parent; none for the root.
    parent: Option<u32>,
    name: OsString,
    watch: Option<i32>,
    /// Sorted by name.
    children: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    node: Option<Node>,
}

/// The tree. The root has the empty path.
#[derive(Debug)]
pub(super) struct DirTree {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_watch: HashMap<i32, u32>,
}

const ROOT: u32 = 0;

impl Default for DirTree {
    fn default() -> Self {
        let root = Node { parent: None, name: OsString::new(), watch: None, children: Vec::new() };
        let slots = vec![Slot { generation: 0, node: Some(root) }];
        DirTree { slots, free: Vec::new(), by_watch: HashMap::new() }
    }
}

impl DirTree {
    /// The root.
    #[must_use]
    pub(super) fn root(&self) -> NodeId {
        self.id(ROOT)
    }

    /// The node that a watch descriptor belongs to.
    #[must_use]
    pub(super) fn by_watch(&self, watch: i32) -> Option<NodeId> {
        self.by_watch.get(&watch).map(|index| self.id(*index))
    }

    /// The path from the root; nothing when the node was removed.
    #[must_use]
    pub(super) fn path(&self, id: NodeId) -> Option<PathBuf> {
        let mut names = Vec::new();
        let mut index = self.valid(id)?;
        while index != ROOT {
            let node = self.node(index)?;
            names.push(node.name.as_os_str());
            index = node.parent?;
        }
        Some(names.iter().rev().collect())
    }

    /// The child of that name.
    #[must_use]
    pub(super) fn child(&self, parent: NodeId, name: &OsStr) -> Option<NodeId> {
        let parent = self.node(self.valid(parent)?)?;
        let place = self.place(parent, name).ok()?;
        Some(self.id(parent.children[place]))
    }

    /// The child of that name, made when it is not there; nothing when the parent was removed.
    pub(super) fn child_or_new(&mut self, parent: NodeId, name: &OsStr) -> Option<NodeId> {
        if let Some(child) = self.child(parent, name) {
            return Some(child);
        }
        let above = self.valid(parent)?;
        let node = Node { parent: None, name: OsString::new(), watch: None, children: Vec::new() };
        let index = if let Some(index) = self.free.pop() {
            self.slots[index as usize].node = Some(node);
            index
        } else {
            let index = u32::try_from(self.slots.len()).ok()?;
            self.slots.push(Slot { generation: 0, node: Some(node) });
            index
        };
        self.link(index, above, name);
        Some(self.id(index))
    }

    /// Whether a watch is known for the node.
    #[must_use]
    pub(super) fn is_watched(&self, id: NodeId) -> bool {
        self.valid(id).and_then(|index| self.node(index)).is_some_and(|node| node.watch.is_some())
    }

    /// Gives the watch to the node. Whoever had it before loses it: the directory is here now. False when the node was
    /// removed.
    pub(super) fn set_watch(&mut self, id: NodeId, watch: i32) -> bool {
        let Some(index) = self.valid(id) else { return false };
        self.forget_watch(watch);
        let replaced = self.node_mut(index).and_then(|node| node.watch.replace(watch));
        if let Some(old) = replaced {
            self.by_watch.remove(&old);
        }
        self.by_watch.insert(watch, index);
        true
    }

    /// Takes its watch from a node.
    pub(super) fn clear_watch(&mut self, id: NodeId) -> Option<i32> {
        let watch = self.valid(id).and_then(|index| self.node_mut(index)).and_then(|node| node.watch.take())?;
        self.by_watch.remove(&watch);
        Some(watch)
    }

    /// The kernel dropped the watch.
    pub(super) fn forget_watch(&mut self, watch: i32) {
        if let Some(index) = self.by_watch.remove(&watch)
            && let Some(node) = self.node_mut(index)
        {
            node.watch = None;
        }
    }

    /// Puts a node, with all below, in another place, where no node is. False when one of the two was removed.
    pub(super) fn relocate(&mut self, id: NodeId, parent: NodeId, name: &OsStr) -> bool {
        let top = self.valid(id).filter(|index| *index != ROOT);
        let (Some(index), Some(parent)) = (top, self.valid(parent)) else { return false };
        self.unlink(index);
        self.link(index, parent, name);
        true
    }

    /// Removes the node and all below; returns the watches that they had.
    pub(super) fn remove(&mut self, id: NodeId) -> Vec<i32> {
        let mut watches = Vec::new();
        let Some(top) = self.valid(id).filter(|index| *index != ROOT) else { return watches };
        self.unlink(top);
        let mut stack = vec![top];
        while let Some(index) = stack.pop() {
            let slot = &mut self.slots[index as usize];
            slot.generation = slot.generation.wrapping_add(1);
            if let Some(node) = slot.node.take() {
                if let Some(watch) = node.watch {
                    self.by_watch.remove(&watch);
                    watches.push(watch);
                }
                stack.extend(node.children);
                self.free.push(index);
            }
        }
        watches
    }

    /// How many directories are watched.
    #[must_use]
    pub(super) fn watched(&self) -> usize {
        self.by_watch.len()
    }

    fn id(&self, index: u32) -> NodeId {
        NodeId { index, generation: self.slots[index as usize].generation }
    }

    fn valid(&self, id: NodeId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.generation == id.generation && slot.node.is_some()).then_some(id.index)
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.slots.get(index as usize)?.node.as_ref()
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.slots.get_mut(index as usize)?.node.as_mut()
    }

    fn place(&self, parent: &Node, name: &OsStr) -> Result<usize, usize> {
        parent.children.binary_search_by(|child| self.node(*child).map(|child| child.name.as_os_str()).cmp(&Some(name)))
    }

    fn link(&mut self, index: u32, parent: u32, name: &OsStr) {
        let Some(above) = self.node(parent) else { return };
        let (Ok(place) | Err(place)) = self.place(above, name);
        if let Some(node) = self.node_mut(index) {
            node.parent = Some(parent);
            name.clone_into(&mut node.name);
        }
        if let Some(above) = self.node_mut(parent) {
            above.children.insert(place, index);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(parent) = self.node_mut(index).and_then(|node| node.parent.take()) else { return };
        let name = self.node(index).map(|node| node.name.clone()).unwrap_or_default();
        if let Some(above) = self.node(parent)
            && let Ok(place) = self.place(above, &name)
            && let Some(above) = self.node_mut(parent)
        {
            above.children.remove(place);
        }
    }
}

#[cfg(test)]
mod tests;
