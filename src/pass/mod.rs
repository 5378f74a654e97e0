//! A full pass over one mirror: look at the source, divide it, and compare all of it or what changed.

pub mod separate;
mod settle;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::Utc;
use log::{debug, info, warn};
use rustix::fs::FileType;

use self::settle::Pass;
use crate::config::settings::{Jobs, MaxDelete};
use crate::dirty::{DirtySet, plan};
use crate::executor::{Executor, Mode, OnItem, Tally, Versions};
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::meter::Stage;
use crate::mirror::Mirror;
use crate::report::text;
use crate::root::Root;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Outcome, Trouble};
use crate::rsync::output::Change;
use crate::rsync::probe;
use crate::scope::Scope;
use crate::state::StateDir;
use crate::state::record::{Moment, Record};
use crate::tree::Reach;
use crate::tree::changed::{self, Changes, Collector, Directories};
use crate::tree::partition::{self, Partition};
use crate::tree::shard::Shard;
use crate::tree::walk;

/// With more entries it is worth a question whether the mirror is new.
const MANY: u64 = 5_000;

/// What is said of a directory that was a mount point at the last good pass.
const NOT_MOUNTED: &str = "is left as it is: something was mounted there at the last good pass, and nothing is now; \
                           is it mounted? If it is meant: --force-delete";

/// What is said of a directory where something was unmounted by force while the pass was at work.
const UNMOUNTED: &str = "was unmounted during the pass, and what the mirror has of it may have been deleted for that; it \
                         is in the history";

/// What to do about an endpoint that cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Try a few times, with pauses.
    Some,
    /// Say so at once, unless it did something in this pass already: the caller has pauses of its own.
    None,
}

/// The terms of a pass.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What to do about an endpoint that cannot be reached.
    pub patience: Patience,
    /// The last good pass over the same, which the guards go by.
    pub last: Option<&'a Record>,
    /// How much may be deleted; anything when there is no limit.
    pub max_delete: Option<MaxDelete>,
    /// The share of the source that is compared.
    pub shard: Shard,
    /// How much of that is looked at on the mirror.
    pub extent: Extent<'a>,
    /// Where a rename is noted that was left unfinished; nowhere for those who change nothing.
    pub state: Option<&'a StateDir>,
}

impl Terms<'_> {
    /// Everything is compared, patiently and without a guard: for those who delete nothing.
    pub const HARMLESS: Terms<'static> = Terms {
        patience: Patience::Some,
        last: None,
        max_delete: None,
        shard: Shard::WHOLE,
        extent: Extent::Everything,
        state: None,
    };
}

/// How much of a mirror is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// Everything.
    Everything,
    /// What changed in the source since this pass, at which it had these directories.
    Changed(&'a Record, &'a Directories),
}

/// What became of a pass.
#[derive(Debug)]
pub struct Passed {
    /// How it ended.
    pub outcome: Outcome,
    /// What it did.
    pub tally: Tally,
    /// What is to be remembered of it when it was good, and belongs to no other.
    memory: Option<(Record, Directories)>,
}

impl Passed {
    fn not_begun(exit: Exit, why: String) -> Passed {
        Passed { outcome: Outcome::Permanent(Trouble { exit, why }), tally: Tally::default(), memory: None }
    }

    /// The moment since which everything has reached the endpoint, when the pass did everything it was to do.
    #[must_use]
    pub fn stamp(&self) -> Option<&Moment> {
        self.memory.as_ref().filter(|_| self.outcome == Outcome::Done).map(|(record, _)| &record.stamp)
    }

    /// Remembers a pass that did everything it was to do. Without the memory the next one has less to go by.
    pub fn remember(&self, state: &StateDir, mirror: &Mirror, shard: Shard) {
        let Some((record, directories)) = self.memory.as_ref().filter(|_| self.outcome == Outcome::Done) else {
            return;
        };
        if let Err(e) = record.save(state, mirror, shard, directories) {
            warn!("{mirror}: the pass is done, but cannot be remembered: {e}");
        }
    }
}

