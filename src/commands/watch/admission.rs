//! Which mirrors may be watched, and what becomes of those that may not.

use std::collections::BTreeSet;
use std::env;

use chrono::Utc;
use log::{error, warn};

use super::{LONG, RELOADED};
use crate::cli::WatchArgs;
use crate::commands::setup::Setup;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::mirror::Mirror;
use crate::notify::{Health, Notifier};
use crate::state::condition::{Activity, Condition, Counters, Told};
use crate::state::lock::{Kind, Lock};
use crate::state::record::Record;

/// What may be worked on, and what not.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Each with its lock, if it needs one.
    pub(super) mirrors: Vec<(Mirror, Option<Lock>)>,
    /// Each with the reason, which was said.
    pub(super) failures: Vec<(Mirror, Failure)>,
}

/// Takes the locks, and says why it cannot.
pub(super) fn admitted(
    setup: &Setup,
    args: &WatchArgs,
    mode: Mode,
    empty: EmptySource,
    give_up: &dyn Fn() -> bool,
) -> Admission {
    let mut admission = Admission::default();
    // Whoever took the lock in the moment in which it was free ends sooner or later.
    let lock_wait = if env::var_os(RELOADED).is_some() { LONG } else { args.writing.lock_wait };
    let mut told = BTreeSet::new();
    for mirror in &setup.mirrors {
        let admitted = check(setup, mirror, empty).and_then(|()| match mode {
            Mode::DryRun => Ok(None),
            Mode::Real => Lock::take(&setup.state, mirror, Kind::Watch, lock_wait, give_up).map(Some),
        });
        match admitted {
            Ok(lock) => admission.mirrors.push((mirror.clone(), lock)),
            Err(failure) => {
                // What is wrong with a source is said once for all its mirrors.
                if told.insert(failure.message.clone()) {
                    error!("{}", failure.message);
                }
                admission.failures.push((mirror.clone(), failure));
            }
        }
    }
    admission
}

/// Whether the source of a mirror is there, as it should be.
pub(super) fn check(setup: &Setup, mirror: &Mirror, empty: EmptySource) -> Result<(), Failure> {
    guard::check_source(&mirror.source, empty)?;
    guard::check_mounted(&mirror.source, Record::was_mounted(&setup.state, mirror))
}

/// Writes down, and tells whoever wants to know, that a mirror is not watched although it should be.
pub(super) fn not_begun(setup: &Setup, mirror: &Mirror, failure: &Failure, notifier: &Notifier) {
    // Then another watch is at work.
    if failure.exit == Exit::Locked {
        return;
    }
    let why = failure.message.clone();
    notifier.note(mirror, &Health::Failing { why: why.clone(), exit: failure.exit, paths: 0 });
    let last = Condition::load(&setup.state, mirror).unwrap_or_default();
    let now = Utc::now();
    let condition = Condition {
        activity: Activity::Refused,
        since: now,
        degraded: None,
        pending: 0,
        failing: 0,
        failing_paths: Vec::new(),
        last_error: Some(Told { why, at: now }),
        arrived: last.as_ref().and_then(|last| last.arrived),
        behind_since: last.as_ref().and_then(|last| last.behind_since.or(last.arrived)),
        batches: 0,
        last_batch: last.and_then(|last| last.last_batch),
        counters: Counters::default(),
        inotify_watches: 0,
    };
    setup.metrics.watching(&mirror.to_string(), &condition);
    if let Err(e) = condition.save(&setup.state, mirror) {
        warn!("{mirror}: that it is not watched cannot be written down: {e}");
    }
}
