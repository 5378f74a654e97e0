//! Directories that are held open while something is written into them, so that nobody can put a link in their place.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory, with a path to it that nothing can be put in the place of.
#[derive(Debug)]
pub(super) struct Pinned {
    /// Keeps the path.
    dir: OwnedFd,
    path: PathBuf,
}

impl Pinned {
    /// Opens a directory, and nothing that a link leads to.
    pub(super) fn open(path: &Path) -> io::Result<Pinned> {
        let dir = openat(CWD, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Pinned { path: self::path(dir.as_fd()), dir })
    }

    /// The same for a directory that was just made, and that only this user can get at.
    pub(super) fn private(path: &Path) -> io::Result<Pinned> {
        let pinned = Pinned::open(path)?;
        let stat = fstat(&pinned.dir)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(io::Error::other("somebody has put another directory in the place of ours"));
        }
        Ok(pinned)
    }

    /// The path, which is good as long as this is held.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A path to an open directory. With the process's own number it means the same to a child.
pub(super) fn path(dir: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), dir.as_raw_fd()))
}

/// Opens a directory, wherever links lead.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, DIRECTORY, Mode::empty())?)
}

/// Opens a directory below another one, and makes what is missing. No link is followed on the way.
pub(super) fn below(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let mut dir = directory(root)?;
    for component in path.components() {
        let Component::Normal(name) = component else { return Err(Errno::INVAL.into()) };
        let open = || openat(&dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) => match mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(e) => Err(e),
            },
            opened => opened,
        };
        dir = opened?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root/a")).unwrap();
        fs::create_dir(at("outside")).unwrap();
        symlink(at("outside"), at("root/a/link")).unwrap();
        assert!(below(&at("root"), Path::new("a/b/c")).is_ok() && at("root/a/b/c").is_dir());
        assert!(below(&at("root"), Path::new("a/link/c")).is_err());
        assert!(below(&at("root"), Path::new("a/../../outside")).is_err());
        assert!(Pinned::open(&at("root/a/link")).is_err());
        assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_others_can_get_at_is_not_ours() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        assert!(Pinned::private(dir.path()).is_ok());
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Pinned::private(dir.path()).is_err());
    }
}
