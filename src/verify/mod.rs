//! Compares a mirror with its source, content included, and changes nothing on either side.
//!
//! Everything that a pass would do is listed by rsync in a dry run. What it lists is looked at again, after a wait that
//! lets a `watch` catch up, so that a file in motion is not called drift. What differs in the last look is reported.

mod again;
pub mod differences;
mod readable;
pub mod report;
pub mod sample;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::debug;

use crate::config::settings::{Jobs, Watch};
use crate::executor::{Executor, Mode, OnItem};
use crate::exit::Exit;
use crate::history::keeper::Keeper;
use crate::meter::{Meter, Stage};
use crate::mirror::Mirror;
use crate::mutex::{into_inner, lock};
use crate::pass::{self, Passed, Terms};
use crate::report::text;
use crate::rsync::argv::Compare;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, Trouble, VANISHED};
use crate::rsync::output::Change;
use crate::rsync::probe;
use crate::rsync::tally::Tally;
use crate::scope::{Limits, Listed, Scope};
use crate::tree::Reach;
use crate::tree::census::Census;
use crate::tree::partition;
use crate::tree::walk::{self, Visit};
use differences::{Bounds, Differences, is_directory};
use readable::Unread;
use report::Report;
use sample::Sample;

/// The shortest wait before it is.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// Files of a sample that are in memory at the same time.
const SLICE: u64 = 100_000;

/// How long a difference may last without being drift.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The wait before the first look again; each further one is twice as long.
    wait: Duration,
    /// What changed in the source within this time may still be on its way.
    recent: Duration,
}

impl Pace {
    /// For mirrors that a `watch` with these settings may keep up to date.
    #[must_use]
    pub fn of(watch: &Watch) -> Self {
        Pace { wait: (watch.delay * 2).max(SHORTEST_WAIT), recent: watch.max_delay }
    }
}

/// Compares one mirror with its source: all of it, or the files of a sample.
#[must_use]
pub fn run(mirror: &Mirror, children: &Children, pace: Pace, sample: Option<Sample>, meter: Option<&Meter>) -> Report {
    let begun = Instant::now();
    let seen = Seen { failing: Failing::default(), unread: Unread::default(), tally: Tally::default(), compared: 0 };
    let mut verification = Verification { mirror, children, meter, seen };
    let found = verification.everything_or(sample).and_then(|found| verification.look_again(found, pace));
    let Seen { mut failing, unread, tally, mut compared } = verification.seen;
    // What comes and goes while it is compared is in motion.
    failing.paths.retain(|_, why| why != VANISHED);
    let (outcome, differences) = match found {
        Ok(mut differences) => {
            differences.forget_content(|path| unread.has(path));
            failing.extend(unread.into_failing());
            let outcome = if failing.is_empty() { Outcome::Done } else { Outcome::Partial(failing) };
            (outcome, differences)
        }
        Err(outcome) => {
            // How far it came is not known, so nothing is claimed.
            compared = 0;
            (outcome, Differences::new(Bounds::DEFAULT))
        }
    };
    Report::new(mirror, outcome, differences, compared, sample, tally, begun.elapsed())
}

/// One mirror that is being compared. Its steps end with the outcome when it cannot go on.
struct Verification<'a> {
    mirror: &'a Mirror,
    children: &'a Children,
    meter: Option<&'a Meter>,
    seen: Seen,
}

/// What came up, beside the differences.
struct Seen {
    failing: Failing,
    unread: Unread,
    tally: Tally,
    compared: u64,
}

