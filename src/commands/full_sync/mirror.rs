//! The pass over one mirror.

use std::time::{Duration, Instant};

use log::info;

use super::FullSyncArgs;
use crate::commands::setup::Setup;
use crate::executor::{Executor, Mode};
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::history::keeper::Keeper;
use crate::meter::Meter;
use crate::mirror::Mirror;
use crate::pass::summary::Summary;
use crate::pass::{self, Extent, Patience, Terms, Unmounted};
use crate::report::items::List;
use crate::report::{Form, logger};
use crate::rsync::argv::Compare;
use crate::rsync::children::Children;
use crate::state::lock::{self, Kind, Lock};
use crate::state::passes::Reached;
use crate::state::record::Record;
use crate::tree::known::Directories;
use crate::tree::shard::Shard;

/// One mirror, from its lock to its result.
pub(super) fn run(
    setup: &Setup,
    args: &FullSyncArgs,
    mirror: &Mirror,
    children: &Children,
    meter: Option<&Meter>,
) -> Summary {
    let begun = Instant::now();
    let mode = Mode::of(args.writing.dry_run);
    // A dry run changes nothing, so it disturbs nobody.
    let locks = match mode {
        Mode::Real => locks(setup, args, mirror, children),
        Mode::DryRun => Ok(Vec::new()),
    };
    let locks = match locks {
        Ok(locks) => locks,
        Err(failure) => return Summary::not_begun(mirror, &failure),
    };
    if locks.iter().any(Lock::after_crash) {
        children.let_settle(mirror, "the run before");
    }
    let last = Record::load(&setup.state, mirror, args.shard);
    let mounted = !args.force_delete && Record::was_mounted(&setup.state, mirror);
    if let Err(failure) = guard::check_mounted(&mirror.source, mounted) {
        locks.into_iter().for_each(Lock::end);
        return Summary::not_begun(mirror, &failure);
    }
    let mut executor = executor(setup, args, mirror, children, mode).metered(meter);
    let directories = changed_only(setup, args, mirror, last.as_ref());
    let extent = match (&last, &directories) {
        (Some(last), Some(directories)) => Extent::Changed(last, directories),
        _ => Extent::Everything,
    };
    // Whoever asks for what changed relies on what a scan finds, also where everything has to be compared.
    let contents = (args.changed && matches!(extent, Extent::Everything))
        .then(|| Record::for_contents(&setup.state, mirror, args.shard))
        .flatten();
    let contents = contents.as_ref().map(|(last, known)| (last, known));
    let terms = Terms { contents, ..terms(setup, args, mirror, last.as_ref(), extent) };
    let items = List::new(Form::of(args.json));
    let passed = pass::run(&mut executor, children, terms, &|change, path| match mode {
        Mode::DryRun => items.item(&mirror.to_string(), change.word(), path),
        Mode::Real => logger::path(mirror, change.word(), path),
    });
    if mode == Mode::Real {
        passed.remember(&setup.state, mirror, args.shard);
    }
    if passed.tally.runs == 0 || !passed.outcome.cut_off() {
        locks.into_iter().for_each(Lock::end);
    }
    let reached = match extent {
        _ if args.shard != Shard::WHOLE => Reached::Shard(format!("{}/{}", args.shard.number, args.shard.of)),
        Extent::Changed(..) => Reached::Changed,
        Extent::Everything => Reached::Everything,
    };
    Summary { reached: Some(reached), ..Summary::new(mirror, passed.outcome, passed.tally, begun.elapsed()) }
}

/// What runs the jobs of the pass.
fn executor<'a>(
    setup: &Setup,
    args: &FullSyncArgs,
    mirror: &'a Mirror,
    children: &'a Children,
    mode: Mode,
) -> Executor<'a> {
    let history = match setup.settings.history.keep_days {
        0 => Keeper::none(),
        _ => Keeper::new(setup.state.clone(), Duration::MAX),
    };
    let compare = if args.checksum { Compare::Content } else { Compare::Quick };
    let beside_watch = lock::may_be_watched(&setup.state, mirror);
    Executor::new(mirror, children, mode, history).comparing(compare).beside_watch(beside_watch)
}

/// Under which conditions the pass goes on, by what the last good one found.
fn terms<'a>(
    setup: &'a Setup,
    args: &FullSyncArgs,
    mirror: &Mirror,
    last: Option<&'a Record>,
    extent: Extent<'a>,
) -> Terms<'a> {
    // An empty source that is empty on purpose has its mirror emptied, however much that is.
    let vouched = args.force_delete || args.writing.allow_empty && guard::is_empty(&mirror.source);
    Terms {
        patience: Patience::Some,
        last: last.filter(|_| !args.force_delete),
        max_delete: (!vouched).then_some(setup.settings.full_sync.max_delete),
        shard: args.shard,
        extent,
        contents: None,
        state: Some(&setup.state),
        unmounted: if args.force_delete { Unmounted::IsMeant } else { Unmounted::Stays },
    }
}

/// Keeps other passes out, and then waits until a watch has sent what it is just sending.
fn locks(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, children: &Children) -> Result<Vec<Lock>, Failure> {
    let give_up = || children.is_closed();
    let take = |kind, wait| Lock::take(&setup.state, mirror, kind, wait, give_up);
    let pass = take(Kind::Pass, args.writing.lock_wait)?;
    if lock::is_held(&setup.state, mirror, Kind::Turn).is_ok_and(|held| held) {
        info!(mirror:%; "{mirror}: waiting until watch has sent what it is just sending");
    }
    match take(Kind::Turn, setup.settings.full_sync.timeout) {
        Ok(turn) => Ok(vec![turn, pass]),
        Err(failure) => {
            pass.end();
            if failure.exit != Exit::Locked {
                return Err(failure);
            }
            let why = format!("{mirror}: stopped while it was waiting until watch has sent what it is just sending");
            Err(Failure::new(Exit::Partial, why))
        }
    }
}

/// How much of the mirror is looked at, with what is known of the source for that.
fn changed_only(setup: &Setup, args: &FullSyncArgs, mirror: &Mirror, last: Option<&Record>) -> Option<Directories> {
    if !args.changed {
        return None;
    }
    let known = || {
        let last = last.ok_or("no pass over it was ever good under these settings")?;
        last.directories(&setup.state, mirror, args.shard)
    };
    known().map_err(|why| info!(mirror:%; "{mirror}: everything is compared: {why}")).ok()
}
