//! What is mounted below a source, and when that changes. No event of the directories themselves tells.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use log::{info, warn};

use crate::config::settings::Source;
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
        let now = mount_points(&text);
        let now: BTreeSet<PathBuf> =
            now.filter_map(|point| Some(point.strip_prefix(&self.root).ok()?.to_owned())).collect();
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
    File::open("/proc/self/mountinfo")
}

/// The fifth field of each line, in which blanks and backslashes are written as octal numbers (proc(5)).
fn mount_points(text: &[u8]) -> impl Iterator<Item = PathBuf> {
    let fields = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields.map(|field| {
        let mut bytes = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((first, tail)) = rest.split_first() {
            let escaped = rest;
            rest = tail;
            if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = escaped {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            } else {
                bytes.push(*first);
            }
        }
        PathBuf::from(OsString::from_vec(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_are_read() {
        let text = b"22 1 0:21 / /a\\040b\\134c rw - tmpfs none rw\n23 1 0:22 /x /plain rw shared:1 - ext4 /dev/x rw\n";
        let points: Vec<PathBuf> = mount_points(text).collect();
        assert_eq!(points, [PathBuf::from("/a b\\c"), PathBuf::from("/plain")]);
    }
}