impl Verification<'_> {
    /// The first look.
    fn everything_or(&mut self, sample: Option<Sample>) -> Result<Differences, Outcome> {
        self.begin(Stage::Looking);
        match sample {
            Some(sample) => self.sampled(sample),
            None => self.everything(),
        }
    }

    fn everything(&mut self) -> Result<Differences, Outcome> {
        let unread = Mutex::new(std::mem::take(&mut self.seen.unread));
        // What of it cannot be walked is found by the pass as well.
        let census = self.walk(&|entry| {
            readable::check(entry, &unread);
            0
        })?;
        self.seen.unread = into_inner(unread);
        self.seen.compared = census.entries();
        let found = Mutex::new(Differences::new(Bounds::DEFAULT));
        let mut executor = self.executor(Compare::Content);
        let Passed { outcome, tally, .. } =
            pass::run(&mut executor, self.children, Terms::HARMLESS, &|change, path| {
                lock(&found).note(path, change.into());
            });
        self.settled(outcome, tally)?;
        Ok(into_inner(found))
    }

    /// Compares the files of the sample, one slice after the other, so that a large sample of a large tree does not have
    /// to be in memory.
    fn sampled(&mut self, sample: Sample) -> Result<Differences, Outcome> {
        let least = AtomicU64::new(u64::MAX);
        let census = self.walk(&|entry| {
            let Some(path) = readable::file(entry) else { return 0 };
            least.fetch_min(sample.number(&path), Ordering::Relaxed);
            u64::from(sample.has(&path))
        })?;
        // At least one file, where there is any: without one a mirror that is not there at all would pass.
        let sample = if census.bytes() == 0 { sample.reaching(least.into_inner()) } else { sample };
        let clients = match self.mirror.rsync.jobs {
            Jobs::Fixed(jobs) => jobs,
            Jobs::Auto => partition::worthwhile(&census, || probe::clients_for(self.mirror)),
        };
        for (path, why) in census.unreadable.iter().cloned() {
            self.seen.failing.paths.insert(path, format!("is not compared: {why}"));
        }
        self.begin(Stage::Comparing(Some(census.bytes())));
        let found = Mutex::new(Differences::new(Bounds::DEFAULT));
        let slices = census.bytes().div_ceil(SLICE).max(1);
        debug!(mirror:% = self.mirror; "{}: a sample of {} files, in {slices} parts", self.mirror, census.bytes());
        for slice in 0..slices {
            let files = self.slice(sample, slice, slices)?;
            self.seen.compared += files.len() as u64;
            let listed = Listed { present: files, ..Listed::default() };
            self.compare(Compare::Content, spread(listed, clients), clients, &|change, path| {
                // The directories on the way to a file are compared along with it.
                if change != Change::Delete && !is_directory(path) && sample.has(path) {
                    lock(&found).note(path, change.into());
                }
            })?;
        }
        Ok(into_inner(found))
    }

    /// The files of one slice of the sample.
    fn slice(&mut self, sample: Sample, slice: u64, slices: u64) -> Result<Vec<PathBuf>, Outcome> {
        let unread = Mutex::new(std::mem::take(&mut self.seen.unread));
        let files = Mutex::new(Vec::new());
        self.walk(&|entry| {
            if let Some(path) = readable::file(entry)
                && sample.slice(&path, slices) == Some(slice)
            {
                readable::check(entry, &unread);
                lock(&files).push(path);
            }
            0
        })?;
        self.seen.unread = into_inner(unread);
        let mut files: Vec<PathBuf> = into_inner(files);
        // Neighbours go to the same rsync, which then has fewer directories to pass through.
        files.sort_unstable();
        Ok(files)
    }

    /// Runs scopes; what fails for single paths is kept for the report.
    fn compare(
        &mut self,
        compare: Compare,
        scopes: Vec<Scope>,
        clients: usize,
        on_item: &OnItem<'_>,
    ) -> Result<(), Outcome> {
        let mut executor = self.executor(compare);
        let (outcome, tally) = pass::run_scopes(&mut executor, self.children, scopes, clients, on_item);
        self.settled(outcome, tally)
    }

    fn executor(&self, compare: Compare) -> Executor<'_> {
        Executor::new(self.mirror, self.children, Mode::DryRun, Keeper::none()).comparing(compare).metered(self.meter)
    }

    fn begin(&self, stage: Stage) {
        if let Some(meter) = self.meter {
            meter.begin(stage);
        }
    }

    fn settled(&mut self, outcome: Outcome, tally: Tally) -> Result<(), Outcome> {
        self.seen.tally.add(tally);
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Partial(failing) => {
                self.seen.failing.extend(failing);
                Ok(())
            }
            outcome => Err(outcome),
        }
    }

    fn walk(&self, visit: &Visit<'_>) -> Result<Census, Outcome> {
        walk::census(Reach::of(self.mirror, &self.mirror.excludes), visit).map_err(|e| {
            let why = format!("the source {} cannot be read: {e}", text::path(&self.mirror.source.path));
            Outcome::Permanent(Trouble::new(Exit::Unreachable, why))
        })
    }
}

fn spread(listed: Listed, clients: usize) -> Vec<Scope> {
    let entries = listed.len().div_ceil(clients.max(1)).clamp(1, Limits::DEFAULT.entries);
    listed.split(Limits { entries, ..Limits::DEFAULT }).into_iter().map(Scope::Listed).collect()
}
