//! The root of a source, held open while it is worked on: whatever is mounted, unmounted or put in its place in the
//! meantime, what is looked at and what rsync reads is one and the same directory.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags};

/// Device and inode number of a directory. They tell one directory from another while a process lives, not longer.
pub type Identity = (u64, u64);

/// An open root.
#[derive(Debug)]
pub struct Root {
    /// Keeps the directory, also when it is unmounted or removed.
    _dir: OwnedFd,
    identity: Identity,
    /// Where it can be reached as long as this is held.
    path: PathBuf,
    /// Where it was opened.
    named: PathBuf,
}

impl Root {
    /// Opens the directory at `named`.
    ///
    /// # Errors
    /// When it cannot be read or entered.
    pub fn open(named: &Path) -> io::Result<Root> {
        let dir = rustix::fs::open(named, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // With the process's own number, the link means the same to a child that has not begun its program yet.
        let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), dir.as_raw_fd()));
        rustix::fs::accessat(CWD, &path, Access::READ_OK | Access::EXEC_OK, rustix::fs::AtFlags::empty())?;
        let meta = fs::metadata(&path)?;
        Ok(Root { _dir: dir, identity: (meta.dev(), meta.ino()), path, named: named.to_owned() })
    }

    /// A path to it that nothing can be put in the place of.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it is still what is found where it was opened.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        fs::metadata(&self.named).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_whatever_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("root")).unwrap();
        fs::write(at("root/f"), "").unwrap();
        let root = Root::open(&at("root")).unwrap();
        assert!(root.is_in_place() && root.path().join("f").exists());
        fs::rename(at("root"), at("elsewhere")).unwrap();
        assert!(!root.is_in_place());
        fs::create_dir(at("root")).unwrap();
        assert!(!root.is_in_place() && root.path().join("f").exists());
    }
}
