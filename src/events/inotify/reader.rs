//! The reader of an inotify instance: it empties the kernel's queue, keeps the tree of directories in step with what is
//! reported, and does nothing that could make it wait.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::inotify::{Event, ReadFlags, Reader};
use rustix::io::Errno;

use super::super::mounts::Mounts;
use super::super::session::{Ended, ROOT_CHECK, identity, wait};
use super::crawler::Task;
use super::renames::{Leaving, Origins};
use super::tree::{DirTree, NodeId};
use super::{Inotify, locked};
use crate::dirty::Mark;
use crate::state::record::Moment;

/// After this time a directory that left its place without arriving elsewhere was moved out of the tree, and its watches
/// are dropped. Until then they are kept: the kernel gives the same ones again when it arrives.
const MOVE_GRACE: Duration = Duration::from_secs(2);
/// Large enough for a few thousand events.
pub(super) const READ_BUFFER: usize = 256 * 1024;

/// What only the reader knows.
pub(super) struct Reading<'a> {
    tasks: Sender<Task>,
    to_crawl: &'a AtomicUsize,
    /// The tree is known to be as the events that were read tell: see [`renames`](super::renames).
    settled: bool,
    /// The crawler was asked to do something since events were last looked for.
    asked: bool,
    /// Watches of directories that left their place, with the time.
    left: VecDeque<(Instant, Vec<i32>)>,
    origins: Origins,
    /// A directory that left its place by the last event.
    leaving: Option<Leaving>,
    pub(super) ended: Option<Ended>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(tasks: Sender<Task>, to_crawl: &'a AtomicUsize) -> Self {
        Reading {
            tasks,
            to_crawl,
            settled: false,
            asked: false,
            left: VecDeque::new(),
            origins: Origins::default(),
            leaving: None,
            ended: None,
        }
    }

    pub(super) fn send(&mut self, task: Task) {
        (self.settled, self.asked) = (false, true);
        self.to_crawl.fetch_add(1, Ordering::Relaxed);
        // The crawler lives longer than the reader.
        let _ = self.tasks.send(task);
    }

    /// Takes out of the tree what is not in its place any more.
    fn leaves(&mut self, tree: &mut DirTree, node: NodeId) {
        self.left.push_back((Instant::now(), tree.remove(node)));
    }

    /// A directory has left its place, and did not arrive elsewhere by the next event.
    fn has_left(&mut self, tree: &mut DirTree, leaving: Leaving) {
        self.leaves(tree, leaving.node);
        self.send(Task::Look(leaving.dir, leaving.name));
    }

    fn unwatch_what_left(&mut self) {
        while self.left.front().is_some_and(|(since, _)| since.elapsed() >= MOVE_GRACE) {
            if let Some((_, watches)) = self.left.pop_front() {
                self.send(Task::Unwatch(watches));
            }
        }
    }
}

