//! Removes what has expired from a history: over rsync, or on the backup server itself.

pub mod local;
pub mod report;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{Local, TimeDelta};
use log::warn;

use self::report::Report;
use crate::bucket::Bucket;
use crate::executor::Mode;
use crate::exit::Exit;
use crate::history::remote::{Remote, permanent};
use crate::mirror::Mirror;
use crate::report::logger;
use crate::retention::{self, Plan, Policy, Unit};
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::output::{self, Change, Line};
use crate::rsync::removal;
use crate::rsync::tally::Tally;
use crate::state::StateDir;
use crate::state::journal;
use crate::state::lock::{self, Kind, Lock};

/// What is wanted of every mirror.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Where the locks are.
    pub state: &'a StateDir,
    /// For how many days a history is kept.
    pub keep_days: u32,
    /// How much longer a bucket may have been collecting.
    pub resolution: Duration,
    /// Whether anything is changed.
    pub mode: Mode,
    /// How long another pass is waited for.
    pub lock_wait: Duration,
}

/// Prunes the history of one mirror, from its lock to its result.
#[must_use]
pub fn run(mirror: &Mirror, children: &Children, terms: Terms<'_>) -> Report {
    let begun = Instant::now();
    // A dry run changes nothing, so it disturbs nobody.
    let lock = (terms.mode == Mode::Real)
        .then(|| Lock::take(terms.state, mirror, Kind::Pass, terms.lock_wait, || children.is_closed()))
        .transpose();
    let lock = match lock {
        Ok(lock) => lock,
        Err(failure) => return Report::not_begun(mirror.to_string(), &failure),
    };
    if lock.as_ref().is_some_and(Lock::after_crash) {
        children.let_settle(mirror, "the run before");
    }
    let mut pruning = Pruning { mirror, remote: Remote::new(mirror, children), deleted: 0 };
    let (plan, removed, outcome) = match pruning.plan(terms) {
        Ok(plan) if terms.mode == Mode::Real => {
            let (removed, outcome) = pruning.remove(&plan);
            (Some(plan), removed, outcome)
        }
        Ok(plan) => (Some(plan), BTreeSet::new(), Outcome::Done),
        Err(outcome) => (None, BTreeSet::new(), outcome),
    };
    if terms.mode == Mode::Real {
        // Of a bucket in which nothing was replaced there is only the journal.
        let oldest = Local::now().naive_local() - TimeDelta::days(i64::from(terms.keep_days) + 1);
        let buckets = removed.iter().filter_map(|unit| match unit {
            Unit::Bucket(bucket) => Some(*bucket),
            Unit::Day(_) => None,
        });
        let last = buckets.max();
        let gone = |bucket: Bucket| Some(bucket) <= last || bucket.start < oldest;
        if let Err(e) = journal::forget(terms.state, mirror, gone) {
            warn!(mirror:%; "{mirror}: what is known of buckets that are gone cannot be removed: {e}");
        }
        for bucket in plan.iter().flat_map(Plan::emptied) {
            if let Err(e) = journal::note_emptied(terms.state, mirror, bucket) {
                warn!(mirror:%; "{mirror}: that bucket {bucket} is empty cannot be noted: {e}");
            }
        }
    }
    let tally = Tally { deleted: pruning.deleted, runs: pruning.remote.runs(), ..Tally::default() };
    if !outcome.cut_off() {
        lock.into_iter().for_each(Lock::end);
    }
    Report::new(mirror, outcome, plan, removed, terms.mode, tally, begun.elapsed())
}

/// The work on one mirror.
struct Pruning<'a> {
    mirror: &'a Mirror,
    remote: Remote<'a>,
    deleted: u64,
}

impl Pruning<'_> {
    /// What is to be done, by what the endpoint lists now.
    fn plan(&mut self, terms: Terms<'_>) -> Result<Plan, Outcome> {
        let found = self.remote.buckets()?;
        if found.is_empty() {
            return Ok(Plan::default());
        }
        let in_use = lock::may_be_watched(terms.state, self.mirror);
        let policy = Policy { keep_days: terms.keep_days, resolution: terms.resolution, in_use };
        retention::plan(&found, policy, &Local::now()).map_err(|ahead| permanent(Exit::Refused, ahead.to_string()))
    }

    /// Removes what is planned, in one rsync run, and tells what is gone by rsync's own account.
    fn remove(&mut self, plan: &Plan) -> (BTreeSet<Unit>, Outcome) {
        let planned: BTreeSet<Unit> = plan.removed().collect();
        let mut gone = BTreeSet::new();
        if planned.is_empty() && plan.emptied().next().is_none() {
            return (gone, Outcome::Done);
        }
        let place = match prepare(plan) {
            Ok(place) => place,
            Err(e) => return (gone, permanent(Exit::Failed, format!("a temporary directory cannot be filled: {e}"))),
        };
        // As rsync names directories.
        let names: HashMap<String, Unit> = planned.iter().map(|unit| (format!("{unit}/"), *unit)).collect();
        let longest = names.keys().map(String::len).max().unwrap_or_default();
        let (mirror, mut total) = (self.mirror, 0);
        let outcome = self.remote.session(|remote| {
            let (rules, tree) = (place.path().join("rules"), place.path().join("tree"));
            let command = removal::command(mirror, &rules, &tree);
            let mut deleted = 0;
            let outcome = remote.rsync(command, |line| {
                let Line::Item { change: Change::Delete, path, .. } = output::parse(line) else { return };
                deleted += 1;
                logger::path(mirror, Change::Delete.word(), &path);
                // Most lines are about what is deeper, and are not looked up.
                if path.as_os_str().len() <= longest {
                    gone.extend(path.to_str().and_then(|name| names.get(name)));
                }
            });
            total += deleted;
            outcome
        });
        self.deleted += total;
        (gone.clone(), with_left_over(outcome, &planned, &gone))
    }
}

/// What rsync did not delete is named, also where rsync calls that a success.
fn with_left_over(outcome: Outcome, planned: &BTreeSet<Unit>, gone: &BTreeSet<Unit>) -> Outcome {
    let left = planned.difference(gone).map(|unit| (PathBuf::from(unit.to_string()), "was not deleted".to_owned()));
    let mut failing = match outcome {
        Outcome::Done => Failing::default(),
        // rsync names paths as if they were those of the mirror.
        Outcome::Partial(failing) => Failing {
            unattributed: failing.unattributed.into_iter().chain(failing.paths.into_values()).collect(),
            ..Failing::default()
        },
        other => return other,
    };
    failing.paths.extend(left);
    if failing.is_empty() { Outcome::Done } else { Outcome::Partial(failing) }
}

/// A temporary directory with what rsync needs for the plan. It goes with its value.
fn prepare(plan: &Plan) -> io::Result<tempfile::TempDir> {
    let place = tempfile::Builder::new().prefix("sersync-").tempdir()?;
    std::fs::write(place.path().join("rules"), removal::rules(plan))?;
    let tree = place.path().join("tree");
    std::fs::create_dir(&tree)?;
    removal::tree(plan).iter().try_for_each(|day| std::fs::create_dir_all(tree.join(day)))?;
    Ok(place)
}
