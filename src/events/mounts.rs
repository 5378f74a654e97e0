//! What is mounted below a source, and when that changes. No event of the directories themselves tells.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use log::{info, warn};

use crate::config::settings::Source;
use crate::mountinfo;
use crate::report::text;

/// The mount points below a directory.
#[derive(Debug)]
pub(super) struct Mounts {
    table: File,
    root: PathBuf,
    below: BTreeSet<PathBuf>,
}

impl Mounts {
    /// What is mounted below `root` now.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub(super) fn below(root: &Path) -> io::Result<Mounts> {
        let table = table()?;
        let mut mounts = Mounts { table, root: root.canonicalize()?, below: BTreeSet::new() };
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
        let now = mountinfo::mounts(&text);
        let now: BTreeSet<PathBuf> =
            now.filter_map(|mount| Some(mount.point.strip_prefix(&self.root).ok()?.to_owned())).collect();
        let changes = now.symmetric_difference(&self.below).filter(|path| !path.as_os_str().is_empty());
        let changes = changes.cloned().collect();
        self.below = now;
        Ok(changes)
    }

    /// Whether something is mounted there, as far as was seen.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.below.contains(path)
    }

    /// All places where something is mounted, relative to the root.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.below.iter().map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
    }

    /// Says what changed at a place, and whether it has to be looked at.
    pub(super) fn matters(&self, source: &Source, path: &Path) -> bool {
        let shown = text::path(&source.path.join(path));
        if self.has(path) {
            info!("source `{}`: a file system was mounted at {shown}", source.name);
        } else if source.one_file_system {
            info!("source `{}`: a file system was unmounted from {shown}", source.name);
        } else {
            // That it is empty now does not mean that anything was deleted.
            warn!("source `{}`: a file system was unmounted from {shown}; its mirror stays", source.name);
            return false;
        }
        true
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
