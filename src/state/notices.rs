//! Who was told what about a mirror, so that the next process does not tell it again.

use std::io;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files::Lasting;
use super::{StateDir, note};
use crate::mirror::Mirror;

/// What is done for a mirror. Each kind fails and works for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A pass.
    Pass,
    /// The watch.
    Watch,
}

impl Work {
    /// The command that does it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Work::Pass => "full-sync",
            Work::Watch => "watch",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Work::Pass => "pass-notices",
            Work::Watch => "watch-notices",
        }
    }
}

/// What is to be remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notices {
    /// Since when it fails; nothing when it does not.
    pub failing_since: Option<DateTime<Utc>>,
    /// How often it has failed since.
    pub times: u64,
    /// That it fails was told, and not yet that it works again.
    pub is_told: bool,
    /// When a failure was told last.
    pub told_at: Option<DateTime<Utc>>,
}

impl Notices {
    /// Whether more than the count differs.
    #[must_use]
    pub fn is_other_than(&self, before: &Notices) -> bool {
        Notices { times: 0, ..self.clone() } != Notices { times: 0, ..before.clone() }
    }

    /// Writes it in the place of the last one.
    ///
    /// # Errors
    /// Those of the state directory.
    pub fn save(&self, state: &StateDir, mirror: &Mirror, work: Work) -> io::Result<()> {
        note::write(state, mirror, work.file(), self, Lasting::Process)
    }

    /// What is remembered.
    ///
    /// # Errors
    /// Those of reading it, and that it is damaged.
    pub fn load(state: &StateDir, mirror: &Mirror, work: Work) -> io::Result<Notices> {
        note::read(state, mirror, work.file()).map(Option::unwrap_or_default)
    }
}
