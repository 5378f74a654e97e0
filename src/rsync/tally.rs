//! What runs of rsync did, counted. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::output::Change;

/// What a run did, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Paths that were not there before.
    pub created: u64,
    /// Paths whose content was sent.
    pub updated: u64,
    /// Paths of which only attributes changed.
    pub attributes: u64,
    /// Paths that were deleted.
    pub deleted: u64,
    /// The size of the files whose content was sent, in bytes.
    pub bytes: u64,
    /// What went over the wire, in bytes.
    pub sent: u64,
    /// How many rsync processes it took.
    pub runs: u64,
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: Tally) {
        self.created += other.created;
        self.updated += other.updated;
        self.attributes += other.attributes;
        self.deleted += other.deleted;
        self.bytes += other.bytes;
        self.sent += other.sent;
        self.runs += other.runs;
    }

    /// Paths created, updated or deleted.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.created + self.updated + self.deleted
    }

    /// Adds it to a JSON object, by the names that all objects have for it.
    pub fn add_to(&self, object: &mut Value) {
        let Tally { created, updated, attributes, deleted, bytes, sent, runs } = *self;
        for (field, number) in [
            ("created", created),
            ("updated", updated),
            ("attributes", attributes),
            ("deleted", deleted),
            ("bytes", bytes),
            ("sent", sent),
            ("rsync_runs", runs),
        ] {
            object[field] = number.into();
        }
    }

    /// Counts a path.
    pub fn count(&mut self, change: Change, bytes: u64) {
        match change {
            Change::Create => self.created += 1,
            Change::Update => self.updated += 1,
            Change::Attributes => self.attributes += 1,
            Change::Delete => self.deleted += 1,
        }
        self.bytes += bytes;
    }
}
