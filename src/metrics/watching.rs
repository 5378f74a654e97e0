//! What the watch of a mirror comes to. Pure.

use super::exposition::{Page, number, size, timestamp};
use super::families as f;
use super::textfiles::Subject;
use crate::state::condition::{Activity, Condition};

/// The file of the watch.
#[must_use]
pub fn page(subject: &Subject, condition: &Condition) -> Page {
    let mut page = Page::default();
    let now = state(condition);
    for state in f::STATES {
        let [source, endpoint] = subject.labels();
        page.add(&f::STATE, &[source, endpoint, ("state", state)], f64::from(u8::from(state == now)));
    }
    let counters = &condition.counters;
    let tally = &counters.tally;
    let last = condition.last_batch.as_ref();
    for (family, value) in [
        (&f::STATE_SINCE, timestamp(Some(condition.since))),
        (&f::BEHIND_SINCE, timestamp(condition.behind_since)),
        (&f::PENDING, size(condition.pending)),
        (&f::FAILING, size(condition.failing)),
        (&f::WATCHES, size(condition.inotify_watches)),
        (&f::BATCHES, number(condition.batches)),
        (&f::FILES_SENT, number(tally.created + tally.updated)),
        (&f::DELETED, number(tally.deleted)),
        (&f::BYTES, number(tally.bytes)),
        (&f::SENT, number(tally.sent)),
        (&f::RSYNC_RUNS, number(tally.runs)),
        (&f::ERRORS, number(counters.errors)),
        (&f::RETRIES, number(counters.retries)),
        (&f::OVERFLOWS, number(counters.overflows)),
        (&f::LAST_BATCH, timestamp(last.map(|batch| batch.at))),
        (&f::LAST_BATCH_DURATION, last.map_or(0.0, |batch| batch.seconds)),
        (&f::UNWRITTEN, number(counters.unwritten)),
    ] {
        page.add(family, &subject.labels(), value);
    }
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
