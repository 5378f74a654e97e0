//! The reader of an inotify instance: it empties the kernel's queue, and does nothing that could make it wait. What is made of
//! each event is in `event.rs`.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::inotify::Reader;
use rustix::io::Errno;

use super::super::mounts::Mounts;
use super::super::session::{Ended, Found, PAUSE, ROOT_CHECK, identity, wait};
use super::renames::{Leaving, Origins};
use super::task::Task;
use super::tree::{DirTree, NodeId};
use super::{Inotify, locked};
use crate::moment::Moment;

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
    pub(super) settled: bool,
    /// The crawler was asked to do something since events were last looked for.
    asked: bool,
    /// Watches of directories that left their place, with the time.
    left: VecDeque<(Instant, Vec<i32>)>,
    pub(super) origins: Origins,
    /// A directory that left its place by the last event.
    pub(super) leaving: Option<Leaving>,
    /// Where something is mounted, and from where of that something was unmounted since this was looked up.
    pub(super) mounts: BTreeSet<PathBuf>,
    pub(super) unmounted: BTreeSet<PathBuf>,
    /// A directory has another place since then.
    pub(super) moved: bool,
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
            mounts: BTreeSet::new(),
            unmounted: BTreeSet::new(),
            moved: false,
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
    pub(super) fn leaves(&mut self, tree: &mut DirTree, node: NodeId) {
        self.left.push_back((Instant::now(), tree.remove(node)));
    }

    /// A directory has left its place, and did not arrive elsewhere by the next event.
    pub(super) fn has_left(&mut self, tree: &mut DirTree, leaving: Leaving) {
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
        reading.mounts = mounts.all().map(Path::to_owned).collect();
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
            let found = self.read_available(reading, buffer)?;
            if reading.ended.is_some() {
                return Ok(());
            }
            reading.settled |= is_quiet && !reading.asked;
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
            let unmounted = mem::take(&mut reading.unmounted);
            // With a directory above it, what is mounted has another place, of which the table wakes nobody.
            let moved = mem::take(&mut reading.moved) && !reading.mounts.is_empty();
            let mounted = mounted || moved || !unmounted.is_empty();
            if mounted {
                // What took the place of something else at once may look the same in the table.
                let changes =
                    mounts.changes()?.into_iter().chain(unmounted.into_iter().filter(|path| mounts.has(path)));
                for path in changes.collect::<BTreeSet<PathBuf>>() {
                    let mark = mounts.told(self.scene.source, &path);
                    reading.send(Task::Mount(path, mark));
                }
                reading.mounts = mounts.all().map(Path::to_owned).collect();
            }
            if mounted || root_checked.elapsed() >= ROOT_CHECK {
                root_checked = Instant::now();
                if identity(&self.scene.source.path).ok() != Some(self.root) {
                    reading.ended = Some(Ended::RootLost);
                    return Ok(());
                }
            }
            if found == Found::Events {
                thread::sleep(PAUSE);
            }
        }
    }

    pub(super) fn read_available(
        &self,
        reading: &mut Reading<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> io::Result<Found> {
        let mut found = Found::Nothing;
        let mut reader = Reader::new(&self.instance, buffer);
        while reading.ended.is_none() {
            match reader.next() {
                Ok(event) => {
                    found = Found::Events;
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.event(reading, &event, name);
                }
                Err(Errno::AGAIN) => {
                    if let Some(leaving) = reading.leaving.take() {
                        reading.has_left(&mut self.tree(), leaving);
                    }
                    return Ok(found);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(found)
    }
}
