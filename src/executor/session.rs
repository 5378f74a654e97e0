//! One rsync run: how it is started, and what its end means.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::slice;
use std::sync::atomic::Ordering;

use log::{debug, error, trace, warn};

use super::reading::{Heard, Reading};
use super::{Executor, Mode, OnItem};
use crate::bucket::Bucket;
use crate::exit::Exit;
use crate::report::text;
use crate::rsync::argv::{self, JobOptions};
use crate::rsync::children::{EndedBy, Finished, Limits};
use crate::rsync::outcome::{self, Blocked, Ending, Outcome, Trouble};
use crate::rsync::output;
use crate::rsync::placement::{self, Placement};
use crate::rsync::tally::Tally;
use crate::scope::{Listed, Scope};

/// What a job has to share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Together {
    /// The clients at work at the same time, this one included: they share the bandwidth.
    pub(super) clients: usize,
    /// The jobs that share what may be deleted.
    pub(super) jobs: usize,
}

impl Together {
    /// Nothing.
    pub(super) const ALONE: Together = Together { clients: 1, jobs: 1 };
}

/// What became of one run.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// Why the receiver broke it off, when that was a path.
    pub(super) broken_off: Option<BrokenOff>,
}

/// A session that was broken off because of a path.
#[derive(Clone)]
pub(super) struct BrokenOff {
    pub(super) by: Blocked,
    /// The first file that was sent. The receiver takes one after the other, so it has arrived when it is not that path.
    pub(super) first_sent: Option<PathBuf>,
}

const UNLIMITED: &str =
    "rsync says that it reached a limit of deletions, but was given none; see what the daemon's log says of it";

impl Executor<'_> {
    /// One rsync run for a scope.
    pub(super) fn job(
        &self,
        scope: &Scope,
        exclude: &[OsString],
        bucket: Option<&Bucket>,
        together: Together,
        tally: &mut Tally,
        on_item: &OnItem<'_>,
    ) -> Ended {
        let dry_run = self.mode == Mode::DryRun;
        let (missing_args, compare) = (self.missing_args, self.compare);
        let max_delete = self.deletions.share(together.jobs).filter(|_| !dry_run);
        let options = JobOptions {
            root: self.root(),
            bucket,
            exclude,
            clients: together.clients,
            missing_args,
            compare,
            manner: self.manner,
            file_list: self.file_list,
            keep_temporary: self.beside_watch,
            max_delete,
            dry_run,
            progress: self.meter.is_some(),
        };
        let command = argv::command(self.mirror, scope, options);
        let gauge = self.meter.map(|meter| meter.job(scope));
        let reading = Reading { excludes_nothing: exclude.is_empty(), gauge, ..Reading::default() };
        let ended = self.run_rsync(command, reading, tally, on_item);
        if ended.outcome == Outcome::Limited && max_delete.is_none() {
            // Whoever runs it again because of that would do so for ever.
            let trouble = Trouble::new(Exit::Failed, UNLIMITED.to_owned());
            return Ended { outcome: Outcome::Permanent(trouble), broken_off: None };
        }
        ended
    }

    /// Puts what was renamed in its new place, from what the mirror has of it. What cannot be put there is not sent: that is
    /// for an ordinary run after this one, which finds out what is wrong. A placement is never tried again.
    pub fn place(&mut self, placement: &Placement, on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let mut tally = Tally::default();
        // Nothing goes into it, but it is to be known what is new.
        let place = Scope::Listed(Listed { present: vec![placement.to().to_owned()], ..Listed::default() });
        self.bucket_for(slice::from_ref(&place));
        let command = placement::command(self.mirror, placement, self.root());
        let reading = Reading { placing: Some(placement.to()), excludes_nothing: true, ..Reading::default() };
        let ended = self.run_rsync(command, reading, &mut tally, on_item);
        (ended.outcome, tally)
    }

    fn run_rsync(
        &self,
        mut command: Command,
        mut reading: Reading<'_>,
        tally: &mut Tally,
        on_item: &OnItem<'_>,
    ) -> Ended {
        let without_a_session = |outcome| Ended { outcome, broken_off: None };
        if self.root.as_ref().is_some_and(|root| !root.is_in_place()) {
            let why = format!("the source {} was renamed, replaced or unmounted", text::path(&self.mirror.source.path));
            return without_a_session(Outcome::Permanent(Trouble::new(Exit::Unreachable, why)));
        }
        trace!("{}: {}", self.mirror, argv::as_text(&command));
        tally.runs += 1;
        // As long as rsync looks at its clock, it ends by its own `--timeout` long before that.
        let standstill = Limits::of(&command, self.mirror);
        let ends = reading.ends();
        let finished = self.children.run(&mut command, ends, standstill, |line| {
            self.read(output::parse(line), &mut reading, tally, on_item);
        });
        let heard = reading.heard;
        self.deletions.add(heard.deleted);
        self.history().settle();
        if let Some((first, paths)) = &heard.lost {
            let (first, paths) = (text::path(first), count(*paths, "path"));
            error!(mirror:% = self.mirror; "{}: rsync removed {paths} from the history, {first} first", self.mirror);
        }
        match finished {
            Ok(finished) => self.ended(&finished, heard),
            Err(why) => without_a_session(outcome::not_run(why)),
        }
    }

    /// What the end of a run means, with what it has printed.
    fn ended(&self, finished: &Finished, mut heard: Heard) -> Ended {
        let Heard { not_deleted, deletions_skipped, at_its_end, .. } = &heard;
        let (not_deleted, deletions_skipped) = (not_deleted.as_slice(), *deletions_skipped);
        let ending = Ending { not_deleted, deletions_skipped, ..Ending::of(finished, *at_its_end) };
        let outcome = outcome::classify(self.mirror, ending);
        let by = matches!(outcome, Outcome::Aborted(_)).then(|| outcome::blocked(self.mirror, ending)).flatten();
        self.log(finished);
        let broken_off = by.map(|by| BrokenOff { by, first_sent: heard.first_sent.take() });
        Ended { outcome, broken_off }
    }

    /// What it said is in the log, unless it was stopped.
    fn log(&self, finished: &Finished) {
        let mirror = self.mirror;
        if finished.by == EndedBy::Stop {
            return;
        }
        // What is tried again and again would say it each time.
        if finished.errors_dropped > 0 && !self.dropped_told.swap(true, Ordering::Relaxed) {
            let dropped = count(finished.errors_dropped, "further error");
            warn!(mirror:%; "{mirror}: {dropped} of rsync not shown");
        }
        if !finished.status.success() {
            let said: Vec<String> = finished.errors.iter().map(|line| text::escaped(line)).collect();
            debug!(mirror:%; "{mirror}: rsync: {}: {}", finished.status, said.join(" | "));
        }
    }
}

fn count(number: u64, what: &str) -> String {
    text::count(usize::try_from(number).unwrap_or(usize::MAX), what)
}
