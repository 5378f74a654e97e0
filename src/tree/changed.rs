//! What changed in a source since a moment, found by looking at the source alone.
//!
//! Every change of a file or directory sets the time of its last status change (ctime), which nobody can set back but by
//! setting the clock back. What was deleted has changed its directory. What was moved here may hold anything: a directory
//! that was not known under this name is taken for new, with everything in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Reach;
use super::walk::{self, Census, Entry};
use crate::dirty::{DirtySet, Mark};
use crate::hash::scattered;

/// With more changes than this, directories are compared as a whole.
const MOST_SINGLE_CHANGES: usize = 200_000;

/// The directories that a source had, each as a number made of its path and its inode, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directories(Vec<u64>);

/// Places that directories came to or left since it was noted which there are. What is there now may be what was there then,
/// and not have been there in between: then the mirror does not have what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moved {
    /// These.
    These(BTreeSet<OsString>),
    /// Too many, or it is not known which.
    Anywhere,
}

impl Default for Moved {
    fn default() -> Self {
        Moved::These(BTreeSet::new())
    }
}

impl Moved {
    /// More are not noted one by one.
    const MOST: usize = 10_000;

    /// Adds places.
    pub fn add(&mut self, places: Moved) {
        match (&mut *self, places) {
            (Moved::These(all), Moved::These(places)) if all.len() + places.len() <= Self::MOST => all.extend(places),
            _ => *self = Moved::Anywhere,
        }
    }

    /// Whether a directory may not have been there all the time. `touched`: it was changed itself, and so was the one above.
    fn may_be_back(&self, path: impl FnOnce() -> PathBuf, touched: impl FnOnce() -> bool) -> bool {
        match self {
            Moved::These(places) if places.is_empty() => false,
            Moved::These(places) => path().ancestors().any(|above| places.contains(above.as_os_str())),
            Moved::Anywhere => touched(),
        }
    }
}

impl Directories {
    /// From what [`Directories::as_bytes`] made; nothing for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        (rest.is_empty() && numbers.is_sorted()).then_some(Directories(numbers))
    }

    /// For a file.
    #[must_use]
    pub fn as_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn contains(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }
}

/// Collects directories while they are being walked.
#[derive(Debug, Default)]
pub struct Collector(Mutex<Vec<u64>>);

impl Collector {
    /// Takes a directory that was found.
    pub fn add(&self, entry: &Entry<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number(entry));
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Directories {
        let mut numbers = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        numbers.sort_unstable();
        Directories(numbers)
    }
}

fn number(entry: &Entry<'_>) -> u64 {
    scattered(scattered(entry.inode, entry.path.as_os_str().as_bytes()), entry.name.to_bytes())
}

/// Whether the times of what is there come from this machine's clock, so that a moment of this clock can be compared with
/// them.
#[must_use]
pub fn can_tell(root: &Path) -> bool {
    /// NFS, SMB, CIFS, SMB2, FUSE, 9p, AFS, Ceph, Coda, Lustre (statfs(2), `linux/magic.h`).
    const REMOTE: [u64; 10] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0x7375_7245,
        0x0bd0_0bd0,
    ];
    super::file_system_kind(root).is_some_and(|kind| !REMOTE.contains(&kind))
}

/// What a scan found.
#[derive(Debug)]
pub struct Changes {
    /// The source as it is.
    pub census: Census,
    /// What has to be looked at again.
    pub dirty: DirtySet,
    /// The directories that there are.
    pub directories: Directories,
    /// Regular files among what changed, or in directories that are new here, whose modification time was set by somebody: it
    /// does not tell whether their content is what it was. Of very many, only some.
    pub suspects: Vec<PathBuf>,
}

/// More files with a time that somebody has set are not compared by content: all of them would have to be read on both sides.
const MOST_SUSPECTS: usize = 65_536;

/// A write sets both times to the same moment; whoever sets one of them sets the other to the present.
fn time_was_set(kind: FileType, stat: &Stat) -> bool {
    kind == FileType::RegularFile && (stat.st_mtime, stat.st_mtime_nsec) != (stat.st_ctime, stat.st_ctime_nsec)
}

