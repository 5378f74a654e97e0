//! How a worker sends a batch when it is its turn, and what becomes of it.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use log::debug;

use super::super::progress::{Cure, Progress};
use super::turn::Turn;
use super::{LOOK_AGAIN, Worker};
use crate::dirty::DirtySet;
use crate::executor::Mode;
use crate::exit::Exit;
use crate::guard;
use crate::root::Root;
use crate::rsync::outcome::{Outcome, Trouble};
use crate::state::lock::Lock;
use crate::state::record::Record;
use crate::tree::known::Moved;

impl Worker<'_> {
    /// Sends a batch, or sees to it that it is sent later.
    pub(super) fn send(&mut self, progress: &mut Progress, batch: &DirtySet) {
        if batch.is_empty() {
            return;
        }
        // What is looked at from here on is the directory that is watched: in any other one, what is missing says nothing
        // about what was deleted.
        match Root::open(&self.executor.mirror().source.path) {
            Ok(root) if Some(root.identity()) == self.queue.root() => self.executor.hold(root),
            _ => {
                self.queue.put_back(batch);
                progress.outage.hold = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
        }
        if let Err(failure) = guard::check_content(&self.executor.mirror().source, self.empty) {
            self.queue.put_back(batch);
            return self.refused(progress, failure);
        }
        // To be known before the changes are looked at: a pass that begins later sees at least as much.
        let turn = match self.turn() {
            Ok(Turn::Ours(turn)) => turn,
            Ok(Turn::OfAPass) => {
                progress.again.merge(batch);
                return self.send_beside_a_pass(progress, batch);
            }
            Err(failure) => {
                let mirror = format!("{}: ", self.executor.mirror());
                let why = failure.message.strip_prefix(&mirror).unwrap_or(&failure.message).to_owned();
                let trouble = Trouble::new(failure.exit, why);
                return self.postpone(progress, batch, trouble, Cure::Operator);
            }
        };
        self.send_in_turn(progress, batch, turn);
    }

    /// Sends a batch while nobody else changes the mirror.
    fn send_in_turn(&mut self, progress: &mut Progress, batch: &DirtySet, turn: Option<Lock>) {
        self.note_turn(progress, turn.as_ref());
        if turn.as_ref().is_some_and(Lock::after_crash) && !progress.cut_off {
            self.children.let_settle(self.executor.mirror(), "a pass");
        }
        let held = self.hold_mounts(progress, batch);
        let held = match held.and_then(|held| self.note_mounts(progress).map(|()| held)) {
            Ok(held) => held,
            Err(e) => {
                turn.into_iter().for_each(Lock::end);
                let trouble = Trouble::new(
                    Exit::Failed,
                    format!("what is mounted in the source, or was, cannot be found out: {e}"),
                );
                return self.postpone(progress, batch, trouble, Cure::Operator);
            }
        };
        self.publish(progress, batch.len());
        self.note_moved(progress);
        let (begun, pushed) = (Instant::now(), SystemTime::now());
        let (outcome, tally) = self.transfer(progress, batch);
        drop(held);
        match &outcome {
            Outcome::Done => progress.compared(pushed, &BTreeMap::new()),
            Outcome::Partial(failing) => progress.compared(pushed, &failing.paths),
            _ => {}
        }
        progress.cut_off = outcome.cut_off();
        turn.filter(|_| !outcome.cut_off()).into_iter().for_each(Lock::end);
        match outcome {
            Outcome::Done => {
                self.succeeded(progress);
                self.healed(progress);
            }
            Outcome::Partial(failing) => {
                self.succeeded(progress);
                self.partial(progress, failing, Some(batch));
            }
            Outcome::Transient(trouble) | Outcome::Busy(trouble) => {
                return self.postpone(progress, batch, trouble, Cure::Time);
            }
            Outcome::Aborted(trouble) => return self.postpone(progress, batch, trouble, Cure::EndOfSession),
            Outcome::Permanent(trouble) => return self.postpone(progress, batch, trouble, Cure::Operator),
            Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => return self.queue.put_back(batch),
        }
        self.forget_what_is_gone(progress);
        progress.sent += 1;
        self.tell(progress, progress.occasion, tally, begun);
    }

    /// Writes down where directories came and went: whoever looks for what changed after a crash has to know that.
    fn note_moved(&self, progress: &mut Progress) {
        if progress.moved == Moved::default() || self.executor.mode() != Mode::Real {
            return;
        }
        let mirror = self.executor.mirror();
        match Record::note_moved(self.state, mirror, &progress.moved) {
            Ok(()) => progress.moved = Moved::default(),
            // The state directory has said it aloud.
            Err(e) => debug!(mirror:%; "{mirror}: where directories went cannot be remembered: {e}"),
        }
    }
}
