//! Whose turn it is to change the mirror: this worker's, or that of a pass.

use log::warn;

use super::super::progress::Progress;
use super::Worker;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::state::lock::{self, Kind, Lock};

/// Who may change anything in the mirror.
pub(super) enum Turn {
    /// This worker, which needs a lock for that unless it changes nothing.
    Ours(Option<Lock>),
    /// A pass that is running or about to.
    OfAPass,
}

impl Worker<'_> {
    /// Takes the turn, unless a pass has it or waits for it.
    pub(super) fn turn(&self) -> Result<Turn, Failure> {
        if self.executor.mode() == Mode::DryRun {
            return Ok(Turn::Ours(None));
        }
        if self.a_pass_has_its_lock()? {
            return Ok(Turn::OfAPass);
        }
        match self.lock(Kind::Turn, || true) {
            Ok(lock) => Ok(Turn::Ours(lock)),
            Err(failure) if failure.exit == Exit::Locked => Ok(Turn::OfAPass),
            Err(failure) => Err(failure),
        }
    }

    /// Finds out whether somebody else had the turn since this worker had it last.
    pub(super) fn note_turn(&self, progress: &mut Progress, turn: Option<&Lock>) {
        let serial = turn.and_then(Lock::serial);
        let follows = serial.zip(progress.turn).is_some_and(|(now, last)| now == last.wrapping_add(1));
        if !follows {
            self.executor.use_new_bucket();
        }
        progress.turn = serial;
    }

    /// Whether a pass over the mirror is running.
    pub(super) fn pass_is_running(&self) -> bool {
        self.a_pass_has_its_lock().unwrap_or_else(|failure| {
            warn!(mirror:% = self.executor.mirror(); "{}", failure.message);
            false
        })
    }

    fn a_pass_has_its_lock(&self) -> Result<bool, Failure> {
        let mirror = self.executor.mirror();
        let failed = |e| Failure::new(Exit::Failed, format!("{mirror}: cannot tell whether a pass is running: {e}"));
        lock::is_held(self.state, mirror, Kind::Pass).map_err(failed)
    }
}
