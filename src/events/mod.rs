//! Event sources: they turn what the kernel reports into "this path is dirty", and nothing more.
//!
//! There are two interfaces of the kernel for that, fanotify and inotify, behind one trait (`session.rs`). Each source has a
//! thread that reads events and does no file-system work, so that the kernel's queue is emptied as fast as it fills, and one
//! that looks at directories. Both end when the source is stopped.

mod fanotify;
mod inotify;
mod interfaces;
mod limits;
mod mounts;
mod recovery;
mod session;
pub mod source;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

use crate::dirty::Mark;
use crate::moment::Moment;
use crate::root::Identity;

pub use interfaces::{best_first, obstacle};

/// Where an event source delivers to. No method may block.
pub trait Sink: Send + Sync {
    /// Something happened at a path, relative to the source root.
    fn mark(&self, path: &Path, mark: Mark);

    /// Something that is no directory was written here, or put here: its content may be another one. It is marked after that.
    fn content(&self, path: &Path);

    /// A directory came to this path, left it or changed there, whatever is there now; or nothing more is known than that
    /// one may have. What is reported of the same path after that is about something else.
    fn directory(&self, path: &Path, mark: Mark);

    /// What was at `from` is at `to` now, with all that is in it; without `from` it came from outside, or from what is left
    /// out. Both are marked as well.
    fn moved(&self, from: Option<&Path>, to: &Path);

    /// A directory came to this path, with things in it that nothing else is reported of. It is marked after that.
    fn arrived(&self, directory: &Path, how: Arrival);

    /// Everything that happened before this moment was reported, but for what is inside directories that are new.
    fn reported_until(&self, moment: Moment);

    /// Everything that happened before this instant was reported, with the same exception and that of directories for
    /// which there was no watch to be had.
    fn delivered(&self, before: Instant);

    /// Why changes in some directories are found late, as long as that is so.
    fn degraded(&self, why: Option<&str>);

    /// The kernel's queue was too short: something that happened was not reported, and is looked for.
    fn overflowed(&self);

    /// So many directories have an inotify watch.
    fn watches(&self, number: usize);

    /// From now on every change below this root directory is reported; or, with `None`, the root is gone for now.
    fn watching(&self, root: Option<Identity>);
}

/// How a directory came to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// It was made, and what was put into it before it was watched is not reported.
    Made,
    /// By a rename, with all that is in it.
    Renamed,
}

/// Makes the reader of an event source report what has happened up to now.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    fn new() -> io::Result<Waker> {
        Ok(Waker(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes it. It says so by [`Sink::delivered`], unless its source is gone for now.
    pub fn wake(&self) {
        // The descriptor is ours. Should its counter be full, it is readable all the same.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Sleeps on from now on, until it is woken again; tells whether it was.
    fn reset(&self) -> bool {
        rustix::io::read(&self.0, &mut [0; 8]).is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
