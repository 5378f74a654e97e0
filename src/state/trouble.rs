//! What is said when the state directory cannot be written: once, and when it works again. Mirroring goes on.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::Local;
use log::warn;

use crate::mirror::Mirror;
use crate::mutex::lock;
use crate::report::repeats::{Repeats, Say};
use crate::report::text;

/// The failures of one process.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    failures: Mutex<Failures>,
    /// When it was said that the directory is gone.
    told_gone: Mutex<Option<Instant>>,
    /// What was said of files that cannot be read.
    told_unreadable: Mutex<BTreeSet<String>>,
}

/// How much of a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// All of it.
    Whole,
    /// A part, for which there may be room on a full disk.
    Part,
}

/// Within so long all mirrors have found out that the directory is gone, and it is one piece of news.
const ONE_NEWS: Duration = Duration::from_secs(60);

/// Nobody has so many mirrors that more than this is to be said.
const MOST_UNREADABLE: usize = 1000;

#[derive(Debug, Default)]
struct Failures {
    /// Those since everything was written.
    repeats: Repeats,
    /// What was not written since.
    unwritten: BTreeSet<&'static str>,
}

impl Trouble {
    /// Says that somebody has removed the directory, which every mirror finds out by itself.
    pub(super) fn gone(&self, dir: &Path) {
        let mut told = lock(&self.told_gone);
        if told.is_none_or(|told| told.elapsed() > ONE_NEWS) {
            *told = Some(Instant::now());
            warn!(
                "the state directory {} was removed under this watch, which goes on and makes it again where it can; what was \
                 remembered is lost, so the next start compares everything",
                text::path(dir)
            );
        }
    }

    /// Says that something cannot be read, the first time; whoever looks again later finds the same.
    pub(super) fn unreadable(&self, mirror: &Mirror, why: &io::Error) {
        let line = format!("{mirror}: what is remembered of the last pass: {why}");
        let mut told = lock(&self.told_unreadable);
        if told.len() < MOST_UNREADABLE && told.insert(line.clone()) {
            warn!(mirror:%; "{line}");
        }
    }

    /// Notes how writing something ended, and hands it on. What is written as a whole needs room for that: when it works, so
    /// does the rest, as soon as it is tried again.
    pub(super) fn note<T>(&self, what: &'static str, size: Size, dir: &Path, written: io::Result<T>) -> io::Result<T> {
        let mut failures = lock(&self.failures);
        match &written {
            Ok(_) => {
                let failed = failures.unwritten.remove(what);
                if failed && size == Size::Whole {
                    failures.unwritten.clear();
                }
                if failed && failures.unwritten.is_empty() && failures.repeats.worked() > 0 {
                    warn!("the state directory {} is written again", text::path(dir));
                }
            }
            Err(e) => {
                failures.unwritten.insert(what);
                let line = format!(
                    "the state directory {} cannot be written: {e}; mirroring goes on as long as there are locks, but \
                     `status` and the next start know only what is there; see to that directory",
                    text::path(dir)
                );
                match failures.repeats.failed(&e.kind().to_string(), Instant::now(), Local::now()) {
                    Say::Reason => warn!("{line}"),
                    Say::Still(how) => warn!("{line}; {how}"),
                    Say::Nothing => {}
                }
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works_again_when_something_that_had_failed_is_written_as_a_whole() {
        let trouble = Trouble::default();
        let note = |what, size, works: bool| {
            let written = if works { Ok(()) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) };
            assert_eq!(trouble.note(what, size, Path::new("d"), written).is_ok(), works);
            trouble.failures.lock().unwrap().unwritten.clone()
        };
        note("status", Size::Whole, false);
        note("journal", Size::Part, false);
        // On a full disk, what there is room for works all the time.
        assert_eq!(note("locks", Size::Part, true).len(), 2);
        assert_eq!(note("mirrors", Size::Whole, true).len(), 2);
        assert_eq!(note("journal", Size::Part, true).len(), 1);
        note("journal", Size::Part, false);
        assert!(note("status", Size::Whole, true).is_empty());
    }
}
