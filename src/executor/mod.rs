//! The executor: turns the scopes of one mirror into rsync jobs, runs them and says what became of them.

mod deletions;
mod division;
mod session;
mod told;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{debug, info};
use serde::{Deserialize, Serialize};

use self::deletions::Deletions;
use self::division::{groups, jobs};
use crate::backoff::Backoff;
use crate::config::settings::Jobs;
use crate::exit::Exit;
use crate::history::bucket::Bucket;
use crate::history::keeper::Keeper;
use crate::meter::Meter;
use crate::mirror::{Endpoint, Mirror};
use crate::root::Root;
use crate::rsync::argv::{Compare, FileList, Manner, MissingArgs};
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, Trouble};
use crate::rsync::output::Change;
use crate::scope::{Listed, Scope};

/// Told about each path that rsync changes or, in a dry run, would change.
pub type OnItem<'a> = dyn Fn(Change, &Path) + Sync + 'a;

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Changes are made.
    Real,
    /// `--dry-run`: they are only listed.
    DryRun,
}

/// What becomes of what is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// It goes to the history.
    Kept,
    /// There is nothing to be replaced: no mirror was there before. Looking for it costs a fifth of an initial copy.
    None,
}

/// What a run did, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Paths that were not there before.
    pub created: u64,
    /// Paths whose content was sent.
    pub updated: u64,
    /// Paths of which only attributes changed.
    pub attributes: u64,
    /// Paths that were deleted.
    pub deleted: u64,
    /// The size of the files whose content was sent, in bytes.
    pub bytes: u64,
    /// What went over the wire, in bytes.
    pub sent: u64,
    /// How many rsync processes it took.
    pub runs: u64,
}

impl Tally {
    /// Adds another count.
    pub fn add(&mut self, other: Tally) {
        self.created += other.created;
        self.updated += other.updated;
        self.attributes += other.attributes;
        self.deleted += other.deleted;
        self.bytes += other.bytes;
        self.sent += other.sent;
        self.runs += other.runs;
    }

    /// Paths created, updated or deleted.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.created + self.updated + self.deleted
    }

    fn count(&mut self, change: Change, bytes: u64) {
        match change {
            Change::Create => self.created += 1,
            Change::Update => self.updated += 1,
            Change::Attributes => self.attributes += 1,
            Change::Delete => self.deleted += 1,
        }
        self.bytes += bytes;
    }
}

/// A list of up to so many entries is made before a job begins: some 20 MiB on each side.
const SHORT_LIST: u64 = 150_000;

/// How long to wait, and how often, for a connection of a daemon that has none free.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const WAITS_FOR_A_CONNECTION: u32 = 6;

/// What a job has to share.
#[derive(Debug, Clone, Copy)]
struct Together {
    /// The clients at work at the same time, this one included: they share the bandwidth.
    clients: usize,
    /// The jobs that share what may be deleted.
    jobs: usize,
}

impl Together {
    /// Nothing.
    const ALONE: Together = Together { clients: 1, jobs: 1 };
}

/// Runs the jobs of one mirror.
#[derive(Debug)]
pub struct Executor<'a> {
    mirror: &'a Mirror,
    children: &'a Children,
    mode: Mode,
    compare: Compare,
    history: Mutex<Keeper>,
    missing_args: MissingArgs,
    /// The root of the source, when it is to stay the same.
    root: Option<Root>,
    deletions: Deletions,
    told: told::Told,
    /// That rsync had more errors than are shown was said.
    dropped_told: AtomicBool,
    versions: Versions,
    manner: Manner,
    /// A watcher of the same mirror is at work.
    beside_watch: bool,
    /// What the daemon has turned out to have connections for.
    most_clients: usize,
    file_list: FileList,
    /// Told how far the jobs are, where somebody wants to know.
    meter: Option<&'a Meter>,
}

