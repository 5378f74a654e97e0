//! Directories by descriptors: opened without following links or crossing file systems, listed, measured and removed.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, fstat, openat, openat2, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::mutex::lock;

/// A directory is looked through again this often when something is left in it: some file systems skip entries while
/// others are being removed.
const LOOKS: u32 = 3;
/// Bytes of a directory that are read at once.
const BUFFER: usize = 32 * 1024;
/// Failures that are kept.
const KEPT: usize = 2_000;

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory.
    Directory,
    /// Anything else, links to directories included.
    Other,
}

/// Goes over trees on one file system.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The number of the file system that is not left.
    pub(super) device: u64,
    /// Set when it is to end.
    pub(super) stop: &'a AtomicBool,
    /// How many entries were removed.
    pub(super) deleted: AtomicU64,
    /// What could not be removed, and why.
    pub(super) failing: Mutex<BTreeMap<PathBuf, String>>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NOATIME);

/// Opens the directory from which on file systems are told apart.
pub(super) fn open_top(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    plain_open(parent, name)
}

fn plain_open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    match openat(parent, name, DIRECTORY, Mode::empty()) {
        // Only the owner may leave the access time alone.
        Err(Errno::PERM) => openat(parent, name, DIRECTORY.difference(OFlags::NOATIME), Mode::empty()),
        opened => opened,
    }
}

/// The file system of an open directory.
pub(super) fn device(dir: BorrowedFd<'_>) -> Result<u64, Errno> {
    Ok(fstat(dir)?.st_dev)
}

/// Lets this process open as many files as it may: one is open for each level of a tree.
pub(super) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it very deep trees are named as failures.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// What an error means to the operator.
pub(super) fn words(error: Errno) -> String {
    match error {
        Errno::XDEV => "another file system is mounted there".to_owned(),
        Errno::LOOP | Errno::NOTDIR => "is no directory itself: links are not followed".to_owned(),
        error => io::Error::from(error).to_string(),
    }
}

/// Calls `each` for the entries of a directory, read in portions.
fn for_each(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr, FileType) -> Result<(), Errno>) -> Result<(), Errno> {
    let mut buffer = Vec::with_capacity(BUFFER);
    buffer.resize_with(BUFFER, MaybeUninit::uninit);
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            each(entry.file_name(), entry.file_type())?;
        }
    }
    Ok(())
}

/// What it is, asked for where the directory itself does not say.
fn kind(dir: BorrowedFd<'_>, name: &CStr, listed: FileType) -> Result<Kind, Errno> {
    let real = match listed {
        FileType::Unknown => FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
        listed => listed,
    };
    Ok(if real == FileType::Directory { Kind::Directory } else { Kind::Other })
}

/// The entries of a directory.
pub(super) fn list(dir: BorrowedFd<'_>) -> Result<Vec<(CString, Kind)>, Errno> {
    let mut all = Vec::new();
    for_each(dir, |name, listed| {
        all.push((name.to_owned(), kind(dir, name, listed)?));
        Ok(())
    })?;
    Ok(all)
}

impl Walk<'_> {
    /// Opens a directory, unless it is a link or another file system is mounted there.
    pub(super) fn open(&self, parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let dir = match openat2(parent, name, DIRECTORY, Mode::empty(), resolve) {
            // Kernels before 5.6, and filters of system calls that do not know it. A bind mount looks the same to these.
            Err(Errno::NOSYS | Errno::PERM) => plain_open(parent, name)?,
            opened => opened?,
        };
        if device(dir.as_fd())? == self.device { Ok(dir) } else { Err(Errno::XDEV) }
    }

    /// Notes a failure.
    pub(super) fn fail(&self, path: &Path, error: Errno) {
        let mut failing = lock(&self.failing);
        if failing.len() < KEPT {
            failing.insert(path.to_owned(), words(error));
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Removes a directory with all that is in it; false when something of it is left. What is gone already is gone.
    pub(super) fn remove(&self, parent: BorrowedFd<'_>, name: &CStr, path: &Path) -> bool {
        let result = self.open(parent, name).and_then(|dir| {
            for look in 1.. {
                if !self.empty(dir.as_fd(), path)? || self.is_stopped() {
                    return Ok(false);
                }
                match unlinkat(parent, name, AtFlags::REMOVEDIR) {
                    Err(Errno::NOTEMPTY | Errno::EXIST) if look < LOOKS => {
                        rustix::fs::seek(&dir, rustix::fs::SeekFrom::Start(0)).map(drop)?;
                    }
                    result => return result.map(|()| true),
                }
            }
            Ok(false)
        });
        match result {
            Ok(gone) => {
                self.deleted.fetch_add(u64::from(gone), Ordering::Relaxed);
                gone
            }
            Err(Errno::NOENT) => true,
            Err(error) => {
                self.fail(path, error);
                false
            }
        }
    }

    /// Removes all that is in a directory, and leaves the directory.
    pub(super) fn clear(&self, parent: BorrowedFd<'_>, name: &CStr, path: &Path) {
        let cleared = self.open(parent, name).and_then(|dir| self.empty(dir.as_fd(), path));
        cleared.map_or_else(|error| self.fail(path, error), drop);
    }

    /// Removes what is in a directory; false when something of it could not be.
    fn empty(&self, dir: BorrowedFd<'_>, path: &Path) -> Result<bool, Errno> {
        let (mut directories, mut deleted, mut all) = (Vec::new(), 0, true);
        let result = for_each(dir, |name, listed| {
            if self.is_stopped() {
                return Ok(());
            }
            match kind(dir, name, listed) {
                Ok(Kind::Directory) => directories.push(name.to_owned()),
                Ok(Kind::Other) => match unlinkat(dir, name, AtFlags::empty()) {
                    Ok(()) => deleted += 1,
                    Err(Errno::NOENT) => {}
                    Err(error) => {
                        self.fail(&path.join(OsStr::from_bytes(name.to_bytes())), error);
                        all = false;
                    }
                },
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            Ok(())
        });
        self.deleted.fetch_add(deleted, Ordering::Relaxed);
        result?;
        let remove = |name: &CString| self.remove(dir, name, &path.join(OsStr::from_bytes(name.to_bytes())));
        // One after the other below a single one, so that a long chain takes little of the stack.
        let gone = match &directories[..] {
            [one] => remove(one),
            many => many.par_iter().map(remove).reduce(|| true, |a, b| a && b),
        };
        Ok(all && gone)
    }

    /// The space that a tree takes up, in bytes. A file with several names counts once among all that share `links`.
    pub(super) fn size(&self, parent: BorrowedFd<'_>, name: &CStr, links: &Mutex<HashSet<u64>>) -> u64 {
        let Ok(dir) = self.open(parent, name) else { return 0 };
        let (mut directories, mut total) = (Vec::new(), fstat(&dir).map_or(0, |stat| blocks(stat.st_blocks)));
        let listed = for_each(dir.as_fd(), |name, _| {
            let Ok(stat) = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                directories.push(name.to_owned());
            } else if stat.st_nlink < 2 || lock(links).insert(stat.st_ino) {
                total += blocks(stat.st_blocks);
            }
            Ok(())
        });
        if listed.is_err() || self.is_stopped() {
            return total;
        }
        let below = |name: &CString| self.size(dir.as_fd(), name, links);
        total
            + match &directories[..] {
                [one] => below(one),
                many => many.par_iter().map(below).sum(),
            }
    }
}

/// Bytes in blocks as the kernel counts them.
fn blocks(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default() * 512
}
