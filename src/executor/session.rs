//! One rsync run: how it is started, and what is made of what it prints.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::sync::atomic::Ordering;

use log::{error, trace, warn};

use super::{Executor, Mode, OnItem, Tally, Together};
use crate::exit::Exit;
use crate::history::bucket::Bucket;
use crate::meter::Job as Gauge;
use crate::report::text;
use crate::rsync::argv::{self, JobOptions};
use crate::rsync::children::{Ends, NotRun, Standstill};
use crate::rsync::outcome::{self, Ending, Outcome, Trouble};
use crate::rsync::output::{self, Change, Line};
use crate::rsync::placement::{self, Placement};
use crate::scope::{Listed, Scope};

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
    ) -> Outcome {
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
        let reading = Reading { placing: None, excludes_nothing: exclude.is_empty(), gauge };
        self.run_rsync(command, reading, tally, on_item)
    }

    /// Puts what was renamed in its new place, from what the mirror has of it. What cannot be put there is not sent: that is
    /// for an ordinary run after this one, which finds out what is wrong. A placement is never tried again.
    pub fn place(&mut self, placement: &Placement, on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let mut tally = Tally::default();
        // Nothing goes into it, but it is to be known what is new.
        let place = Scope::Listed(Listed { present: vec![placement.to().to_owned()], ..Listed::default() });
        if let Err(outcome) = self.bucket_for(slice::from_ref(&place)) {
            return (outcome, tally);
        }
        let command = placement::command(self.mirror, placement, self.root());
        let reading = Reading { placing: Some(placement.to()), excludes_nothing: true, gauge: None };
        let outcome = self.run_rsync(command, reading, &mut tally, on_item);
        (outcome, tally)
    }

    fn run_rsync(
        &self,
        mut command: Command,
        mut reading: Reading<'_>,
        tally: &mut Tally,
        on_item: &OnItem<'_>,
    ) -> Outcome {
        let dry_run = self.mode == Mode::DryRun;
        if self.root.as_ref().is_some_and(|root| !root.is_in_place()) {
            let why = format!("the source {} was renamed, replaced or unmounted", self.mirror.source.path.display());
            return Outcome::Permanent(Trouble { exit: Exit::Unreachable, why });
        }
        trace!("{}: {}", self.mirror, argv::as_text(&command));
        tally.runs += 1;
        let mut not_deleted: Vec<PathBuf> = Vec::new();
        let mut deletions_skipped = false;
        let (mut deleted, mut at_its_end) = (0, false);
        let mut lost: Option<(PathBuf, u64)> = None;
        let ends = if reading.gauge.is_some() { Ends::Return } else { Ends::Newline };
        // As long as rsync looks at its clock, it ends by its own `--timeout` long before that.
        let still = Standstill::Limited(self.mirror.rsync.timeout * 2);
        let finished = self.children.run_watched(&mut command, ends, still, |line| match output::parse(line) {
            // Paths of the mirror are relative. rsync made room for a version, and removed another one for it.
            Line::Item { change: Change::Delete, path, .. } if path.is_absolute() => {
                lost.get_or_insert((path, 0)).1 += 1;
            }
            Line::Item { change, bytes, path } => {
                let (change, path) = reading.meant(change, path);
                if self.told.is_new(change, &path) {
                    tally.count(change, bytes);
                } else if dry_run {
                    return;
                }
                deleted += u64::from(change == Change::Delete);
                // A directory that replaces a file counts as created, and the file is in the bucket.
                match reading.placing {
                    Some(_) => self.history().note_placed(&path),
                    None => self.history().note(change, &path),
                }
                on_item(change, &path);
            }
            Line::BytesSent(sent) => {
                at_its_end = true;
                tally.sent += sent;
            }
            // Where something is excluded, it stays for the sake of that, as it shall.
            Line::NotDeleted(path) if reading.excludes_nothing => not_deleted.push(path),
            Line::DeletionsSkipped => deletions_skipped = true,
            Line::Progress { bytes, looked } => {
                if let Some(gauge) = &mut reading.gauge {
                    // A dry run sends nothing: the sizes are those of what it would send.
                    gauge.at(if dry_run { 0 } else { bytes }, looked);
                }
            }
            Line::NotDeleted(_) | Line::Other => {}
        });
        self.deletions.add(deleted);
        self.history().settle();
        if let Some((first, paths)) = lost {
            let (first, paths) =
                (text::path(&first), text::count(usize::try_from(paths).unwrap_or(usize::MAX), "path"));
            error!("{}: rsync removed {paths} from the history, {first} first", self.mirror);
        }
        let finished = match finished {
            Ok(finished) => finished,
            Err(NotRun::Closed | NotRun::Limit) => return Outcome::Stopped,
            Err(NotRun::Io(e)) => {
                let why = format!("rsync could not be run: {e}");
                return Outcome::Transient(Trouble { exit: Exit::Failed, why });
            }
        };
        if self.children.is_closed() && !finished.status.success() {
            return Outcome::Stopped;
        }
        if finished.stood_still {
            let why = "nothing came or went for twice the `timeout`, so rsync was killed: the daemon does not answer, or \
                       something in the source cannot be opened, like a fifo in the place of a file";
            return Outcome::Aborted(Trouble { exit: Exit::Unreachable, why: why.to_owned() });
        }
        if finished.errors.iter().any(|line| output::says_too_many_deletions(line)) {
            return Outcome::Limited;
        }
        // What is tried again and again would say it each time.
        if finished.errors_dropped > 0 && !self.dropped_told.swap(true, Ordering::Relaxed) {
            let dropped = text::count(usize::try_from(finished.errors_dropped).unwrap_or(usize::MAX), "further error");
            warn!("{}: {dropped} of rsync not shown", self.mirror);
        }
        if finished.status.success() && !at_its_end {
            return outcome::unanswered();
        }
        let (code, errors) = (finished.status.code(), finished.errors.as_slice());
        outcome::classify(self.mirror, Ending { code, errors, not_deleted: &not_deleted, deletions_skipped })
    }
}

/// What is to be known to understand what a run prints.
struct Reading<'a> {
    /// The directory into which something is put that was not there; its paths are relative to that.
    placing: Option<&'a Path>,
    /// What it could not delete was to be deleted.
    excludes_nothing: bool,
    /// Told how far it is.
    gauge: Option<Gauge<'a>>,
}

impl Reading<'_> {
    /// What was done to which path of the source.
    fn meant(&self, change: Change, path: PathBuf) -> (Change, PathBuf) {
        match self.placing {
            None => (change, path),
            Some(base) if path == Path::new(".") => (Change::Create, base.join("")),
            // That it is a link or a copy of something on the other side does not matter.
            Some(base) => (Change::Create, base.join(path)),
        }
    }
}
