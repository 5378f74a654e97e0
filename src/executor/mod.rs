//! The executor: turns the scopes of one mirror into rsync jobs, runs them and says what became of them.

mod at_once;
mod blocking;
mod deletions;
mod division;
mod pushing;
mod reading;
mod sent;
mod session;
mod told;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};

use self::deletions::Deletions;
pub use self::sent::Sent;
use crate::history::keeper::Keeper;
use crate::meter::Meter;
use crate::mirror::Mirror;
use crate::mutex::lock;
use crate::root::Root;
use crate::rsync::argv::{Compare, FileList, Manner, MissingArgs};
use crate::rsync::children::Children;
use crate::rsync::outcome::Trouble;
use crate::rsync::output::Change;

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

impl Mode {
    /// As `--dry-run` has it.
    #[must_use]
    pub fn of(dry_run: bool) -> Mode {
        if dry_run { Mode::DryRun } else { Mode::Real }
    }
}

/// What becomes of what is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// It goes to the history.
    Kept,
    /// There is nothing to be replaced: no mirror was there before. Looking for it costs a fifth of an initial copy.
    None,
}

/// A list of up to so many entries is made before a job begins: some 20 MiB on each side.
const SHORT_LIST: u64 = 150_000;

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
    /// Directories that no job is given by name: it would not leave them out.
    left_alone: BTreeSet<PathBuf>,
    manner: Manner,
    /// A watch of the same mirror is at work.
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
            left_alone: BTreeSet::new(),
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

    /// Directories of which nothing is sent or deleted, by whatever name, from now on. That they are excluded as well is up to
    /// whoever runs something: rsync leaves out what is excluded where it goes by itself, but not what it is given by name.
    pub fn left_alone(&mut self) -> &mut BTreeSet<PathBuf> {
        &mut self.left_alone
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

    /// The same executor beside a watch of the same mirror, whose transfers it must not disturb.
    #[must_use]
    pub fn beside_watch(self, beside_watch: bool) -> Self {
        Executor { beside_watch, ..self }
    }

    /// When a file is the same on both sides.
    #[must_use]
    pub fn compare(&self) -> Compare {
        self.compare
    }

    /// Whether a watch of the same mirror is running.
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

    fn history(&self) -> MutexGuard<'_, Keeper> {
        lock(&self.history)
    }
}
