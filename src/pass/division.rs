//! How the work of a pass is divided: what runs at the same time, by how many clients, and how much it may delete.

use log::{debug, info};

use super::look::reach;
use super::{Extent, Terms};
use crate::config::settings::Jobs;
use crate::executor::{Executor, Mode};
use crate::exit::Failure;
use crate::guard;
use crate::plan;
use crate::report::text;
use crate::rsync::probe;
use crate::scope::Scope;
use crate::tree::changed::Changes;
use crate::tree::partition::{self, Partition};

/// How the work is divided.
pub(super) struct Division {
    /// One after the other; the scopes of a stage run at the same time.
    pub(super) stages: Vec<Vec<Scope>>,
    /// So many of them.
    pub(super) jobs: usize,
    /// How many entries of the source it is about.
    pub(super) entries: u64,
}

/// Divides it. The executor is told what to expect.
pub(super) fn divide(executor: &mut Executor<'_>, changes: &Changes, terms: Terms<'_>) -> Division {
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
    debug!(mirror:%; "{mirror}: {entries} entries in {}", text::count(stages.iter().map(Vec::len).sum(), "scope"));
    if hard_links && matches!(terms.extent, Extent::Everything) {
        info!(
            mirror:%;
            "{mirror}: one rsync compares the whole source, since `hard-links` is set: several would not see all links"
        );
    }
    Division { stages, jobs, entries }
}

/// How much the pass may delete, if there is a limit.
pub(super) fn deletion_limit(mode: Mode, terms: Terms<'_>, entries: u64) -> Result<Option<u64>, Failure> {
    let Some(max) = terms.max_delete else { return Ok(None) };
    let last = terms.last.map(|last| last.entries);
    // A dry run shows all that would be deleted before it says that it is too much.
    if let (Mode::Real, Some(last)) = (mode, last) {
        guard::check_shrunk(max, last, entries)?;
    }
    Ok(Some(guard::deletions_allowed(max, last, entries)))
}
