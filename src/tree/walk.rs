//! The parallel walk over a source, which follows no link and enters nothing that is not mirrored.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rayon::Scope;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, openat2};
use rustix::io::Errno;

use super::Reach;
use super::census::{Census, Directory};
use crate::exclude::Is;
use crate::mutex::{into_inner, lock};

/// An entry of a directory that is being walked. What is excluded is never seen.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The open directory.
    pub dir: BorrowedFd<'a>,
    /// The directory's path, relative to the root.
    pub path: &'a Path,
    /// The entry's name.
    pub name: &'a CStr,
    /// What it is.
    pub kind: FileType,
    /// Its inode number, as the directory has it.
    pub inode: u64,
}

impl Entry<'_> {
    /// The entry's path, relative to the root.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.path.join(OsStr::from_bytes(self.name.to_bytes()))
    }
}

/// Looks at an entry, on whatever thread finds it, and tells how many bytes it counts for.
pub type Visit<'a> = dyn Fn(&Entry<'_>) -> u64 + Sync + 'a;

/// Counts the size of files, and nothing for what cannot be looked at.
#[must_use]
pub fn size(entry: &Entry<'_>) -> u64 {
    let stat = (entry.kind == FileType::RegularFile)
        .then(|| rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW).ok())
        .flatten();
    stat.and_then(|stat| u64::try_from(stat.st_size).ok()).unwrap_or_default()
}

/// Why a directory with a long path is not looked at.
const TOO_LONG: &str = "its path is too long for rsync and the history";

/// Entries are read in portions of this size, in bytes.
const BUFFER: usize = 32 * 1024;

/// Walks the tree on all cores. What is out of reach is not entered, symbolic links are not followed.
///
/// # Errors
/// When the root cannot be read. What cannot be read below it is noted in the census.
pub fn census(reach: Reach<'_>, visit: &Visit<'_>) -> io::Result<Census> {
    census_below(reach, &[PathBuf::new()], visit)
}

/// The same, at and below these directories only, which come first and do not lie in one another. Their paths are their
/// names.
///
/// # Errors
/// When the root cannot be read.
pub fn census_below(reach: Reach<'_>, below: &[PathBuf], visit: &Visit<'_>) -> io::Result<Census> {
    let root = rustix::fs::openat(CWD, reach.root, DIRECTORY, Mode::empty())?;
    let device = rustix::fs::fstat(&root)?.st_dev;
    let walk = Walk { reach, root, visit, census: Mutex::default() };
    walk.lock().directories.extend(below.iter().map(|path| Directory::new(0, path.as_os_str())));
    rayon::scope(|scope| {
        for (index, path) in (0..).zip(below) {
            walk.directory(scope, index, path, device);
        }
    });
    let mut census = into_inner(walk.census);
    if reach.stays_on_one_device() {
        census.forget_mounts();
    }
    Ok(census)
}

struct Walk<'a> {
    reach: Reach<'a>,
    root: OwnedFd,
    visit: &'a Visit<'a>,
    census: Mutex<Census>,
}

impl<'a> Walk<'a> {
    fn directory<'scope>(&'scope self, scope: &Scope<'scope>, index: u32, path: &Path, above: u64)
    where
        'a: 'scope,
    {
        let mut found = Found { device: above, ..Found::default() };
        let read = self.read(path, &mut found);
        let first = {
            let mut census = self.lock();
            let directory = &mut census.directories[index as usize];
            (directory.entries, directory.bytes) = (found.entries, found.bytes);
            if found.device != above {
                census.mounts.push(index);
            }
            match read {
                // In the second case it was removed in the meantime.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => census.unreadable.push((path.to_owned(), e.to_string())),
            }
            let first = u32::try_from(census.directories.len()).unwrap_or(u32::MAX);
            census.directories.extend(found.names.iter().map(|name| Directory::new(index, name)));
            first
        };
        for (child, name) in (first..).zip(found.names) {
            let path = path.join(name);
            if self.reach.is_too_long(&path) {
                self.lock().unreadable.push((path, TOO_LONG.to_owned()));
                continue;
            }
            scope.spawn(move |scope| self.directory(scope, child, &path, found.device));
        }
    }

    /// Reads a directory, unless it is out of reach.
    fn read(&self, path: &Path, found: &mut Found) -> Result<(), Errno> {
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let dir = open_below(&self.root, name)?;
        found.device = rustix::fs::fstat(&dir)?.st_dev;
        if self.reach.is_elsewhere(found.device) {
            return Ok(());
        }
        let mut buffer = vec![MaybeUninit::<u8>::uninit(); BUFFER];
        let mut reader = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = reader.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not tell.
                FileType::Unknown => rustix::fs::statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            let is_dir = kind == FileType::Directory;
            let excludes = self.reach.excludes;
            if !excludes.is_empty() && excludes.excludes_entry(&path.join(name), Is::directory_if(is_dir)) {
                continue;
            }
            found.entries += 1;
            let (name_in_dir, inode) = (entry.file_name(), entry.ino());
            found.bytes += (self.visit)(&Entry { dir: dir.as_fd(), path, name: name_in_dir, kind, inode });
            if is_dir {
                found.names.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Census> {
        lock(&self.census)
    }
}

/// What one directory holds.
#[derive(Default)]
struct Found {
    device: u64,
    entries: u32,
    bytes: u64,
    /// Of the directories in it.
    names: Vec<OsString>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory of the tree, and follows no link on the way, also when one has just taken the place of a directory.
fn open_below(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    match openat2(root, path, DIRECTORY, Mode::empty(), resolve) {
        // Kernels before 5.6, and filters of system calls that do not know it: there only the last name is no link.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(root, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()),
        // A link in the place of a directory is no directory.
        Err(Errno::LOOP) => Err(Errno::NOTDIR),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;

    use crate::exclude::Excludes;

    fn reach<'a>(root: &'a Path, excludes: &'a Excludes) -> Reach<'a> {
        Reach { root, excludes, longest_directory: 3000, device: None }
    }

    #[test]
    fn every_directory_is_counted_once_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["a/b/c", "empty", "left out/deep", "\n"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        for (file, text) in [
            ("f", ""),
            ("a/f", "12"),
            ("a/b/f", "34"),
            ("a/b/c/f", "5"),
            ("a/b/c/g", "6"),
            ("left out/f", "7"),
            ("a/x.tmp", "8"),
        ] {
            fs::write(root.path().join(file), text).unwrap();
        }
        symlink("a", root.path().join("link")).unwrap();
        let excludes = Excludes::new(&["/left out/", "*.tmp"]).unwrap();
        let census = census(reach(root.path(), &excludes), &size).unwrap();
        let found: BTreeMap<PathBuf, u32> = (0..u32::try_from(census.directories.len()).unwrap())
            .map(|index| (census.path(index), census.directories[index as usize].entries))
            .collect();
        let expected = [("", 5), ("a", 2), ("a/b", 2), ("a/b/c", 2), ("empty", 0), ("\n", 0)];
        assert_eq!(found, expected.map(|(path, entries)| (PathBuf::from(path), entries)).into());
        assert_eq!((census.entries(), census.bytes()), (11, 6));
        assert!(census.unreadable.is_empty());
    }

    #[test]
    fn a_root_that_cannot_be_read_is_an_error() {
        assert!(census(reach(Path::new("/nonexistent"), &Excludes::default()), &|_| 0).is_err());
    }
}
