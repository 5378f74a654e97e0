//! The inotify event source: one watch per directory.
//!
//! A reader thread decodes events and keeps the tree of directories; a crawler thread puts watches on directories. The
//! crawler sees directories as they are now, the reader as they were when an event happened, so they may disagree on what
//! a path stands for. These rules make them agree in the end, with nothing lost:
//! - A directory that arrives under a name (made or moved) is crawled by its path; one that leaves is removed from the
//!   tree with all below. A move is both, in whatever order and however often.
//! - The last claim on a watch wins: the crawler found the directory there most recently.
//! - Events for a watch that the tree does not know (yet, or any more) are dropped: the crawler registers a watch *before*
//!   it reads the directory, and marks everything below as dirty *after* that.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Dir, FileType, Mode as FsMode, OFlags};
use rustix::io::Errno;

use super::mounts::Mounts;
use super::tree::{DirTree, NodeId};
use super::{Identity, Sink, Waker};
use crate::config::settings::Source;
use crate::dirty::Mark;
use crate::guard::{self, EmptySource};
use crate::report::text;
use crate::state::record::Moment;
use crate::tree::Reach;
use crate::tree::exclude::Excludes;

/// A running event source.
#[derive(Debug)]
pub struct Inotify {
    stop: Arc<Stop>,
    supervisor: JoinHandle<()>,
}

#[derive(Debug)]
struct Stop {
    requested: AtomicBool,
    waker: Waker,
}

impl Inotify {
    /// Starts watching. The sink hears when every directory has its watch.
    ///
    /// # Errors
    /// When threads or descriptors cannot be had.
    pub fn start(source: Arc<Source>, excludes: Excludes, sink: Arc<dyn Sink>) -> io::Result<Inotify> {
        let stop = Arc::new(Stop { requested: AtomicBool::new(false), waker: Waker::new()? });
        let supervisor = thread::Builder::new().name(format!("events {}", source.name)).spawn({
            let stop = Arc::clone(&stop);
            move || supervise(&source, &excludes, sink.as_ref(), &stop)
        })?;
        Ok(Inotify { stop, supervisor })
    }

    /// Delivers what has happened up to now, and ends.
    pub fn stop(&self) {
        self.stop.requested.store(true, Ordering::Release);
        self.stop.waker.wake();
    }

    /// What makes it report what has happened up to now.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.stop.waker.clone()
    }

    /// Whether everything has been delivered after [`Inotify::stop`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.supervisor.is_finished()
    }
}

/// After this time a directory that left its place without arriving elsewhere was moved out of the tree, and its watches
/// are dropped. Until then they are kept: the kernel gives the same ones again when it arrives.
const MOVE_GRACE: Duration = Duration::from_secs(2);
/// How often the root is compared with the one that is watched, and a missing root looked for.
const ROOT_CHECK: Duration = Duration::from_secs(10);
const ROOT_RETRY: Duration = Duration::from_secs(1);
/// How often everything is compared when there are not enough watches for all directories.
const DEGRADED_RESCAN: Duration = Duration::from_secs(600);
const READ_BUFFER: usize = 256 * 1024;

/// Why a session ended.
enum Ended {
    Stopped,
    /// The kernel's queue overflowed: what is watched may not be what is there.
    Overflow,
    /// The root was removed, renamed, unmounted or replaced.
    RootLost,
}

/// Runs one session after the other until the source is stopped.
fn supervise(source: &Source, excludes: &Excludes, sink: &dyn Sink, stop: &Stop) {
    let name = &source.name;
    let mut again = false;
    let mut mounted = false;
    while !stop.requested.load(Ordering::Relaxed) {
        mounted |= guard::is_mounted(&source.path);
        match Session::open(source, excludes, sink, stop).and_then(|session| session.run(again)) {
            Ok(Ended::Stopped) => return,
            Ok(Ended::Overflow) => warn!(
                "source `{name}`: changes came faster than they were read, so everything is compared once; if this is \
                 usual, raise the limit: sysctl fs.inotify.max_queued_events=1000000"
            ),
            Ok(Ended::RootLost) => {
                sink.watching(None);
                warn!("source `{name}` ({}): the directory is gone or replaced; waiting for it", source.path.display());
                if !wait_for_root(source, mounted, stop) {
                    return;
                }
                info!("source `{name}`: the directory is back; everything is compared once");
            }
            Err(e) => {
                error!("source `{name}`: inotify: {}; trying again", explain(&e));
                pause(stop, ROOT_CHECK);
            }
        }
        again = true;
    }
}

