//! The inotify event source: one watch per directory.
//!
//! A reader thread decodes events and keeps the tree of directories; a crawler thread puts watches on new directories.
//! Events for a watch that the tree does not know (yet) are dropped on purpose: the crawler registers a watch *before*
//! it reads the directory, and afterwards marks everything below as dirty.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::tree::{DirTree, NodeId};
use super::{Identity, Sink};
use crate::config::settings::Source;
use crate::dirty::Mark;
use crate::guard::{self, EmptySource};
use crate::report::text;
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
    wake: OwnedFd,
}

impl Inotify {
    /// Starts watching. The sink hears when every directory has its watch.
    ///
    /// # Errors
    /// When threads or descriptors cannot be had.
    pub fn start(source: Arc<Source>, excludes: Excludes, sink: Arc<dyn Sink>) -> io::Result<Inotify> {
        let stop = Arc::new(Stop {
            requested: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let supervisor = thread::Builder::new().name(format!("events {}", source.name)).spawn({
            let stop = Arc::clone(&stop);
            move || supervise(&source, &excludes, sink.as_ref(), &stop)
        })?;
        Ok(Inotify { stop, supervisor })
    }

    /// Delivers what has happened up to now, and ends.
    pub fn stop(&self) {
        self.stop.requested.store(true, Ordering::Relaxed);
        // The descriptor is ours, and the counter cannot be full.
        let _ = rustix::io::write(&self.stop.wake, &1_u64.to_ne_bytes());
    }

    /// Whether everything has been delivered after [`Inotify::stop`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.supervisor.is_finished()
    }
}

/// How long a moved directory may be without its new name before it counts as moved out of the tree. The kernel queues
/// both halves of a move one after the other, but a read may end between them.
const MOVE_GRACE: Duration = Duration::from_secs(2);
/// How often the root is compared with the one that is watched, and a missing root looked for.
const ROOT_CHECK: Duration = Duration::from_secs(10);
const ROOT_RETRY: Duration = Duration::from_secs(1);
/// How often everything is compared when there are not enough watches for all directories.
const DEGRADED_RESCAN: Duration = Duration::from_secs(600);
/// How often two nodes may take one watch from each other before the second is given up as another name of the same
/// directory (a bind mount).
const MOST_CLAIMS: u32 = 3;
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
    while !stop.requested.load(Ordering::Relaxed) {
        match Session::open(source, excludes, sink, stop).and_then(|session| session.run(again)) {
            Ok(Ended::Stopped) => return,
            Ok(Ended::Overflow) => warn!(
                "source `{name}`: changes came faster than they were read, so everything is compared once; if this is \
                 usual, raise the limit: sysctl fs.inotify.max_queued_events=1000000"
            ),
            Ok(Ended::RootLost) => {
                sink.watching(None);
                warn!("source `{name}` ({}): the directory is gone or replaced; waiting for it", source.path.display());
                if !wait_for_root(source, stop) {
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

/// Waits until the root may be mirrored; false when the source was stopped before.
fn wait_for_root(source: &Source, stop: &Stop) -> bool {
    loop {
        if stop.requested.load(Ordering::Relaxed) {
            return false;
        }
        if guard::check_source(source, EmptySource::Refused).is_ok() {
            return true;
        }
        pause(stop, ROOT_RETRY);
    }
}

fn pause(stop: &Stop, time: Duration) {
    let _ = wait(&[stop.wake.as_fd()], time);
}

/// Waits until one of the descriptors can be read.
fn wait(descriptors: &[std::os::fd::BorrowedFd<'_>], time: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let time =
        Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    match poll(&mut polled, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
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
    /// Drop watches of directories that left the tree.
    Unwatch(Vec<i32>),
}

/// One inotify instance with its tree.
struct Session<'a> {
    source: &'a Source,
    excludes: &'a Excludes,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    inotify: OwnedFd,
    root: Identity,
    tree: Mutex<DirTree>,
    /// Every directory has been seen once.
    live: AtomicBool,
    /// Some directories have no watch.
    degraded: AtomicBool,
}

/// What only the reader knows.
struct Reading {
    tasks: Sender<Task>,
    /// Directories that were moved from somewhere and not (yet) to somewhere, by cookie.
    moved: HashMap<u32, (NodeId, Instant)>,
    ended: Option<Ended>,
}

impl<'a> Session<'a> {
    fn open(source: &'a Source, excludes: &'a Excludes, sink: &'a dyn Sink, stop: &'a Stop) -> io::Result<Self> {
        Ok(Session {
            source,
            excludes,
            sink,
            stop,
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            root: identity(&source.path)?,
            tree: Mutex::default(),
            live: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
        })
    }

    /// Reads events until there is a reason to end. `again`: events were missed before, so everything is dirty.
    fn run(&self, again: bool) -> io::Result<Ended> {
        let (tasks, queue) = mpsc::channel();
        let root = self.tree().root();
        // The receiver is alive: it is used below.
        let _ = tasks.send(Task::Crawl(root));
        let mut reading = Reading { tasks, moved: HashMap::new(), ended: None };
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
                self.read_available(&mut Reading { tasks, moved: HashMap::new(), ended: None }, &mut buffer)?;
            }
            read.map(|()| ended.unwrap_or(Ended::Stopped))
        })
    }

    fn read(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut root_checked = Instant::now();
        let mut rescanned = Instant::now();
        loop {
            let time = if reading.moved.is_empty() { ROOT_CHECK } else { MOVE_GRACE };
            wait(&[self.inotify.as_fd(), self.stop.wake.as_fd()], time)?;
            let stopping = self.stop.requested.load(Ordering::Relaxed);
            self.read_available(reading, buffer)?;
            if reading.ended.is_some() {
                return Ok(());
            }
            if stopping {
                reading.ended = Some(Ended::Stopped);
                return Ok(());
            }
            self.expire_moves(reading);
            if root_checked.elapsed() >= ROOT_CHECK {
                root_checked = Instant::now();
                if identity(&self.source.path).ok() != Some(self.root) {
                    reading.ended = Some(Ended::RootLost);
                    return Ok(());
                }
            }
            if self.degraded.load(Ordering::Relaxed) && rescanned.elapsed() >= DEGRADED_RESCAN {
                rescanned = Instant::now();
                self.sink.mark(Path::new(""), Mark::Deep);
            }
        }
    }

    fn read_available(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut reader = Reader::new(&self.inotify, buffer);
        while reading.ended.is_none() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.event(reading, event.wd(), event.events(), event.cookie(), name);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn event(&self, reading: &mut Reading, watch: i32, flags: ReadFlags, cookie: u32, name: Option<&OsStr>) {
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
        // In a directory that was moved away and has no new name (yet): it is dirty as a whole when it gets one.
        let path = tree.path(dir).map(|dir| dir.join(name));
        if !flags.contains(ReadFlags::ISDIR) {
            drop(tree);
            if let Some(path) = path
                && !self.excludes.excludes_entry(&path, false)
            {
                self.sink.mark(&path, Mark::Path);
            }
            return;
        }
        let included = path.as_ref().is_none_or(|path| !self.excludes.excludes_entry(path, true));
        let mut mark = Mark::Path;
        let mut tasks = Vec::new();
        if flags.contains(ReadFlags::DELETE) {
            tree.child(dir, name).map(|node| tree.remove(node));
        } else if flags.contains(ReadFlags::MOVED_FROM) {
            if let Some(node) = tree.child(dir, name) {
                tree.detach(node);
                reading.moved.insert(cookie, (node, Instant::now()));
            }
        } else if flags.contains(ReadFlags::MOVED_TO) && included {
            mark = Mark::Deep;
            tasks = self.moved_to(&mut tree, reading, dir, cookie, name);
        } else if flags.contains(ReadFlags::CREATE) && included {
            mark = Mark::Deep;
            if let Some(node) = tree.child_or_new(dir, name).filter(|node| !tree.is_watched(*node)) {
                tasks.push(Task::Crawl(node));
            }
        }
        drop(tree);
        if let Some(path) = path
            && included
        {
            self.sink.mark(&path, mark);
        }
        for task in tasks {
            // The crawler lives longer than the reader.
            let _ = reading.tasks.send(task);
        }
    }

    fn moved_to(&self, tree: &mut DirTree, reading: &mut Reading, dir: NodeId, cookie: u32, name: &OsStr) -> Vec<Task> {
        let Some((node, _)) = reading.moved.remove(&cookie) else {
            return tree.child_or_new(dir, name).map(Task::Crawl).into_iter().collect();
        };
        let displaced = tree.child(dir, name).is_some();
        tree.attach(node, dir, name);
        let mut tasks = Vec::new();
        if displaced {
            // It replaced a directory, or the two changed places, which is reported as two moves: the only way to know
            // which directory is where is to look.
            tasks.push(Task::Crawl(dir));
        } else if !self.excludes.is_empty() {
            // Under its new name, other directories below it may be excluded.
            tasks.push(Task::Crawl(node));
        }
        tasks
    }

    /// Forgets directories that were moved out of the tree; their watches would report changes under the old names.
    fn expire_moves(&self, reading: &mut Reading) {
        let Reading { tasks, moved, .. } = reading;
        moved.retain(|_, (node, since)| {
            if since.elapsed() < MOVE_GRACE {
                return true;
            }
            let _ = tasks.send(Task::Unwatch(self.tree().remove(*node)));
            false
        });
    }

    fn crawler(&self, queue: Receiver<Task>, again: bool) {
        let mut claims = HashMap::new();
        for task in queue {
            match task {
                Task::Crawl(top) => {
                    self.crawl(top, &mut claims);
                    if self.live.swap(true, Ordering::Relaxed) {
                        let path = self.tree().path(top);
                        if let Some(path) = path {
                            self.sink.mark(&path, Mark::Deep);
                        }
                    } else if !self.stop.requested.load(Ordering::Relaxed) {
                        info!(
                            "source `{}`: watching {} directories by inotify",
                            self.source.name,
                            self.tree().watched()
                        );
                        self.sink.watching(Some(self.root));
                        if again {
                            self.sink.mark(Path::new(""), Mark::Deep);
                        }
                    }
                }
                Task::Unwatch(watches) => {
                    for watch in watches {
                        // The kernel may have dropped it already.
                        let _ = inotify::remove_watch(&self.inotify, watch);
                    }
                }
            }
        }
    }

    /// Watches a directory and all below it, each before it is read.
    fn crawl(&self, top: NodeId, claims: &mut HashMap<NodeId, u32>) {
        let mut stack = vec![top];
        while let Some(node) = stack.pop() {
            if self.stop.requested.load(Ordering::Relaxed) && !self.live.load(Ordering::Relaxed) {
                return;
            }
            let Some(path) = self.tree().path(node) else { continue };
            let full = self.source.path.join(&path);
            match self.add_watch(&full, path.as_os_str().is_empty()) {
                Ok(watch) => {
                    if let Some(loser) = self.tree().set_watch(node, watch) {
                        let count = claims.entry(loser).or_insert(0);
                        *count += 1;
                        if *count <= MOST_CLAIMS {
                            stack.push(loser);
                        }
                    }
                }
                // It was moved or removed; if it was moved, this is its old path.
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    if self.tree().path(node).is_some_and(|now| now != path) {
                        stack.push(node);
                    }
                    continue;
                }
                Err(e) => {
                    self.not_watched(&full, e);
                    if e == Errno::ACCESS {
                        continue;
                    }
                }
            }
            for name in self.directories_in(&full, &path) {
                stack.extend(self.tree().child_or_new(node, &name));
            }
        }
    }

    fn add_watch(&self, path: &Path, is_root: bool) -> Result<i32, Errno> {
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
        inotify::add_watch(&self.inotify, path, flags)
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

    /// The names of the directories in a directory that are not excluded.
    fn directories_in(&self, full: &Path, path: &Path) -> Vec<OsString> {
        let entries = match fs::read_dir(full) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Vec::new(),
            Err(e) => {
                warn!("source `{}`: {} cannot be read: {e}", self.source.name, text::path(full));
                return Vec::new();
            }
        };
        let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let names = entries.filter_map(Result::ok).filter(is_dir).map(|entry| entry.file_name());
        names.filter(|name| self.excludes.is_empty() || !self.excludes.excludes_entry(&path.join(name), true)).collect()
    }

    fn tree(&self) -> MutexGuard<'_, DirTree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