/// Finds what changed at or after `since` (a ctime), given the directories that there were, and where some came or went since.
///
/// # Errors
/// When the root cannot be read.
pub fn scan(reach: Reach<'_>, since: (i64, i64), known: &Directories, moved: &Moved) -> io::Result<Changes> {
    let dirty = Mutex::new(DirtySet::new(MOST_SINGLE_CHANGES));
    let mark = |path: &Path, mark| dirty.lock().unwrap_or_else(PoisonError::into_inner).mark(path, mark);
    let collector = Collector::default();
    let (suspects, new) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let note = |list: &Mutex<Vec<PathBuf>>, path: PathBuf| {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MOST_SUSPECTS {
            list.push(path);
        }
    };
    let changed = |stat: &Stat| (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()) >= since;
    if changed(&rustix::fs::statat(CWD, reach.root, AtFlags::empty())?) {
        mark(Path::new(""), Mark::Shallow);
    }
    let census = walk::census(reach, &|entry| {
        let is_dir = entry.kind == FileType::Directory;
        if is_dir {
            collector.add(entry);
        }
        let path = || entry.path.join(std::ffi::OsStr::from_bytes(entry.name.to_bytes()));
        let stat = rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW);
        let touched = || {
            let above = rustix::fs::fstat(entry.dir);
            stat.as_ref().is_ok_and(&changed) && above.is_ok_and(|above| changed(&above))
        };
        let is_new = is_dir && (!known.contains(number(entry)) || moved.may_be_back(path, touched));
        match stat {
            _ if is_new => {
                mark(&path(), Mark::Deep);
                note(&new, path());
            }
            Ok(stat) if changed(&stat) => {
                mark(&path(), if is_dir { Mark::Shallow } else { Mark::Path });
                if time_was_set(entry.kind, &stat) {
                    note(&suspects, path());
                }
            }
            // It was removed in the meantime, if it is not another error, which comparing it will show.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(_) => mark(&path(), Mark::Path),
        }
        0
    })?;
    let [mut suspects, new] = [suspects, new].map(|list| list.into_inner().unwrap_or_else(PoisonError::into_inner));
    for dir in new {
        let meta = fs::symlink_metadata(reach.root.join(&dir));
        if meta.is_ok_and(|meta| reach.is_elsewhere(meta.dev())) {
            continue;
        }
        // Those in it are new as well, and come by themselves.
        for entry in fs::read_dir(reach.root.join(&dir)).into_iter().flatten().flatten() {
            let stat = rustix::fs::statat(CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW);
            let is_suspect = stat.is_ok_and(|stat| time_was_set(FileType::from_raw_mode(stat.st_mode), &stat));
            if is_suspect && suspects.len() < MOST_SUSPECTS {
                suspects.push(dir.join(entry.file_name()));
            }
        }
    }
    suspects.retain(|path| !reach.excludes.excludes_entry(path, false));
    suspects.sort();
    suspects.dedup();
    let dirty = dirty.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Changes { census, dirty, directories: collector.finish(), suspects })
}

