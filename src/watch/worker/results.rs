//! What a worker makes of success and failure: what is tried again, when, and what is said of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Local;
use log::{debug, error, info, warn};

use super::super::batch::Occasion;
use super::super::progress::{Cure, FIRST_RETRY, Progress};
use super::{LOOK_AGAIN, Worker};
use crate::dirty::{DirtySet, Mark};
use crate::exit::Failure;
use crate::report::fold::Say;
use crate::report::text::{self, count};
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::outcome::{Failing, HIDDEN, SETTLE, Trouble, VANISHED};

/// Further failing paths are counted in the log, not named.
const NAMED: usize = 20;
/// So many messages without a path are remembered; further ones are not said.
const MOST_UNNAMED: usize = 200;

impl Worker<'_> {
    pub(super) fn postpone(&self, progress: &mut Progress, batch: &DirtySet, trouble: Trouble, cure: Cure) {
        self.queue.put_back(batch);
        self.failed(progress, trouble, cure);
    }

    /// The source is not to be mirrored as it is now. It is looked at again soon: that costs nothing.
    pub(super) fn refused(progress: &mut Progress, failure: Failure) {
        let trouble = Trouble { exit: failure.exit, why: failure.message };
        if progress.trouble.as_ref() != Some(&trouble) {
            progress.counters.errors += 1;
        }
        match progress.fold.failed(&trouble.why, Instant::now(), Local::now()) {
            Say::Reason => error!("{}", trouble.why),
            Say::Still(how) => error!("{}; {how}", trouble.why),
            Say::Nothing => {}
        }
        progress.note_error(&trouble.why);
        progress.hold = Some(Instant::now() + LOOK_AGAIN);
        progress.failures += 1;
        progress.trouble = Some(trouble);
        progress.cure = Cure::Operator;
    }

    pub(super) fn failed(&self, progress: &mut Progress, trouble: Trouble, cure: Cure) {
        let backoff = match cure {
            Cure::Time | Cure::EndOfSession => &mut progress.transient,
            Cure::Operator => &mut progress.permanent,
        };
        let settled = if cure == Cure::EndOfSession { SETTLE } else { Duration::ZERO };
        let wait = backoff.after_failure().max(settled);
        progress.hold = Some(Instant::now() + wait);
        progress.failures += 1;
        progress.counters.errors += 1;
        let (mirror, again) = (self.executor.mirror(), wait.as_secs_f64().ceil());
        let line = format!("{mirror}: {} (trying again in {again:.0} s)", trouble.why);
        let name = mirror.to_string();
        match progress.fold.failed(&trouble.why, Instant::now(), Local::now()) {
            Say::Reason => error!(mirror = name.as_str(); "{line}"),
            Say::Still(how) => error!(mirror = name.as_str(); "{line}; {how}"),
            Say::Nothing => debug!(mirror = name.as_str(); "{line}"),
        }
        progress.note_error(&trouble.why);
        progress.trouble = Some(trouble);
        progress.cure = cure;
    }

    pub(super) fn succeeded(&self, progress: &mut Progress) {
        if progress.trouble.take().is_some() {
            let failures = count(progress.failures, "failed attempt");
            warn!("{}: works again after {failures}", self.executor.mirror());
        }
        progress.failures = 0;
        progress.fold.worked();
        progress.hold = None;
        progress.transient.reset();
        progress.permanent.reset();
    }

    /// Excludes a directory that must not be mirrored, and says so once.
    pub(super) fn leave_out(&mut self, progress: &mut Progress, dir: PathBuf, why: &str) {
        if !progress.left_out.contains(&dir) {
            error!("{}: {} {why}", self.executor.mirror(), text::path(&dir));
            progress.counters.errors += 1;
            self.patterns.push(pattern_for_directory(&dir));
            progress.left_out.insert(dir);
        }
    }

    /// Puts the failing paths, or the whole batch when they are not known, aside for another attempt.
    pub(super) fn partial(&self, progress: &mut Progress, mut failing: Failing, batch: Option<&DirtySet>) {
        // What is gone here and cannot be there needs no more attempts.
        let is_gone = |path: &Path| fs::symlink_metadata(self.executor.root().join(path)).is_err();
        failing.paths.retain(|path, why| why != HIDDEN || !is_gone(path));
        if failing.is_empty() {
            return self.healed(progress);
        }
        let mirror = self.executor.mirror();
        let mut again = DirtySet::new(self.settings.max_pending);
        if failing.unattributed.is_empty() && !failing.deletions_skipped {
            for path in failing.paths.keys() {
                again.mark(path, Mark::Deep);
            }
        } else if let Some(batch) = batch {
            again.merge(batch);
        } else {
            again.mark(Path::new(""), Mark::Deep);
        }
        // The source is in motion: what vanished is looked at again with the next batch.
        if failing.unattributed.is_empty() && failing.paths.values().all(|why| why == VANISHED) {
            return self.queue.put_back(&again);
        }
        progress.retry.merge(&again);
        // What fails for the first time is tried again soon, whatever else has been failing for long.
        let wait =
            if progress.occasion == Occasion::Retry { progress.retry_backoff.after_failure() } else { FIRST_RETRY };
        let at = Instant::now() + wait;
        progress.retry_at = Some(progress.retry_at.map_or(at, |before| before.min(at)));
        let worth_telling = |path: &PathBuf, why: &str| why != VANISHED && !progress.named.contains(path);
        let new: Vec<_> = failing.paths.iter().filter(|(path, why)| worth_telling(path, why)).collect();
        for (path, why) in new.iter().take(NAMED) {
            warn!("{mirror}: {}: {why}", text::path(path));
        }
        if new.len() > NAMED {
            warn!("{mirror}: {} more paths failed", new.len() - NAMED);
        }
        for why in failing.unattributed.iter().take(NAMED) {
            if progress.unnamed.len() < MOST_UNNAMED && progress.unnamed.insert(why.clone()) {
                warn!("{mirror}: {why}");
            }
        }
        if failing.paths.is_empty() {
            // It has no name, but it counts.
            let why = failing.unattributed.first().cloned().unwrap_or_default();
            progress.failing.insert(PathBuf::new(), why);
        }
        progress.counters.errors += failing.len() as u64;
        if let Some((path, why)) = failing.paths.iter().next() {
            progress.note_error(&format!("{}: {why}", text::path(path)));
        }
        progress.named.extend(failing.paths.keys().cloned());
        progress.failing.extend(failing.paths);
        if let Say::Still(how) = progress.partly.failed("some paths", Instant::now(), Local::now()) {
            warn!("{mirror}: {} cannot be sent; {how}", count(progress.failing.len(), "path"));
        }
    }

    /// Everything went through: if nothing waits for another attempt, nothing fails any more.
    pub(super) fn healed(&self, progress: &mut Progress) {
        progress.settled();
        if progress.retry.is_empty() && progress.partly.worked() > 0 {
            info!("{}: what failed before has arrived", self.executor.mirror());
            progress.named.clear();
            progress.unnamed.clear();
            progress.retry_backoff.reset();
        }
    }
}
