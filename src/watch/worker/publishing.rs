//! What a worker writes down for `status`.

use std::time::{Duration, Instant};

use chrono::Utc;
use log::warn;

use super::super::progress::Progress;
use super::Worker;
use crate::executor::Mode;
use crate::exit::Exit;
use crate::state::condition::{Activity, Condition, FailingPath, MOST_NAMED};

/// How often numbers alone are a reason to write.
const OFTEN: Duration = Duration::from_secs(1);

/// What was written last.
#[derive(Debug, Default)]
pub(in crate::watch) struct Published(Option<(Condition, Instant)>);

impl Published {
    /// Whether this is different enough.
    fn is_old(&self, new: &Condition) -> bool {
        let Some((last, at)) = &self.0 else { return true };
        let kind = |it: &Condition| {
            (
                it.activity,
                it.degraded.clone(),
                it.pending == 0,
                it.failing,
                it.last_error.as_ref().map(|told| told.why.clone()),
            )
        };
        kind(last) != kind(new) || (at.elapsed() >= OFTEN && last != new)
    }
}

impl Worker<'_> {
    /// Writes down how the mirror does, when that is not what was written last. `sending`: how many paths are on their way.
    pub(super) fn publish(&mut self, progress: &Progress, sending: usize) {
        if self.executor.mode() == Mode::DryRun {
            return;
        }
        let mirror = self.executor.mirror();
        let activity = match &progress.trouble {
            Some(trouble) if trouble.exit == Exit::Refused => Activity::Refused,
            Some(_) => Activity::BackingOff,
            None if !progress.caught_up() => Activity::CatchingUp,
            None => Activity::Live,
        };
        let last = self.published.0.as_ref().map(|(last, _)| last);
        let pending = self.queue.pending() + progress.again.len() + sending;
        let failing = progress.failing.iter().take(MOST_NAMED);
        let settled = activity == Activity::Live && pending == 0 && progress.failing.is_empty();
        let condition = Condition {
            activity,
            since: last.filter(|last| last.activity == activity).map_or_else(Utc::now, |last| last.since),
            degraded: self.queue.degraded(),
            pending,
            failing: progress.failing.len() + progress.left_out.len(),
            failing_paths: failing
                .map(|(path, why)| FailingPath { path: path.clone().into_os_string(), why: why.clone() })
                .collect(),
            last_error: progress.last_error.clone(),
            arrived: if settled { Some(Utc::now()) } else { last.and_then(|last| last.arrived) },
            batches: progress.sent,
        };
        if !self.published.is_old(&condition) {
            return;
        }
        if let Err(e) = condition.save(self.state, mirror) {
            warn!("{mirror}: how it does cannot be written down: {e}");
        }
        self.published.0 = Some((condition, Instant::now()));
    }
}
