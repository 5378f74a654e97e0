//! How a worker catches up: everything, or what changed since the last time, is compared once.

use std::mem;
use std::path::Path;
use std::time::Instant;

use log::{debug, error, info};

use super::super::batch::Occasion;
use super::super::progress::{Cure, Knowledge, Progress};
use super::{LOOK_AGAIN, Worker};
use crate::config::settings::Start;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::mounted::NOT_MOUNTED;
use crate::pass::summary::Summary;
use crate::pass::{self, Extent, Passed, Patience, Terms, Unmounted};
use crate::rsync::outcome::Outcome;
use crate::state::lock::{Kind, Lock};
use crate::state::passes::{Passes, Reached};
use crate::state::record::Record;
use crate::tree::known::Directories;
use crate::tree::shard::Shard;

/// Nothing can be compared yet.
struct NotYet;

impl Worker<'_> {
    /// Compares everything once. Changes are reported already, so nothing between is lost.
    pub(super) fn catch_up(&mut self, progress: &mut Progress) {
        let mut waiting_told = false;
        let mut end = None;
        while !progress.caught_up() {
            self.keep_place(progress);
            let begun = Instant::now();
            let Ok(lock) = self.lock_to_compare(progress, &mut waiting_told) else {
                self.publish(progress, 0);
                if !self.waits(&mut end, LOOK_AGAIN) {
                    return;
                }
                continue;
            };
            let (passed, reached) = self.compare();
            progress.covered = passed.stamp().cloned();
            self.write_down(&passed, reached, begun);
            let Passed { outcome, tally, .. } = passed;
            progress.cut_off = outcome.cut_off();
            match lock {
                Some(lock) if !outcome.cut_off() => lock.end(),
                lock => drop(lock),
            }
            if !self.take_in(progress, outcome) {
                return;
            }
            if progress.caught_up() {
                self.succeeded(progress);
                self.tell(progress, Occasion::CatchUp, tally, begun);
            } else {
                self.publish(progress, 0);
                // The lock is free by now: while this waits, others may find out for themselves what is wrong.
                // It does what it can, which is to wait.
                self.queue.ends_work();
                let wait =
                    progress.outage.hold.map_or(LOOK_AGAIN, |hold| hold.saturating_duration_since(Instant::now()));
                if self.queue.pause(wait) {
                    return;
                }
                self.queue.begins_work();
            }
        }
    }

    /// Takes the lock of a pass: two comparisons of everything at the same time would undo each other's work. Nothing is
    /// compared while another one has it, or the source is not to be mirrored as it is now.
    fn lock_to_compare(&self, progress: &mut Progress, waiting_told: &mut bool) -> Result<Option<Lock>, NotYet> {
        let lock = self.lock(Kind::Pass, || false);
        let content = guard::check_content(&self.executor.mirror().source, self.empty);
        progress.kept_out = lock.as_ref().err().is_some_and(|failure| failure.exit == Exit::Locked);
        match (lock, content) {
            (Ok(lock), Ok(())) if self.root_is_watched() => Ok(lock),
            (lock, content) => {
                if !mem::replace(waiting_told, true)
                    && let Err(failure) = &lock
                {
                    self.tell_why_it_waits(progress, failure);
                }
                lock.into_iter().flatten().for_each(Lock::end);
                if let Err(failure) = content {
                    self.refused(progress, failure);
                }
                Err(NotYet)
            }
        }
    }

    /// Compares everything, or what changed since the last time. Whatever that deletes is in the history, and nobody is there
    /// to ask.
    fn compare(&mut self) -> (Passed, Reached) {
        let (mirror, on_item) = (self.executor.mirror(), self.on_item);
        let last = Record::load(self.state, mirror, Shard::WHOLE);
        let directories = self.scan_base(last.as_ref());
        let (extent, reached) = match (&last, &directories) {
            (Some(last), Some(directories)) => (Extent::Changed(last, directories), Reached::Changed),
            _ => (Extent::Everything, Reached::Everything),
        };
        // Whoever compares everything, because of other settings or another source, would miss by size and time what a scan finds.
        let contents = matches!(extent, Extent::Everything)
            .then(|| Record::for_contents(self.state, mirror, Shard::WHOLE))
            .flatten();
        let terms = Terms {
            patience: Patience::None,
            last: last.as_ref(),
            max_delete: None,
            shard: Shard::WHOLE,
            extent,
            contents: contents.as_ref().map(|(last, known)| (last, known)),
            state: Some(self.state),
            unmounted: Unmounted::Stays,
        };
        let on_item = |change, path: &Path| on_item(mirror, change, path);
        (pass::run(&mut self.executor, self.children, terms, &on_item), reached)
    }

    /// Writes down how a comparison ended.
    fn write_down(&self, passed: &Passed, reached: Reached, begun: Instant) {
        if self.executor.mode() != Mode::Real {
            return;
        }
        let mirror = self.executor.mirror();
        passed.remember(self.state, mirror, Shard::WHOLE);
        let summary = Summary::new(mirror, passed.outcome.clone(), passed.tally, begun.elapsed());
        let tell = |passes: &Passes| self.metrics.passes(&mirror.to_string(), passes);
        let ended = summary.ended(reached);
        if let Err(e) = Passes::add(self.state, mirror, &ended, summary.failing_paths(), tell) {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: how the comparison ended cannot be written down: {e}");
        }
    }

    /// Takes in what became of a comparison; false when it is not to be tried again.
    fn take_in(&mut self, progress: &mut Progress, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Done => {
                progress.knowledge = Knowledge::Compared;
                progress.settled();
            }
            Outcome::Partial(mut failing) => {
                progress.knowledge = Knowledge::Compared;
                for dir in mem::take(&mut failing.left_alone) {
                    failing.paths.remove(&dir);
                    self.leave_out(progress, dir, NOT_MOUNTED);
                }
                if !failing.is_empty() {
                    self.partial(progress, failing, None);
                }
                progress.settled();
            }
            Outcome::Transient(trouble) | Outcome::Busy(trouble) => self.failed(progress, trouble, Cure::Time),
            Outcome::Aborted(trouble) => self.failed(progress, trouble, Cure::EndOfSession),
            Outcome::Permanent(trouble) => self.failed(progress, trouble, Cure::Operator),
            Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => return false,
        }
        true
    }

    fn tell_why_it_waits(&self, progress: &mut Progress, failure: &Failure) {
        if progress.kept_out {
            let mirror = self.executor.mirror();
            info!(mirror:%; "{mirror}: a pass is running; waiting for its end, before everything is compared");
        } else {
            error!(mirror:% = self.executor.mirror(); "{}", failure.message);
            progress.note_error(&failure.message);
        }
    }

    /// The directories that a scan for what changed needs to know, if such a scan is wanted and possible.
    fn scan_base(&self, last: Option<&Record>) -> Option<Directories> {
        if self.settings.start != Start::Changed {
            return None;
        }
        let mirror = self.executor.mirror();
        let known = last.map(|last| last.directories(self.state, mirror, Shard::WHOLE))?;
        match &known {
            Ok(_) => info!(mirror:%; "{mirror}: comparing what changed since the last time"),
            Err(why) => info!(mirror:%; "{mirror}: everything is compared: {why}"),
        }
        known.ok()
    }
}
