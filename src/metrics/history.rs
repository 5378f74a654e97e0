//! What pruning the history of a mirror comes to. Pure.

use chrono::{DateTime, Utc};

use super::exposition::{Page, number, size, timestamp};
use super::families as f;
use super::textfiles::Subject;

/// What is known of a history after it was pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The exit code that this history alone would give.
    pub exit: u8,
    /// How many buckets are in it, if they could be listed.
    pub buckets: Option<usize>,
    /// Its place on the disk.
    pub disk: Disk,
}

/// What is known of the place of a history on the disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    /// What it takes up.
    pub used: Option<u64>,
    /// What it may take up.
    pub limit: Option<u64>,
    /// What is free on its file system, and how big that is.
    pub free_and_all: Option<(u64, u64)>,
}

/// The file of the history.
#[must_use]
pub fn page(subject: &Subject, known: &Known, now: DateTime<Utc>) -> Page {
    let Known { exit, buckets, disk: Disk { used, limit, free_and_all } } = known;
    let mut page = Page::default();
    let (free, all) = free_and_all.unzip();
    for (family, value) in [
        (&f::LAST_PRUNE, Some(timestamp(Some(now)))),
        (&f::LAST_PRUNE_EXIT_CODE, Some(f64::from(*exit))),
        (&f::BUCKETS, buckets.map(size)),
        (&f::HISTORY_BYTES, used.map(number)),
        (&f::HISTORY_LIMIT, limit.map(number)),
        (&f::HISTORY_FREE, free.map(number)),
        (&f::HISTORY_DISK, all.map(number)),
    ] {
        if let Some(value) = value {
            page.add(family, &subject.labels(), value);
        }
    }
    page
}