impl Inotify<'_> {
    pub(super) fn read(&self, reading: &mut Reading<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut root_checked = Instant::now();
        let mut mounts = Mounts::below(&self.scene.source.path)?;
        loop {
            let time = if reading.left.is_empty() { ROOT_CHECK } else { MOVE_GRACE };
            let (events, wake) = (self.instance.as_fd(), self.scene.stop.waker.as_fd());
            let table = (mounts.as_fd(), PollFlags::PRI);
            let mounted = wait(&[(events, PollFlags::IN), (wake, PollFlags::IN), table], time)?;
            // In this order: who asks for the end does so first, and wakes after that.
            self.scene.stop.waker.reset();
            let stopping = self.scene.stop.is_requested();
            let now = Instant::now();
            let moment = match self.complete.load(Ordering::Acquire) {
                false => None,
                true if self.is_degraded() => locked(&self.scanned).take(),
                true => Some(Moment::now()),
            };
            let is_quiet = self.to_crawl.load(Ordering::Acquire) == 0 && !self.is_degraded();
            reading.asked = false;
            self.read_available(reading, buffer)?;
            if reading.ended.is_some() {
                return Ok(());
            }
            reading.settled |= is_quiet && !reading.asked;
            self.scene.sink.delivered(now);
            if let Some(moment) = moment {
                self.horizon.reached(moment.clone());
                self.scene.sink.reported_until(moment);
            }
            if stopping {
                reading.ended = Some(Ended::Stopped);
                return Ok(());
            }
            reading.unwatch_what_left();
            for path in if mounted { mounts.changes()? } else { Vec::new() } {
                if mounts.matters(self.scene.source, &path) {
                    reading.send(Task::Mount(path));
                }
            }
            if mounted || root_checked.elapsed() >= ROOT_CHECK {
                root_checked = Instant::now();
                if identity(&self.scene.source.path).ok() != Some(self.root) {
                    reading.ended = Some(Ended::RootLost);
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn read_available(&self, reading: &mut Reading<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut reader = Reader::new(&self.instance, buffer);
        while reading.ended.is_none() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.event(reading, &event, name);
                }
                Err(Errno::AGAIN) => {
                    if let Some(leaving) = reading.leaving.take() {
                        reading.has_left(&mut self.tree(), leaving);
                    }
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn event(&self, reading: &mut Reading<'_>, event: &Event<'_>, name: Option<&OsStr>) {
        let (watch, flags) = (event.wd(), event.events());
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            reading.ended = Some(Ended::Overflow);
            return;
        }
        let mut tree = self.tree();
        let leaving = reading.leaving.take();
        let relocated = leaving.is_some_and(|leaving| {
            let arrives = self.relocate(&mut tree, &leaving, event, name);
            if !arrives {
                reading.has_left(&mut tree, leaving);
            }
            arrives
        });
        let Some(dir) = tree.by_watch(watch) else { return };
        let Some(name) = name else {
            if dir == tree.root() {
                if flags
                    .intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED)
                {
                    reading.ended = Some(Ended::RootLost);
                } else if flags.contains(ReadFlags::ATTRIB) {
                    self.scene.sink.mark(Path::new(""), Mark::Path);
                }
            } else if flags.contains(ReadFlags::IGNORED) {
                tree.forget_watch(watch);
            }
            return;
        };
        let Some(path) = tree.path(dir).map(|dir| dir.join(name)) else { return };
        let is_dir = flags.contains(ReadFlags::ISDIR);
        let excluded = self.scene.excludes.excludes_entry(&path, is_dir);
        let mut mark = Mark::Path;
        if is_dir && flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            let node = tree.child(dir, name);
            let is_move = flags.contains(ReadFlags::MOVED_FROM) && !excluded;
            match node {
                Some(node) if is_move && reading.settled => {
                    reading.leaving = Some(Leaving { number: event.cookie(), node, dir, name: name.to_owned() });
                }
                _ => {
                    if let Some(node) = node {
                        reading.leaves(&mut tree, node);
                    }
                    if is_move {
                        reading.send(Task::Look(dir, name.to_owned()));
                    }
                }
            }
        } else if is_dir && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) && !excluded {
            mark = Mark::Deep;
            // A move may replace an empty directory, of which nothing else is reported.
            if flags.contains(ReadFlags::MOVED_TO)
                && !relocated
                && let Some(node) = tree.child(dir, name)
            {
                reading.leaves(&mut tree, node);
            }
            // The crawler may have found it before.
            if let Some(node) = tree.child_or_new(dir, name).filter(|node| !tree.is_watched(*node)) {
                reading.send(Task::Crawl(node));
            }
        }
        drop(tree);
        if flags.contains(ReadFlags::MOVED_FROM) {
            reading.origins.leaves(event.cookie(), (!excluded).then(|| path.clone()));
        }
        if flags.contains(ReadFlags::MOVED_TO) {
            let from = reading.origins.arrives(event.cookie());
            if !excluded {
                self.scene.sink.moved(from.as_deref(), &path);
                if is_dir {
                    self.scene.sink.arrived(&path);
                }
            }
        }
        match (excluded, is_dir) {
            (true, _) => {}
            (false, true) => self.scene.sink.directory(&path, mark),
            (false, false) => {
                if flags.intersects(ReadFlags::MODIFY | ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    self.scene.sink.content(&path);
                }
                self.scene.sink.mark(&path, mark);
            }
        }
    }
}
