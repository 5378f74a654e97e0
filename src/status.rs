//! How a mirror stands: what is made of all that is written down about it. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::retention::rough;
use crate::report::text::count;
use crate::state::condition::{Activity, Condition, Told};
use crate::state::passes::Passes;

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
    /// What could not be read.
    pub unreadable: Option<String>,
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
            && unreadable.is_none()
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
    /// What went wrong last and matters still.
    pub error: Option<Told>,
    /// What is not well; nothing when all is.
    pub wrong: Vec<String>,
}

/// Judges. What has not arrived after `max_lag` is late.
#[must_use]
pub fn stand(known: &Known, now: DateTime<Utc>, max_lag: TimeDelta) -> Standing {
    let condition = known.condition.as_ref().filter(|_| known.is_watched);
    let state = match condition {
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
    };
    let pending = condition.map_or(0, |condition| condition.pending);
    let last = known.passes.last.as_ref();
    let failing = condition.map_or_else(|| last.map_or(0, |pass| pass.failing), |condition| condition.failing);
    let is_live = matches!(state, State::Live | State::Degraded);
    let arrived = known.condition.as_ref().and_then(|condition| condition.arrived);
    let lag = match known.stamp.into_iter().chain(arrived).max() {
        _ if is_live && pending == 0 && failing == 0 => Some(TimeDelta::zero()),
        until => until.map(|until| (now - until).max(TimeDelta::zero())),
    };
    let failed = last.filter(|pass| !pass.is_good());
    // A watch that is live has compared everything since.
    let failed = failed.filter(|pass| !is_live || condition.is_none_or(|condition| pass.at > condition.since));
    let error = match state {
        State::BackingOff | State::Refused => condition.and_then(|condition| condition.last_error.clone()),
        _ if failing > 0 && condition.is_some() => condition.and_then(|condition| condition.last_error.clone()),
        _ => failed.map(|pass| Told { why: pass.error.clone().unwrap_or_default(), at: pass.at }),
    };
    let mut wrong = Vec::new();
    match lag {
        // What cannot be read may say otherwise.
        None if known.unreadable.is_some() => {}
        None => wrong.push("it was never mirrored completely".to_owned()),
        Some(lag) if lag > max_lag => wrong.push(format!("it is {} behind", rough(lag))),
        Some(_) => {}
    }
    if state == State::Refused {
        wrong.push("a safety guard refuses it".to_owned());
    }
    if failing > 0 {
        wrong.push(format!("{} failed", count(failing, "path")));
    }
    if failed.is_some() {
        wrong.push("the last pass failed".to_owned());
    }
    wrong.extend(known.unreadable.clone());
    let since = condition.map(|condition| condition.since);
    Standing { state, since, lag, pending, failing, error, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::condition::Counters;
    use crate::state::passes::{Ended, Reached};

    fn at(minutes_ago: i64) -> DateTime<Utc> {
        now() - TimeDelta::minutes(minutes_ago)
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn condition(activity: Activity, pending: usize) -> Condition {
        Condition {
            activity,
            since: at(60),
            degraded: None,
            pending,
            failing: 0,
            failing_paths: Vec::new(),
            last_error: None,
            arrived: Some(at(5)),
            behind_since: None,
            batches: 1,
            last_batch: None,
            counters: Counters::default(),
            inotify_watches: 0,
        }
    }

    fn pass(exit: u8, minutes_ago: i64) -> Ended {
        Ended {
            at: at(minutes_ago),
            seconds: 1.0,
            reached: Reached::Everything,
            exit,
            error: (exit != 0).then(|| "it failed".to_owned()),
            failing: 0,
            created: 0,
            updated: 0,
            deleted: 0,
            attributes: 0,
            bytes: 0,
            sent: 0,
            rsync_runs: 1,
        }
    }

    fn judged(known: &Known) -> (&'static str, Option<i64>, Vec<String>) {
        let standing = stand(known, now(), TimeDelta::minutes(15));
        (standing.state.word(), standing.lag.map(|lag| lag.num_minutes()), standing.wrong)
    }

    #[test]
    fn what_is_live_with_nothing_pending_is_not_behind() {
        let watched = |activity, pending| Known {
            is_watched: true,
            condition: Some(condition(activity, pending)),
            stamp: Some(at(20)),
            ..Known::default()
        };
        assert_eq!(judged(&watched(Activity::Live, 0)), ("live", Some(0), vec![]));
        assert_eq!(judged(&watched(Activity::Live, 7)), ("live", Some(5), vec![]));
        let mut degraded = watched(Activity::Live, 0);
        degraded.condition.as_mut().unwrap().degraded = Some("too few watches".to_owned());
        assert_eq!(judged(&degraded), ("degraded", Some(0), vec![]));
        let mut refused = watched(Activity::Refused, 0);
        refused.condition.as_mut().unwrap().arrived = None;
        let wrong = vec!["it is 20 minutes behind".to_owned(), "a safety guard refuses it".to_owned()];
        assert_eq!(judged(&refused), ("refused", Some(20), wrong));
        // A watch that was killed has left its file, and nobody holds its lock.
        let killed = Known { is_watched: false, ..watched(Activity::Live, 0) };
        assert_eq!(judged(&killed), ("not running", Some(5), vec![]));
    }

    #[test]
    fn without_a_watch_the_passes_tell() {
        let passes = |last: Ended| Passes { last: Some(last), good: Some(pass(0, 100)), full: None };
        let known = Known { passes: passes(pass(0, 3)), stamp: Some(at(4)), ..Known::default() };
        assert_eq!(judged(&known), ("not running", Some(4), vec![]));
        let known = Known { passes: passes(pass(10, 3)), stamp: Some(at(100)), ..Known::default() };
        let wrong = vec!["it is 1 hour behind".to_owned(), "the last pass failed".to_owned()];
        assert_eq!(judged(&known), ("not running", Some(100), wrong));
        let standing = stand(&known, now(), TimeDelta::minutes(200));
        assert_eq!(standing.error.map(|told| told.why), Some("it failed".to_owned()));
        assert_eq!(
            judged(&Known::default()),
            ("not running", None, vec!["it was never mirrored completely".to_owned()])
        );
    }

    #[test]
    fn a_failed_pass_is_forgotten_when_a_watch_has_compared_everything_since() {
        let passes = |minutes_ago| Passes { last: Some(pass(10, minutes_ago)), good: None, full: None };
        let known = |minutes_ago| Known {
            is_watched: true,
            condition: Some(condition(Activity::Live, 0)),
            passes: passes(minutes_ago),
            ..Known::default()
        };
        assert_eq!(judged(&known(70)).2, Vec::<String>::new());
        assert_eq!(judged(&known(50)).2, ["the last pass failed"]);
    }
}
