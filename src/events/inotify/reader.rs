//! The reader of an inotify instance: it empties the kernel's queue, keeps the tree of directories in step with what is
//! reported, and does nothing that could make it wait.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::inotify::{Event, ReadFlags, Reader};
use rustix::io::Errno;

use super::super::mounts::Mounts;
use super::super::session::{Ended, ROOT_CHECK, identity, wait};
use super::crawler::Task;
use super::{Inotify, locked};
use crate::dirty::Mark;
use crate::state::record::Moment;

/// After this time a directory that left its place without arriving elsewhere was moved out of the tree, and its watches
/// are dropped. Until then they are kept: the kernel gives the same ones again when it arrives.
const MOVE_GRACE: Duration = Duration::from_secs(2);
/// Large enough for a few thousand events.
pub(super) const READ_BUFFER: usize = 256 * 1024;

/// What only the reader knows.
pub(super) struct Reading {
    tasks: Sender<Task>,
    /// Watches of directories that left their place, with the time.
    left: VecDeque<(Instant, Vec<i32>)>,
    /// What left its place last, by the number that the kernel gives to a rename; nothing when it was left out.
    renamed: VecDeque<(u32, Option<PathBuf>)>,
    pub(super) ended: Option<Ended>,
}

/// So many renames may begin before one of them ends. The two halves of one come one after the other, but for what others
/// put in between.
const RENAMES_AT_ONCE: usize = 64;

impl Reading {
    pub(super) fn new(tasks: Sender<Task>) -> Self {
        Reading { tasks, left: VecDeque::new(), renamed: VecDeque::new(), ended: None }
    }

    pub(super) fn send(&self, task: Task) {
        // The crawler lives longer than the reader.
        let _ = self.tasks.send(task);
    }

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

    fn unwatch_what_left(&mut self) {
        while self.left.front().is_some_and(|(since, _)| since.elapsed() >= MOVE_GRACE) {
            if let Some((_, watches)) = self.left.pop_front() {
                self.send(Task::Unwatch(watches));
            }
        }
    }
}

impl Inotify<'_> {
    pub(super) fn read(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
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
            self.read_available(reading, buffer)?;
            if reading.ended.is_some() {
                return Ok(());
            }
            self.scene.sink.watches(self.tree().watched());
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

    pub(super) fn read_available(&self, reading: &mut Reading, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut reader = Reader::new(&self.instance, buffer);
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

    fn event(&self, reading: &mut Reading, event: &Event<'_>, name: Option<&OsStr>) {
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