/// Compares the source, or a share of it, with the mirror and makes them equal.
///
/// A lost connection is tried again after a pause; single paths that failed are tried again by themselves; when a
/// directory cannot be read, everything but its content is done. What still fails is in the outcome.
pub fn run(executor: &mut Executor<'_>, children: &Children, terms: Terms<'_>, on_item: &OnItem<'_>) -> Passed {
    let passed = compare(executor, children, terms, on_item);
    executor.keep_versions(Versions::Kept);
    passed
}

fn compare(executor: &mut Executor<'_>, children: &Children, terms: Terms<'_>, on_item: &OnItem<'_>) -> Passed {
    let mirror = executor.mirror();
    let unreadable = |e: io::Error| {
        let why = format!("the source {} cannot be read: {e}", mirror.source.path.display());
        Passed::not_begun(Exit::Unreachable, why)
    };
    match Root::open(&mirror.source.path) {
        Ok(root) => executor.hold(root),
        Err(e) => return unreadable(e),
    }
    executor.count_anew();
    // Before anything is looked at: what changes from now on belongs to the next pass.
    let stamp = Moment::now();
    begin(executor, Stage::Looking);
    let changes = match look(executor, terms) {
        Ok(changes) => changes,
        Err(e) => return unreadable(e),
    };
    let Division { stages, jobs, entries } = divide(executor, &changes, terms);
    begin(executor, Stage::Comparing(matches!(terms.extent, Extent::Everything).then_some(entries)));
    match deletion_limit(executor.mode(), terms, entries) {
        Ok(limit) => executor.limit_deletions(limit),
        Err(failure) => return Passed::not_begun(failure.exit, failure.message),
    }
    let mut separated = Tally::default();
    if let Some(state) = terms.state.filter(|_| executor.mode() == Mode::Real) {
        let (outcome, tally) = separate::separate(executor, state, on_item);
        if !matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            return Passed { outcome, tally, memory: None };
        }
        separated = tally;
    }
    let worth_asking = executor.mode() == Mode::Real && entries > MANY && terms.last.is_none();
    if worth_asking && !executor.is_beside_watch() && probe::is_new(mirror, children) {
        debug!("{mirror}: it is new, so there are no versions to be kept");
        executor.keep_versions(Versions::None);
    }
    let Changes { census, directories, suspects, .. } = changes;
    let sent = Mutex::new(BTreeSet::new());
    let on_item = |change, path: &Path| {
        if !suspects.is_empty() && matches!(change, Change::Create | Change::Update) {
            sent.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
        on_item(change, path);
    };
    let mut pass = Pass::new(executor, children, terms.patience == Patience::Some, &on_item);
    pass.tally.add(separated);
    let mounts: Vec<PathBuf> = census.mounts.iter().map(|index| census.path(*index)).collect();
    for path in terms.last.into_iter().flat_map(|last| &last.mounts).map(PathBuf::from) {
        if !mounts.contains(&path) {
            pass.given_up.left_alone.push(path.clone());
            pass.give_up_directory(path, NOT_MOUNTED.to_owned());
        }
    }
    for (path, why) in census.unreadable {
        pass.give_up_directory(path, format!("what the mirror has in it is left as it is: {why}"));
    }
    // As long as they are open, what is mounted there cannot be unmounted in the ordinary way.
    let held: Vec<Root> = mounts.iter().filter_map(|path| Root::open(&executor.root().join(path)).ok()).collect();
    for scopes in stages {
        if let Some(outcome) = pass.settle(executor, scopes, jobs) {
            return Passed { outcome, tally: pass.tally, memory: None };
        }
    }
    drop(held);
    let mut suspects = suspects.clone();
    suspects.retain(|path| !sent.lock().unwrap_or_else(PoisonError::into_inner).contains(path));
    if let Some(outcome) = pass.compare_contents(executor, suspects) {
        return Passed { outcome, tally: pass.tally, memory: None };
    }
    for path in mounts.iter().filter(|path| !guard::is_mounted(&executor.root().join(path))) {
        pass.given_up.paths.insert(path.clone(), UNMOUNTED.to_owned());
    }
    let outcome = match executor.too_many_deletions() {
        // Only a dry run comes that far.
        Some(trouble) => Outcome::Permanent(trouble),
        None if pass.given_up.is_empty() => Outcome::Done,
        None => Outcome::Partial(pass.given_up),
    };
    let compared = match terms.extent {
        Extent::Changed(last, _) => last.compared,
        Extent::Everything => Utc::now(),
    };
    let record = Record::new(mirror, stamp, compared, entries, &mounts, &directories);
    Passed { outcome, tally: pass.tally, memory: Some((record, directories)) }
}

