//! What pruning the history of a mirror comes to. Pure.

use chrono::{DateTime, Utc};

use super::exposition::{Page, number, size, timestamp};
use super::metric::{Metric, add_all, gauge};
use super::subject::Subject;

/// What is told of a history.
pub static HISTORY: &[Metric<Known>] = &[
    gauge("sersync_last_prune_timestamp_seconds", "When the history was pruned last, well or not.", |pruned| {
        Some(timestamp(Some(pruned.at)))
    }),
    gauge("sersync_last_prune_exit_code", "The exit code of that for this history alone.", |pruned| {
        Some(f64::from(pruned.exit))
    }),
    gauge("sersync_history_buckets", "Buckets that are in the history.", |pruned| pruned.buckets.map(size)),
    gauge(
        "sersync_history_oldest_timestamp_seconds",
        "When the oldest bucket in the history began: what was before cannot be brought back; 0 when there is none.",
        |pruned| pruned.buckets.map(|_| timestamp(pruned.oldest)),
    ),
    gauge("sersync_history_bytes", "What the history takes up, where `max-size` makes that known.", |pruned| {
        pruned.disk.used.map(number)
    }),
    gauge("sersync_history_limit_bytes", "What it may take up: `max-size`.", |pruned| pruned.disk.limit.map(number)),
    gauge(
        "sersync_history_free_bytes",
        "What is free on the file system of the history; known on the backup server itself.",
        |pruned| pruned.disk.free_and_all.map(|(free, _)| number(free)),
    ),
    gauge("sersync_history_disk_bytes", "How big that file system is.", |pruned| {
        pruned.disk.free_and_all.map(|(_, all)| number(all))
    }),
];

/// What is known of a history after it was pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// When that was.
    pub at: DateTime<Utc>,
    /// The exit code that this history alone would give.
    pub exit: u8,
    /// How many buckets are in it, if they could be listed.
    pub buckets: Option<usize>,
    /// When the oldest of them began.
    pub oldest: Option<DateTime<Utc>>,
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
pub fn page(subject: &Subject, known: &Known) -> Page {
    let mut page = Page::default();
    add_all(&mut page, HISTORY, &subject.labels(), known);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_history_that_could_not_be_listed_nothing_is_claimed() {
        let subject = Subject::of("data@10.0.0.2/m");
        let text = |buckets, oldest| page(&subject, &Known { buckets, oldest, ..Known::default() }).text();
        let labels = "{source=\"data\",endpoint=\"10.0.0.2/m\"}";
        let sample = |value: &str| format!("\nsersync_history_oldest_timestamp_seconds{labels} {value}\n");
        let oldest = DateTime::from_timestamp(1_790_000_000, 0);
        assert!(text(Some(2), oldest).contains(&sample("1790000000")), "{}", text(Some(2), oldest));
        assert!(text(Some(0), None).contains(&sample("0")), "{}", text(Some(0), None));
        let unknown = text(None, None);
        assert!(unknown.contains("sersync_last_prune_exit_code") && !unknown.contains("sersync_history"), "{unknown}");
    }
}
