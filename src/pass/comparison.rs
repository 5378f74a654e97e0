//! One comparison of a source, or a share of it, with its mirror, from the first look to what is to be remembered.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use log::debug;

use super::division::{Division, deletion_limit, divide};
use super::look::look;
use super::mounts::Mounts;
use super::settle::Pass;
use super::{Extent, Memory, Passed, Terms, separate};
use crate::executor::{Executor, Mode, OnItem, Sent, Versions};
use crate::exit::{Exit, Failure};
use crate::meter::Stage;
use crate::moment::Moment;
use crate::report::text;
use crate::root::Root;
use crate::rsync::argv::Compare;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Outcome, Trouble};
use crate::rsync::probe;
use crate::rsync::tally::Tally;
use crate::state::record::{Lookout, Record};
use crate::tree::changed::Changes;

/// With more entries it is worth a question whether the mirror is new.
const MANY: u64 = 5_000;

/// What is known before anything is compared.
struct Prepared {
    /// What changes from this moment on belongs to the next pass.
    stamp: Moment,
    changes: Changes,
    division: Division,
    mounts: Mounts,
}

/// Compares and makes equal, see [`run`](super::run).
pub(super) fn compare(
    executor: &mut Executor<'_>,
    children: &Children,
    terms: Terms<'_>,
    on_item: &OnItem<'_>,
) -> Passed {
    let mut tally = Tally::default();
    let Prepared { stamp, changes, division, mounts } = match prepare(executor, terms, &mut tally, on_item) {
        Ok(prepared) => prepared,
        Err(outcome) => return Passed { outcome, tally, memory: None },
    };
    let Division { stages, jobs, entries } = division;
    let Changes { census, directories, mut suspects, .. } = changes;
    let mirror = executor.mirror();
    if is_worth_asking(executor, terms, entries) && probe::is_new(mirror, children) {
        debug!(mirror:%; "{mirror}: it is new, so there are no versions to be kept");
        executor.keep_versions(Versions::None);
    }
    let (sent, has_suspects) = (Sent::default(), !suspects.is_empty());
    let on_item = |change, path: &Path| {
        if has_suspects {
            sent.note(change, path);
        }
        on_item(change, path);
    };
    let mut pass = Pass::new(executor, children, terms.patience, &on_item);
    pass.tally.add(tally);
    mounts.give_up_what_is_gone(&mut pass);
    for (path, why) in census.unreadable {
        pass.give_up_directory(path, format!("what the mirror has in it is left as it is: {why}"));
    }
    for scopes in stages {
        if let Some(outcome) = pass.settle(executor, scopes, jobs) {
            return Passed { outcome, tally: pass.tally, memory: None };
        }
    }
    suspects.retain(|path| !sent.have(path));
    if let Some(outcome) = pass.compare_contents(executor, suspects) {
        return Passed { outcome, tally: pass.tally, memory: None };
    }
    let mounted = mounts.end(executor, &mut pass);
    let (outcome, tally) = pass.end();
    // Only a dry run comes that far with too many.
    let outcome = executor.too_many_deletions().map_or(outcome, Outcome::Permanent);
    let record = Record::new(mirror, stamp, compared(terms.extent), entries, &directories);
    let lookout = lookout(executor, terms);
    Passed { outcome, tally, memory: Some(Memory { record, directories, lookout, mounted }) }
}

/// Looks at the source, divides the work, and finishes a rename that was cut off; the outcome when the pass is not begun.
fn prepare(
    executor: &mut Executor<'_>,
    terms: Terms<'_>,
    tally: &mut Tally,
    on_item: &OnItem<'_>,
) -> Result<Prepared, Outcome> {
    let mirror = executor.mirror();
    let unreadable = |e: io::Error| {
        let why = format!("the source {} cannot be read: {e}", text::path(&mirror.source.path));
        Outcome::Permanent(Trouble::new(Exit::Unreachable, why))
    };
    executor.hold(Root::open(&mirror.source.path).map_err(unreadable)?);
    executor.count_anew();
    let unknown = |e: io::Error| {
        let why = format!("what is mounted in the source, or was, cannot be found out: {e}");
        Outcome::Permanent(Trouble::new(Exit::Failed, why))
    };
    let mounts = Mounts::hold(executor, terms).map_err(unknown)?;
    // Before anything is looked at.
    let stamp = Moment::now();
    begin(executor, Stage::Looking);
    let changes = look(executor, terms).map_err(unreadable)?;
    let division = divide(executor, &changes, terms);
    let entries = division.entries;
    begin(executor, Stage::Comparing(matches!(terms.extent, Extent::Everything).then_some(entries)));
    let limit = deletion_limit(executor.mode(), terms, entries);
    let refused = |Failure { exit, message }| Outcome::Permanent(Trouble::new(exit, message));
    executor.limit_deletions(limit.map_err(refused)?);
    if let Some(state) = terms.state.filter(|_| executor.mode() == Mode::Real) {
        let (outcome, separated) = separate::separate(executor, state, on_item);
        tally.add(separated);
        if !matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            return Err(outcome);
        }
    }
    Ok(Prepared { stamp, changes, division, mounts })
}

fn begin(executor: &Executor<'_>, stage: Stage) {
    if let Some(meter) = executor.meter() {
        meter.begin(stage);
    }
}

/// Whether it is worth a question whether the mirror is new.
fn is_worth_asking(executor: &Executor<'_>, terms: Terms<'_>, entries: u64) -> bool {
    executor.mode() == Mode::Real && entries > MANY && terms.last.is_none() && !executor.is_beside_watch()
}

/// When everything was compared last, this pass included.
fn compared(extent: Extent<'_>) -> DateTime<Utc> {
    match extent {
        Extent::Changed(last, _) => last.compared,
        Extent::Everything => Utc::now(),
    }
}

/// Who looks for content that was replaced under the same size and time, so that the next pass need not.
fn lookout(executor: &Executor<'_>, terms: Terms<'_>) -> Lookout {
    let looks = match terms.extent {
        Extent::Changed(..) => true,
        Extent::Everything => terms.contents.is_some() || executor.compare() != Compare::Quick,
    };
    match looks {
        true => Lookout::Pass,
        false if executor.is_beside_watch() => Lookout::Watch,
        false => Lookout::Nobody,
    }
}
