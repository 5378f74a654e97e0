//! What changed in a source since a moment, found by looking at the source alone.
//!
//! Every change of a file or directory sets the time of its last status change (ctime), which nobody can set back but by
//! setting the clock back. What was deleted has changed its directory. What was moved here may hold anything: a directory
//! that was not known under this name is taken for new, with everything in it.

mod by_times;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{AtFlags, CWD, FileType, Stat};
use rustix::io::Errno;

pub use self::by_times::{scan_by_times, with_times_that_were_set};
use super::Reach;
use super::census::Census;
use super::known::{Collector, Directories, Moved};
use super::walk;
use crate::dirty::{DirtySet, Mark};
use crate::exclude::Is;
use crate::mutex::{into_inner, lock};

/// With more changes than this, directories are compared as a whole.
const MOST_SINGLE_CHANGES: usize = 200_000;
/// More files with a time that somebody has set are not compared by content: all of them would have to be read on both sides.
const MOST_SUSPECTS: usize = 65_536;

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

/// Finds what changed at or after `since` (a ctime), given the directories that there were, and where some came or went since.
///
/// # Errors
/// When the root cannot be read.
pub fn scan(reach: Reach<'_>, since: (i64, i64), known: &Directories, moved: &Moved) -> io::Result<Changes> {
    let found = Found::new(since);
    let collector = Collector::new(reach.root)?;
    let (suspects, new) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    if found.is_changed(&rustix::fs::statat(CWD, reach.root, AtFlags::empty())?) {
        found.mark(Path::new(""), Mark::Shallow);
    }
    let census = walk::census(reach, &|entry| {
        let is_dir = entry.kind == FileType::Directory;
        if is_dir {
            collector.add(entry);
        }
        let stat = rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW);
        let touched = || {
            let above = rustix::fs::fstat(entry.dir);
            stat.as_ref().is_ok_and(|stat| found.is_changed(stat)) && above.is_ok_and(|above| found.is_changed(&above))
        };
        let is_new = is_dir && (!known.have(entry) || moved.may_be_back(|| entry.place(), touched));
        match stat {
            _ if is_new => {
                found.mark(&entry.place(), Mark::Deep);
                note(&new, entry.place());
            }
            Ok(stat) if found.is_changed(&stat) => {
                found.mark(&entry.place(), if is_dir { Mark::Shallow } else { Mark::Path });
                if time_was_set(entry.kind, &stat) {
                    note(&suspects, entry.place());
                }
            }
            // It was removed in the meantime, if it is not another error, which comparing it will show.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(_) => found.mark(&entry.place(), Mark::Path),
        }
        0
    })?;
    let [mut suspects, new] = [suspects, new].map(into_inner);
    suspect_what_is_in(reach, &new, &mut suspects);
    suspects.retain(|path| !reach.excludes.excludes_entry(path, Is::Other));
    suspects.sort();
    suspects.dedup();
    Ok(Changes { census, dirty: found.end(), directories: collector.finish(), suspects })
}

/// A write sets both times to the same moment; whoever sets one of them sets the other to the present.
fn time_was_set(kind: FileType, stat: &Stat) -> bool {
    kind == FileType::RegularFile && (stat.st_mtime, stat.st_mtime_nsec) != (stat.st_ctime, stat.st_ctime_nsec)
}

/// Remembers a path, unless there are too many.
fn note(list: &Mutex<Vec<PathBuf>>, path: PathBuf) {
    let mut list = lock(list);
    if list.len() < MOST_SUSPECTS {
        list.push(path);
    }
}

/// Adds the files in directories that are new whose time was set. The directories in those are new as well, and come by
/// themselves.
fn suspect_what_is_in(reach: Reach<'_>, new: &[PathBuf], suspects: &mut Vec<PathBuf>) {
    for dir in new {
        let meta = fs::symlink_metadata(reach.root.join(dir));
        if meta.is_ok_and(|meta| reach.is_elsewhere(meta.dev())) {
            continue;
        }
        for entry in fs::read_dir(reach.root.join(dir)).into_iter().flatten().flatten() {
            let stat = rustix::fs::statat(CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW);
            let is_suspect = stat.is_ok_and(|stat| time_was_set(FileType::from_raw_mode(stat.st_mode), &stat));
            if is_suspect && suspects.len() < MOST_SUSPECTS {
                suspects.push(dir.join(entry.file_name()));
            }
        }
    }
}

/// What has changed at or after a moment, as it is found by several threads.
struct Found {
    /// A ctime.
    since: (i64, i64),
    dirty: Mutex<DirtySet>,
}

impl Found {
    fn new(since: (i64, i64)) -> Self {
        Found { since, dirty: Mutex::new(DirtySet::new(MOST_SINGLE_CHANGES)) }
    }

    fn is_changed(&self, stat: &Stat) -> bool {
        (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()) >= self.since
    }

    fn mark(&self, path: &Path, mark: Mark) {
        lock(&self.dirty).mark(path, mark);
    }

    fn end(self) -> DirtySet {
        into_inner(self.dirty)
    }
}

#[cfg(test)]
mod tests;
