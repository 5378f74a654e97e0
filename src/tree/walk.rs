//! The parallel walk: every directory of a source with the number of its entries. Nothing is kept of single files, so
//! that the memory needed depends on the number of directories only.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::Scope;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::exclude::Excludes;
use super::too_long;

/// A directory of the source.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The index of the directory above; the root is its own.
    pub parent: u32,
    /// Its name; empty for the root.
    pub name: Box<OsStr>,
    /// How many entries it has, of whatever type, excluded ones left out.
    pub entries: u32,
}

/// All directories of a source. Each comes after the one above it; the first is the root.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// The directories.
    pub directories: Vec<Directory>,
    /// Directories that could not be read, or not to their end.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Census {
    /// The path of a directory, relative to the root.
    #[must_use]
    pub fn path(&self, index: u32) -> PathBuf {
        let mut names = Vec::new();
        let mut index = index as usize;
        while index != 0 {
            names.push(&*self.directories[index].name);
            index = self.directories[index].parent as usize;
        }
        names.iter().rev().collect()
    }

    /// Entries of all directories, the root itself not counted.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.directories.iter().map(|directory| u64::from(directory.entries)).sum()
    }
}

/// Why a directory with a long path is not looked at.
const TOO_LONG: &str = "its path is too long for rsync and the history";

/// Entries are read in portions of this size, in bytes.
const BUFFER: usize = 32 * 1024;

/// Walks the tree below `root` on all cores. Excluded directories are not entered, symbolic links not followed.
///
/// # Errors
/// When the root cannot be read. What cannot be read below it is noted in the census.
pub fn census(root: &Path, excludes: &Excludes) -> io::Result<Census> {
    let walk = Walk { root, excludes, census: Mutex::default() };
    walk.lock().directories.push(Directory { parent: 0, name: OsString::new().into(), entries: 0 });
    let top = open(root, OFlags::empty())?;
    drop(top);
    rayon::scope(|scope| walk.directory(scope, 0, Path::new("")));
    Ok(walk.census.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Walk<'a> {
    root: &'a Path,
    excludes: &'a Excludes,
    census: Mutex<Census>,
}

impl<'a> Walk<'a> {
    fn directory<'scope>(&'scope self, scope: &Scope<'scope>, index: u32, path: &Path)
    where
        'a: 'scope,
    {
        let mut entries = 0;
        let mut names = Vec::new();
        let read = self.read(path, &mut entries, &mut names);
        let first = {
            let mut census = self.lock();
            census.directories[index as usize].entries = entries;
            match read {
                // In the second case it was removed in the meantime.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => census.unreadable.push((path.to_owned(), e.to_string())),
            }
            let first = u32::try_from(census.directories.len()).unwrap_or(u32::MAX);
            let new = names.iter().map(|name| Directory { parent: index, name: name.as_os_str().into(), entries: 0 });
            census.directories.extend(new);
            first
        };
        for (child, name) in (first..).zip(names) {
            let path = path.join(name);
            if too_long(&path) {
                self.lock().unreadable.push((path, TOO_LONG.to_owned()));
                continue;
            }
            scope.spawn(move |scope| self.directory(scope, child, &path));
        }
    }

    /// Counts the entries of a directory and collects the names of the directories among them.
    fn read(&self, path: &Path, entries: &mut u32, names: &mut Vec<OsString>) -> Result<(), Errno> {
        let no_follow = if path.as_os_str().is_empty() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let dir = open(&self.root.join(path), no_follow)?;
        let mut buffer = vec![MaybeUninit::<u8>::uninit(); BUFFER];
        let mut reader = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = reader.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let is_dir = match entry.file_type() {
                FileType::Directory => true,
                // Some file systems do not tell.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
                }
                _ => false,
            };
            if !self.excludes.is_empty() && self.excludes.excludes_entry(&path.join(name), is_dir) {
                continue;
            }
            *entries += 1;
            if is_dir {
                names.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path, more: OFlags) -> Result<rustix::fd::OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_directory_is_counted_once_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["a/b/c", "empty", "left out/deep", "\n"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        for file in ["f", "a/f", "a/b/f", "a/b/c/f", "a/b/c/g", "left out/f", "a/x.tmp"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        symlink("a", root.path().join("link")).unwrap();
        let excludes = Excludes::new(&["/left out/", "*.tmp"]).unwrap();
        let census = census(root.path(), &excludes).unwrap();
        let found: BTreeMap<PathBuf, u32> = (0..u32::try_from(census.directories.len()).unwrap())
            .map(|index| (census.path(index), census.directories[index as usize].entries))
            .collect();
        let expected = [("", 5), ("a", 2), ("a/b", 2), ("a/b/c", 2), ("empty", 0), ("\n", 0)];
        assert_eq!(found, expected.map(|(path, entries)| (PathBuf::from(path), entries)).into());
        assert_eq!(census.entries(), 11);
        assert!(census.unreadable.is_empty());
    }

    #[test]
    fn a_root_that_cannot_be_read_is_an_error() {
        assert!(census(Path::new("/nonexistent"), &Excludes::default()).is_err());
    }
}
