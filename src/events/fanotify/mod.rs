//! The fanotify event source: one mark for each file system, whatever the number of directories.
//!
//! The kernel reports what happens anywhere on the file system: in the directory with this handle, to this name. The reader
//! only collects that. Another thread asks the kernel where these directories are *now*, and drops what is not in the
//! source. That loses nothing, whatever has moved in between:
//! - A directory that cannot be found any more was removed, which was reported of the directory above it; for the topmost
//!   one that was removed, this is one that still exists.
//! - A directory that has left the source did so by a move, which was reported of the directory that it left.
//! - A directory that has another path by now came to it by a move, or one above it did. That was reported as well, and
//!   makes all that is below dirty.

mod finder;
mod handle;
mod inbox;
mod marks;
mod pending;
mod places;
mod records;
mod renames;
mod sys;
mod unnamed;
mod what;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use log::info;
use rustix::event::PollFlags;
use rustix::io::Errno;

use self::finder::Finder;
use self::inbox::Inbox;
use self::marks::Marks;
use self::records::{Record, records};
use super::mounts::{self, Mounts};
use super::session::{CannotOpen, Ended, Found, Horizon, Missed, PAUSE, ROOT_CHECK, Scene, Session, wait};
use super::{Identity, recovery};
use crate::moment::Moment;

/// Large enough for a few thousand events.
const READ_BUFFER: usize = 256 * 1024;

/// A group with its marks.
pub(super) struct Fanotify<'a> {
    scene: Scene<'a>,
    /// Why it is fanotify.
    why: String,
    root: Identity,
    /// Everything that happened after this moment is reported.
    opened: Moment,
    /// Woken by mounts, and by unmounts.
    table: File,
    finder: Finder<'a>,
    horizon: Horizon,
}

/// Marks the file systems of a source. From then on nothing is missed. `why` it is fanotify is said when it is read.
///
/// # Errors
/// When that cannot be done.
pub(super) fn open(scene: Scene<'_>, why: String) -> Result<Fanotify<'_>, CannotOpen> {
    let opened = Moment::now();
    // First, so that whatever is mounted after it was looked at wakes us.
    let table = mounts::table()?;
    let mounts = Mounts::below(&scene.source.path)?;
    let marks = Marks::place(scene, &mounts)?;
    let root = marks.root().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let finder = Finder::new(scene, marks, mounts);
    Ok(Fanotify { scene, why, root, opened, table, finder, horizon: Horizon::default() })
}

impl Session for Fanotify<'_> {
    fn run(&mut self, missed: &Missed) -> io::Result<Ended> {
        let Fanotify { scene, why, root, opened, table, finder, horizon } = self;
        let (scene, group) = (*scene, finder.marks.group().try_clone_to_owned()?);
        if *missed == Missed::Nothing {
            horizon.reached(opened.clone());
        }
        let name = &scene.source.name;
        info!("source `{name}`: watching by fanotify: {why}");
        scene.sink.watching(Some(*root));
        let (inbox, complete) = (Inbox::default(), AtomicBool::new(*missed == Missed::Nothing));
        thread::scope(|scope| {
            let (inbox, complete, horizon) = (&inbox, &complete, &*horizon);
            if !complete.load(Ordering::Relaxed) {
                thread::Builder::new().name(format!("recovery {name}")).spawn_scoped(scope, move || {
                    recovery::recover(&scene, missed);
                    complete.store(true, Ordering::Release);
                })?;
            }
            // The last thread that may be missing: this one waits for its end.
            thread::Builder::new()
                .name(format!("finder {name}"))
                .spawn_scoped(scope, move || finder.run(inbox, horizon))?;
            let read = Reader { scene, group: group.as_fd(), table, inbox, complete }.read();
            inbox.add(|batch| batch.last = true);
            inbox.hand_over_now();
            read
        })?;
        Ok(inbox.ended().unwrap_or(Ended::Stopped))
    }

    fn reported(&self) -> Option<Moment> {
        self.horizon.moment()
    }
}

/// Empties the kernel's queue, and does nothing that could make it wait.
struct Reader<'a> {
    scene: Scene<'a>,
    group: std::os::fd::BorrowedFd<'a>,
    table: &'a File,
    inbox: &'a Inbox,
    /// Nothing that was missed before is still to be reported.
    complete: &'a AtomicBool,
}

impl Reader<'_> {
    fn read(&self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BUFFER];
        let mut root_checked = Instant::now();
        loop {
            let waker = &self.scene.stop.waker;
            let descriptors =
                [(self.group, PollFlags::IN), (waker.as_fd(), PollFlags::IN), (self.table.as_fd(), PollFlags::PRI)];
            let mounted = wait(&descriptors, ROOT_CHECK)?;
            // In this order: who asks for the end does so first, and wakes after that.
            let woken = waker.reset();
            let stopping = self.scene.stop.is_requested();
            let now = Instant::now();
            let moment = self.complete.load(Ordering::Acquire).then(Moment::now);
            let found = self.read_available(&mut buffer)?;
            let root = root_checked.elapsed() >= ROOT_CHECK;
            if root {
                root_checked = now;
            }
            self.inbox.add(|batch| {
                batch.reached = Some((now, moment));
                batch.mounts |= mounted;
                batch.root |= root;
            });
            if woken || mounted {
                self.inbox.hand_over_now();
            } else {
                self.inbox.hand_over();
            }
            if stopping || self.inbox.ended().is_some() {
                return Ok(());
            }
            if found == Found::Events {
                thread::sleep(PAUSE);
            }
        }
    }

    fn read_available(&self, buffer: &mut [u8]) -> io::Result<Found> {
        let mut found = Found::Nothing;
        loop {
            match rustix::io::read(self.group, &mut *buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(found),
                Ok(length) => self.inbox.add(|batch| {
                    found = Found::Events;
                    for record in records(buffer.get(..length).unwrap_or_default()) {
                        match record {
                            Record::Change(change) => batch.pending.add(&change),
                            Record::Rename(from, to) => batch.pending.rename(&from, &to),
                            Record::Lost => batch.pending.lose(),
                        }
                    }
                }),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}
