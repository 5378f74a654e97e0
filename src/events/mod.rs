//! Event sources: they turn what the kernel reports into "this path is dirty", and nothing more.
//!
//! Each source has a thread that reads events and does no file-system work, so that the kernel's queue is emptied as
//! fast as it fills, and one that looks at directories. Both end when the source is stopped.

pub mod inotify;
mod mounts;
pub mod tree;

use std::path::Path;

use crate::dirty::Mark;
use crate::state::record::Moment;

/// Device and inode number of a directory. They tell one directory from another while a process lives, not longer.
pub type Identity = (u64, u64);

/// Where an event source delivers to. No method may block.
pub trait Sink: Send + Sync {
    /// Something happened at a path, relative to the source root.
    fn mark(&self, path: &Path, mark: Mark);

    /// A directory came to this path, left it or changed there, whatever is there now; or nothing more is known than that
    /// one may have. What is reported of the same path after that is about something else.
    fn directory(&self, path: &Path, mark: Mark);

    /// Everything that happened before this moment was reported, but for what is inside directories that are new.
    fn reported_until(&self, moment: Moment);

    /// From now on every change below this root directory is reported; or, with `None`, the root is gone for now.
    fn watching(&self, root: Option<Identity>);
}
