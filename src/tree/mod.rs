//! The source tree: what of it is mirrored, how big it is, and how a pass over it is divided.

pub mod census;
pub mod changed;
pub mod file_system;
pub mod known;
pub mod partition;
pub mod shard;
pub mod walk;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::bucket::LONGEST_PLACE;
use crate::config::settings::Source;
use crate::exclude::Excludes;
use crate::mirror::{Endpoint, Mirror};

/// The longest path that rsync can handle, in bytes: `PATH_MAX` without the closing NUL.
const LONGEST_PATH: usize = 4095;
/// The longest name of a file, with the slash before it.
const LONGEST_NAME: usize = 256;
/// What is left for the place of a daemon's module on its host, which nobody tells us.
const MODULE_ROOT: usize = 256;

/// How far a mirror reaches into its source: where that starts, what is left out, and where it ends.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// The root of the source.
    pub root: &'a Path,
    /// What is left out.
    pub excludes: &'a Excludes,
    /// The longest path of a directory, relative to the root, that is mirrored, in bytes. When a path gets too long for
    /// rsync only below the history's directory, its receiver gives up everything: `backup filename too long`, exit 11.
    pub longest_directory: usize,
    /// The only file system that is entered; all of them when there is none.
    device: Option<u64>,
}

impl<'a> Reach<'a> {
    /// What a source has to offer, wherever it goes.
    #[must_use]
    pub fn of_source(source: &'a Source, excludes: &'a Excludes) -> Self {
        let device = source.one_file_system.then(|| fs::metadata(&source.path).ok().map(|meta| meta.dev())).flatten();
        let room = LONGEST_PATH - LONGEST_NAME;
        let longest_directory = room.saturating_sub(source.path.as_os_str().len() + 1);
        Reach { root: &source.path, excludes, longest_directory, device }
    }

    /// What one mirror takes of it. `excludes` may leave out more than the source's own.
    #[must_use]
    pub fn of(mirror: &'a Mirror, excludes: &'a Excludes) -> Self {
        let reach = Reach::of_source(&mirror.source, excludes);
        let place = match &mirror.endpoint {
            Endpoint::Daemon { .. } => MODULE_ROOT,
            Endpoint::Directory(root) => root.as_os_str().len(),
        };
        let room = LONGEST_PATH - LONGEST_NAME;
        let in_history = room.saturating_sub(place + LONGEST_PLACE + mirror.source.name.len());
        Reach { longest_directory: reach.longest_directory.min(in_history), ..reach }
    }

    /// The same reach, from the root as it can be reached under another path.
    #[must_use]
    pub fn at(self, root: &'a Path) -> Self {
        let device = self.device.and_then(|_| fs::metadata(root).ok()).map(|meta| meta.dev());
        Reach { root, device, ..self }
    }

    /// Whether a directory's path, relative to the root, is too long to be mirrored.
    #[must_use]
    pub fn is_too_long(&self, path: &Path) -> bool {
        path.as_os_str().len() > self.longest_directory
    }

    /// Whether other file systems that are mounted below the root are not entered.
    #[must_use]
    pub fn stays_on_one_device(&self) -> bool {
        self.device.is_some()
    }

    /// Whether a directory on this device is the place of another file system, which is mirrored without its content.
    #[must_use]
    pub fn is_elsewhere(&self, device: u64) -> bool {
        self.device.is_some_and(|own| own != device)
    }
}
