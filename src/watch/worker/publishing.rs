//! What a worker writes down for `status`.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use log::debug;

use super::super::progress::Progress;
use super::Worker;
use crate::executor::Mode;
use crate::exit::Exit;
use crate::meter::Following;
use crate::notify::Health;
use crate::state::condition::{Activity, Condition, Counters, FailingPath, MOST_NAMED};
use crate::state::record::Record;
use crate::tree::shard::Shard;

/// How often numbers alone are a reason to write.
const OFTEN: Duration = Duration::from_secs(1);

/// What was written last.
#[derive(Debug, Default)]
pub(in crate::watch) struct Published {
    last: Option<(Condition, Instant)>,
    /// It is not where others look for it.
    pub(super) lost: bool,
    /// The failures of which somebody has heard.
    told: (usize, u64),
}

impl Published {
    /// Whether this is different enough.
    fn is_old(&self, new: &Condition) -> bool {
        let Some((last, at)) = self.last.as_ref().filter(|_| !self.lost) else { return true };
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
        match progress.outage.trouble {
            Some(_) => self.queue.gets_stuck(),
            None => self.queue.goes_on(),
        }
        let activity = match &progress.outage.trouble {
            Some(trouble) if trouble.exit == Exit::Refused => Activity::Refused,
            Some(_) => Activity::BackingOff,
            None if !progress.caught_up() => Activity::CatchingUp,
            // What is missing while there is no root is not deleted.
            None if self.queue.root().is_none() => Activity::Refused,
            None => Activity::Live,
        };
        self.publish_as(activity, progress, sending);
    }

    /// Writes down that the watch of the mirror has ended.
    pub(super) fn publish_end(&mut self, progress: &Progress) {
        // How far it was is a matter of what it did until then.
        self.publish(progress, 0);
        self.publish_as(Activity::Ended, progress, 0);
    }

    fn publish_as(&mut self, activity: Activity, progress: &Progress, sending: usize) {
        if self.executor.mode() == Mode::DryRun {
            return;
        }
        let mirror = self.executor.mirror();
        let pending = self.queue.pending() + progress.again.len() + sending;
        let condition = self.condition(activity, progress, pending);
        // Each attempt that fails counts once.
        let told = std::mem::replace(&mut self.published.told, (progress.outage.failures, progress.counters.errors));
        match health(&condition, progress) {
            Some(Health::Failing { .. }) if told == self.published.told => {}
            Some(health) => self.notifier.note(mirror, &health),
            None => {}
        }
        if let Some(meter) = self.executor.meter() {
            meter.follow(following(&condition));
        }
        if !self.published.is_old(&condition) {
            return;
        }
        self.metrics.watching(&mirror.to_string(), &condition);
        let saved = condition.save(self.state, mirror);
        if let Err(e) = &saved {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: how it does cannot be written down: {e}");
        }
        self.published.lost = saved.is_err();
        self.published.last = Some((condition, Instant::now()));
    }

    /// How the mirror does now, with so many paths that are `pending`.
    fn condition(&self, activity: Activity, progress: &Progress, pending: usize) -> Condition {
        let mirror = self.executor.mirror();
        let last = self.published.last.as_ref().map(|(last, _)| last);
        let settled = activity == Activity::Live && pending == 0 && progress.retries.failing.is_empty();
        if settled {
            self.queue.settle();
        }
        let now = Utc::now();
        let stamp = || Record::load(self.state, mirror, Shard::WHOLE).map_or(now, |record| record.stamp.time);
        let behind_since = match last {
            _ if settled => None,
            None => Some(stamp()),
            Some(last) => self.behind_since(activity, last, now),
        };
        let arrived = match last.and_then(|last| last.arrived) {
            _ if settled => Some(now),
            // Before this watch was up to date for the first time, the stamp tells.
            None => None,
            Some(arrived) => Some(behind_since.unwrap_or(arrived)),
        };
        let failing = progress.retries.known().chain(&progress.left_out);
        Condition {
            activity,
            since: last.filter(|last| last.activity == activity).map_or_else(Utc::now, |last| last.since),
            degraded: self.queue.degraded(),
            pending,
            failing: failing.clone().count(),
            failing_paths: failing
                .take(MOST_NAMED)
                .map(|(path, why)| FailingPath { path: path.clone().into_os_string(), why: why.clone() })
                .collect(),
            last_error: progress.last_error.clone(),
            arrived,
            behind_since,
            batches: progress.sent,
            last_batch: progress.last_batch,
            counters: Counters {
                overflows: self.queue.overflows(),
                unwritten: self.metrics.failures(),
                ..progress.counters
            },
            inotify_watches: self.queue.watches(),
        }
    }

    /// Since when the mirror has not had what the source has, after it was in this condition.
    fn behind_since(&self, activity: Activity, last: &Condition, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match (activity, last.behind_since) {
            // What has ended is as far as it was.
            (Activity::Ended, behind) => behind,
            (_, Some(behind)) => Some(behind),
            // Until the first change that has not arrived, everything has.
            (_, None) => {
                let time = self.queue.unsettled_for().and_then(|time| TimeDelta::from_std(time).ok());
                Some(time.map_or(now, |time| now - time))
            }
        }
    }
}

/// How the mirror does, if it is known by now.
fn health(condition: &Condition, progress: &Progress) -> Option<Health> {
    let told = condition.last_error.as_ref().map(|told| told.why.clone()).unwrap_or_default();
    let paths = condition.failing;
    match (&progress.outage.trouble, condition.activity) {
        (_, Activity::Ended) => None,
        (Some(trouble), _) => Some(Health::Failing { why: trouble.why.clone(), exit: trouble.exit, paths }),
        (None, Activity::Live) if paths == 0 => Some(Health::Well),
        (None, Activity::Live) => Some(Health::Failing { why: told, exit: Exit::Partial, paths }),
        (None, Activity::Refused) => Some(Health::Failing { why: told, exit: Exit::Unreachable, paths }),
        (None, _) => None,
    }
}

/// What a terminal shows of it.
fn following(condition: &Condition) -> Following {
    Following {
        state: match condition.activity {
            Activity::CatchingUp => "catching up",
            Activity::Live if condition.degraded.is_some() => "degraded",
            Activity::Live => "live",
            Activity::BackingOff => "backing off",
            Activity::Refused => "refused",
            Activity::Ended => "ended",
        },
        pending: condition.pending,
        failing: condition.failing,
        changes: condition.counters.tally.changes(),
        bytes: condition.counters.tally.bytes,
        last: condition.last_batch.map(|batch| batch.at),
        behind_since: condition.behind_since,
    }
}
