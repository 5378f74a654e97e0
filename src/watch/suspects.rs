//! Files whose content may have changed although rsync will take them for the same, because their size and modification
//! time are what they were: `cp -p` and `tar` over them, `touch -r`, a rename that brings another file, two writes within
//! one tick of the clock.
//!
//! Nothing of that is known beforehand, and reading files on both sides is dear. So they are sent in the ordinary way at
//! first. Only what was not sent then, and has a time that somebody may have set, is compared by content.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// More are not remembered. Where so much changes at once, nearly all of it is new and is sent anyway.
const MOST: usize = 65_536;
/// No clock of a file system is coarser: the longest tick of the kernel is 10 ms.
const TICK: Duration = Duration::from_millis(20);

/// The files of which something was written, or that were put in the place of others.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspects(BTreeSet<PathBuf>);

impl Suspects {
    /// Notes a file.
    pub(super) fn add(&mut self, path: &Path) {
        if self.0.len() < MOST && !self.0.contains(path) {
            self.0.insert(path.to_owned());
        }
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: Suspects) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            other.0.iter().for_each(|path| self.add(path));
        }
    }

    /// What was at `from` and below it is at `to` now. What is there instead may be another one as well.
    pub(super) fn follow(&mut self, from: &Path, to: &Path) {
        let moved = self.0.range::<Path, _>((Bound::Included(from), Bound::Unbounded));
        let moved = moved.map_while(|path| path.strip_prefix(from).ok());
        let moved: Vec<PathBuf> = moved.map(|below| to.join(below)).collect();
        for path in moved {
            // Without the slash that joining nothing leaves.
            self.add(&path.components().collect::<PathBuf>());
        }
    }

    /// Forgets all others.
    pub(super) fn keep(&mut self, which: impl Fn(&Path) -> bool) {
        self.0.retain(|path| which(path));
    }

    /// Whether one of them is at or below a path.
    #[must_use]
    pub(super) fn has_below(&self, path: &Path) -> bool {
        let mut from_there = self.0.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        from_there.next().is_some_and(|first| first.starts_with(path))
    }

    /// Whether there are none.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that have to be compared by content: not `sent` just now, and regular files whose time may not tell that they
    /// changed. `pushed`: when the push before the last one began.
    #[must_use]
    pub(super) fn left(&self, sent: &BTreeSet<PathBuf>, root: &Path, pushed: SystemTime) -> Vec<PathBuf> {
        let left = self.0.iter().filter(|path| !sent.contains(*path));
        let suspicious = left.filter(|path| {
            let meta = fs::symlink_metadata(root.join(path));
            meta.is_ok_and(|meta| meta.is_file() && time_may_be_set(&meta, pushed))
        });
        suspicious.cloned().collect()
    }
}

/// A write sets both times of a file to the same moment. When they differ, somebody has set the one that can be set, or the
/// file has another name than when it was written. And within the tick in which it was read, it may have been written again.
fn time_may_be_set(meta: &fs::Metadata, pushed: SystemTime) -> bool {
    let written = (meta.mtime(), meta.mtime_nsec());
    let pushed = pushed.checked_sub(TICK).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let since_push = pushed.is_none_or(|time| {
        written >= (i64::try_from(time.as_secs()).unwrap_or(i64::MAX), i64::from(time.subsec_nanos()))
    });
    written != (meta.ctime(), meta.ctime_nsec()) || since_push
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_follow_what_is_renamed() {
        let mut suspects = Suspects::default();
        for path in ["a", "a/x", "a/y/z", "ab", "b"] {
            suspects.add(Path::new(path));
        }
        suspects.follow(Path::new("a"), Path::new("c/d"));
        let all: Vec<&str> = suspects.0.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(all, ["a", "a/x", "a/y/z", "ab", "b", "c/d", "c/d/x", "c/d/y/z"]);
    }
    use std::fs::{File, FileTimes};

    #[test]
    fn only_what_was_not_sent_and_has_a_time_that_tells_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut suspects = Suspects::default();
        let names = ["sent", "fresh", "set", "directory", "gone"];
        for name in names {
            suspects.add(Path::new(name));
        }
        for name in &names[..3] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("directory")).unwrap();
        let old = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        File::options().write(true).open(dir.path().join("set")).unwrap().set_times(old).unwrap();
        let sent = BTreeSet::from(["sent".into()]);
        let later = SystemTime::now() + Duration::from_secs(5);
        assert_eq!(suspects.left(&sent, dir.path(), later), ["set".into()] as [PathBuf; 1]);
        let before = SystemTime::now() - Duration::from_secs(5);
        assert_eq!(suspects.left(&sent, dir.path(), before), ["fresh".into(), "set".into()] as [PathBuf; 2]);
    }
}
