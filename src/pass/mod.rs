//! A pass over one mirror: look at the source (`look.rs`), divide it (`division.rs`), compare all of it or what changed
//! (`comparison.rs`), and settle what fails at first (`settle.rs`).

mod comparison;
mod division;
mod look;
mod mounts;
pub mod separate;
mod settle;
pub mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;

use log::debug;

use self::settle::Pass;
use crate::config::settings::MaxDelete;
use crate::executor::{Executor, OnItem, Versions};
use crate::mirror::Mirror;
use crate::moment::Moment;
use crate::rsync::children::Children;
use crate::rsync::outcome::Outcome;
use crate::rsync::tally::Tally;
use crate::scope::Scope;
use crate::state::record::{Lookout, Record};
use crate::state::{StateDir, mounts as noted_mounts};
use crate::tree::known::Directories;
use crate::tree::shard::Shard;

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
    /// When everything is compared, by size and time: the pass since which content may have been replaced under the same ones,
    /// and the directories that there were. It is looked for as when only what changed is compared.
    pub contents: Option<(&'a Record, &'a Directories)>,
    /// Where a rename is noted that was left unfinished; nowhere for those who change nothing.
    pub state: Option<&'a StateDir>,
    /// What becomes of what the mirror has where something was mounted and nothing is now.
    pub unmounted: Unmounted,
}

/// What becomes of what a mirror has of a file system that is not mounted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmounted {
    /// It stays: that nothing is mounted does not mean that anything was deleted.
    Stays,
    /// It is meant, so the mirror gets what is seen instead.
    IsMeant,
}

impl Terms<'_> {
    /// Everything is compared, patiently and without a guard: for those who delete nothing.
    pub const HARMLESS: Terms<'static> = Terms {
        patience: Patience::Some,
        last: None,
        max_delete: None,
        shard: Shard::WHOLE,
        extent: Extent::Everything,
        contents: None,
        state: None,
        unmounted: Unmounted::Stays,
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

/// What is to be remembered of a pass.
#[derive(Debug)]
struct Memory {
    record: Record,
    directories: Directories,
    lookout: Lookout,
    /// What is mounted in the source.
    mounted: BTreeSet<PathBuf>,
}

/// What became of a pass.
#[derive(Debug)]
pub struct Passed {
    /// How it ended.
    pub outcome: Outcome,
    /// What it did.
    pub tally: Tally,
    /// What is to be remembered of it when it was good, and belongs to no other.
    memory: Option<Memory>,
}

impl Passed {
    /// The moment since which everything has reached the endpoint, when the pass did everything it was to do.
    #[must_use]
    pub fn stamp(&self) -> Option<&Moment> {
        self.memory.as_ref().filter(|_| self.outcome == Outcome::Done).map(|memory| &memory.record.stamp)
    }

    /// Remembers a pass that did everything it was to do. Without the memory the next one has less to go by.
    pub fn remember(&self, state: &StateDir, mirror: &Mirror, shard: Shard) {
        let Some(Memory { record, directories, lookout, mounted }) = &self.memory else { return };
        if self.outcome != Outcome::Done {
            return;
        }
        if !mirror.source.one_file_system
            && let Err(e) = noted_mounts::note(state, mirror, mounted)
        {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: what is mounted in the source cannot be remembered: {e}");
        }
        let record = record.clone().after(state, mirror, shard, *lookout);
        if let Err(e) = record.save(state, mirror, shard, directories) {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: the pass is done, but cannot be remembered: {e}");
        }
    }
}

/// Compares the source, or a share of it, with the mirror and makes them equal.
///
/// A lost connection is tried again after a pause; single paths that failed are tried again by themselves; when a
/// directory cannot be read, everything but its content is done. What still fails is in the outcome.
pub fn run(executor: &mut Executor<'_>, children: &Children, terms: Terms<'_>, on_item: &OnItem<'_>) -> Passed {
    let passed = comparison::compare(executor, children, terms, on_item);
    executor.keep_versions(Versions::Kept);
    passed
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
    let mut pass = Pass::new(executor, children, Patience::Some, on_item);
    if let Some(outcome) = pass.settle(executor, scopes, jobs) {
        return (outcome, pass.tally);
    }
    pass.end()
}
