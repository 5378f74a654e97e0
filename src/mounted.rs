//! What is mounted at a directory, and held so that it stays there while it is mirrored.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxAttributes, StatxFlags};
use rustix::io::{self, Errno};

use crate::exclude::{Excludes, Is};
use crate::mountinfo;

/// What is said of a directory where something was mounted before.
pub const NOT_MOUNTED: &str = "is left as it is: something was mounted there before, and nothing is now; is it mounted? if it \
                               is meant: full-sync --force-delete";

/// Whether something is mounted at this very directory; nothing when that cannot be told, as before Linux 5.8.
#[must_use]
pub fn is_mounted(dir: &Path) -> Option<bool> {
    told(&rustix::fs::statx(CWD, dir, AtFlags::empty(), StatxFlags::empty()))
}

/// The places below a root, relative to it, where something is mounted that is not left out, as the kernel has it: nothing of them
/// is looked at.
///
/// # Errors
/// When the kernel's table or the root cannot be read.
pub fn below(root: &Path, excludes: &Excludes) -> std::io::Result<BTreeSet<PathBuf>> {
    let places = mountinfo::below(&fs::read(mountinfo::TABLE)?, &root.canonicalize()?).into_keys();
    Ok(places.filter(|place| !excludes.excludes_within(place, Is::Directory)).collect())
}

/// A file system that is mounted at a directory. As long as this lives it cannot be unmounted in the ordinary way.
#[derive(Debug)]
pub struct Mounted {
    _dir: OwnedFd,
}

impl Mounted {
    /// Holds what is mounted at a directory; nothing when nothing is, or it cannot be reached.
    #[must_use]
    pub fn hold(dir: &Path) -> Option<Mounted> {
        // It is not read, so nobody has to be allowed to.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::open(dir, flags, Mode::empty()).ok()?;
        // It may have been unmounted just before it was opened.
        let is_mounted = told(&rustix::fs::statx(&held, "", AtFlags::EMPTY_PATH, StatxFlags::empty()));
        (is_mounted != Some(false)).then_some(Mounted { _dir: held })
    }
}

fn told(stat: &io::Result<Statx>) -> Option<bool> {
    let flag = StatxAttributes::MOUNT_ROOT;
    match stat {
        Ok(stat) => stat.stx_attributes_mask.contains(flag).then(|| stat.stx_attributes.contains(flag)),
        Err(Errno::NOENT | Errno::NOTDIR) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_told_from_other_directories() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, below) = (Path::new("/proc"), dir.path().join("below"));
        assert!(is_mounted(proc) == Some(true) && Mounted::hold(proc).is_some());
        for other in [dir.path(), &below] {
            assert!(is_mounted(other) == Some(false) && Mounted::hold(other).is_none());
        }
    }
}
