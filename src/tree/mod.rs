//! The source tree: what of it is left out, how big it is, and how a pass over it is divided.

pub mod exclude;
pub mod partition;
pub mod walk;

use std::path::Path;

/// The longest path of a directory, relative to the source root, that is mirrored, in bytes. rsync cannot handle paths of
/// 4096 bytes (`PATH_MAX`), and when a path only gets that long below the history's directory, its receiver gives up
/// everything: `backup filename too long`, exit 11. This leaves room for a file's name and the place of the history.
pub const LONGEST_DIRECTORY: usize = 3500;

/// Whether a directory's path is too long to be mirrored.
#[must_use]
pub fn too_long(path: &Path) -> bool {
    path.as_os_str().len() > LONGEST_DIRECTORY
}
