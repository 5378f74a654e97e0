//! How the last passes over a mirror ended, good or not: what `status` shows.

use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::condition::FailingPath;
use super::files::Lasting;
use super::{StateDir, lock, note};
use crate::exit::Exit;
use crate::mirror::Mirror;

/// How much of a mirror a pass looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// Everything.
    Everything,
    /// What had changed since the pass before.
    Changed,
    /// A share of everything.
    Shard(String),
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// When.
    pub at: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How much it looked at.
    pub reached: Reached,
    /// The exit code that this mirror alone would give.
    pub exit: u8,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How many paths failed.
    pub failing: usize,
    /// Entries made, sent, deleted, and changed in their attributes only.
    pub created: u64,
    /// See above.
    pub updated: u64,
    /// See above.
    pub deleted: u64,
    /// See above.
    pub attributes: u64,
    /// The size of the files that were sent, in bytes.
    pub bytes: u64,
    /// What went over the wire, in bytes.
    pub sent: u64,
    /// How many rsync processes it took.
    pub rsync_runs: u64,
}

impl Ended {
    /// Whether everything was done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.exit == Exit::Done.code()
    }
}

/// The last passes over a mirror.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Passes {
    /// The last one.
    pub last: Option<Ended>,
    /// The last that did everything that it was to do.
    pub good: Option<Ended>,
    /// The last that looked at everything.
    pub full: Option<Ended>,
    /// The first of the paths that failed in the last one.
    #[serde(default)]
    pub failing_paths: Vec<FailingPath>,
}

/// The ending of their file.
const KIND: &str = "passes";

impl Passes {
    /// Adds one to what was remembered, and hands out what that comes to, before anybody else can add one. A failing one does
    /// not make the last good one forgotten.
    ///
    /// # Errors
    /// Those of the state directory.
    pub fn add(
        state: &StateDir,
        mirror: &Mirror,
        ended: &Ended,
        failing_paths: Vec<FailingPath>,
        tell: impl FnOnce(&Passes),
    ) -> io::Result<()> {
        // Without the lock, what another pass adds in the same moment may be lost, and nothing worse.
        let _lock = lock::briefly(state, mirror);
        let mut passes = Passes::load(state, mirror).unwrap_or_default();
        if ended.is_good() {
            passes.good = Some(ended.clone());
        }
        if ended.reached == Reached::Everything {
            passes.full = Some(ended.clone());
        }
        passes.last = Some(ended.clone());
        passes.failing_paths = failing_paths;
        tell(&passes);
        note::write(state, mirror, KIND, &passes, Lasting::PowerCut)
    }

    /// What is remembered.
    ///
    /// # Errors
    /// Those of reading it, and that it is damaged.
    pub fn load(state: &StateDir, mirror: &Mirror) -> io::Result<Passes> {
        let Some(passes) = note::read::<Passes>(state, mirror, KIND)? else { return Ok(Passes::default()) };
        if passes.last.is_none() {
            return Err(note::damaged(state, mirror, KIND, "tells of no pass, so somebody else wrote it"));
        }
        Ok(passes)
    }
}
