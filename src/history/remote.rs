//! The history of a mirror, where the mirror is: rsync is run on it, and what that means is told.

mod listing;

use std::process::Command;
use std::time::Duration;

use log::trace;

pub use self::listing::Listed;
use crate::backoff::Backoff;
use crate::config::units::Span;
use crate::exit::Exit;
use crate::mirror::Mirror;
use crate::rsync::children::{Children, Ends, Finished, Limit, NotRun};
use crate::rsync::outcome::{self, Ending, Outcome, Trouble};
use crate::rsync::{self, argv, probe};

/// How long to wait, and how often, for a connection of a daemon that has none free.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const WAITS_FOR_A_CONNECTION: u32 = 6;

/// The history of a mirror, where the mirror is.
#[derive(Debug)]
pub struct Remote<'a> {
    mirror: &'a Mirror,
    children: &'a Children,
    limit: Option<Limit>,
    runs: u64,
}

impl<'a> Remote<'a> {
    /// That of this mirror. Nothing is asked yet.
    #[must_use]
    pub fn new(mirror: &'a Mirror, children: &'a Children) -> Self {
        Remote { mirror, children, limit: None, runs: 0 }
    }

    /// The same, but no session may take longer, or say more.
    #[must_use]
    pub fn within(self, limit: Limit) -> Self {
        Remote { limit: Some(limit), ..self }
    }

    /// How often rsync was run.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Runs rsync again while the daemon has no connection free: at most a few times.
    pub fn session(&mut self, mut run: impl FnMut(&mut Self) -> Outcome) -> Outcome {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        for _ in 0..WAITS_FOR_A_CONNECTION {
            match run(self) {
                Outcome::Busy(_) => self.children.pause(backoff.after_failure()),
                outcome => return outcome,
            }
        }
        run(self)
    }

    /// Runs rsync once on the history.
    pub fn rsync(&mut self, command: Command, on_line: impl FnMut(&[u8])) -> Outcome {
        match self.finished(command, on_line) {
            Ok(finished) => self.meaning(&finished),
            Err(outcome) => outcome,
        }
    }

    /// How rsync has ended, when it was not this process that ended it.
    fn finished(&mut self, mut command: Command, mut on_line: impl FnMut(&[u8])) -> Result<Finished, Outcome> {
        trace!("{}: {}", self.mirror, argv::as_text(&command));
        self.runs += 1;
        // What is listed is there itself, so that there is one entry at least.
        let mut answered = command.get_args().all(|arg| arg != "--list-only");
        let finished = self.children.run_within(&mut command, Ends::Newline, self.limit, |line| {
            answered |= rsync::listing::parse(line).is_some();
            on_line(line);
        });
        match finished {
            Ok(_) if self.children.is_closed() => Err(Outcome::Stopped),
            Ok(finished) if finished.status.success() && !answered => Err(outcome::unanswered()),
            Ok(finished) => Ok(finished),
            Err(NotRun::Closed) => Err(Outcome::Stopped),
            Err(NotRun::Limit) => {
                let time = self.limit.map_or(Span(Duration::ZERO), |limit| Span(limit.time));
                let why =
                    format!("it was not done within {time}, or said far more than it had to: is that an rsync daemon?");
                Err(permanent(Exit::Unreachable, why))
            }
            Err(NotRun::Io(e)) => Err(permanent(Exit::Failed, format!("rsync cannot be run: {e}"))),
        }
    }

    fn meaning(&self, finished: &Finished) -> Outcome {
        let errors = &finished.errors;
        // Where nothing was ever replaced there is no history.
        if finished.status.code() == Some(23) && errors.iter().any(|line| probe::says_absent(line)) {
            return Outcome::Done;
        }
        let code = finished.status.code();
        outcome::classify(self.mirror, Ending { code, errors, not_deleted: &[], deletions_skipped: false })
    }
}

/// What will not work until somebody does something.
#[must_use]
pub fn permanent(exit: Exit, why: String) -> Outcome {
    Outcome::Permanent(Trouble { exit, why })
}
