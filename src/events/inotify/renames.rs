//! Renames: where something came from, and how a directory changes its place in the tree without being crawled again.
//!
//! A directory that is moved within the tree keeps all its watches, so that its node only has to be put elsewhere. That is
//! right as long as the tree is what the events up to then tell. The crawler goes by paths: what it does while something is
//! renamed may belong to another path, or be missing. So the tree is settled only when the crawler had nothing to do and
//! after that all events there were have been read, and until it is asked to do something again. Whatever was renamed while
//! it worked was among those events, and was crawled anew.
//!
//! The two halves of a rename have to come one right after the other. Anything else, and a rename onto a directory, which may
//! be an exchange of both, goes the long way.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::inotify::{Event, ReadFlags};

use super::Inotify;
use super::tree::{DirTree, NodeId};
use crate::exclude::Is;

/// So many renames may begin before one of them ends. The two halves of one come one after the other, but for what others
/// put in between.
const RENAMES_AT_ONCE: usize = 64;

/// A directory that has left its place in a settled tree, by the last event that was read. It is still in the tree.
#[derive(Debug)]
pub(super) struct Leaving {
    /// The number that the kernel gives to the rename.
    pub(super) number: u32,
    pub(super) node: NodeId,
    /// The directory that it left, and its name there.
    pub(super) dir: NodeId,
    pub(super) name: OsString,
}

/// What left its place last, by the number of the rename; no path when it was left out.
#[derive(Debug, Default)]
pub(super) struct Origins(VecDeque<(u32, Option<PathBuf>)>);

impl Origins {
    /// Something left its place by the rename with this number.
    pub(super) fn leaves(&mut self, number: u32, from: Option<PathBuf>) {
        if self.0.len() == RENAMES_AT_ONCE {
            self.0.pop_front();
        }
        self.0.push_back((number, from));
    }

    /// Where that was which arrives by the rename with this number.
    pub(super) fn arrives(&mut self, number: u32) -> Option<PathBuf> {
        let at = self.0.iter().position(|(known, _)| *known == number)?;
        self.0.remove(at)?.1
    }
}

impl Inotify<'_> {
    /// Puts a directory in its new place in the tree, if this event tells which that is; false when it does not, or when
    /// other directories of it would be watched there than are now.
    pub(super) fn relocate(
        &self,
        tree: &mut DirTree,
        leaving: &Leaving,
        event: &Event<'_>,
        name: Option<&OsStr>,
    ) -> bool {
        let arrives =
            event.events().contains(ReadFlags::MOVED_TO | ReadFlags::ISDIR) && event.cookie() == leaving.number;
        let (Some(name), Some(dir)) = (name.filter(|_| arrives), tree.by_watch(event.wd())) else { return false };
        let excludes = self.scene.excludes;
        let is_free = tree.child(dir, name).is_none();
        let is_mirrored = || tree.path(dir).is_some_and(|dir| !excludes.excludes_entry(&dir.join(name), Is::Directory));
        let all_of_it = !excludes.depend_on_place() && !self.left_out.load(Ordering::Relaxed);
        is_free && all_of_it && is_mirrored() && tree.relocate(leaving.node, dir, name)
    }
}