/// Waits until the root may be mirrored; false when the source was stopped before. Where it was `mounted`, what is below the
/// mount point is not it.
fn wait_for_root(source: &Source, mounted: bool, stop: &Stop) -> bool {
    loop {
        if stop.requested.load(Ordering::Relaxed) {
            return false;
        }
        let there =
            guard::check_mounted(source, mounted).and_then(|()| guard::check_source(source, EmptySource::Refused));
        if there.is_ok() {
            return true;
        }
        pause(stop, ROOT_RETRY);
    }
}

fn pause(stop: &Stop, time: Duration) {
    let _ = wait(&[(stop.waker.as_fd(), PollFlags::IN)], time);
    stop.waker.reset();
}

/// Waits until there is news on one of the descriptors; tells whether it is on the last one.
fn wait(descriptors: &[(BorrowedFd<'_>, PollFlags)], time: Duration) -> io::Result<bool> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let time =
        Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    match poll(&mut polled, Some(&time)) {
        Ok(_) => Ok(polled.last().is_some_and(|last| !last.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn explain(e: &io::Error) -> String {
    match Errno::from_io_error(e) {
        Some(Errno::MFILE) => {
            format!("{e}; raise the limit: sysctl fs.inotify.max_user_instances=1024 (or the limit of open files)")
        }
        _ => e.to_string(),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let meta = fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// What the crawler is asked to do.
enum Task {
    /// Watch this directory and all below.
    Crawl(NodeId),
    /// Something left this name. If there is a directory all the same, watch it: two directories may have changed places,
    /// which is reported as one move after the other.
    Look(NodeId, OsString),
    /// Something was mounted or unmounted here.
    Mount(PathBuf),
    /// Drop these watches, unless their directories have come back into the tree.
    Unwatch(Vec<i32>),
}

/// One inotify instance with its tree.
struct Session<'a> {
    source: &'a Source,
    excludes: &'a Excludes,
    reach: Reach<'a>,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    inotify: OwnedFd,
    root: Identity,
    tree: Mutex<DirTree>,
    /// Every directory has been seen once.
    live: AtomicBool,
    /// Nothing that was missed before is still to be reported.
    complete: AtomicBool,
    /// Some directories have no watch.
    degraded: AtomicBool,
}

/// What only the reader knows.
struct Reading {
    tasks: Sender<Task>,
    /// Watches of directories that left their place, with the time.
    left: VecDeque<(Instant, Vec<i32>)>,
    /// What left its place last, by the number that the kernel gives to a rename; nothing when it was left out.
    renamed: VecDeque<(u32, Option<PathBuf>)>,
    ended: Option<Ended>,
}

/// So many renames may begin before one of them ends. The two halves of one come one after the other, but for what others
/// put in between.
const RENAMES_AT_ONCE: usize = 64;

impl Reading {
    /// Something left its place by the rename with this number.
    fn leaves(&mut self, number: u32, from: Option<PathBuf>) {
        if self.renamed.len() == RENAMES_AT_ONCE {
            self.renamed.pop_front();
        }
        self.renamed.push_back((number, from));
    }

    /// Where that was which arrives by the rename with this number.
    fn arrives(&mut self, number: u32) -> Option<PathBuf> {
        let at = self.renamed.iter().position(|(known, _)| *known == number)?;
        self.renamed.remove(at)?.1
    }

    fn send(&self, task: Task) {
        // The crawler lives longer than the reader.
        let _ = self.tasks.send(task);
    }
}

impl<'a> Session<'a> {
    fn open(source: &'a Source, excludes: &'a Excludes, sink: &'a dyn Sink, stop: &'a Stop) -> io::Result<Self> {
        Ok(Session {
            source,
            excludes,
            reach: Reach::of_source(source, excludes),
            sink,
            stop,
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            root: identity(&source.path)?,
            tree: Mutex::default(),
            live: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
        })
    }

    /// Reads events until there is a reason to end. `again`: events were missed before, so everything is dirty.
    fn run(&self, again: bool) -> io::Result<Ended> {
        let (tasks, queue) = mpsc::channel();
        let mut reading = Reading { tasks, left: VecDeque::new(), renamed: VecDeque::new(), ended: None };
        reading.send(Task::Crawl(self.tree().root()));
        thread::scope(|scope| {
            let crawler = thread::Builder::new()
                .name("crawler".to_owned())
                .spawn_scoped(scope, move || self.crawler(queue, again))?;
            let mut buffer = vec![MaybeUninit::uninit(); READ_BUFFER];
            let read = self.read(&mut reading, &mut buffer);
            // Without a sender the crawler ends when it has done what it was asked to do.
            let ended = reading.ended.take();
            drop(reading);
            let _ = crawler.join();
            if matches!(ended, Some(Ended::Stopped)) {
                // What happened in directories that were only just watched.
                let (tasks, _queue) = mpsc::channel();
                self.read_available(
                    &mut Reading { tasks, left: VecDeque::new(), renamed: VecDeque::new(), ended: None },
                    &mut buffer,
                )?;
            }
            read.map(|()| ended.unwrap_or(Ended::Stopped))
        })
    }

    fn read(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut root_checked = Instant::now();
        let mut mounts = Mounts::below(&self.source.path)?;
        let mut rescanned = Instant::now();
        loop {
            let time = if reading.left.is_empty() { ROOT_CHECK } else { MOVE_GRACE };
            let (events, wake) = (self.inotify.as_fd(), self.stop.waker.as_fd());
            let table = (mounts.as_fd(), PollFlags::PRI);
            let mounted = wait(&[(events, PollFlags::IN), (wake, PollFlags::IN), table], time)?;
            // In this order: who asks for the end does so first, and wakes after that.
            self.stop.waker.reset();
            let stopping = self.stop.requested.load(Ordering::Acquire);
            let now = Instant::now();
            let complete = self.complete.load(Ordering::Acquire) && !self.degraded.load(Ordering::Relaxed);
            let moment = complete.then(Moment::now);
            self.read_available(reading, buffer)?;
            if reading.ended.is_some() {
                return Ok(());
            }
            self.sink.delivered(now);
            if let Some(moment) = moment {
                self.sink.reported_until(moment);
            }
            if stopping {
                reading.ended = Some(Ended::Stopped);
                return Ok(());
            }
            Self::unwatch_what_left(reading);
            for path in if mounted { mounts.changes()? } else { Vec::new() } {
                self.mount_changed(reading, path, &mounts);
            }
            if root_checked.elapsed() >= ROOT_CHECK {
                root_checked = Instant::now();
                if identity(&self.source.path).ok() != Some(self.root) {
                    reading.ended = Some(Ended::RootLost);
                    return Ok(());
                }
            }
            if self.degraded.load(Ordering::Relaxed) && rescanned.elapsed() >= DEGRADED_RESCAN {
                rescanned = Instant::now();
                self.sink.directory(Path::new(""), Mark::Deep);
            }
        }
    }

    fn read_available(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut reader = Reader::new(&self.inotify, buffer);
        while reading.ended.is_none() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.event(reading, &event, name);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn event(&self, reading: &mut Reading, event: &inotify::Event<'_>, name: Option<&OsStr>) {
        let (watch, flags) = (event.wd(), event.events());
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            reading.ended = Some(Ended::Overflow);
            return;
        }
        let mut tree = self.tree();
        let Some(dir) = tree.by_watch(watch) else { return };
        let Some(name) = name else {
            if dir == tree.root() {
                if flags
                    .intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED)
                {
                    reading.ended = Some(Ended::RootLost);
                } else if flags.contains(ReadFlags::ATTRIB) {
                    self.sink.mark(Path::new(""), Mark::Path);
                }
            } else if flags.contains(ReadFlags::IGNORED) {
                tree.forget_watch(watch);
            }
            return;
        };
        let Some(path) = tree.path(dir).map(|dir| dir.join(name)) else { return };
        let is_dir = flags.contains(ReadFlags::ISDIR);
        let excluded = self.excludes.excludes_entry(&path, is_dir);
        let mut mark = Mark::Path;
        if is_dir && flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            if let Some(node) = tree.child(dir, name) {
                reading.left.push_back((Instant::now(), tree.remove(node)));
            }
            if flags.contains(ReadFlags::MOVED_FROM) && !excluded {
                reading.send(Task::Look(dir, name.to_owned()));
            }
        } else if is_dir && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) && !excluded {
            mark = Mark::Deep;
            // A move may replace an empty directory, of which nothing else is reported.
            if flags.contains(ReadFlags::MOVED_TO)
                && let Some(node) = tree.child(dir, name)
            {
                reading.left.push_back((Instant::now(), tree.remove(node)));
            }
            // The crawler may have found it before.
            if let Some(node) = tree.child_or_new(dir, name).filter(|node| !tree.is_watched(*node)) {
                reading.send(Task::Crawl(node));
            }
        }
        drop(tree);
        if flags.contains(ReadFlags::MOVED_FROM) {
            reading.leaves(event.cookie(), (!excluded).then(|| path.clone()));
        }
        if flags.contains(ReadFlags::MOVED_TO) {
            let from = reading.arrives(event.cookie());
            if !excluded {
                self.sink.moved(from.as_deref(), &path);
                if is_dir {
                    self.sink.arrived(&path);
                }
            }
        }
        match (excluded, is_dir) {
            (true, _) => {}
            (false, true) => self.sink.directory(&path, mark),
            (false, false) => {
                if flags.intersects(ReadFlags::MODIFY | ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    self.sink.content(&path);
                }
                self.sink.mark(&path, mark);
            }
        }
    }

    fn mount_changed(&self, reading: &Reading, path: PathBuf, mounts: &Mounts) {
        let shown = text::path(&self.source.path.join(&path));
        if mounts.has(&path) {
            info!("source `{}`: a file system was mounted at {shown}", self.source.name);
        } else if self.source.one_file_system {
            info!("source `{}`: a file system was unmounted from {shown}", self.source.name);
        } else {
            // That it is empty now does not mean that anything was deleted.
            warn!("source `{}`: a file system was unmounted from {shown}; its mirror stays", self.source.name);
            return;
        }
        reading.send(Task::Mount(path));
    }

    fn unwatch_what_left(reading: &mut Reading) {
        while reading.left.front().is_some_and(|(since, _)| since.elapsed() >= MOVE_GRACE) {
            if let Some((_, watches)) = reading.left.pop_front() {
                reading.send(Task::Unwatch(watches));
            }
        }
    }

    fn crawler(&self, queue: Receiver<Task>, again: bool) {
        for task in queue {
            match task {
                Task::Crawl(top) => self.crawl(top),
                Task::Look(dir, name) => self.look(dir, &name),
                Task::Mount(path) => self.look_at_mount(&path),
                Task::Unwatch(watches) => {
                    for watch in watches {
                        self.unwatch(watch);
                    }
                }
            }
            if !self.stop.requested.load(Ordering::Relaxed) && !self.live.swap(true, Ordering::Relaxed) {
                let directories = text::count(self.tree().watched(), "directory");
                info!("source `{}`: watching {directories} by inotify", self.source.name);
                self.sink.watching(Some(self.root));
                if again {
                    self.sink.directory(Path::new(""), Mark::Deep);
                }
                self.complete.store(true, Ordering::Release);
            }
        }
    }

    fn unwatch(&self, watch: i32) {
        if self.tree().by_watch(watch).is_none() {
            // The kernel may have dropped it already.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    fn look(&self, dir: NodeId, name: &OsStr) {
        let path = self.tree().path(dir);
        let Some(path) = path else { return };
        let meta = fs::symlink_metadata(self.source.path.join(path).join(name));
        if meta.is_ok_and(|meta| meta.is_dir()) {
            let node = self.tree().child_or_new(dir, name);
            if let Some(node) = node {
                self.crawl(node);
            }
        }
    }

    /// What stands at the path now is another directory than before.
    fn look_at_mount(&self, path: &Path) {
        let node = {
            let mut tree = self.tree();
            let root = tree.root();
            path.iter().try_fold(root, |node, name| tree.child_or_new(node, name))
        };
        if let Some(node) = node {
            self.crawl(node);
        }
    }

    /// Watches a directory and all below it, each before it is read, and then marks all of it as dirty. The first crawl
    /// need not mark anything: everything is compared after it.
    fn crawl(&self, top: NodeId) {
        let mut stack = vec![top];
        while let Some(node) = stack.pop() {
            if self.stop.requested.load(Ordering::Relaxed) && !self.live.load(Ordering::Relaxed) {
                return;
            }
            let path = self.tree().path(node);
            let Some(path) = path else { continue };
            let full = self.source.path.join(&path);
            let dir = match Self::open_dir(&full, path.as_os_str().is_empty()) {
                Ok(dir) => dir,
                // It has left; there is an event that says so.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(e) => {
                    self.not_watched(&full, e);
                    continue;
                }
            };
            // What is mounted there is not mirrored.
            if rustix::fs::fstat(&dir).is_ok_and(|stat| self.reach.is_elsewhere(stat.st_dev)) {
                continue;
            }
            match self.add_watch(&dir, path.as_os_str().is_empty()) {
                Ok(watch) => {
                    if !self.tree().set_watch(node, watch) {
                        // It left in the meantime; where it arrives, it is watched anew.
                        self.unwatch(watch);
                        continue;
                    }
                }
                Err(e) => self.not_watched(&full, e),
            }
            for name in self.directories_in(&dir, &full, &path) {
                // It is not mirrored either.
                if self.reach.is_too_long(&path.join(&name)) {
                    continue;
                }
                stack.extend(self.tree().child_or_new(node, &name));
            }
        }
        let path = self.tree().path(top);
        if let Some(path) = path.filter(|_| self.live.load(Ordering::Relaxed)) {
            // What came and went in it before it was watched, was not reported.
            self.sink.directory(&path, Mark::Deep);
        }
    }

    /// Opens a directory, so that what is watched and what is read are the same, whatever happens to its path.
    fn open_dir(path: &Path, is_root: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The root may be given as a symbolic link; nothing below is followed.
        if !is_root {
            flags |= OFlags::NOFOLLOW;
        }
        rustix::fs::open(path, flags, FsMode::empty())
    }

    fn add_watch(&self, dir: &OwnedFd, is_root: bool) -> Result<i32, Errno> {
        let mut flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        if is_root {
            flags |= WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        }
        // With the closing "/." the link of procfs is followed to the open directory itself.
        inotify::add_watch(&self.inotify, format!("/proc/self/fd/{}/.", dir.as_raw_fd()), flags)
    }

    fn not_watched(&self, path: &Path, e: Errno) {
        if matches!(e, Errno::NOSPC | Errno::NOMEM) {
            if !self.degraded.swap(true, Ordering::Relaxed) {
                error!(
                    "source `{}`: the kernel gives no more than {} inotify watches; what is not watched is compared every \
                     {} minutes. Raise the limit: sysctl fs.inotify.max_user_watches=1048576",
                    self.source.name,
                    self.tree().watched(),
                    DEGRADED_RESCAN.as_secs() / 60
                );
            }
        } else {
            warn!("source `{}`: {} is not watched: {e}", self.source.name, text::path(path));
        }
    }

    /// The names of the directories in an open directory that are not excluded.
    fn directories_in(&self, dir: &OwnedFd, full: &Path, path: &Path) -> Vec<OsString> {
        let mut names = Vec::new();
        let entries = match Dir::read_from(dir) {
            Ok(entries) => entries,
            Err(e) => {
                warn!("source `{}`: {} cannot be read: {e}", self.source.name, text::path(full));
                return names;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    warn!("source `{}`: {} cannot be read to its end: {e}", self.source.name, text::path(full));
                    break;
                }
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_dir = match entry.file_type() {
                FileType::Directory => true,
                // Some file systems do not tell.
                FileType::Unknown => fs::symlink_metadata(full.join(name)).is_ok_and(|meta| meta.is_dir()),
                _ => false,
            };
            if is_dir && name != "." && name != ".." && !self.excludes.excludes_entry(&path.join(name), true) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn tree(&self) -> MutexGuard<'_, DirTree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
