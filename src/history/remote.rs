//! The history of a mirror, where the mirror is: rsync is run on it, and what that means is told.

mod listing;

use std::process::Command;

use log::trace;

pub use self::listing::Listing;
use crate::backoff::WaitsForAConnection;
use crate::exit::Exit;
use crate::mirror::Mirror;
use crate::rsync::children::{Children, Ends, Limit, Limits};
use crate::rsync::outcome::{self, Ending, Outcome, Trouble};
use crate::rsync::{self, argv};

/// The history of a mirror, where the mirror is.
#[derive(Debug)]
pub struct Remote<'a> {
    mirror: &'a Mirror,
    children: &'a Children,
    limit: Option<Limit>,
    runs: u64,
}

/// What it means that something went while it was being listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vanished {
    /// Not all of it is known.
    Failed,
    /// It may or may not be listed, as if it had been asked sooner or later.
    Fine,
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
        for wait in WaitsForAConnection::new() {
            match run(self) {
                Outcome::Busy(_) => self.children.pause(wait),
                outcome => return outcome,
            }
        }
        run(self)
    }

    /// Runs rsync once on the history. Where nothing was ever replaced there is none, which is no failure.
    pub fn rsync(&mut self, command: Command, on_line: impl FnMut(&[u8])) -> Outcome {
        self.run(command, on_line, Vanished::Failed)
    }

    /// Runs rsync once.
    fn run(&mut self, mut command: Command, mut on_line: impl FnMut(&[u8]), vanished: Vanished) -> Outcome {
        trace!("{}: {}", self.mirror, argv::as_text(&command));
        self.runs += 1;
        // What is listed is there itself, so that there is one entry at least.
        let mut heard_out = command.get_args().all(|arg| arg != "--list-only");
        let standstill = Limits::of(&command, self.mirror);
        let finished = self.children.run_within(&mut command, Ends::Newline, standstill, self.limit, |line| {
            heard_out |= rsync::listing::parse(line).is_some();
            on_line(line);
        });
        match finished {
            Ok(finished) => {
                let ending = Ending::of(&finished, heard_out);
                let may_miss = vanished == Vanished::Fine && ending.says_vanished();
                if may_miss || ending.says_absent() { Outcome::Done } else { outcome::classify(self.mirror, ending) }
            }
            Err(why) => outcome::not_run(why),
        }
    }
}

/// What will not work until somebody does something.
#[must_use]
pub fn permanent(exit: Exit, why: String) -> Outcome {
    Outcome::Permanent(Trouble::new(exit, why))
}
