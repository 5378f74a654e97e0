//! How a mirror does under `watch`, as its watch last wrote it: what `status` shows. It says nothing about whether that watch
//! is still running; its lock does.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files::Lasting;
use super::{StateDir, note};
use crate::mirror::Mirror;
use crate::rsync::tally::Tally;

/// More failing paths than this are counted only.
pub const MOST_NAMED: usize = 1_000;

/// The ending of its file.
const KIND: &str = "watch";

/// What a watch is doing for a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// Comparing everything, or what changed since the last time.
    CatchingUp,
    /// Sending changes as they happen.
    Live,
    /// Waiting before it tries again: the endpoint fails.
    BackingOff,
    /// Not sending anything, since a safety guard refuses it.
    Refused,
    /// Nothing any more: it ended in order.
    Ended,
}

impl Activity {
    /// Whether there is a process that does it, unless that was killed. A refusal is also written down by a watch that never
    /// began and ended at once.
    #[must_use]
    pub fn is_at_work(self) -> bool {
        matches!(self, Activity::CatchingUp | Activity::Live | Activity::BackingOff)
    }
}

/// What was done since a watch began, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// What was changed and sent.
    pub tally: Tally,
    /// Attempts that failed as a whole, and paths that failed in others.
    pub errors: u64,
    /// Further attempts at what had failed.
    pub retries: u64,
    /// How often the kernel's queue was too short.
    pub overflows: u64,
    /// How often metrics could not be written.
    pub unwritten: u64,
}

/// The last batch that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastBatch {
    /// When it was done.
    pub at: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Entries that it created, updated or deleted.
    pub changes: u64,
    /// The size of the files that it sent, in bytes.
    pub bytes: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What was said.
    pub why: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A path that could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingPath {
    /// Relative to the source.
    pub path: OsString,
    /// Why.
    pub why: String,
}

/// How a mirror does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Condition {
    /// What is being done.
    pub activity: Activity,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why not every change is noticed at once, if so.
    pub degraded: Option<String>,
    /// How many paths are still to be sent.
    pub pending: usize,
    /// How many paths fail.
    pub failing: usize,
    /// The first of them.
    pub failing_paths: Vec<FailingPath>,
    /// The last thing that went wrong, whether it is over or not.
    pub last_error: Option<Told>,
    /// Everything that changed before this has arrived.
    pub arrived: Option<DateTime<Utc>>,
    /// Since when something that changed has not arrived; nothing when all has.
    #[serde(default)]
    pub behind_since: Option<DateTime<Utc>>,
    /// How many batches were sent since the watch began.
    pub batches: u64,
    /// The last of them.
    #[serde(default)]
    pub last_batch: Option<LastBatch>,
    /// What was done since the watch began.
    #[serde(default)]
    pub counters: Counters,
    /// Directories of the source that have an inotify watch.
    #[serde(default)]
    pub inotify_watches: usize,
}

impl Condition {
    /// Writes it in the place of the last one. It need not survive a power cut, and is not made to.
    ///
    /// # Errors
    /// Those of the state directory.
    pub fn save(&self, state: &StateDir, mirror: &Mirror) -> io::Result<()> {
        note::write(state, mirror, KIND, self, Lasting::Process)
    }

    /// Whether what was written last is still there.
    #[must_use]
    pub fn is_there(state: &StateDir, mirror: &Mirror) -> bool {
        note::is_there(state, mirror, KIND)
    }

    /// What was written last; nothing when no watch ever ran.
    ///
    /// # Errors
    /// Those of reading it, and that it is damaged.
    pub fn load(state: &StateDir, mirror: &Mirror) -> io::Result<Option<Condition>> {
        note::read(state, mirror, KIND)
    }
}

impl FailingPath {
    /// The path as one.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(&self.path)
    }
}
