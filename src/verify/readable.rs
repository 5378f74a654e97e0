//! Files of the source that this process may not read. rsync does not tell of them in a dry run: it takes their content
//! for a row of zeros, and so for different, or, when the daemon cannot read its copy either, for the same.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Access, AtFlags, FileType};
use rustix::io::Errno;

use crate::mutex::lock;
use crate::rsync::outcome::Failing;
use crate::tree::walk::Entry;

/// More of them are counted only.
const NAMED: usize = 10_000;

/// The files that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    files: BTreeSet<PathBuf>,
    more: u64,
}

impl Unread {
    pub(super) fn has(&self, path: &Path) -> bool {
        self.files.contains(path)
    }

    fn add(&mut self, path: PathBuf) {
        if self.files.len() < NAMED {
            self.files.insert(path);
        } else {
            self.more += 1;
        }
    }

    /// As paths that failed.
    pub(super) fn into_failing(self) -> Failing {
        let why = |path| (path, "cannot be read: Permission denied; its content is not compared".to_owned());
        let more = (self.more > 0).then(|| format!("{} more files cannot be read", self.more));
        Failing {
            paths: self.files.into_iter().map(why).collect(),
            unattributed: more.into_iter().collect(),
            ..Failing::default()
        }
    }
}

/// The path of a regular file, relative to the source root; nothing for what else there is.
pub(super) fn file(entry: &Entry<'_>) -> Option<PathBuf> {
    (entry.kind == FileType::RegularFile).then(|| entry.path.join(OsStr::from_bytes(entry.name.to_bytes())))
}

/// Notes a regular file that cannot be read.
pub(super) fn check(entry: &Entry<'_>, unread: &Mutex<Unread>) {
    if entry.kind == FileType::RegularFile
        && rustix::fs::accessat(entry.dir, entry.name, Access::READ_OK, AtFlags::empty()) == Err(Errno::ACCESS)
        && let Some(path) = file(entry)
    {
        lock(unread).add(path);
    }
}
