//! A full pass over one mirror: divide the tree, compare all of it, and settle what failed at first.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use log::{debug, info, warn};
use rustix::fs::FileType;

use crate::backoff::Backoff;
use crate::config::settings::{Jobs, MaxDelete};
use crate::dirty::{DirtySet, Mark, plan};
use crate::executor::{Executor, Mode, OnItem, Tally, Versions};
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::meter::Stage;
use crate::mirror::Mirror;
use crate::report::text;
use crate::root::Root;
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, SETTLE, Trouble, VANISHED};
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

/// What is tried again, and how often.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What is said of a directory that was a mount point at the last good pass.
const NOT_MOUNTED: &str = "is left as it is: something was mounted there at the last good pass, and nothing is now; is it mounted? If it is meant: --force-delete";

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
}

impl Terms<'_> {
    /// Everything is compared, patiently and without a guard: for those who delete nothing.
    pub const HARMLESS: Terms<'static> = Terms {
        patience: Patience::Some,
        last: None,
        max_delete: None,
        shard: Shard::WHOLE,
        extent: Extent::Everything,
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
    match Root::open(&mirror.source.path) {
        Ok(root) => executor.hold(root),
        Err(e) => {
            let why = format!("the source {} cannot be read: {e}", mirror.source.path.display());
            return Passed::not_begun(Exit::Unreachable, why);
        }
    }
    // Before anything is looked at: what changes from now on belongs to the next pass.
    let stamp = Moment::now();
    if let Some(meter) = executor.meter() {
        meter.begin(Stage::Looking);
    }
    let Changes { census, dirty, directories } = match look(executor, terms) {
        Ok(changes) => changes,
        Err(e) => {
            let why = format!("the source {} cannot be read: {e}", mirror.source.path.display());
            return Passed::not_begun(Exit::Unreachable, why);
        }
    };
    let hard_links = mirror.rsync.attributes.hard_links;
    let jobs = match mirror.rsync.jobs {
        _ if hard_links => 1,
        Jobs::Fixed(jobs) => jobs,
        Jobs::Auto => partition::worthwhile(&census, || probe::clients_for(mirror)),
    };
    let Partition { glue, parts, entries, heaviest } = partition::partition(&census, jobs, terms.shard);
    let stages: Vec<Vec<Scope>> = match terms.extent {
        Extent::Everything => glue.into_iter().map(|glue| vec![glue]).chain([parts]).collect(),
        // One after the other: a level of a directory must not be compared while something new is put into it.
        Extent::Changed(..) => {
            plan::plan(reach(executor), &dirty).scopes.into_iter().map(|scope| vec![scope]).collect()
        }
    };
    let scopes = text::count(stages.iter().map(Vec::len).sum(), "scope");
    debug!("{mirror}: {entries} entries in {scopes}");
    if let Some(meter) = executor.meter() {
        meter.begin(Stage::Comparing(matches!(terms.extent, Extent::Everything).then_some(entries)));
    }
    let limit = match deletion_limit(executor.mode(), terms, entries) {
        Ok(limit) => limit,
        Err(failure) => return Passed::not_begun(failure.exit, failure.message),
    };
    executor.limit_deletions(limit);
    executor.expect(heaviest);
    if hard_links && matches!(terms.extent, Extent::Everything) {
        info!(
            "{mirror}: one rsync compares the whole source, since `hard-links` is set: several would not see all links"
        );
    }
    let mut pass = Pass {
        exclude: mirror.source.exclude.iter().map(OsString::from).collect(),
        given_up: Failing::default(),
        tally: Tally::default(),
        hard_links,
        waits: terms.patience == Patience::Some,
        children,
        on_item,
    };
    let worth_asking = executor.mode() == Mode::Real && entries > MANY && terms.last.is_none();
    if worth_asking && !executor.is_beside_watch() && probe::is_absent(mirror, children) {
        debug!("{mirror}: it is new, so there are no versions to be kept");
        executor.keep_versions(Versions::None);
    }
    let mounts: Vec<PathBuf> = census.mounts.iter().map(|index| census.path(*index)).collect();
    for path in terms.last.into_iter().flat_map(|last| &last.mounts).map(PathBuf::from) {
        if !mounts.contains(&path) {
            pass.given_up.left_alone.push(path.clone());
            pass.give_up_directory(path, NOT_MOUNTED.to_owned());
        }
    }
    for (path, why) in census.unreadable {
        pass.give_up_directory(path, format!("is left as it is: {why}"));
    }
    for scopes in stages {
        if let Some(outcome) = pass.settle(executor, scopes, jobs) {
            return Passed { outcome, tally: pass.tally, memory: None };
        }
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

/// What of the source the mirror takes, from the root that is held.
fn reach<'a>(executor: &'a Executor<'_>) -> Reach<'a> {
    let mirror = executor.mirror();
    Reach::of(mirror, &mirror.excludes).at(executor.root())
}

/// Walks the source; what changed in it is only looked for when the terms say so.
fn look(executor: &Executor<'_>, terms: Terms<'_>) -> io::Result<Changes> {
    let reach = reach(executor);
    if let Extent::Changed(last, known) = terms.extent {
        return changed::scan(reach, last.since(), known);
    }
    let collector = Collector::default();
    let census = walk::census(reach, &|entry| {
        if entry.kind == FileType::Directory {
            collector.add(entry);
        }
        0
    })?;
    Ok(Changes { census, dirty: DirtySet::new(1), directories: collector.finish() })
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
    let exclude = executor.mirror().source.exclude.iter().map(OsString::from).collect();
    let (given_up, tally) = (Failing::default(), Tally::default());
    let hard_links = executor.mirror().rsync.attributes.hard_links;
    let mut pass = Pass { exclude, given_up, tally, hard_links, waits: true, children, on_item };
    if let Some(outcome) = pass.settle(executor, scopes, jobs) {
        return (outcome, pass.tally);
    }
    let outcome = if pass.given_up.is_empty() { Outcome::Done } else { Outcome::Partial(pass.given_up) };
    (outcome, pass.tally)
}

struct Pass<'a> {
    exclude: Vec<OsString>,
    /// What no further attempt can mend.
    given_up: Failing,
    tally: Tally,
    /// Whether links are kept, which only a run over the whole source can do.
    hard_links: bool,
    /// Whether an endpoint that fails is worth waiting for.
    waits: bool,
    children: &'a Children,
    on_item: &'a OnItem<'a>,
}

