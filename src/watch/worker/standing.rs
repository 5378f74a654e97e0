//! How a worker holds its place in the state directory, whatever becomes of that.

use std::time::Duration;

use log::{debug, error, warn};

use super::super::progress::{Progress, Standing};
use super::Worker;
use crate::exit::{Exit, Failure};
use crate::report::text;
use crate::state::condition::Condition;
use crate::state::lock::{Kind, Lock};

impl Worker<'_> {
    /// Sees to it that the lock of this watch and what it has written down are where others look for them. When somebody has
    /// removed the state directory under it, both are made again.
    pub(super) fn keep_place(&mut self, progress: &mut Progress) {
        let Some(lock) = &self.lock else { return };
        let mirror = self.executor.mirror();
        if !lock.is_in_place() {
            if progress.standing == Standing::Held {
                progress.standing = Standing::Lost;
                self.state.is_gone();
            }
            match Lock::take(self.state, mirror, Kind::Watch, Duration::ZERO, || true) {
                Ok(lock) => {
                    self.lock = Some(lock);
                    progress.standing = Standing::Held;
                    self.published.lost = true;
                    warn!(mirror:%; "{mirror}: the state directory {} is there again", text::path(self.state.path()));
                }
                Err(failure) if failure.exit == Exit::Locked && progress.standing == Standing::Lost => {
                    progress.standing = Standing::Taken;
                    error!(mirror:%; "{mirror}: while there was no state directory, another watch began; end one of the two");
                }
                // It is tried again.
                Err(failure) => debug!(mirror:%; "{}", failure.message),
            }
        } else if !Condition::is_there(self.state, mirror) {
            self.published.lost = true;
        }
    }

    /// Takes a lock for some work. Where no file can be made in the state directory, nobody can take it, and there is none.
    pub(super) fn lock(&self, kind: Kind, give_up: impl Fn() -> bool) -> Result<Option<Lock>, Failure> {
        match Lock::take(self.state, self.executor.mirror(), kind, Duration::ZERO, give_up) {
            Ok(lock) => Ok(Some(lock)),
            Err(failure) if failure.exit != Exit::Locked && !self.state.has_room() => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}
