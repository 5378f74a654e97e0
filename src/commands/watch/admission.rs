//! Which mirrors may be watched, and what becomes of those that may not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::Utc;
use log::{debug, error};

use super::{WatchArgs, has_begun_anew};
use crate::commands::setup::Setup;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::mirror::Mirror;
use crate::notify::{Health, Notifier};
use crate::state::condition::{Activity, Condition, Counters, Told};
use crate::state::lock::{self, Kind, Lock};
use crate::state::record::Record;

/// For so long a watch waits for a lock that it had before.
const LONG: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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
    // All of them together wait no longer than one may, and than the whole run. In whole seconds, because it is told.
    let most = args.run_for.map_or(args.writing.lock_wait, |time| time.min(args.writing.lock_wait));
    let begun = Instant::now();
    let wait = || match most {
        Duration::ZERO => Duration::ZERO,
        most => Duration::from_secs(most.saturating_sub(begun.elapsed()).as_secs() + 1),
    };
    let take = |mirror: &Mirror, wait| Lock::take(&setup.state, mirror, Kind::Watch, wait, give_up);
    let mut told = BTreeSet::new();
    for mirror in &setup.mirrors {
        let admitted = check(setup, mirror, empty).and_then(|()| match mode {
            Mode::DryRun => Ok(None),
            Mode::Real => take(mirror, wait()).map(Some),
        });
        match admitted {
            Ok(lock) => admission.mirrors.push((mirror.clone(), lock)),
            // It was told to end while it waited, which is no failure.
            Err(failure) if failure.exit == Exit::Locked && give_up() => {}
            Err(failure) => {
                // What is wrong with a source is said once for all its mirrors.
                if told.insert(failure.message.clone()) {
                    error!(mirror:%; "{}", failure.message);
                }
                admission.failures.push((mirror.clone(), failure));
            }
        }
    }
    // Whoever took the locks in the moment in which they were free ends sooner or later. With something else to watch, that is
    // looked for meanwhile.
    let locked = admission.failures.iter().position(|(_, failure)| failure.exit == Exit::Locked);
    if let Some(place) = locked.filter(|_| admission.mirrors.is_empty() && has_begun_anew()) {
        let (mirror, _) = admission.failures.remove(place);
        match take(&mirror, LONG) {
            Ok(lock) => admission.mirrors.push((mirror, Some(lock))),
            Err(failure) => admission.failures.push((mirror, failure)),
        }
    }
    admission
}

/// Whether a mirror that was left out for this reason could be watched now, and what has changed.
pub(super) fn may_begin(setup: &Setup, mirror: &Mirror, why: Exit, empty: EmptySource) -> Option<&'static str> {
    if why == Exit::Locked {
        // When it cannot be told, the other watch may still be at work.
        let held = lock::is_held(&setup.state, mirror, Kind::Watch).unwrap_or(true);
        return (!held).then_some("another watch of a mirror has ended, and this one takes it over");
    }
    check(setup, mirror, empty).ok().map(|()| "a source that was missing is there now")
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
        // The state directory has said it aloud.
        debug!(mirror:%; "{mirror}: that it is not watched cannot be written down: {e}");
    }
}
