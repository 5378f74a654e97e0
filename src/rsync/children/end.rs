//! How a child ended, and why there may be no end of it to tell of.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How much of a child is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its time.
    pub time: Duration,
    /// The bytes of its stdout.
    pub bytes: u64,
}

/// How a child ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// The first lines that it wrote to stderr.
    pub errors: Vec<Vec<u8>>,
    /// How many lines more there were.
    pub errors_dropped: u64,
    /// What its exit status is due to.
    pub by: EndedBy,
}

/// Who or what has ended a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The child itself, or somebody outside of this process.
    Itself,
    /// This process: it did or heard nothing any more.
    Standstill,
    /// [`Children::stop`](super::Children::stop). Who succeeds all the same has come to its end by itself.
    Stop,
}

/// Why there is no [`Finished`].
#[derive(Debug)]
pub enum NotRun {
    /// [`Children::stop`](super::Children::stop) was called: no child is started any more.
    Closed,
    /// It took longer, or wrote more, than it may, and was ended.
    Limit(Limit),
    /// It could not be started.
    Start(io::Error),
    /// It was started, but what it wrote could not be read, or it could not be waited for.
    Read(io::Error),
}

/// `exited with 23` or `was killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
