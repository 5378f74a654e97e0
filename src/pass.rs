//! A full pass over one mirror: divide the tree, compare all of it, and settle what failed at first.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::{debug, info};

use crate::backoff::Backoff;
use crate::config::settings::Jobs;
use crate::dirty::{DirtySet, Mark, plan};
use crate::executor::{Executor, OnItem, Tally};
use crate::exit::Exit;
use crate::report::text;
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, SETTLE, Trouble, VANISHED};
use crate::rsync::probe;
use crate::scope::Scope;
use crate::tree::Reach;
use crate::tree::partition::{self, Partition};
use crate::tree::walk;

/// What is tried again, and how often.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What to do about an endpoint that cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Try a few times, with pauses.
    Some,
    /// Say so at once, unless it did something in this pass already: the caller has pauses of its own.
    None,
}

/// Compares the whole source with the mirror and makes them equal.
///
/// A lost connection is tried again after a pause; single paths that failed are tried again by themselves; when a
/// directory cannot be read, everything but its content is done. What still fails is in the outcome.
pub fn run(
    executor: &mut Executor<'_>,
    children: &Children,
    patience: Patience,
    on_item: &OnItem<'_>,
) -> (Outcome, Tally) {
    let mirror = executor.mirror();
    let census = match walk::census(Reach::of(mirror, &mirror.excludes), &walk::no_bytes) {
        Ok(census) => census,
        Err(e) => {
            let why = format!("the source {} cannot be read: {e}", mirror.source.path.display());
            return (Outcome::Permanent(Trouble { exit: Exit::Unreachable, why }), Tally::default());
        }
    };
    let hard_links = mirror.rsync.attributes.hard_links;
    let jobs = match mirror.rsync.jobs {
        _ if hard_links => 1,
        Jobs::Fixed(jobs) => jobs,
        Jobs::Auto => partition::worthwhile(&census, || probe::clients_for(mirror)),
    };
    let Partition { glue, parts } = partition::partition(&census, jobs);
    debug!("{mirror}: {} entries in {} parts", census.entries(), parts.len());
    if hard_links {
        info!(
            "{mirror}: one rsync compares the whole source, since `hard-links` is set: several would not see all links"
        );
    }
    let mut pass = Pass {
        exclude: mirror.source.exclude.iter().map(OsString::from).collect(),
        given_up: Failing::default(),
        tally: Tally::default(),
        hard_links,
        waits: patience == Patience::Some,
        children,
        on_item,
    };
    for (path, why) in census.unreadable {
        pass.give_up_directory(path, format!("is left as it is: {why}"));
    }
    let stages = glue.into_iter().map(|glue| vec![glue]).chain([parts]);
    for scopes in stages {
        if let Some(outcome) = pass.settle(executor, scopes, jobs) {
            return (outcome, pass.tally);
        }
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
    let mirror = executor.mirror();
    plan::plan(Reach::of(mirror, &mirror.excludes), &dirty).scopes
}
