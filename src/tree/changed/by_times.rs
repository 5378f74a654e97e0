//! What changed in directories since a moment, when it is not known which directories there were.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::{Found, note, time_was_set};
use crate::dirty::{DirtySet, Mark};
use crate::mutex::into_inner;
use crate::tree::{Reach, walk};

/// What such a scan found.
#[derive(Debug)]
pub struct Since {
    /// What has to be looked at again.
    pub dirty: DirtySet,
    /// Regular files among what changed whose modification time was set by somebody, as in [`Changes::suspects`]. Those in what is
    /// new are not among them: all of that may be something else than it was.
    ///
    /// [`Changes::suspects`]: super::Changes::suspects
    pub suspects: Vec<PathBuf>,
}

/// Finds what changed at or after `since` (a ctime) at and below these directories, which do not lie in one another, when
/// it is not known which directories there were. Who moves a directory changes it and the one in which it arrives: where
/// both changed, it is taken for new, with everything in it.
///
/// # Errors
/// When one of the directories cannot be read.
pub fn scan_by_times(reach: Reach<'_>, since: (i64, i64), below: &[PathBuf]) -> io::Result<Since> {
    let found = Found::new(since);
    let suspects = Mutex::new(Vec::new());
    for path in below {
        let follow = if path.as_os_str().is_empty() { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        match rustix::fs::statat(CWD, reach.root.join(path), follow) {
            Ok(stat) if found.is_changed(&stat) => found.mark(path, Mark::Shallow),
            // Of one that was removed the directory above knows.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    walk::census_below(reach, below, &|entry| {
        match rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if !found.is_changed(&stat) => {}
            Ok(_) if entry.kind == FileType::Directory => {
                let stayed = rustix::fs::fstat(entry.dir).is_ok_and(|above| !found.is_changed(&above));
                found.mark(&entry.place(), if stayed { Mark::Shallow } else { Mark::Deep });
            }
            Err(Errno::NOENT) => {}
            Ok(stat) => {
                found.mark(&entry.place(), Mark::Path);
                if time_was_set(entry.kind, &stat) {
                    note(&suspects, entry.place());
                }
            }
            // What cannot be looked at is an error that comparing it will show.
            Err(_) => found.mark(&entry.place(), Mark::Path),
        }
        0
    })?;
    Ok(Since { dirty: found.end(), suspects: into_inner(suspects) })
}

/// All regular files whose modification time was set by somebody, for when nothing is known of what was there before. Of very
/// many, only some.
///
/// # Errors
/// When the root cannot be read.
pub fn with_times_that_were_set(reach: Reach<'_>) -> io::Result<Vec<PathBuf>> {
    let suspects = Mutex::new(Vec::new());
    walk::census(reach, &|entry| {
        let stat = rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| time_was_set(entry.kind, &stat)) {
            note(&suspects, entry.place());
        }
        0
    })?;
    Ok(into_inner(suspects))
}