/// Finds what changed at or after `since` (a ctime) at and below these directories, which do not lie in one another, when
/// it is not known which directories there were. Who moves a directory changes it and the one in which it arrives: where
/// both changed, it is taken for new, with everything in it.
///
/// # Errors
/// When one of the directories cannot be read.
pub fn scan_by_times(reach: Reach<'_>, since: (i64, i64), below: &[PathBuf]) -> io::Result<DirtySet> {
    let dirty = Mutex::new(DirtySet::new(MOST_SINGLE_CHANGES));
    let mark = |path: &Path, mark| dirty.lock().unwrap_or_else(PoisonError::into_inner).mark(path, mark);
    let changed = |stat: &Stat| (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()) >= since;
    for path in below {
        let follow = if path.as_os_str().is_empty() { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        match rustix::fs::statat(CWD, reach.root.join(path), follow) {
            Ok(stat) if changed(&stat) => mark(path, Mark::Shallow),
            // Of one that was removed the directory above knows.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    walk::census_below(reach, below, &|entry| {
        let is_dir = entry.kind == FileType::Directory;
        let path = || entry.path.join(std::ffi::OsStr::from_bytes(entry.name.to_bytes()));
        match rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if !changed(&stat) => {}
            Ok(_) if is_dir => {
                let stayed = rustix::fs::fstat(entry.dir).is_ok_and(|above| !changed(&above));
                mark(&path(), if stayed { Mark::Shallow } else { Mark::Deep });
            }
            Err(Errno::NOENT) => {}
            // What cannot be looked at is an error that comparing it will show.
            Ok(_) | Err(_) => mark(&path(), Mark::Path),
        }
        0
    })?;
    Ok(dirty.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::exclude::Excludes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn directories_read_back(mut numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            numbers.sort_unstable();
            let directories = Directories(numbers);
            prop_assert_eq!(Directories::from_bytes(&directories.as_bytes()), Some(directories));
        }
    }

    #[test]
    fn a_moved_directory_is_new_and_what_is_as_it_was_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("root/a/b")).unwrap();
        fs::create_dir_all(at("root/quiet/c")).unwrap();
        fs::create_dir_all(at("outside/with/content")).unwrap();
        for file in ["root/a/b/f", "root/quiet/f", "outside/with/f"] {
            fs::write(at(file), file).unwrap();
        }
        let excludes = Excludes::default();
        let (root, later) = (at("root"), (i64::MAX, 0));
        let reach = Reach { root: &root, excludes: &excludes, longest_directory: 3000, device: None };
        let before = scan(reach, later, &Directories::default(), &Moved::default()).unwrap();
        assert!(scan(reach, later, &before.directories, &Moved::default()).unwrap().dirty.is_empty());
        fs::rename(at("outside/with"), at("root/quiet/with")).unwrap();
        let after = scan(reach, later, &before.directories, &Moved::default()).unwrap();
        let quiet: Vec<_> = after.dirty.root().children().flat_map(|(_, node)| node.children()).collect();
        assert_eq!(quiet.len(), 1, "{:?}", after.dirty);
        assert_eq!((quiet[0].0.to_str(), quiet[0].1.mark()), (Some("with"), Some(Mark::Deep)));
        let everything = scan(reach, (0, 0), &after.directories, &Moved::default()).unwrap();
        assert_eq!(everything.dirty.root().mark(), Some(Mark::Shallow));
        assert_eq!(after.census.directories.len(), 7);
    }

    #[test]
    fn without_a_list_what_may_have_arrived_is_new_and_all_else_is_one_level() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["root/a/b/c", "root/quiet/q", "outside/in/deep"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("root/a/b/c/f"), "f").unwrap();
        let excludes = Excludes::default();
        let root = at("root");
        let reach = Reach { root: &root, excludes: &excludes, longest_directory: 3000, device: None };
        let whole = [PathBuf::new()];
        // Until the clock of files is past everything that was made above.
        let ctime =
            |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_ctime, stat.st_ctime_nsec.cast_signed())).unwrap();
        let since = loop {
            fs::write(at("clock"), "").unwrap();
            if ctime(&at("clock")) > ctime(&at("root/a/b/c/f")) {
                break ctime(&at("clock"));
            }
        };
        assert!(scan_by_times(reach, since, &whole).unwrap().is_empty());
        fs::write(at("root/a/b/c/f"), "ff").unwrap();
        fs::write(at("root/a/b/g"), "g").unwrap();
        fs::rename(at("outside/in"), at("root/a/b/in")).unwrap();
        let found = scan_by_times(reach, since, &whole).unwrap();
        let mut expected = DirtySet::new(100);
        for (path, mark) in [("a/b", Mark::Shallow), ("a/b/in", Mark::Deep), ("a/b/c/f", Mark::Path)] {
            expected.mark(Path::new(path), mark);
        }
        assert_eq!(format!("{:?}", found.root()), format!("{:?}", expected.root()));
        // Of two directories that are looked at, the rest is not.
        let below = ["quiet", "a/b/c"].map(PathBuf::from);
        let found = scan_by_times(reach, since, &below).unwrap();
        let mut expected = DirtySet::new(100);
        expected.mark(Path::new("a/b/c/f"), Mark::Path);
        assert_eq!(format!("{:?}", found.root()), format!("{:?}", expected.root()));
    }
}
