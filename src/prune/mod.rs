//! Removes what has expired from a history: over rsync, or on the backup server itself.

pub mod local;
pub mod report;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{Local, TimeDelta};
use log::{debug, info, trace, warn};

use self::report::Report;
use crate::backoff::Backoff;
use crate::executor::{Mode, Tally};
use crate::exit::Exit;
use crate::history::bucket::{Bucket, HISTORY_DIR};
use crate::history::retention::{self, Found, Plan, Policy, Unit};
use crate::mirror::{Endpoint, Mirror};
use crate::report::text;
use crate::rsync::children::{Children, Ends, Finished, NotRun};
use crate::rsync::outcome::{self, Ending, Failing, Outcome, SETTLE, Trouble};
use crate::rsync::output::{self, Change, Line};
use crate::rsync::{argv, listing, probe, removal};
use crate::state::StateDir;
use crate::state::journal;
use crate::state::lock::{self, Kind, Lock};

/// How long to wait, and how often, for a connection of a daemon that has none free.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const WAITS_FOR_A_CONNECTION: u32 = 6;

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
        info!("{mirror}: the run before was cut off; giving the daemon time to end its session");
        children.pause(SETTLE);
    }
    let mut pruning = Pruning { mirror, children, tally: Tally::default() };
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
        let gone = |bucket: Bucket| removed.contains(&Unit::Bucket(bucket)) || bucket.start < oldest;
        if let Err(e) = journal::forget(terms.state, mirror, gone) {
            warn!("{mirror}: what is known of buckets that are gone cannot be removed: {e}");
        }
    }
    if !outcome.cut_off() {
        lock.into_iter().for_each(Lock::end);
    }
    Report::new(mirror, outcome, plan, removed, terms.mode, pruning.tally, begun.elapsed())
}

/// The work on one mirror.
struct Pruning<'a> {
    mirror: &'a Mirror,
    children: &'a Children,
    tally: Tally,
}

impl Pruning<'_> {
    /// What is to be done, by what the endpoint lists now.
    fn plan(&mut self, terms: Terms<'_>) -> Result<Plan, Outcome> {
        if let Endpoint::Directory(root) = &self.mirror.endpoint {
            if !root.is_dir() {
                let why = format!("the target directory {} does not exist; is it mounted?", root.display());
                return Err(permanent(Exit::Unreachable, why));
            }
            if !root.join(HISTORY_DIR).is_dir() {
                return Ok(Plan::default());
            }
        }
        let found = self.list()?;
        let in_use = lock::is_held(terms.state, self.mirror, Kind::Watch).unwrap_or_else(|e| {
            // Then it is taken for one: to keep a bucket too many does less harm.
            warn!("{}: cannot tell whether a watch is running: {e}", self.mirror);
            true
        });
        let policy = Policy { keep_days: terms.keep_days, resolution: terms.resolution, in_use };
        retention::plan(&found, policy, &Local::now()).map_err(|ahead| permanent(Exit::Refused, ahead.to_string()))
    }

    /// What is in the history.
    fn list(&mut self) -> Result<Vec<Found>, Outcome> {
        let name = Path::new(&self.mirror.source.name);
        let (mut found, mut is_directory) = (Vec::new(), true);
        let outcome = self.session(|pruning| {
            (found, is_directory) = (Vec::new(), true);
            let command = argv::history_listing(pruning.mirror);
            pruning.rsync(command, |line| {
                let Some(entry) = listing::parse(line) else { return };
                match entry.path.strip_prefix(name) {
                    Ok(below) if below.as_os_str().is_empty() => is_directory = entry.is_directory(),
                    Ok(below) => found.push(Found { path: below.to_owned(), directory: entry.is_directory() }),
                    Err(_) => {}
                }
            })
        });
        match outcome {
            // A link may lead anywhere, also to what is no history.
            Outcome::Done if !is_directory => {
                let why =
                    format!("{HISTORY_DIR}/{} is no directory itself: nothing is removed through it", name.display());
                Err(permanent(Exit::Refused, why))
            }
            Outcome::Done => Ok(found),
            // Of a list that is not complete nothing can be concluded: a day that could not be read looks empty.
            Outcome::Partial(failing) => {
                let words = failing.unattributed.into_iter().chain(failing.paths.into_values()).next();
                let why = format!("the history cannot be listed: {}", words.unwrap_or_default());
                Err(permanent(Exit::Failed, why))
            }
            outcome => Err(outcome),
        }
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
        let outcome = self.session(|pruning| {
            let (rules, tree) = (place.path().join("rules"), place.path().join("tree"));
            let command = argv::history_removal(pruning.mirror, &rules, &tree);
            let (mut deleted, mirror) = (0, pruning.mirror);
            let outcome = pruning.rsync(command, |line| {
                let Line::Item { change: Change::Delete, path, .. } = output::parse(line) else { return };
                deleted += 1;
                debug!("{mirror}: delete {}", text::path(&path));
                // Most lines are about what is deeper, and are not looked up.
                if path.as_os_str().len() <= longest {
                    gone.extend(path.to_str().and_then(|name| names.get(name)));
                }
            });
            pruning.tally.deleted += deleted;
            outcome
        });
        (gone.clone(), with_left_over(outcome, &planned, &gone))
    }

    /// Runs rsync again while the daemon has no connection free: at most a few times.
    fn session(&mut self, mut run: impl FnMut(&mut Self) -> Outcome) -> Outcome {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for _ in 0..WAITS_FOR_A_CONNECTION {
            match run(self) {
                Outcome::Busy(_) => self.children.pause(backoff.after_failure()),
                outcome => return outcome,
            }
        }
        run(self)
    }

    fn rsync(&mut self, mut command: std::process::Command, on_line: impl FnMut(&[u8])) -> Outcome {
        trace!("{}: {}", self.mirror, argv::as_text(&command));
        self.tally.runs += 1;
        match self.children.run(&mut command, Ends::Newline, on_line) {
            Ok(_) if self.children.is_closed() => Outcome::Stopped,
            Ok(finished) => self.meaning(&finished),
            Err(NotRun::Closed) => Outcome::Stopped,
            Err(NotRun::Io(e)) => permanent(Exit::Failed, format!("rsync cannot be run: {e}")),
        }
    }

    fn meaning(&self, finished: &Finished) -> Outcome {
        let errors = &finished.errors;
        // Where nothing was ever replaced there is no history.
        if finished.status.code() == Some(23) && errors.iter().any(|line| probe::says_absent(line)) {
            return Outcome::Done;
        }
        let code = finished.status.code();
        outcome::classify(self.mirror, Ending { code, errors, not_deleted: &[], deletions_skipped: false })
    }
}

fn permanent(exit: Exit, why: String) -> Outcome {
    Outcome::Permanent(Trouble { exit, why })
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
