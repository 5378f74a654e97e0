//! How a worker catches up: everything, or what changed since the last time, is compared once.

use std::path::Path;
use std::time::{Duration, Instant};

use log::{error, info, warn};

use super::super::batch::Occasion;
use super::super::progress::{Cure, Knowledge, Progress};
use super::{LOOK_AGAIN, Worker};
use crate::config::settings::Start;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::pass::{self, Extent, Passed, Patience, Terms};
use crate::report::summary::Summary;
use crate::rsync::outcome::Outcome;
use crate::state::lock::{Kind, Lock};
use crate::state::passes::{Passes, Reached};
use crate::state::record::Record;
use crate::tree::changed::Directories;
use crate::tree::shard::Shard;

impl Worker<'_> {
    /// Compares everything once. Changes are reported already, so nothing between is lost.
    pub(super) fn catch_up(&mut self, progress: &mut Progress) {
        let mut waiting_told = false;
        let mut end = None;
        while !progress.caught_up() {
            let begun = Instant::now();
            let mirror = self.executor.mirror();
            // Two comparisons of everything at the same time would undo each other's work.
            let lock = Lock::take(self.state, mirror, Kind::Pass, Duration::ZERO, || false);
            let content = guard::check_content(&mirror.source, self.empty);
            progress.kept_out = lock.as_ref().err().is_some_and(|failure| failure.exit == Exit::Locked);
            if lock.is_err() || content.is_err() || !self.root_is_watched() {
                if !std::mem::replace(&mut waiting_told, true)
                    && let Err(failure) = &lock
                {
                    self.tell_why_it_waits(progress, failure);
                }
                lock.into_iter().for_each(Lock::end);
                if let Err(failure) = content {
                    Self::refused(progress, failure);
                }
                self.publish(progress, 0);
                if !self.waits(&mut end, LOOK_AGAIN) {
                    return;
                }
                continue;
            }
            let on_item = self.on_item;
            let (passed, reached) = {
                let on_item = |change, path: &Path| on_item(mirror, change, path);
                // Whatever it deletes is in the history, and nobody is there to ask.
                let last = Record::load(self.state, mirror, Shard::WHOLE);
                let directories = self.scan_base(last.as_ref());
                let terms = Terms {
                    patience: Patience::None,
                    last: last.as_ref(),
                    max_delete: None,
                    shard: Shard::WHOLE,
                    extent: match (&last, &directories) {
                        (Some(last), Some(directories)) => Extent::Changed(last, directories),
                        _ => Extent::Everything,
                    },
                    state: Some(self.state),
                };
                let reached = match terms.extent {
                    Extent::Changed(..) => Reached::Changed,
                    Extent::Everything => Reached::Everything,
                };
                (pass::run(&mut self.executor, self.children, terms, &on_item), reached)
            };
            progress.covered = passed.stamp().cloned();
            if self.executor.mode() == Mode::Real {
                passed.remember(self.state, mirror, Shard::WHOLE);
                let summary = Summary::new(mirror, passed.outcome.clone(), passed.tally, begun.elapsed());
                let tell = |passes: &Passes| self.metrics.passes(&mirror.to_string(), passes);
                if let Err(e) = Passes::add(self.state, mirror, &summary.ended(reached), tell) {
                    warn!("{mirror}: how the comparison ended cannot be written down: {e}");
                }
            }
            let Passed { outcome, tally, .. } = passed;
            progress.cut_off = outcome.cut_off();
            match lock {
                Ok(lock) if !outcome.cut_off() => lock.end(),
                lock => drop(lock),
            }
            match outcome {
                Outcome::Done => {
                    progress.knowledge = Knowledge::Compared;
                    progress.settled();
                }
                Outcome::Partial(mut failing) => {
                    progress.knowledge = Knowledge::Compared;
                    for dir in std::mem::take(&mut failing.left_alone) {
                        let why = failing.paths.remove(&dir).unwrap_or_default();
                        self.leave_out(progress, dir, &why);
                    }
                    if !failing.is_empty() {
                        self.partial(progress, failing, None);
                    }
                    progress.settled();
                }
                Outcome::Transient(trouble) | Outcome::Busy(trouble) => self.failed(progress, trouble, Cure::Time),
                Outcome::Aborted(trouble) => self.failed(progress, trouble, Cure::EndOfSession),
                Outcome::Permanent(trouble) => self.failed(progress, trouble, Cure::Operator),
                Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => return,
            }
            if progress.caught_up() {
                self.succeeded(progress);
                self.tell(progress, Occasion::CatchUp, tally, begun);
            } else {
                self.publish(progress, 0);
                // The lock is free by now: while this waits, others may find out for themselves what is wrong.
                // It does what it can, which is to wait.
                self.queue.set_busy(false);
                let wait = progress.hold.map_or(LOOK_AGAIN, |hold| hold.saturating_duration_since(Instant::now()));
                if self.queue.pause(wait) {
                    return;
                }
                self.queue.set_busy(true);
            }
        }
    }

    fn tell_why_it_waits(&self, progress: &mut Progress, failure: &Failure) {
        if progress.kept_out {
            let mirror = self.executor.mirror();
            info!("{mirror}: a pass is running; waiting for its end, before everything is compared");
        } else {
            error!("{}", failure.message);
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
            Ok(_) => info!("{mirror}: comparing what changed since the last time"),
            Err(why) => info!("{mirror}: everything is compared: {why}"),
        }
        known.ok()
    }
}
