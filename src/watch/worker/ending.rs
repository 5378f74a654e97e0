//! How a worker ends: it sends what is left, as far as that can be done in time, and says what could not.

use std::time::Instant;

use log::{Level, error, log};

use super::super::progress::{Cure, FIRST_RETRY, Progress};
use super::super::queue::Ending;
use super::{LOOK_AGAIN, Worker};
use crate::exit::Exit;
use crate::report::text::{self, count};

/// How often what fails is tried once more at the end.
const LAST_RETRIES: u32 = 3;

impl Worker<'_> {
    /// Sends everything that is left: what failed once more, what a lost endpoint did not get until the time is over.
    pub(super) fn drain(&mut self, progress: &mut Progress) {
        let deadline = Instant::now() + self.drain_timeout;
        let mut retries = 0;
        while progress.caught_up() && !self.children.is_closed() && Instant::now() < deadline {
            // An endpoint that fails gets it all from the watch that begins anew, for which the other ones wait.
            if self.begins_anew() && progress.outage.trouble.is_some() {
                return;
            }
            if !progress.again.is_empty() && self.pass_is_running() {
                self.children.pause(LOOK_AGAIN / 5);
                continue;
            }
            let mut batch = progress.take_in(self.queue.take());
            batch.merge(&progress.again.take());
            if retries < LAST_RETRIES && !progress.retries.is_empty() {
                if retries > 0 {
                    // What fails at once may not fail a moment later: a file that was being replaced.
                    self.children.pause(FIRST_RETRY.min(deadline.saturating_duration_since(Instant::now())));
                }
                retries += 1;
                batch.merge(&progress.take_retry());
            }
            if batch.is_empty() {
                return;
            }
            let failures = progress.outage.failures;
            self.send(progress, &batch);
            progress.retries.attempted();
            if progress.outage.failures > failures && progress.outage.cure == Cure::Operator {
                return;
            }
            if let Some(hold) = progress.outage.hold {
                self.children.pause(hold.min(deadline).saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Says what is left, and returns the exit code that this mirror alone would give.
    pub(super) fn end(&self, progress: &Progress) -> Exit {
        let mirror = self.executor.mirror();
        let pending = self.queue.pending() + progress.again.len();
        let failing = progress.retries.failing.len() + progress.left_out.len();
        let gone = match self.queue.root() {
            Some(_) => !self.root_is_watched(),
            None => !mirror.source.path.is_dir(),
        };
        if gone && !self.children.is_closed() {
            error!(mirror:%; "{mirror}: the source {} is gone or was replaced", text::path(&mirror.source.path));
        }
        let exit = match &progress.outage.trouble {
            Some(trouble) => trouble.exit,
            None if gone => Exit::Unreachable,
            None if !progress.caught_up() || pending > 0 || failing > 0 => Exit::Partial,
            None => Exit::Done,
        };
        let level = if self.begins_anew() { Level::Info } else { Level::Error };
        // Why it was not, has been said.
        if !progress.caught_up() && progress.outage.trouble.is_none() {
            let why = if progress.kept_out { ", since a pass was running" } else { "" };
            log!(level, mirror:%; "{mirror}: ended before everything was compared{why}; the next start will compare it");
        }
        if pending > 0 {
            let paths = count(pending, "path");
            log!(level, mirror:%; "{mirror}: ended with {paths} not sent; the next start will find them");
        }
        if failing > 0 {
            log!(level, mirror:%; "{mirror}: ended with {} failing", count(failing, "path"));
        }
        exit
    }

    fn begins_anew(&self) -> bool {
        self.queue.ending() == Some(Ending::Anew)
    }
}
