//! What the watch of a mirror comes to. Pure.

use super::exposition::{Family, Kind, Page, number, size, timestamp};
use super::metric::{Metric, add_all, counter, gauge};
use super::subject::Subject;
use crate::state::condition::{Activity, Condition};

/// A sample for each of [`STATES`].
pub static STATE: Family = Family {
    name: "sersync_watch_state",
    kind: Kind::Gauge,
    help: "1 for what the watch is doing, 0 for every other state.",
};
/// 0 when the watch was killed.
pub static STATE_SINCE: Family = Family {
    name: "sersync_watch_state_timestamp_seconds",
    kind: Kind::Gauge,
    help: "Since when the watch has been doing that.",
};

/// That a watch is alive.
pub static ALIVE: Family = Family {
    name: "sersync_watch_alive_timestamp_seconds",
    kind: Kind::Gauge,
    help: "When the watch was alive last: half a minute ago at most, or it was killed; 0 after an orderly end.",
};

/// The states of [`STATE`], as its label has them.
pub const STATES: [&str; 7] = ["live", "degraded", "catching-up", "backing-off", "refused", "ended", KILLED];

/// The state of a watch that is not at work, and has not ended in order.
pub const KILLED: &str = "killed";

/// Everything else about a watch.
pub static WATCH: &[Metric<Condition>] = &[
    gauge(
        "sersync_behind_since_timestamp_seconds",
        "Everything that changed before this has arrived, and something that changed since has not; 0 when all has.",
        |watch| Some(timestamp(watch.behind_since)),
    ),
    gauge("sersync_pending_paths", "Paths that are still to be sent.", |watch| Some(size(watch.pending))),
    gauge("sersync_failing_paths", "Paths that cannot be sent.", |watch| Some(size(watch.failing))),
    gauge(
        "sersync_inotify_watches",
        "Directories of the source that have an inotify watch; 0 with fanotify.",
        |watch| Some(size(watch.inotify_watches)),
    ),
    counter("sersync_watch_batches_total", "Batches of changes that were sent since the watch began.", |watch| {
        Some(number(watch.batches))
    }),
    counter("sersync_watch_files_total", "Entries that were created or updated since the watch began.", |watch| {
        Some(number(watch.counters.tally.created + watch.counters.tally.updated))
    }),
    counter("sersync_watch_deleted_files_total", "Entries that were deleted since the watch began.", |watch| {
        Some(number(watch.counters.tally.deleted))
    }),
    counter("sersync_watch_bytes_total", "The size of the files that were sent since the watch began.", |watch| {
        Some(number(watch.counters.tally.bytes))
    }),
    counter("sersync_watch_sent_bytes_total", "What went over the wire since the watch began.", |watch| {
        Some(number(watch.counters.tally.sent))
    }),
    counter("sersync_watch_rsync_runs_total", "Rsync processes since the watch began.", |watch| {
        Some(number(watch.counters.tally.runs))
    }),
    counter(
        "sersync_watch_errors_total",
        "Attempts that failed as a whole, and paths that failed in others, since the watch began.",
        |watch| Some(number(watch.counters.errors)),
    ),
    counter("sersync_watch_retries_total", "Further attempts at what had failed, since the watch began.", |watch| {
        Some(number(watch.counters.retries))
    }),
    counter(
        "sersync_watch_overflows_total",
        "How often the queue of the kernel was too short for all changes, since the watch began.",
        |watch| Some(number(watch.counters.overflows)),
    ),
    gauge("sersync_last_batch_timestamp_seconds", "When the last batch was sent; 0 before the first one.", |watch| {
        Some(timestamp(watch.last_batch.as_ref().map(|batch| batch.at)))
    }),
    gauge("sersync_last_batch_duration_seconds", "How long the last batch took.", |watch| {
        Some(watch.last_batch.as_ref().map_or(0.0, |batch| batch.seconds))
    }),
    counter(
        "sersync_metrics_write_errors_total",
        "How often files such as this one could not be written since the watch began.",
        |watch| Some(number(watch.counters.unwritten)),
    ),
];

/// Whether the process is there that has written a condition down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It is, or has said that it ends.
    InOrder,
    /// It was killed, so that nobody is doing what is written there.
    Killed,
}

/// The file of the watch.
#[must_use]
pub fn page(subject: &Subject, condition: &Condition, writer: Writer) -> Page {
    let mut page = Page::default();
    let (now, since) = match writer {
        Writer::InOrder => (state(condition), Some(condition.since)),
        Writer::Killed => (KILLED, None),
    };
    for state in STATES {
        let [source, endpoint] = subject.labels();
        page.add(&STATE, &[source, endpoint, ("state", state)], f64::from(u8::from(state == now)));
    }
    page.add(&STATE_SINCE, &subject.labels(), timestamp(since));
    add_all(&mut page, WATCH, &subject.labels(), condition);
    page
}

/// The state as the label has it.
fn state(condition: &Condition) -> &'static str {
    match condition.activity {
        Activity::Live if condition.degraded.is_some() => "degraded",
        Activity::Live => "live",
        Activity::CatchingUp => "catching-up",
        Activity::BackingOff => "backing-off",
        Activity::Refused => "refused",
        Activity::Ended => "ended",
    }
}
