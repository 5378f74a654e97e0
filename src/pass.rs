//! A full pass over one mirror: compare everything, then settle what failed at first.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::{debug, info};

use crate::backoff::Backoff;
use crate::dirty::{DirtySet, Mark, plan};
use crate::executor::{Executor, OnItem, Tally};
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, SETTLE};
use crate::scope::Scope;

/// What is tried again, and how often.
const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Compares the whole source with the mirror and makes them equal.
///
/// A lost connection is tried again after a pause; single paths that failed are tried again by themselves; when a
/// directory cannot be read, everything but its content is done. What still fails is in the outcome.
pub fn run(executor: &mut Executor<'_>, children: &Children, on_item: &mut OnItem<'_>) -> (Outcome, Tally) {
    let source = &executor.mirror().source;
    let mut exclude: Vec<OsString> = source.exclude.iter().map(OsString::from).collect();
    let mut scopes = vec![Scope::Tree(PathBuf::new())];
    let mut tally = Tally::default();
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    // What no further attempt can mend.
    let mut given_up = Failing::default();
    let mut attempt = 1;
    loop {
        let (outcome, done) = executor.run(&scopes, &exclude, on_item);
        tally.add(done);
        let last = attempt == ATTEMPTS;
        attempt += 1;
        match outcome {
            Outcome::Done => break,
            Outcome::Transient(ref trouble) | Outcome::Aborted(ref trouble) if !last => {
                let settled = if matches!(outcome, Outcome::Aborted(_)) { SETTLE } else { Duration::ZERO };
                let wait = backoff.after_failure().max(settled);
                info!("{}: {}; trying again in {:.1} s", executor.mirror(), trouble.why, wait.as_secs_f64());
                children.pause(wait);
                if children.is_closed() {
                    return (outcome, tally);
                }
            }
            Outcome::Partial(failing) if last => {
                given_up.extend(failing);
                break;
            }
            Outcome::Partial(failing) if failing.deletions_skipped && !failing.unreadable.is_empty() => {
                // Excluded, it is neither read nor deleted from, and the deletions everywhere else are made.
                exclude.extend(failing.unreadable.iter().map(|dir| pattern_for_directory(dir)));
                let unreadable = failing.paths.into_iter().filter(|(path, _)| failing.unreadable.contains(path));
                given_up.paths.extend(unreadable);
            }
            Outcome::Partial(failing) if failing.unattributed.is_empty() && !failing.deletions_skipped => {
                for (path, why) in &failing.paths {
                    debug!("{}: trying again: {}: {why}", executor.mirror(), crate::report::text::path(path));
                }
                scopes = scopes_for(executor, &failing);
                if scopes.is_empty() {
                    break;
                }
            }
            Outcome::Partial(_) => children.pause(backoff.after_failure()),
            other => return (other, tally),
        }
    }
    (if given_up.is_empty() { Outcome::Done } else { Outcome::Partial(given_up) }, tally)
}

/// The scopes that look again at what failed: a directory with all that is in it.
fn scopes_for(executor: &Executor<'_>, failing: &Failing) -> Vec<Scope> {
    let mut dirty = DirtySet::new(failing.paths.len().max(1024));
    failing.paths.keys().for_each(|path| dirty.mark(path, Mark::Deep));
    plan::scopes(&executor.mirror().source.path, &dirty, &executor.mirror().excludes)
}
