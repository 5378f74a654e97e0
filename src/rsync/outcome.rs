//! What the end of an rsync run means: whoever runs rsync asks here. Pure: decided from how it came to its end, the exit code
//! **and** stderr, because none is enough alone.
//!
//! Exit 5 stands for six different things, and the daemon's own words are the only way to tell them apart; see the
//! EXIT VALUES of rsync(1), `errcode.h` and what 3.2.7 and 3.5.0 print.

mod classify;
mod failing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;

pub use self::classify::{CANNOT_BE_RUN, classify, not_run};
pub use self::failing::blocked;
use super::children::{EndedBy, Finished};
use crate::exit::Exit;

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is on the endpoint.
    Done,
    /// Some paths were not transferred or not deleted.
    Partial(Failing),
    /// It may work later without anybody doing anything; no session was begun.
    Transient(Trouble),
    /// The daemon has no connection free.
    Busy(Trouble),
    /// Like [`Outcome::Transient`], but a session had begun, and the daemon may go on working on what it has received. Before
    /// that is over nothing may be sent: see [`SETTLE`](crate::backoff::SETTLE).
    Aborted(Trouble),
    /// It will not work until somebody does something.
    Permanent(Trouble),
    /// The receiver breaks on `--delete-missing-args`; nothing was done. True of rsync 3.4.3 and of distributions'
    /// packages that took over its hardening.
    NoMissingArgs,
    /// It deleted as much as it might and left the rest; everything else is done.
    Limited,
    /// It was stopped because this process is ending.
    Stopped,
}

impl Outcome {
    /// Whether a session with the endpoint may have been cut off, so that it has to be left alone for [`SETTLE`](crate::backoff::SETTLE).
    #[must_use]
    pub fn cut_off(&self) -> bool {
        matches!(self, Outcome::Aborted(_) | Outcome::Stopped)
    }
}

/// What is said of a path that was there when it was looked at and gone when rsync came to it: no failure, but it has to be
/// looked at again.
pub const VANISHED: &str = "vanished while it was being sent";

/// Why a job failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The exit code that tells it best.
    pub exit: Exit,
    /// One line: what happened and what to do.
    pub why: String,
    /// What is behind it, for those who go by that.
    pub cause: Cause,
}

impl Trouble {
    /// One of which nobody needs to know more.
    #[must_use]
    pub fn new(exit: Exit, why: String) -> Self {
        Trouble { exit, why, cause: Cause::Other }
    }
}

/// What is behind a failure, as rsync's words tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The daemon takes nothing of the mirror's name.
    NameRefused,
    /// The daemon denies this host, whoever asks.
    HostDenied,
    /// Nothing that anybody goes by.
    Other,
}

/// The paths of a job that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failing {
    /// Each path, relative to the source root, with rsync's words about it.
    pub paths: BTreeMap<PathBuf, String>,
    /// What rsync said that could not be put down to a path within the source; the whole job has to be tried again.
    pub unattributed: Vec<String>,
    /// Directories of the source that could not be read. They are among the paths.
    pub unreadable: Vec<PathBuf>,
    /// Directories of the source that must not be touched on the mirror for now. They are among the paths.
    pub left_alone: Vec<PathBuf>,
    /// Because of the unreadable ones rsync deleted nothing any more, anywhere in the job.
    pub deletions_skipped: bool,
}

impl Failing {
    /// How many are known of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len() + self.unattributed.len()
    }

    /// Whether none is known of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds those of another job.
    pub fn extend(&mut self, other: Failing) {
        self.paths.extend(other.paths);
        self.unattributed.extend(other.unattributed);
        self.unreadable.extend(other.unreadable);
        self.left_alone.extend(other.left_alone);
        self.deletions_skipped |= other.deletions_skipped;
    }
}

/// A path because of which the receiver broke off a whole session, with rsync's words about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Relative to the source root, and never that itself.
    pub path: PathBuf,
    /// What rsync says of it.
    pub why: String,
}

/// What rsync left behind when it ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Who or what has ended it.
    pub by: EndedBy,
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether it was heard to its end: a run that changes something prints figures then, and one that lists has named one entry
    /// at least. A daemon may end a session before it begins (`@RSYNCD: EXIT`), which rsync counts as a success.
    pub heard_out: bool,
    /// The lines of its stderr.
    pub errors: &'a [Vec<u8>],
    /// Directories that it says it could not delete, which it does not count as an error.
    pub not_deleted: &'a [PathBuf],
    /// Whether it said that it stopped deleting.
    pub deletions_skipped: bool,
}

impl<'a> Ending<'a> {
    /// That of a run that was to delete nothing.
    #[must_use]
    pub fn of(finished: &'a Finished, heard_out: bool) -> Self {
        let Finished { status, errors, by, .. } = finished;
        Ending { by: *by, status: *status, heard_out, errors, not_deleted: &[], deletions_skipped: false }
    }
}

/// Why a path failed that the daemon neither takes nor shows nor deletes.
pub const HIDDEN: &str = "the daemon refuses it: see `exclude` and `filter` in its rsyncd.conf";

fn contains(line: &[u8], words: &[u8]) -> bool {
    find(line, words).is_some()
}

fn find(line: &[u8], words: &[u8]) -> Option<usize> {
    line.windows(words.len()).position(|window| window == words)
}

#[cfg(test)]
mod tests;
