//! Where directories are, given their handles. Nothing is held open in between, so that file systems can be unmounted.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::super::Identity;
use super::handle::Handle;
use super::sys;

/// Places are remembered for so many directories.
const MOST: usize = 65_536;

/// No file is in the making for longer than about twice this.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A directory through which a file system is seen in the source: the root, or the place of a mount.
#[derive(Debug)]
pub(super) struct View {
    /// Relative to the root.
    pub(super) below: PathBuf,
    /// The number of the file system.
    pub(super) file_system: [u8; 8],
    /// Which directory it is.
    pub(super) identity: Identity,
    /// The same, open.
    dir: OwnedFd,
    /// Its path now, whatever links lead to it.
    at: PathBuf,
}

impl View {
    /// Opens a directory: the root itself, which may be given as a symbolic link, or something below it, which may not.
    pub(super) fn open(root: &Path, below: &Path) -> io::Result<View> {
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let is_root = below.as_os_str().is_empty();
        if !is_root {
            flags |= OFlags::NOFOLLOW;
        }
        let path = if is_root { root.to_owned() } else { root.join(below) };
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&dir)?;
        Ok(View {
            below: below.to_owned(),
            file_system: sys::file_system(dir.as_fd())?,
            identity: (stat.st_dev, stat.st_ino),
            at: place_of(dir.as_fd())?,
            dir,
        })
    }

    /// The directory, open.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Whether it is still at the path where it was when it was opened.
    pub(super) fn stayed(&self) -> bool {
        place_of(self.dir()).is_ok_and(|at| at == self.at)
    }

    /// The path, relative to the root, of a directory that can be seen here.
    fn locate(&self, handle: Handle<'_>) -> Result<Option<PathBuf>, Errno> {
        let place = self.open_handle(handle).and_then(|dir| {
            let place = place_of(dir.as_fd())?;
            // What was removed while somebody has it open is no longer where its path says.
            let ends_so = place.as_os_str().as_bytes().ends_with(b" (deleted)");
            if ends_so && rustix::fs::fstat(&dir)?.st_nlink == 0 { Err(Errno::STALE) } else { Ok(place) }
        });
        match place {
            Ok(place) => Ok(place.strip_prefix(&self.at).ok().map(|path| self.below.join(path))),
            // It was removed, for which there is an event of the directory above; or its path is longer than anything that
            // is mirrored.
            Err(Errno::STALE | Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// While a new file is being made under the number of a directory that was removed, the kernel says that it has no memory.
    fn open_handle(&self, handle: Handle<'_>) -> Result<OwnedFd, Errno> {
        let mut pause = Duration::from_millis(1);
        loop {
            match sys::open_by_handle(self.dir(), handle.kind(), handle.opaque()) {
                Err(Errno::NOMEM) if pause < LONGEST_PAUSE => thread::sleep(pause),
                result => return result,
            }
            pause *= 2;
        }
    }

    /// Whether handles can be followed here.
    pub(super) fn check(&self) -> Result<(), Errno> {
        let (kind, bytes) = sys::handle_of(self.dir())?;
        let found = sys::open_by_handle(self.dir(), kind, &bytes).and_then(|dir| place_of(dir.as_fd()))?;
        if found == self.at { Ok(()) } else { Err(Errno::STALE) }
    }
}

/// Where an open directory is.
fn place_of(dir: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let place = rustix::fs::readlink(link, Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(place.as_bytes())))
}

/// Finds the places of directories, and remembers them as long as no directory moves.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Box<[u8]>, Vec<PathBuf>>);

impl Places {
    /// Directories may be elsewhere now.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The paths of a directory in the source that are `wanted`: none when it is outside or gone, several when one file
    /// system is seen at several places.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(super) fn find(
        &mut self,
        views: &[View],
        handle: Handle<'_>,
        wanted: impl Fn(&Path) -> bool,
    ) -> Result<&[PathBuf], Errno> {
        // There is no way to look it up and to insert it else without a copy of the key.
        if !self.0.contains_key(handle.as_bytes()) {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            let mut paths = Vec::new();
            for view in views.iter().filter(|view| view.file_system == handle.file_system()) {
                paths.extend(view.locate(handle)?.filter(|path| wanted(path)));
            }
            self.0.insert(handle.as_bytes().into(), paths);
        }
        Ok(self.0.get(handle.as_bytes()).map_or(&[], Vec::as_slice))
    }
}
