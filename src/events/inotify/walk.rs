//! Puts watches on a directory and all below it: each is watched before it is read. Where there are many, several threads
//! share them. They are threads of their own: those of rayon may be busy with a pass for long.

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;

use log::warn;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode as FsMode, OFlags, RawDir};
use rustix::io::Errno;

use super::sharing::{Shared, Waiting};
use super::{Inotify, NodeId, locked};
use crate::exclude::Is;
use crate::report::text;

/// When so many directories are watched and there are still more, others help.
const MANY: usize = 256;
/// More threads than this do not make it faster: the kernel puts on one watch after the other.
const MOST_THREADS: usize = 8;
/// Entries are read in portions of this size, in bytes.
const BUFFER: usize = 32 * 1024;

/// Which symbolic links are followed: the root may be given as one; nothing below is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    Root,
    Nothing,
}

impl Follow {
    /// At a path, relative to the root.
    pub(super) fn at(path: &Path) -> Follow {
        if path.as_os_str().is_empty() { Follow::Root } else { Follow::Nothing }
    }
}

impl Inotify<'_> {
    /// Watches a directory at a path, and all below it.
    pub(super) fn walk(&self, top: NodeId, path: PathBuf) {
        let mut waiting = vec![(top, path)];
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS));
        let mut done = 0;
        while let Some((node, path)) = waiting.pop() {
            self.directory(node, &path, &mut waiting, &mut buffer);
            done += 1;
            if done >= MANY && threads > 1 && waiting.len() > 1 {
                let shared = Shared::new(std::mem::take(&mut waiting));
                thread::scope(|scope| {
                    for _ in 1..threads {
                        // With fewer helpers it takes longer, that is all.
                        let _ = thread::Builder::new()
                            .name("watches".to_owned())
                            .spawn_scoped(scope, || self.help(&shared));
                    }
                    self.help(&shared);
                });
            }
        }
    }

    /// Takes directories and gives away what others may do, until there is nothing left.
    fn help(&self, shared: &Shared) {
        let mut own = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        while shared.take(&mut own) {
            while let Some((node, path)) = own.pop() {
                self.directory(node, &path, &mut own, &mut buffer);
                if own.len() > 1 && shared.has_idle() {
                    shared.give(&mut own);
                }
            }
            shared.done();
        }
    }

    /// Watches one directory, and adds those in it to what waits.
    fn directory(&self, node: NodeId, path: &Path, waiting: &mut Vec<Waiting>, buffer: &mut [MaybeUninit<u8>]) {
        if self.scene.stop.is_requested() && !self.live.load(Ordering::Relaxed) {
            return;
        }
        let follow = Follow::at(path);
        let full = self.scene.source.path.join(path);
        // The watch comes first, by the path: should something else stand there by the next step, or should a symbolic link
        // on the way lead elsewhere, then there is an event of a directory above, which is watched already, that makes this
        // node invalid.
        if !self.watch(node, &full, follow) {
            return;
        }
        let flags = match follow {
            Follow::Root => AtFlags::empty(),
            Follow::Nothing => AtFlags::SYMLINK_NOFOLLOW,
        };
        let Ok(stat) = rustix::fs::statat(CWD, &full, flags) else { return };
        // What is mounted there is not mirrored.
        let reach = self.scene.reach;
        if reach.is_elsewhere(stat.st_dev) {
            let watch = self.tree().clear_watch(node);
            return watch.into_iter().for_each(|watch| self.unwatch(watch));
        }
        // Its own name, its `.`, and no `..` of any directory in it.
        if stat.st_nlink == 2 && Some(stat.st_dev) == self.counts_links {
            return;
        }
        let dir = match open_dir(&full, follow) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            Err(e) => return self.not_watched(&full, e),
        };
        let mut names = self.directories_in(&dir, &full, path, buffer);
        // They are not mirrored either.
        names.retain(|name| {
            let is_too_long = reach.is_too_long(&path.join(name));
            if is_too_long {
                self.left_out.store(true, Ordering::Relaxed);
            }
            !is_too_long
        });
        let mut tree = self.tree();
        for name in names {
            if let Some(child) = tree.child_or_new(node, &name) {
                waiting.push((child, path.join(name)));
            }
        }
    }

    /// Watches a directory; false when there is nothing below it to be looked at.
    fn watch(&self, node: NodeId, full: &Path, follow: Follow) -> bool {
        match self.add_watch(full, follow) {
            Ok(watch) => {
                let mut tree = self.tree();
                let robbed = tree.by_watch(watch).filter(|owner| *owner != node);
                if !tree.set_watch(node, watch) {
                    drop(tree);
                    // It left in the meantime; where it arrives, it is watched anew.
                    self.unwatch(watch);
                    return false;
                }
                locked(&self.robbed).extend(robbed);
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return false,
            // What is below it would have none either: see `unwatched.rs`.
            Err(Errno::NOSPC | Errno::NOMEM) => {
                locked(&self.unwatched).push(node);
                return false;
            }
            Err(e) => self.not_watched(full, e),
        }
        true
    }

    pub(super) fn add_watch(&self, path: &Path, follow: Follow) -> Result<i32, Errno> {
        let mut flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        flags |= match follow {
            Follow::Root => WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF,
            Follow::Nothing => WatchFlags::DONT_FOLLOW,
        };
        inotify::add_watch(&self.instance, path, flags)
    }

    fn not_watched(&self, path: &Path, e: Errno) {
        warn!("source `{}`: {} is not watched: {e}", self.scene.source.name, text::path(path));
    }

    /// The names of the directories in an open directory that are not excluded.
    fn directories_in(&self, dir: &OwnedFd, full: &Path, path: &Path, buffer: &mut [MaybeUninit<u8>]) -> Vec<OsString> {
        let mut names = Vec::new();
        let mut entries = RawDir::new(dir, buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // It was removed while it was read.
                Err(Errno::NOENT) => break,
                Err(e) => {
                    warn!("source `{}`: {} cannot be read to its end: {e}", self.scene.source.name, text::path(full));
                    break;
                }
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_dir = match entry.file_type() {
                FileType::Directory => !is_dots(entry.file_name()),
                // Some file systems do not tell.
                FileType::Unknown => {
                    !is_dots(entry.file_name()) && fs::symlink_metadata(full.join(name)).is_ok_and(|meta| meta.is_dir())
                }
                _ => false,
            };
            let excludes = self.scene.excludes;
            if is_dir && (excludes.is_empty() || !excludes.excludes_entry(&path.join(name), Is::Directory)) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

fn open_dir(path: &Path, follow: Follow) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if follow == Follow::Nothing {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::open(path, flags, FsMode::empty())
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}
