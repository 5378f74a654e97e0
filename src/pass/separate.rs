//! Makes sure that no two files of a mirror are one and the same under two names, after a rename that was put in its new
//! place and could not be finished.

use std::path::PathBuf;

use log::{info, warn};

use super::look::reach;
use crate::dirty::{DirtySet, Mark};
use crate::executor::{Executor, OnItem};
use crate::plan;
use crate::report::text;
use crate::rsync::outcome::Outcome;
use crate::rsync::tally::Tally;
use crate::scope::{Listed, Scope};
use crate::state::{StateDir, links};

/// Removes the old names, or makes what is there again anew. There is nothing to do unless a run was cut off.
pub fn separate(executor: &mut Executor<'_>, state: &StateDir, on_item: &OnItem<'_>) -> (Outcome, Tally) {
    let mirror = executor.mirror();
    let old = links::noted(state, mirror).unwrap_or_else(|e| {
        warn!(mirror:%; "{mirror}: whether a rename was left unfinished cannot be told: {e}");
        Vec::new()
    });
    if old.is_empty() {
        return (Outcome::Done, Tally::default());
    }
    let is_left_alone = |path: &PathBuf| path.ancestors().any(|above| executor.left_alone().contains(above));
    if old.iter().any(is_left_alone) {
        // Whether it was finished is found out when it is mounted again.
        return (Outcome::Done, Tally::default());
    }
    info!(mirror:%; "{mirror}: finishing {} that was cut off", text::count(old.len(), "rename"));
    let mut dirty = DirtySet::new(usize::MAX);
    for path in &old {
        dirty.mark(path, Mark::Deep);
    }
    let scopes = plan::plan(reach(executor), &dirty).scopes;
    let exclude: Vec<_> = mirror.source.exclude.iter().map(Into::into).collect();
    let (there, gone) = apart(scopes);
    let (outcome, mut tally) = executor.run_anew(&there, &exclude, on_item);
    if outcome != Outcome::Done {
        return (outcome, tally);
    }
    // Not anew: an endpoint that cannot delete by name compares all that is beside it.
    let (outcome, more) = executor.run(&gone, &exclude, on_item);
    tally.add(more);
    if outcome == Outcome::Done {
        forget(executor, state);
    }
    (outcome, tally)
}

/// What is there, and what is only to be removed.
fn apart(scopes: Vec<Scope>) -> (Vec<Scope>, Vec<Scope>) {
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for scope in scopes {
        let Scope::Listed(mut listed) = scope else {
            there.push(scope);
            continue;
        };
        let missing = std::mem::take(&mut listed.missing);
        there.extend(Some(listed).filter(|listed| !listed.is_empty()).map(Scope::Listed));
        if !missing.is_empty() {
            gone.push(Scope::Listed(Listed { missing, ..Listed::default() }));
        }
    }
    (there, gone)
}

/// The old names are gone.
pub fn forget(executor: &Executor<'_>, state: &StateDir) {
    if let Err(e) = links::forget(state, executor.mirror()) {
        warn!(mirror:% = executor.mirror(); "{}: that a rename is finished cannot be noted: {e}", executor.mirror());
    }
}