impl Pass<'_> {
    /// Runs scopes until all are done as far as they can be; the outcome when it has to end before.
    fn settle(&mut self, executor: &mut Executor<'_>, mut scopes: Vec<Scope>, jobs: usize) -> Option<Outcome> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for attempt in 1..=ATTEMPTS {
            let (results, tally) = executor.run_at_once(&scopes, jobs, &self.exclude, self.on_item);
            if attempt > 1 || results.iter().any(|(_, outcome)| *outcome != Outcome::Done) {
                // What was sent already is a version.
                executor.keep_versions(Versions::Kept);
            }
            self.tally.add(tally);
            self.waits |= results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Done | Outcome::Partial(_)));
            let last = attempt == ATTEMPTS;
            let mut again = Vec::new();
            let mut wait = Duration::ZERO;
            let mut failing = Failing::default();
            let mut trouble: Option<Outcome> = None;
            for (scope, outcome) in results {
                match outcome {
                    Outcome::Done => {}
                    Outcome::Partial(paths) if last => self.given_up.extend(paths),
                    Outcome::Partial(paths) if paths.deletions_skipped && !paths.unreadable.is_empty() => {
                        self.give_up_unreadable(paths);
                        again.push(scope);
                    }
                    // A path that is sent by itself loses its links to others. What vanished is mostly gone for good.
                    Outcome::Partial(paths)
                        if paths.unattributed.is_empty()
                            && !paths.deletions_skipped
                            && (!self.hard_links || paths.paths.values().all(|why| why == VANISHED)) =>
                    {
                        failing.extend(paths);
                    }
                    Outcome::Partial(_) => {
                        wait = wait.max(FIRST_WAIT);
                        again.push(scope);
                    }
                    Outcome::NoMissingArgs if !last => again.push(scope),
                    Outcome::Transient(_) | Outcome::Busy(_) | Outcome::Aborted(_) if self.waits && !last => {
                        again.push(scope);
                        trouble = Some(outcome);
                    }
                    outcome => return Some(outcome),
                }
            }
            if let Some(outcome) = trouble {
                wait = wait.max(backoff.after_failure());
                if let Outcome::Transient(why) | Outcome::Busy(why) | Outcome::Aborted(why) = &outcome {
                    info!("{}: {}; trying again in {:.1} s", executor.mirror(), why.why, wait.as_secs_f64());
                }
                if matches!(outcome, Outcome::Aborted(_)) {
                    wait = wait.max(SETTLE);
                }
                self.children.pause(wait);
                if self.children.is_closed() {
                    return Some(outcome);
                }
            } else {
                self.children.pause(wait);
            }
            again.extend(scopes_for(executor, &failing));
            if again.is_empty() {
                return None;
            }
            scopes = again;
        }
        None
    }

    /// Excludes directories that cannot be read: they are neither read nor deleted from, and the deletions everywhere else
    /// are made.
    fn give_up_unreadable(&mut self, failing: Failing) {
        for (path, why) in failing.paths {
            if failing.unreadable.contains(&path) {
                self.give_up_directory(path, why);
            }
        }
    }

    fn give_up_directory(&mut self, path: PathBuf, why: String) {
        self.exclude.push(pattern_for_directory(&path));
        self.given_up.paths.insert(path, why);
    }
}

/// The scopes that look again at what failed: a directory with all that is in it.
fn scopes_for(executor: &Executor<'_>, failing: &Failing) -> Vec<Scope> {
    let mut dirty = DirtySet::new(failing.paths.len().max(1024));
    for (path, why) in &failing.paths {
        debug!("{}: trying again: {}: {why}", executor.mirror(), text::path(path));
        dirty.mark(path, Mark::Deep);
    }
    plan::plan(reach(executor), &dirty).scopes
}
