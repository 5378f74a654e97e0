//! What a worker sends while a pass is running.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::batch::Occasion;
use super::super::progress::{Cure, Progress};
use super::Worker;
use crate::dirty::DirtySet;
use crate::rsync::outcome::Outcome;
use crate::scope::{Listed, Scope};

/// How long it may take until it is known what has happened up to now.
const LONGEST_REPORT: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// Sends what of a batch cannot get in the way of a pass that is running, and cannot be harmed by it: files in places
    /// where no directory came or went. All of the batch is sent when the pass is over, so what fails here is no failure.
    pub(super) fn send_beside_a_pass(&mut self, progress: &mut Progress, batch: &DirtySet) {
        let begun = Instant::now();
        let mirror = self.executor.mirror();
        let listed = |scope: Scope| match scope {
            Scope::Listed(Listed { present, .. }) => present,
            Scope::Tree(_) => Vec::new(),
        };
        let Ok(_held) = self.hold_mounts(progress, batch) else { return };
        let present = self.plan(progress, batch).into_iter().flat_map(listed);
        let mut present: Vec<PathBuf> = present.filter(|path| progress.places.are_apart_from(path)).collect();
        // What is looked at is newer than what was reported.
        match self.queue.places_by_now(LONGEST_REPORT) {
            Some(places) => present.retain(|path| places.are_apart_from(path)),
            None => present.clear(),
        }
        if present.is_empty() {
            return;
        }
        let on_item = self.on_item;
        let (outcome, tally) = self.executor.run_carefully(present, &self.patterns, &|c, p| on_item(mirror, c, p));
        progress.cut_off = outcome.cut_off();
        match outcome {
            Outcome::Done | Outcome::Partial(_) => {
                self.succeeded(progress);
                self.tell(progress, Occasion::BesidePass, tally, begun);
            }
            Outcome::Transient(trouble) | Outcome::Busy(trouble) => self.failed(progress, trouble, Cure::Time),
            Outcome::Aborted(trouble) => self.failed(progress, trouble, Cure::EndOfSession),
            Outcome::Permanent(trouble) => self.failed(progress, trouble, Cure::Operator),
            Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => {}
        }
    }
}
