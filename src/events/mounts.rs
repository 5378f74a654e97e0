//! What is mounted below a source, and when that changes. No event of the directories themselves tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use log::{info, warn};

use crate::config::settings::Source;
use crate::dirty::Mark;
use crate::mountinfo::{self, Mount};
use crate::report::text;

/// The mount points below a directory.
#[derive(Debug)]
pub(super) struct Mounts {
    table: File,
    root: PathBuf,
    below: BTreeMap<PathBuf, Mount>,
}

impl Mounts {
    /// What is mounted below `root` now.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub(super) fn below(root: &Path) -> io::Result<Mounts> {
        let table = table()?;
        let mut mounts = Mounts { table, root: root.canonicalize()?, below: BTreeMap::new() };
        mounts.changes()?;
        Ok(mounts)
    }

    /// The places, relative to the root, where something was mounted or unmounted since this was asked before.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub(super) fn changes(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut text = Vec::new();
        self.table.rewind()?;
        self.table.read_to_end(&mut text)?;
        let now = mountinfo::below(&text, &self.root);
        let places: BTreeSet<&PathBuf> = now.keys().chain(self.below.keys()).collect();
        let changes = places.into_iter().filter(|place| now.get(*place) != self.below.get(*place)).cloned().collect();
        self.below = now;
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

    /// Says what changed at a place, and how much of it has to be looked at.
    pub(super) fn told(&self, source: &Source, path: &Path) -> Mark {
        let shown = text::path(&source.path.join(path));
        if self.has(path) {
            info!("source `{}`: a file system was mounted at {shown}", source.name);
        } else if source.one_file_system {
            info!("source `{}`: a file system was unmounted from {shown}", source.name);
        } else {
            // That it is empty now does not mean that anything was deleted: whoever sends finds out, and leaves it as it is.
            warn!("source `{}`: a file system was unmounted from {shown}; its mirror stays", source.name);
            return Mark::Path;
        }
        Mark::Deep
    }
}

impl AsFd for Mounts {
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
