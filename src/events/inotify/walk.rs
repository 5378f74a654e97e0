//! Puts watches on a directory and all below it: each is watched before it is read. Where there are many, several threads
//! share them. They are threads of their own: those of rayon may be busy with a pass for long.

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use log::warn;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode as FsMode, OFlags, RawDir};
use rustix::io::Errno;

use super::{Inotify, NodeId, locked};
use crate::report::text;
use crate::tree::file_system_kind;

/// When so many directories are watched and there are still more, others help.
const MANY: usize = 256;
/// More threads than this do not make it faster: the kernel puts on one watch after the other.
const MOST_THREADS: usize = 8;
/// Entries are read in portions of this size, in bytes.
const BUFFER: usize = 32 * 1024;

/// A directory that is to be watched.
type Waiting = (NodeId, PathBuf);

/// What several threads share.
#[derive(Default)]
struct Shared {
    /// The directories that anybody may take, and how many threads are at work.
    state: Mutex<(Vec<Waiting>, usize)>,
    changed: Condvar,
    /// How many threads have nothing to do.
    idle: AtomicUsize,
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
                let shared = Shared { state: Mutex::new((std::mem::take(&mut waiting), 0)), ..Shared::default() };
                thread::scope(|scope| {
                    for _ in 1..threads {
                        // With fewer helpers it takes longer, that is all.
                        let _ = thread::Builder::new()
                            .name("watcher".to_owned())
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
                if own.len() > 1 && shared.idle.load(Ordering::Relaxed) > 0 {
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
        let is_root = path.as_os_str().is_empty();
        let full = self.scene.source.path.join(path);
        // The watch comes first, by the path: should something else stand there by the next step, or should a symbolic link
        // on the way lead elsewhere, then there is an event of a directory above, which is watched already, that makes this
        // node invalid.
        match self.add_watch(&full, is_root) {
            Ok(watch) => {
                let mut tree = self.tree();
                let robbed = tree.by_watch(watch).filter(|owner| *owner != node);
                if !tree.set_watch(node, watch) {
                    drop(tree);
                    // It left in the meantime; where it arrives, it is watched anew.
                    return self.unwatch(watch);
                }
                locked(&self.robbed).extend(robbed);
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return,
            // What is below it would have none either.
            Err(Errno::NOSPC | Errno::NOMEM) => return locked(&self.unwatched).push(node),
            Err(e) => self.not_watched(&full, e),
        }
        let Ok(stat) =
            rustix::fs::statat(CWD, &full, if is_root { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW })
        else {
            return;
        };
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
        let dir = match open_dir(&full, is_root) {
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

    pub(super) fn add_watch(&self, path: &Path, is_root: bool) -> Result<i32, Errno> {
        let mut flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        // The root may be given as a symbolic link; nothing below is followed.
        flags |= if is_root { WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF } else { WatchFlags::DONT_FOLLOW };
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
            if is_dir && (excludes.is_empty() || !excludes.excludes_entry(&path.join(name), true)) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

impl Shared {
    /// Takes some of what waits; false when nobody will add to that any more.
    fn take(&self, own: &mut Vec<Waiting>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.idle.fetch_add(1, Ordering::Relaxed);
        while state.0.is_empty() && state.1 > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.idle.fetch_sub(1, Ordering::Relaxed);
        let left = state.0.len() / 2;
        own.extend(state.0.drain(left..));
        state.1 += usize::from(!own.is_empty());
        !own.is_empty()
    }

    /// Gives away half: the upper half of the tree, where most of the work is.
    fn give(&self, own: &mut Vec<Waiting>) {
        let half = own.len() / 2;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.extend(own.drain(..half));
        self.changed.notify_one();
    }

    /// What was taken is done.
    fn done(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 -= 1;
        self.changed.notify_all();
    }
}

fn open_dir(path: &Path, is_root: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if !is_root {
        flags |= OFlags::NOFOLLOW;
    }
    rustix::fs::open(path, flags, FsMode::empty())
}

/// The device of the root, if its file system counts the links of its directories: each directory in a directory is one more
/// of those. Many others do not (Btrfs, overlayfs, and what comes over a network).
pub(super) fn counts_links(root: &Path) -> Option<u64> {
    /// ext2, ext3 and ext4; XFS; tmpfs (statfs(2)).
    const COUNTING: [u64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];
    let kind = file_system_kind(root)?;
    let device = rustix::fs::stat(root).ok()?.st_dev;
    COUNTING.contains(&kind).then_some(device)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}
