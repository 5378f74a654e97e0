//! Tests of what is made of all that is known of a mirror.

use super::*;
use crate::state::condition::Counters;
use crate::state::passes::Reached;

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
    for (activity, word) in [(Activity::BackingOff, "backing off"), (Activity::CatchingUp, "catching up")] {
        assert_eq!(judged(&watched(activity, 3)), (word, Some(5), vec![]));
        let mut late = watched(activity, 3);
        late.condition.as_mut().unwrap().arrived = None;
        assert_eq!(judged(&late), (word, Some(20), vec!["it is 20 minutes behind".to_owned()]));
    }
    let passing = Known { is_watched: false, is_passing: true, ..watched(Activity::Ended, 0) };
    assert_eq!(judged(&passing), ("full-sync is running", Some(5), vec![]));
    // A watch that was killed has left its file, and nobody holds its lock.
    let killed = Known { is_watched: false, ..watched(Activity::Live, 0) };
    assert_eq!(judged(&killed), ("not running", Some(5), vec![]));
}

#[test]
fn without_a_watch_the_passes_tell() {
    let passes = |last: Ended| Passes { last: Some(last), good: Some(pass(0, 100)), ..Passes::default() };
    let known = Known { passes: passes(pass(0, 3)), stamp: Some(at(4)), ..Known::default() };
    assert_eq!(judged(&known), ("not running", Some(4), vec![]));
    let known = Known { passes: passes(pass(10, 3)), stamp: Some(at(100)), ..Known::default() };
    let wrong = vec!["it is 1 hour behind".to_owned(), "the last pass failed".to_owned()];
    assert_eq!(judged(&known), ("not running", Some(100), wrong));
    let standing = stand(&known, now(), TimeDelta::minutes(200));
    assert_eq!(standing.error.map(|told| told.why), Some("it failed".to_owned()));
    assert_eq!(judged(&Known::default()), ("not running", None, vec!["it was never mirrored completely".to_owned()]));
}

#[test]
fn a_failed_pass_is_forgotten_when_a_watch_has_compared_everything_since() {
    let passes = |minutes_ago| Passes { last: Some(pass(10, minutes_ago)), ..Passes::default() };
    let known = |minutes_ago| Known {
        is_watched: true,
        condition: Some(condition(Activity::Live, 0)),
        passes: passes(minutes_ago),
        ..Known::default()
    };
    assert_eq!(judged(&known(70)).2, Vec::<String>::new());
    assert_eq!(judged(&known(50)).2, ["the last pass failed"]);
}

fn path(name: &str) -> FailingPath {
    FailingPath { path: name.into(), why: "it does".to_owned() }
}

fn named(known: &Known) -> (usize, Vec<FailingPath>) {
    let standing = stand(known, now(), TimeDelta::minutes(15));
    (standing.failing, standing.failing_paths)
}

#[test]
fn what_fails_is_named_by_whoever_looked_last() {
    let last = Ended { failing: 2, ..pass(3, 3) };
    let passes = Passes { last: Some(last), failing_paths: vec![path("a"), path("b")], ..Passes::default() };
    let by_pass = Known { passes: passes.clone(), stamp: Some(at(4)), ..Known::default() };
    assert_eq!(named(&by_pass), (2, vec![path("a"), path("b")]));
    // A pass beside a watch has its own.
    let mut live = condition(Activity::Live, 0);
    live.failing = 2;
    live.failing_paths = vec![path("b"), path("c")];
    let watched = Known { is_watched: true, condition: Some(live.clone()), ..by_pass.clone() };
    assert_eq!(named(&watched), (3, vec![path("b"), path("c"), path("a")]));
    // What a watch has left behind counts until a pass has looked again.
    live.last_error = Some(Told { why: "it does".to_owned(), at: at(2) });
    let left =
        Known { condition: Some(live), passes: Passes { last: Some(pass(0, 3)), ..Passes::default() }, ..by_pass };
    assert_eq!(named(&left), (2, vec![path("b"), path("c")]));
    let again = Known { passes: Passes { last: Some(pass(0, 1)), ..Passes::default() }, ..left };
    assert_eq!(named(&again), (0, vec![]));
}
