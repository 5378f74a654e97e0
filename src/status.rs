//! How a mirror stands: what is made of all that is written down about it. Pure.
//!
//! How far a mirror is behind is the time since it was complete last; one that is behind for longer than it may be is late.

use chrono::{DateTime, TimeDelta, Utc};

use crate::report::text::count;
use crate::retention::rough;
use crate::state::condition::{Activity, Condition, FailingPath, Told};
use crate::state::passes::{Ended, Passes};

/// What is known of a mirror.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// A watch is at work, as far as its lock tells.
    pub is_watched: bool,
    /// A pass is.
    pub is_passing: bool,
    /// What the watch has written down last.
    pub condition: Option<Condition>,
    /// How the last passes ended.
    pub passes: Passes,
    /// Everything that changed before this has arrived, as far as a pass or a watch has noted it for those that come after.
    pub stamp: Option<DateTime<Utc>>,
    /// What could not be read, and why.
    pub unreadable: Vec<String>,
}

impl Known {
    /// Whether it is nothing at all.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Known { is_watched, is_passing, condition, passes, stamp, unreadable } = self;
        !is_watched
            && !is_passing
            && condition.is_none()
            && *passes == Passes::default()
            && stamp.is_none()
            && unreadable.is_empty()
    }
}

/// What is being done for a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A watch is sending changes as they happen.
    Live,
    /// The same, but not every change is noticed at once.
    Degraded,
    /// A watch is comparing the mirror first.
    CatchingUp,
    /// The endpoint fails, and the watch waits before it tries again.
    BackingOff,
    /// A safety guard refuses it.
    Refused,
    /// There is no watch, but a pass.
    Passing,
    /// Nothing.
    NotRunning,
}

impl State {
    /// The word for people and for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Degraded => "degraded",
            State::CatchingUp => "catching up",
            State::BackingOff => "backing off",
            State::Refused => "refused",
            State::Passing => "full-sync is running",
            State::NotRunning => "not running",
        }
    }
}

/// How a mirror stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What is being done.
    pub state: State,
    /// Since when, if that is known.
    pub since: Option<DateTime<Utc>>,
    /// How far behind the mirror is at most; nothing when it was never complete.
    pub lag: Option<TimeDelta>,
    /// Paths that are still to be sent, as far as the watch knows.
    pub pending: usize,
    /// Paths that fail.
    pub failing: usize,
    /// Those of which it is written down which they are: the first ones.
    pub failing_paths: Vec<FailingPath>,
    /// What went wrong last and matters still.
    pub error: Option<Told>,
    /// What is not well; nothing when all is.
    pub wrong: Vec<String>,
}

/// How far a mirror may be behind, where nothing else is said.
pub const LATE_AFTER: &str = "15m";

/// Whether a mirror that is so far behind is late.
#[must_use]
pub fn is_late(lag: TimeDelta, max_lag: TimeDelta) -> bool {
    lag > max_lag
}

/// Judges.
#[must_use]
pub fn stand(known: &Known, now: DateTime<Utc>, max_lag: TimeDelta) -> Standing {
    let condition = known.condition.as_ref().filter(|_| known.is_watched);
    let state = state(known, condition);
    let is_live = matches!(state, State::Live | State::Degraded);
    let pending = condition.map_or(0, |condition| condition.pending);
    let watch = condition.or_else(|| left_behind(known));
    let last = known.passes.last.as_ref();
    let counted = watch.map_or_else(|| last.map_or(0, |pass| pass.failing), |condition| condition.failing);
    let lag = if is_live && pending == 0 && counted == 0 { Some(TimeDelta::zero()) } else { lag(known, now) };
    // A watch that is live has compared everything since.
    let outdated = |pass: &Ended| is_live && condition.is_some_and(|condition| pass.at <= condition.since);
    let failed = last.filter(|pass| !pass.is_good() && !outdated(pass));
    let failing_paths = failing_paths(known, watch, failed);
    let failing = counted.max(failing_paths.len());
    let wrong = wrong(known, state, lag.map(|lag| (lag, max_lag)), failing, failed);
    let error = match (state, condition, watch) {
        (State::BackingOff | State::Refused, condition, _) => condition.and_then(|it| it.last_error.clone()),
        (_, _, Some(watch)) if watch.failing > 0 => watch.last_error.clone(),
        _ => failed.map(|pass| Told { why: pass.error.clone().unwrap_or_default(), at: pass.at }),
    };
    let since = condition.map(|condition| condition.since);
    Standing { state, since, lag, pending, failing, failing_paths, error, wrong }
}

/// What a watch has left behind matters until a pass has looked again.
fn left_behind(known: &Known) -> Option<&Condition> {
    let last = known.passes.last.as_ref();
    known.condition.as_ref().filter(|left| {
        let at = left.last_error.as_ref().map_or(left.since, |told| told.at);
        !known.is_watched && left.failing > 0 && last.is_none_or(|pass| pass.at < at)
    })
}

/// How far it is behind, by when it was complete last.
fn lag(known: &Known, now: DateTime<Utc>) -> Option<TimeDelta> {
    let arrived = known.condition.as_ref().and_then(|condition| condition.arrived);
    known.stamp.max(arrived).map(|until| (now - until).max(TimeDelta::zero()))
}

/// The paths that a watch names, and those that a pass that failed names beside them.
fn failing_paths(known: &Known, watch: Option<&Condition>, failed: Option<&Ended>) -> Vec<FailingPath> {
    let mut paths = watch.map(|condition| condition.failing_paths.clone()).unwrap_or_default();
    let others = known.passes.failing_paths.iter().filter(|_| failed.is_some());
    let others: Vec<_> = others.filter(|it| !paths.iter().any(|named| named.path == it.path)).cloned().collect();
    paths.extend(others);
    paths
}

/// What is not well. `lag`: how far the mirror is behind and how far it may be.
fn wrong(
    known: &Known,
    state: State,
    lag: Option<(TimeDelta, TimeDelta)>,
    failing: usize,
    failed: Option<&Ended>,
) -> Vec<String> {
    let lag = match lag {
        // What cannot be read may say otherwise.
        None => known.unreadable.is_empty().then(|| "it was never mirrored completely".to_owned()),
        Some((lag, max_lag)) => is_late(lag, max_lag).then(|| format!("it is {} behind", rough(lag))),
    };
    let refused = (state == State::Refused).then(|| "a safety guard refuses it".to_owned());
    let paths = (failing > 0).then(|| format!("{} failed", count(failing, "path")));
    let pass = failed.map(|_| "the last pass failed".to_owned());
    lag.into_iter().chain(refused).chain(paths).chain(pass).chain(known.unreadable.iter().cloned()).collect()
}

/// What is being done, by what a watch that is at work has written down.
fn state(known: &Known, condition: Option<&Condition>) -> State {
    match condition {
        _ if !known.is_watched => {
            if known.is_passing {
                State::Passing
            } else {
                State::NotRunning
            }
        }
        // It has only just begun.
        None => State::CatchingUp,
        Some(condition) => match condition.activity {
            // What is written there is about the one before.
            Activity::CatchingUp | Activity::Ended => State::CatchingUp,
            Activity::BackingOff => State::BackingOff,
            Activity::Refused => State::Refused,
            Activity::Live if condition.degraded.is_some() => State::Degraded,
            Activity::Live => State::Live,
        },
    }
}

#[cfg(test)]
mod tests;