impl<'a> Executor<'a> {
    /// An executor that takes the endpoint for able until it turns out not to be: trying costs one refused session and
    /// changes nothing, and a version number would not tell.
    #[must_use]
    pub fn new(mirror: &'a Mirror, children: &'a Children, mode: Mode, history: Keeper) -> Self {
        let (history, missing_args) = (Mutex::new(history), MissingArgs::Work);
        Executor {
            mirror,
            children,
            mode,
            compare: Compare::Quick,
            history,
            missing_args,
            root: None,
            deletions: Deletions::default(),
            told: told::Told::default(),
            dropped_told: AtomicBool::new(false),
            versions: Versions::Kept,
            manner: Manner::Thorough,
            beside_watch: false,
            most_clients: usize::MAX,
            file_list: FileList::Growing,
            meter: None,
        }
    }

    /// Works on this root until it is told another one. When something else takes its place, nothing more is done.
    pub fn hold(&mut self, root: Root) {
        self.root = Some(root);
    }

    /// Holds no root any more: as long as it does, what is mounted there cannot be unmounted.
    pub fn release(&mut self) {
        self.root = None;
    }

    /// The root of the source, by a path that leads to the one that is held.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.as_ref().map_or(&self.mirror.source.path, Root::path)
    }

    /// Whether what is replaced is kept from now on, where a history is kept at all.
    pub fn keep_versions(&mut self, versions: Versions) {
        self.versions = versions;
    }

    /// Deletes at most so many paths from now on.
    pub fn limit_deletions(&mut self, limit: Option<u64>) {
        self.deletions = Deletions::new(limit);
    }

    /// Begins something that is counted by itself.
    pub fn count_anew(&self) {
        self.told.clear();
    }

    /// Tells how many entries a single job will have at most.
    pub fn expect(&mut self, entries: u64) {
        self.file_list = if entries <= SHORT_LIST { FileList::Whole } else { FileList::Growing };
    }

    /// That more would be deleted than may be, as far as a dry run has found out.
    #[must_use]
    pub fn too_many_deletions(&self) -> Option<Trouble> {
        self.deletions.are_too_many().then(|| self.deletions.refusal(self.mode))
    }

    /// Whether anything is changed.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same executor with another idea of when a file is the same on both sides.
    #[must_use]
    pub fn comparing(self, compare: Compare) -> Self {
        Executor { compare, ..self }
    }

    /// The same executor beside a watcher of the same mirror, whose transfers it must not disturb.
    #[must_use]
    pub fn beside_watch(self, beside_watch: bool) -> Self {
        Executor { beside_watch, ..self }
    }

    /// Whether a watcher of the same mirror is at work.
    #[must_use]
    pub fn is_beside_watch(&self) -> bool {
        self.beside_watch
    }

    /// The same executor with somebody who wants to know how far it is.
    #[must_use]
    pub fn metered(self, meter: Option<&'a Meter>) -> Self {
        Executor { meter, ..self }
    }

    /// Who wants to know how far the work is.
    #[must_use]
    pub fn meter(&self) -> Option<&'a Meter> {
        self.meter
    }

    /// Somebody else changed the mirror: what is replaced from now on may have another type than what the bucket in use
    /// holds under the same name.
    pub fn use_new_bucket(&self) {
        self.history().leave();
    }

    /// The mirror that it works for.
    #[must_use]
    pub fn mirror(&self) -> &'a Mirror {
        self.mirror
    }

    /// Sends these paths, which must exist, without doing anything to what is in their way.
    pub fn run_carefully(
        &mut self,
        present: Vec<PathBuf>,
        exclude: &[OsString],
        on_item: &OnItem<'_>,
    ) -> (Outcome, Tally) {
        self.manner = Manner::Careful;
        let result = self.run(&[Scope::Listed(Listed { present, ..Listed::default() })], exclude, on_item);
        self.manner = Manner::Thorough;
        result
    }

    /// Sends what in these scopes has another content than the mirror's, whatever sizes and times it has.
    pub fn run_by_content(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let compare = std::mem::replace(&mut self.compare, Compare::Content);
        let result = self.run(scopes, exclude, on_item);
        self.compare = compare;
        result
    }

    /// Sends everything in these scopes as if it had changed, so that no file is linked to another one any more.
    pub fn run_anew(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let compare = std::mem::replace(&mut self.compare, Compare::Never);
        let result = self.run(scopes, exclude, on_item);
        self.compare = compare;
        result
    }

    /// Runs the scopes one after the other, and stops at the first failure that is not about single paths.
    pub fn run(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let mut tally = Tally::default();
        self.count_anew();
        if let Some(trouble) = self.target_missing() {
            return (Outcome::Permanent(trouble), tally);
        }
        let outcome = match self.attempt(scopes, exclude, &mut tally, on_item) {
            Outcome::NoMissingArgs if self.fall_back() => self.attempt(scopes, exclude, &mut tally, on_item),
            outcome => outcome,
        };
        if !matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            self.history().leave();
        }
        (outcome, tally)
    }

    /// Does without `--delete-missing-args` from now on; false when that is so already.
    fn fall_back(&mut self) -> bool {
        if self.missing_args == MissingArgs::Broken {
            return false;
        }
        info!(
            "{}: its rsync cannot delete by name (--delete-missing-args), as that of plain Debian 12; whole directories are \
             compared instead, which is slower for large ones",
            self.mirror
        );
        self.missing_args = MissingArgs::Broken;
        true
    }

    /// Runs scopes that do not overlap, up to `most` at the same time, in this order. Each comes back with what became of
    /// it. When the daemon has no connection free, fewer run at the same time.
    pub fn run_at_once(
        &mut self,
        scopes: &[Scope],
        most: usize,
        exclude: &[OsString],
        on_item: &OnItem<'_>,
    ) -> (Vec<(Scope, Outcome)>, Tally) {
        let scopes: Vec<Scope> = self.adapted(scopes, exclude).into_iter().flat_map(jobs).collect();
        let failed = self.target_missing().map(Outcome::Permanent);
        let bucket = match failed.map_or_else(|| self.bucket_for(&scopes), Err) {
            Ok(bucket) => bucket,
            Err(outcome) => {
                return (scopes.into_iter().map(|scope| (scope, outcome.clone())).collect(), Tally::default());
            }
        };
        let clients = most.min(self.most_clients).min(scopes.len());
        let together = Together { clients, jobs: scopes.len() };
        let queue = Mutex::new(VecDeque::from(scopes));
        let working = AtomicUsize::new(clients);
        let results = Mutex::new((Vec::new(), Tally::default()));
        let work = || {
            let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
            let mut waits = 0;
            while let Some(job) = { lock(&queue).pop_front() } {
                let mut tally = Tally::default();
                let outcome = self.job(&job, exclude, bucket.as_ref(), together, &mut tally, on_item);
                lock(&results).1.add(tally);
                if matches!(outcome, Outcome::Busy(_)) {
                    // As long as others have a connection, one fewer does it as well.
                    if working.fetch_sub(1, Ordering::Relaxed) > 1 {
                        debug!("{}: the daemon is busy: one rsync fewer at the same time", self.mirror);
                        return lock(&queue).push_front(job);
                    }
                    working.store(1, Ordering::Relaxed);
                    // The daemon frees a connection only when its process has ended, a moment after the client.
                    waits += 1;
                    if waits <= WAITS_FOR_A_CONNECTION {
                        lock(&queue).push_front(job);
                        self.children.pause(backoff.after_failure());
                        continue;
                    }
                }
                lock(&results).0.push((job, outcome));
            }
        };
        thread::scope(|scope| {
            (0..clients).for_each(|_| drop(scope.spawn(work)));
        });
        let left = working.into_inner();
        if left < clients {
            self.most_clients = left;
        }
        let (mut results, mut tally) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // When the last client was refused as well, what it left is refused with it.
        if let Some(busy) = results.iter().map(|(_, outcome)| outcome).find(|o| matches!(o, Outcome::Busy(_))).cloned()
        {
            results.extend(lock(&queue).drain(..).map(|scope| (scope, busy.clone())));
        }
        if results.iter().any(|(_, outcome)| *outcome == Outcome::NoMissingArgs) && self.fall_back() {
            let refused = results.extract_if(.., |(_, outcome)| *outcome == Outcome::NoMissingArgs);
            let again: Vec<Scope> = refused.map(|(scope, _)| scope).collect();
            let (more, counted) = self.run_at_once(&again, most, exclude, on_item);
            results.extend(more);
            tally.add(counted);
        }
        // One after the other, each with all that may still be deleted.
        for (scope, outcome) in results.iter_mut().filter(|(_, outcome)| *outcome == Outcome::Limited) {
            *outcome = match self.job(scope, exclude, bucket.as_ref(), Together::ALONE, &mut tally, on_item) {
                Outcome::Limited => Outcome::Permanent(self.deletions.refusal(self.mode)),
                outcome => outcome,
            };
        }
        if !results.iter().all(|(_, outcome)| matches!(outcome, Outcome::Done | Outcome::Partial(_))) {
            self.history().leave();
        }
        (results, tally)
    }

    fn bucket_for(&self, scopes: &[Scope]) -> Result<Option<Bucket>, Outcome> {
        match (self.mode, self.versions) {
            (Mode::DryRun, _) | (_, Versions::None) => Ok(None),
            (Mode::Real, Versions::Kept) => self.history().bucket_for(self.mirror, scopes).map_err(|e| {
                let why = format!("the state directory cannot be used: {e}");
                Outcome::Permanent(Trouble { exit: Exit::Failed, why })
            }),
        }
    }

    fn history(&self) -> MutexGuard<'_, Keeper> {
        lock(&self.history)
    }

    fn attempt(&mut self, scopes: &[Scope], exclude: &[OsString], tally: &mut Tally, on_item: &OnItem<'_>) -> Outcome {
        let mut failing = Failing::default();
        let clients = self.clients_for_a_batch();
        let scopes = self.adapted(scopes, exclude);
        for group in groups(scopes.into_iter().flat_map(jobs), clients) {
            let outcomes = if let [job] = &group[..] {
                // What was a directory for the job before may have become a file for this one.
                let bucket = match self.bucket_for(&group) {
                    Ok(bucket) => bucket,
                    Err(outcome) => return outcome,
                };
                vec![self.job(job, exclude, bucket.as_ref(), Together::ALONE, tally, on_item)]
            } else {
                let (results, more) = self.run_at_once(&group, clients, exclude, on_item);
                tally.add(more);
                results.into_iter().map(|(_, outcome)| outcome).collect()
            };
            for outcome in outcomes {
                match outcome {
                    Outcome::Done => {}
                    Outcome::Partial(paths) => failing.extend(paths),
                    other => return other,
                }
            }
        }
        if failing.is_empty() { Outcome::Done } else { Outcome::Partial(failing) }
    }

    /// How many rsync clients send a big batch. One, when all links have to be seen by the same.
    fn clients_for_a_batch(&self) -> usize {
        match self.mirror.rsync.jobs {
            _ if self.mirror.rsync.attributes.hard_links => 1,
            Jobs::Fixed(jobs) => jobs,
            Jobs::Auto => thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The scopes as this endpoint can take them. Where something is excluded, nothing is deleted by name either: inside a
    /// directory that is named as missing, rsync 3.5.0 deletes what is excluded as well.
    fn adapted(&self, scopes: &[Scope], exclude: &[OsString]) -> Vec<Scope> {
        let by_name = self.missing_args == MissingArgs::Work && exclude.is_empty();
        let adapt = |scope: &Scope| match scope {
            Scope::Listed(listed) if !by_name => Scope::Listed(listed.clone().without_missing()),
            _ => scope.clone(),
        };
        scopes.iter().map(adapt).collect()
    }

    /// A local target is never made: where it should be, a disk may be missing.
    fn target_missing(&self) -> Option<Trouble> {
        let Endpoint::Directory(root) = &self.mirror.endpoint else { return None };
        let why = format!("the target directory {} does not exist; is it mounted?", root.display());
        (!root.is_dir()).then_some(Trouble { exit: Exit::Unreachable, why })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
