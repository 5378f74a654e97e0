//! What the event sources have in common: a session is one opened interface of the kernel, used until there is a reason to
//! begin anew; what was missed in between is told to the next one.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Sink, Waker};
use crate::config::settings::Source;
use crate::exclude::Excludes;
use crate::moment::Moment;
use crate::mutex::lock;
use crate::root::Identity;
use crate::tree::Reach;

/// How often the root is compared with the one that is watched.
pub(super) const ROOT_CHECK: Duration = Duration::from_secs(10);

/// After something was read, more is let come together for so long: what happens at once is read at once, and the reader
/// does not wake for each of the thousands of events of a burst. The kernel's queue holds what comes in such a time many times
/// over.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// What reading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Events,
}

/// One way to hear of changes from the kernel.
pub(super) trait Session {
    /// Reports changes until there is a reason to end. What was `missed` before is found out once nothing is missed any
    /// more.
    ///
    /// # Errors
    /// When the kernel does not do what it is asked.
    fn run(&mut self, missed: &Missed) -> io::Result<Ended>;

    /// Everything that happened before this moment was reported; nothing when it was never that far.
    fn reported(&self) -> Option<Moment>;
}

/// Why an interface cannot be opened for a source.
#[derive(Debug)]
pub(super) enum CannotOpen {
    /// It cannot be done here, for this reason.
    Unable(String),
    /// Something went wrong.
    Failed(io::Error),
}

impl From<io::Error> for CannotOpen {
    fn from(e: io::Error) -> Self {
        CannotOpen::Failed(e)
    }
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was to.
    Stopped,
    /// Something that happened was not reported.
    Overflow,
    /// The root was removed, renamed, unmounted or replaced.
    RootLost,
    /// It cannot go on, for a reason that was said: there may be another way.
    Unable,
}

/// What was not reported before a session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missed {
    /// Nothing that anybody relies on.
    Nothing,
    /// What changed from this moment on.
    Since(Moment),
    /// Nobody knows.
    Everything,
}

/// What a session works with.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) source: &'a Source,
    pub(super) excludes: &'a Excludes,
    pub(super) reach: Reach<'a>,
    pub(super) sink: &'a dyn Sink,
    pub(super) stop: &'a Stop,
}

/// Asks a source to end.
#[derive(Debug)]
pub(super) struct Stop {
    requested: AtomicBool,
    pub(super) waker: Waker,
}

impl Stop {
    pub(super) fn new() -> io::Result<Stop> {
        Ok(Stop { requested: AtomicBool::new(false), waker: Waker::new()? })
    }

    /// Asks for the end, then wakes whoever waits: who is woken has to look in this order too.
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Waits for that time, or until woken.
    pub(super) fn pause(&self, time: Duration) {
        let _ = wait(&[(self.waker.as_fd(), PollFlags::IN)], time);
        self.waker.reset();
    }
}

/// How far a session has reported what happened.
#[derive(Debug, Default)]
pub(super) struct Horizon(Mutex<Option<Moment>>);

impl Horizon {
    /// Everything that happened before this moment was reported.
    pub(super) fn reached(&self, moment: Moment) {
        *lock(&self.0) = Some(moment);
    }

    pub(super) fn moment(&self) -> Option<Moment> {
        lock(&self.0).clone()
    }
}

/// Waits until there is news on one of the descriptors; tells whether it is on the last one.
pub(super) fn wait(descriptors: &[(BorrowedFd<'_>, PollFlags)], time: Duration) -> io::Result<bool> {
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

/// Which directory stands at a path.
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    let meta = fs::metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}
