//! What is mounted below a source, and when that changes. No event of the directories themselves tells.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use log::{info, warn};

use super::Mounted;
use super::session::Scene;
use crate::mountinfo;
use crate::report::text;

/// The mount points below a source.
pub(super) struct Mounts<'a> {
    table: File,
    root: PathBuf,
    scene: Scene<'a>,
    /// Relative to the root, each with the number of what is mounted there.
    below: BTreeMap<PathBuf, u64>,
}

/// A place where something was mounted or unmounted.
#[derive(Debug)]
pub(super) struct Change {
    /// Relative to the root.
    pub(super) place: PathBuf,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Another file system than before is there.
    Mounted,
    /// Nothing is mounted there any more.
    Unmounted,
    /// What was mounted there is elsewhere in the source.
    Moved,
}

impl<'a> Mounts<'a> {
    /// What is mounted below the source now.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub(super) fn below(scene: Scene<'a>) -> io::Result<Mounts<'a>> {
        let root = scene.source.path.canonicalize()?;
        let mut mounts = Mounts { table: table()?, root, scene, below: BTreeMap::new() };
        mounts.changes()?;
        Ok(mounts)
    }

    /// Where something was mounted or unmounted since this was asked before.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub(super) fn changes(&mut self) -> io::Result<Vec<Change>> {
        let mut text = Vec::new();
        self.table.rewind()?;
        self.table.read_to_end(&mut text)?;
        let now = mountinfo::mounts(&text);
        let now = now.filter_map(|mount| Some((mount.point.strip_prefix(&self.root).ok()?.to_owned(), mount.id)));
        let now: BTreeMap<PathBuf, u64> = now.filter(|(place, _)| !place.as_os_str().is_empty()).collect();
        let changes = between(&self.below, &now);
        self.below = now;
        if !self.scene.source.one_file_system {
            for Change { place, what } in &changes {
                match what {
                    What::Mounted => self.scene.sink.mounted(place, Mounted::Here),
                    What::Moved => self.scene.sink.mounted(place, Mounted::Elsewhere),
                    What::Unmounted => {}
                }
            }
        }
        Ok(changes)
    }

    /// Whether something is mounted there, as far as was seen.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.below.contains_key(path)
    }

    /// All places where something is mounted, relative to the root.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.below.keys().map(PathBuf::as_path)
    }

    /// Says what changed at a place, and whether it has to be looked at.
    pub(super) fn matters(&self, change: &Change) -> bool {
        let source = self.scene.source;
        let shown = text::path(&source.path.join(&change.place));
        match change.what {
            What::Mounted => info!("source `{}`: a file system was mounted at {shown}", source.name),
            What::Moved => info!("source `{}`: what was mounted at {shown} is elsewhere now", source.name),
            What::Unmounted if source.one_file_system => {
                info!("source `{}`: a file system was unmounted from {shown}", source.name);
            }
            What::Unmounted => {
                // That it is empty now does not mean that anything was deleted.
                warn!("source `{}`: a file system was unmounted from {shown}; its mirror stays", source.name);
                return false;
            }
        }
        true
    }
}

/// What happened between two looks at the places and what is mounted there.
fn between(before: &BTreeMap<PathBuf, u64>, now: &BTreeMap<PathBuf, u64>) -> Vec<Change> {
    let gone = before.iter().filter(|(place, _)| !now.contains_key(*place)).map(|(place, id)| {
        let what = if now.values().any(|other| other == id) { What::Moved } else { What::Unmounted };
        Change { place: place.clone(), what }
    });
    let came = now.iter().filter(|(place, id)| before.get(*place) != Some(id));
    gone.chain(came.map(|(place, _)| Change { place: place.clone(), what: What::Mounted })).collect()
}

impl AsFd for Mounts<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.table.as_fd()
    }
}

/// The kernel's table. Polled for `PRI`, it wakes whoever waits when something is mounted or unmounted (proc(5)).
///
/// # Errors
/// When it cannot be opened.
pub(super) fn table() -> io::Result<File> {
    File::open(mountinfo::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_told_from_what_was_unmounted() {
        let places = |places: &[(&str, u64)]| places.iter().map(|(place, id)| (PathBuf::from(place), *id)).collect();
        let changes = between(
            &places(&[("a/mnt", 1), ("gone", 2), ("other", 3), ("same", 4)]),
            &places(&[("b/mnt", 1), ("other", 5), ("same", 4)]),
        );
        let changes: Vec<_> = changes.iter().map(|change| (change.place.to_str().unwrap(), change.what)).collect();
        let (mounted, moved, unmounted) = (What::Mounted, What::Moved, What::Unmounted);
        assert_eq!(changes, [("a/mnt", moved), ("gone", unmounted), ("b/mnt", mounted), ("other", mounted)]);
    }
}
