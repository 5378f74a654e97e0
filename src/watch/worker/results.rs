//! What a worker makes of success and failure: what is tried again, when, and what is said of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use chrono::Local;
use log::{debug, error, info, warn};

use super::super::batch::Occasion;
use super::super::progress::{Cure, Progress};
use super::{LOOK_AGAIN, Worker};
use crate::dirty::{DirtySet, Mark};
use crate::exit::Failure;
use crate::mounted::NOT_MOUNTED;
use crate::report::json::{self, Fields};
use crate::report::repeats::Say;
use crate::report::text::{self, count};
use crate::rsync::argv::{pattern_for, pattern_for_directory};
use crate::rsync::outcome::{Failing, HIDDEN, Trouble, VANISHED};

/// Why a directory is left out when rsync could not name what is in it.
pub(super) const TOO_LONG: &str = "is left as it is: its path is too long for rsync and the history";
/// Further failing paths are counted in the log, not named.
const NAMED: usize = 20;

impl Worker<'_> {
    pub(super) fn postpone(&self, progress: &mut Progress, batch: &DirtySet, trouble: Trouble, cure: Cure) {
        self.failed(progress, trouble, cure);
        // A session that was broken off may have been so because of what it was to send.
        if progress.occasion == Occasion::Retry && cure == Cure::EndOfSession {
            progress.retries.put_off(batch, progress.outage.hold, Instant::now());
        } else {
            self.queue.put_back(batch);
        }
    }

    /// The source is not to be mirrored as it is now. It is looked at again soon: that costs nothing.
    pub(super) fn refused(&self, progress: &mut Progress, failure: Failure) {
        let mirror = self.executor.mirror();
        let trouble = Trouble::new(failure.exit, failure.message);
        if progress.outage.trouble.as_ref() != Some(&trouble) {
            progress.counters.errors += 1;
        }
        progress.note_error(&trouble.why);
        let why = trouble.why.clone();
        match progress.outage.refused(trouble, LOOK_AGAIN, Instant::now(), Local::now()) {
            Say::Reason => error!(mirror:%; "{why}"),
            Say::Still(how) => error!(mirror:%; "{why}; {how}"),
            Say::Nothing => {}
        }
    }

    /// The endpoint failed as a whole.
    pub(super) fn failed(&self, progress: &mut Progress, trouble: Trouble, cure: Cure) {
        progress.counters.errors += 1;
        progress.note_error(&trouble.why);
        let why = trouble.why.clone();
        let (wait, say) = progress.outage.failed(trouble, cure, Instant::now(), Local::now());
        let (mirror, again) = (self.executor.mirror(), wait.as_secs_f64().ceil());
        let line = format!("{mirror}: {why} (trying again in {again:.0} s)");
        match say {
            Say::Reason => error!(mirror:%; "{line}"),
            Say::Still(how) => error!(mirror:%; "{line}; {how}"),
            Say::Nothing => debug!(mirror:%; "{line}"),
        }
    }

    /// The endpoint works.
    pub(super) fn succeeded(&self, progress: &mut Progress) {
        if let Some(failures) = progress.outage.is_over() {
            let failures = count(failures, "failed attempt");
            let mirror = self.executor.mirror();
            warn!(mirror:%; "{mirror}: works again after {failures}");
        }
    }

    /// Excludes a directory that must not be mirrored, and says so once.
    pub(super) fn leave_out(&mut self, progress: &mut Progress, dir: PathBuf, why: &str) {
        if !progress.left_out.contains_key(&dir) {
            let (mirror, Fields { path, path_hex }) = (self.executor.mirror(), json::fields(&dir));
            error!(mirror:%, path, path_hex; "{mirror}: {} {why}", text::path(&dir));
            progress.counters.errors += 1;
            self.patterns.push(left_out_by(&dir, why));
            self.executor.left_alone().insert(dir.clone());
            progress.left_out.insert(dir, why.to_owned());
        }
    }

    /// What was left out because its path is too long and is gone fails no more. Its place is looked at again, since nothing
    /// there was touched. Where something was mounted, that it is gone tells nothing: it stays as it is.
    pub(super) fn forget_what_is_gone(&mut self, progress: &mut Progress) {
        let root = self.executor.root();
        let is_gone = |dir: &Path| match fs::symlink_metadata(root.join(dir)) {
            Ok(meta) => !meta.is_dir(),
            Err(e) => is_absence(&e),
        };
        let fails_no_more = |(dir, why): &(&PathBuf, &String)| *why == TOO_LONG && is_gone(dir);
        let gone: Vec<PathBuf> = progress.left_out.iter().filter(fails_no_more).map(|(dir, _)| dir.clone()).collect();
        if gone.is_empty() {
            return;
        }
        let mut again = DirtySet::new(self.settings.max_pending);
        for dir in gone {
            let (mirror, Fields { path, path_hex }) = (self.executor.mirror(), json::fields(&dir));
            info!(mirror:%, path, path_hex; "{mirror}: {}, which was left out, is gone", text::path(&dir));
            self.take_in_again(progress, &dir);
            again.mark(&dir, Mark::Deep);
        }
        self.queue.put_back(&again);
    }

    /// Leaves a directory out no more.
    pub(super) fn take_in_again(&mut self, progress: &mut Progress, dir: &Path) {
        if let Some(why) = progress.left_out.remove(dir) {
            let pattern = left_out_by(dir, &why);
            self.patterns.retain(|excluded| *excluded != pattern);
            self.executor.left_alone().remove(dir);
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
        let again = again_after(&failing, batch, self.settings.max_pending);
        // The source is in motion: what vanished is looked at again with the next batch.
        if failing.unattributed.is_empty() && failing.paths.values().all(|why| why == VANISHED) {
            return self.queue.put_back(&again);
        }
        progress.retries.put_aside(&again, progress.occasion, Instant::now());
        self.name_what_fails(progress, &failing);
        progress.counters.errors += failing.len() as u64;
        if let Some((path, why)) = failing.paths.iter().next() {
            progress.note_error(&format!("{}: {why}", text::path(path)));
        }
        if let Say::Still(how) = progress.retries.fail(failing, Instant::now(), Local::now()) {
            let (mirror, paths) = (self.executor.mirror(), count(progress.retries.failing.len(), "path"));
            warn!(mirror:%; "{mirror}: {paths} cannot be sent; {how}");
        }
    }

    /// Says what was not said yet of what fails.
    fn name_what_fails(&self, progress: &mut Progress, failing: &Failing) {
        let mirror = self.executor.mirror();
        let new = progress.retries.to_name(failing);
        for (path, why) in new.iter().take(NAMED) {
            let Fields { path: name, path_hex } = json::fields(path);
            warn!(mirror:%, path = name, path_hex; "{mirror}: {}: {why}", text::path(path));
        }
        if new.len() > NAMED {
            warn!(mirror:%; "{mirror}: {} more paths failed", new.len() - NAMED);
        }
        for why in failing.unattributed.iter().take(NAMED) {
            if progress.retries.is_to_be_said(why) {
                warn!(mirror:%; "{mirror}: {why}");
            }
        }
    }

    /// Everything went through: if nothing waits for another attempt, nothing fails any more.
    pub(super) fn healed(&self, progress: &mut Progress) {
        progress.settled();
        if progress.retries.are_over() {
            let mirror = self.executor.mirror();
            warn!(mirror:%; "{mirror}: what failed before has arrived");
        }
    }
}

/// The pattern that leaves a directory out. Where something was mounted, whatever is there instead is left out as well.
fn left_out_by(dir: &Path, why: &str) -> OsString {
    if why == NOT_MOUNTED { pattern_for(dir) } else { pattern_for_directory(dir) }
}

/// Whether there is nothing, rather than something that cannot be looked at.
fn is_absence(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What has to be looked at again: the failing paths, or everything when it is not known which those are.
fn again_after(failing: &Failing, batch: Option<&DirtySet>, most: usize) -> DirtySet {
    let mut again = DirtySet::new(most);
    if failing.unattributed.is_empty() && !failing.deletions_skipped {
        for path in failing.paths.keys() {
            again.mark(path, Mark::Deep);
        }
    } else if let Some(batch) = batch {
        again.merge(batch);
    } else {
        again.mark(Path::new(""), Mark::Deep);
    }
    again
}