fn begin(executor: &Executor<'_>, stage: Stage) {
    if let Some(meter) = executor.meter() {
        meter.begin(stage);
    }
}

/// How the work is divided.
struct Division {
    /// One after the other; the scopes of a stage run at the same time.
    stages: Vec<Vec<Scope>>,
    /// So many of them.
    jobs: usize,
    /// How many entries of the source it is about.
    entries: u64,
}

fn divide(executor: &mut Executor<'_>, changes: &Changes, terms: Terms<'_>) -> Division {
    let mirror = executor.mirror();
    let hard_links = mirror.rsync.attributes.hard_links;
    let jobs = match mirror.rsync.jobs {
        _ if hard_links => 1,
        Jobs::Fixed(jobs) => jobs,
        Jobs::Auto => partition::worthwhile(&changes.census, || probe::clients_for(mirror)),
    };
    let Partition { glue, parts, entries, heaviest } = partition::partition(&changes.census, jobs, terms.shard);
    let stages: Vec<Vec<Scope>> = match terms.extent {
        Extent::Everything => glue.into_iter().map(|glue| vec![glue]).chain([parts]).collect(),
        // One after the other: a level of a directory must not be compared while something new is put into it.
        Extent::Changed(..) => {
            plan::plan(reach(executor), &changes.dirty).scopes.into_iter().map(|scope| vec![scope]).collect()
        }
    };
    executor.expect(heaviest);
    debug!("{mirror}: {entries} entries in {}", text::count(stages.iter().map(Vec::len).sum(), "scope"));
    if hard_links && matches!(terms.extent, Extent::Everything) {
        info!(
            "{mirror}: one rsync compares the whole source, since `hard-links` is set: several would not see all links"
        );
    }
    Division { stages, jobs, entries }
}

/// What of the source the mirror takes, from the root that is held.
fn reach<'a>(executor: &'a Executor<'_>) -> Reach<'a> {
    let mirror = executor.mirror();
    Reach::of(mirror, &mirror.excludes).at(executor.root())
}

/// Walks the source; what changed in it is only looked for when the terms say so.
fn look(executor: &Executor<'_>, terms: Terms<'_>) -> io::Result<Changes> {
    let reach = reach(executor);
    if let Extent::Changed(last, known) = terms.extent {
        return changed::scan(reach, last.since(), known, &last.moved);
    }
    let collector = Collector::default();
    let census = walk::census(reach, &|entry| {
        if entry.kind == FileType::Directory {
            collector.add(entry);
        }
        0
    })?;
    Ok(Changes { census, dirty: DirtySet::new(1), directories: collector.finish(), suspects: Vec::new() })
}

/// How much the pass may delete, if there is a limit.
fn deletion_limit(mode: Mode, terms: Terms<'_>, entries: u64) -> Result<Option<u64>, Failure> {
    let Some(max) = terms.max_delete else { return Ok(None) };
    let last = terms.last.map(|last| last.entries);
    // A dry run shows all that would be deleted before it says that it is too much.
    if let (Mode::Real, Some(last)) = (mode, last) {
        guard::check_shrunk(max, last, entries)?;
    }
    Ok(Some(guard::deletions_allowed(max, last, entries)))
}

/// Runs scopes with the patience of a pass, up to `jobs` at the same time: what fails is tried again, what still fails is
/// in the outcome.
pub fn run_scopes(
    executor: &mut Executor<'_>,
    children: &Children,
    scopes: Vec<Scope>,
    jobs: usize,
    on_item: &OnItem<'_>,
) -> (Outcome, Tally) {
    let mut pass = Pass::new(executor, children, true, on_item);
    if let Some(outcome) = pass.settle(executor, scopes, jobs) {
        return (outcome, pass.tally);
    }
    let outcome = if pass.given_up.is_empty() { Outcome::Done } else { Outcome::Partial(pass.given_up) };
    (outcome, pass.tally)
}
