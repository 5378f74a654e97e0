//! The worker of one mirror: it catches up, then sends batches of changes. It never waits for another mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use log::{debug, error, info, warn};

use super::progress::{Cure, FIRST_RETRY, Knowledge, Progress};
use super::queue::{Queue, Wake};
use crate::config::settings::{Start, Watch};
use crate::dirty::plan::{self, Plan};
use crate::dirty::{DirtySet, Mark};
use crate::executor::{Executor, Mode, Tally};
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::mirror::Mirror;
use crate::pass::{self, Extent, Passed, Patience, Terms};
use crate::report::text::{self, bytes, count};
use crate::root::Root;
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::children::Children;
use crate::rsync::outcome::{Failing, Outcome, SETTLE, Trouble, VANISHED};
use crate::rsync::output::Change;
use crate::scope::{Listed, Scope};
use crate::state::StateDir;
use crate::state::lock::{self, Kind, Lock};
use crate::state::record::Record;
use crate::tree::Reach;
use crate::tree::changed::Directories;
use crate::tree::exclude::Excludes;
use crate::tree::shard::Shard;

/// What a worker works with.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    /// Runs its jobs.
    pub(super) executor: Executor<'a>,
    /// The processes of this program.
    pub(super) children: &'a Children,
    /// Its changes.
    pub(super) queue: Arc<Queue>,
    /// What is left out in real time: `exclude` and `watch.exclude` of the source.
    pub(super) excludes: Excludes,
    /// The same as patterns.
    pub(super) patterns: Vec<OsString>,
    /// `[watch]`.
    pub(super) settings: &'a Watch,
    /// Where the locks are.
    pub(super) state: &'a StateDir,
    /// The watcher's lock of the mirror.
    pub(super) lock: Option<Lock>,
    /// After so many batches it ends.
    pub(super) batches: Option<u64>,
    /// Whether the source may be empty.
    pub(super) empty: EmptySource,
    /// At the end it tries for at most this long.
    pub(super) drain_timeout: Duration,
    /// Told about each path that is changed or, in a dry run, would be.
    pub(super) on_item: fn(&Mirror, Change, &Path),
}

/// Who may change anything in the mirror.
enum Turn {
    /// This worker, which needs a lock for that unless it changes nothing.
    Ours(Option<Lock>),
    /// A pass that is running or about to.
    OfAPass,
}

/// How often a running pass is looked for, and a root that is not the watched one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long it may take until it is known what has happened up to now.
const LONGEST_REPORT: Duration = Duration::from_secs(1);
/// How often the stamp is moved on at most.
const STAMP_EVERY: Duration = Duration::from_secs(5);
/// Further failing paths are counted in the log, not named.
const NAMED: usize = 20;

impl Worker<'_> {
    /// Works until the queue is closed or the number of batches is reached; sends what is pending at the end. Returns the
    /// exit code that this mirror alone would give.
    pub(super) fn run(mut self) -> Exit {
        let settle = self.lock.as_ref().is_some_and(Lock::after_crash);
        let mut progress = Progress::new(self.settings, settle);
        if self.queue.wait_until_watched().is_some() {
            if settle {
                self.settles();
            }
            progress.cut_off = false;
            self.catch_up(&mut progress);
            self.live(&mut progress);
        }
        self.drain(&mut progress);
        if self.queue.pending() == 0 && progress.trouble.is_none() {
            self.stamp(&mut progress, Instant::now());
        }
        let exit = self.end(&progress);
        self.lock.filter(|_| !progress.cut_off).into_iter().for_each(Lock::end);
        exit
    }

    /// Leaves the endpoint alone for a moment.
    fn settles(&self) {
        info!("{}: the run before was cut off; giving the daemon time to end its session", self.executor.mirror());
        self.children.pause(SETTLE);
    }

    /// Waits for something else than changes. False when it is to end and has no time left for that: `end`, which is set
    /// when it is first known that it is to end.
    fn waits(&self, end: &mut Option<Instant>, time: Duration) -> bool {
        if self.queue.pause(time) {
            let end = *end.get_or_insert_with(|| Instant::now() + self.drain_timeout);
            let left = end.saturating_duration_since(Instant::now());
            self.children.pause(time.min(LOOK_AGAIN / 5).min(left));
            return !left.is_zero() && !self.children.is_closed();
        }
        true
    }

    /// Compares everything once. Changes are reported already, so nothing between is lost.
    fn catch_up(&mut self, progress: &mut Progress) {
        let mut waiting_told = false;
        let mut end = None;
        while !progress.caught_up() {
            let begun = Instant::now();
            let mirror = self.executor.mirror();
            // Two comparisons of everything at the same time would undo each other's work.
            let lock = Lock::take(self.state, mirror, Kind::Pass, Duration::ZERO, || false);
            let content = guard::check_content(&mirror.source, self.empty);
            progress.kept_out = lock.as_ref().err().is_some_and(|failure| failure.exit == Exit::Locked);
            if lock.is_err() || content.is_err() || !self.root_is_watched() {
                if !std::mem::replace(&mut waiting_told, true) {
                    match (&lock, &content) {
                        (Err(_), _) if progress.kept_out => {
                            info!("{mirror}: a pass is running; waiting for its end, before everything is compared");
                        }
                        (Err(failure), _) | (Ok(_), Err(failure)) => error!("{}", failure.message),
                        (Ok(_), Ok(())) => {}
                    }
                }
                lock.into_iter().for_each(Lock::end);
                if !self.waits(&mut end, LOOK_AGAIN) {
                    return;
                }
                continue;
            }
            let on_item = self.on_item;
            let passed = {
                let on_item = |change, path: &Path| on_item(mirror, change, path);
                // Whatever it deletes is in the history, and nobody is there to ask.
                let last = Record::load(self.state, mirror, Shard::WHOLE);
                let directories = self.scan_base(last.as_ref());
                let terms = Terms {
                    patience: Patience::None,
                    last: last.as_ref(),
                    max_delete: None,
                    shard: Shard::WHOLE,
                    extent: match (&last, &directories) {
                        (Some(last), Some(directories)) => Extent::Changed(last, directories),
                        _ => Extent::Everything,
                    },
                };
                pass::run(&mut self.executor, self.children, terms, &on_item)
            };
            progress.covered = passed.stamp().cloned();
            if self.executor.mode() == Mode::Real {
                passed.remember(self.state, mirror, Shard::WHOLE);
            }
            let Passed { outcome, tally, .. } = passed;
            progress.cut_off = outcome.cut_off();
            match lock {
                Ok(lock) if !outcome.cut_off() => lock.end(),
                lock => drop(lock),
            }
            match outcome {
                Outcome::Done => {
                    progress.knowledge = Knowledge::Compared;
                    progress.settled();
                }
                Outcome::Partial(mut failing) => {
                    progress.knowledge = Knowledge::Compared;
                    for dir in std::mem::take(&mut failing.left_alone) {
                        let why = failing.paths.remove(&dir).unwrap_or_default();
                        self.leave_out(progress, dir, &why);
                    }
                    if !failing.is_empty() {
                        self.partial(progress, failing, None);
                    }
                    progress.settled();
                }
                Outcome::Transient(trouble) | Outcome::Busy(trouble) => self.failed(progress, trouble, Cure::Time),
                Outcome::Aborted(trouble) => self.failed(progress, trouble, Cure::EndOfSession),
                Outcome::Permanent(trouble) => self.failed(progress, trouble, Cure::Operator),
                Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => return,
            }
            if progress.caught_up() {
                self.succeeded(progress);
                info!("{mirror}: caught up: {}", told(tally, begun));
            } else {
                // The lock is free by now: while this waits, others may find out for themselves what is wrong.
                // It does what it can, which is to wait.
                self.queue.set_busy(false);
                let wait = progress.hold.map_or(LOOK_AGAIN, |hold| hold.saturating_duration_since(Instant::now()));
                if self.queue.pause(wait) {
                    return;
                }
                self.queue.set_busy(true);
            }
        }
    }

    /// The directories that a scan for what changed needs to know, if such a scan is wanted and possible.
    fn scan_base(&self, last: Option<&Record>) -> Option<Directories> {
        if self.settings.start != Start::Changed {
            return None;
        }
        let mirror = self.executor.mirror();
        let known = last.map(|last| last.directories(self.state, mirror, Shard::WHOLE))?;
        match &known {
            Ok(_) => info!("{mirror}: comparing what changed since the last time"),
            Err(why) => info!("{mirror}: everything is compared: {why}"),
        }
        known.ok()
    }

    /// Moves the stamp on when everything up to some moment has arrived, so that the next start need not look farther
    /// back. What is left out in real time has not arrived: then the stamp stays.
    fn stamp(&self, progress: &mut Progress, now: Instant) {
        let settled = progress.retry.is_empty() && progress.again.is_empty() && progress.left_out.is_empty();
        let complete = self.patterns.len() == self.executor.mirror().source.exclude.len();
        let until = self.queue.handed_out_until().filter(|_| settled && complete && self.executor.mode() == Mode::Real);
        if let (Some(covered), Some(until)) = (&progress.covered, until) {
            progress.stamped = now;
            if let Err(e) = Record::advance(self.state, self.executor.mirror(), covered, &until) {
                warn!("{}: how far it is cannot be remembered: {e}", self.executor.mirror());
            }
        }
    }

    fn live(&mut self, progress: &mut Progress) {
        while self.batches.is_none_or(|most| progress.sent < most) {
            let now = Instant::now();
            if now.saturating_duration_since(progress.stamped) >= STAMP_EVERY {
                self.stamp(progress, now);
            }
            self.queue.set_busy(!progress.again.is_empty());
            let again_at = (!progress.again.is_empty()).then(|| Instant::now() + LOOK_AGAIN);
            let wake_at = progress.retry_at.into_iter().chain(again_at).min();
            match self.queue.next(progress.hold, wake_at) {
                Wake::Batch(changes) => {
                    let batch = progress.take_in(changes);
                    self.send(progress, &batch);
                }
                Wake::Time => {}
                Wake::Closing => return,
            }
            if progress.retry_at.is_some_and(|time| time <= Instant::now()) {
                let batch = progress.take_retry();
                progress.retrying = true;
                self.send(progress, &batch);
                progress.retrying = false;
            }
            if !progress.again.is_empty() && !self.pass_is_running() {
                let batch = progress.again.take();
                self.send(progress, &batch);
            }
        }
    }

    /// Sends a batch, or sees to it that it is sent later.
    fn send(&mut self, progress: &mut Progress, batch: &DirtySet) {
        if batch.is_empty() {
            return;
        }
        // What is looked at from here on is the directory that is watched: in any other one, what is missing says nothing
        // about what was deleted.
        match Root::open(&self.executor.mirror().source.path) {
            Ok(root) if Some(root.identity()) == self.queue.root() => self.executor.hold(root),
            _ => {
                self.queue.put_back(batch);
                progress.hold = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
        }
        if let Err(failure) = guard::check_content(&self.executor.mirror().source, self.empty) {
            self.queue.put_back(batch);
            return Self::refused(progress, failure);
        }
        // To be known before the changes are looked at: a pass that begins later sees at least as much.
        let turn = match self.turn() {
            Ok(Turn::Ours(turn)) => {
                self.note_turn(progress, turn.as_ref());
                turn
            }
            Ok(Turn::OfAPass) => {
                progress.again.merge(batch);
                return self.send_beside_a_pass(progress, batch);
            }
            Err(failure) => {
                let mirror = format!("{}: ", self.executor.mirror());
                let why = failure.message.strip_prefix(&mirror).unwrap_or(&failure.message).to_owned();
                let trouble = Trouble { exit: failure.exit, why };
                return self.postpone(progress, batch, trouble, Cure::Operator);
            }
        };
        if turn.as_ref().is_some_and(Lock::after_crash) && !progress.cut_off {
            info!("{}: a pass was cut off; giving the daemon time to end its session", self.executor.mirror());
            self.children.pause(SETTLE);
        }
        let begun = Instant::now();
        let mirror = self.executor.mirror();
        let plan = self.plan(progress, batch);
        let on_item = self.on_item;
        let pushed = SystemTime::now();
        let sent = Mutex::new(BTreeSet::new());
        let (mut outcome, mut tally) = self.executor.run(&plan, &self.patterns, &|change, path| {
            if !progress.suspects.is_empty() && matches!(change, Change::Create | Change::Update) {
                sent.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
            }
            on_item(mirror, change, path);
        });
        if let Outcome::Partial(failing) = &mut outcome
            && failing.deletions_skipped
            && !failing.unreadable.is_empty()
        {
            // Without the directories that cannot be read, the deletions everywhere else are made.
            let unreadable = failing.unreadable.iter().map(|dir| pattern_for_directory(dir));
            let patterns: Vec<OsString> = self.patterns.iter().cloned().chain(unreadable).collect();
            let (rest, more) = self.executor.run(&plan, &patterns, &|c, p| on_item(mirror, c, p));
            tally.add(more);
            failing.deletions_skipped = false;
            match rest {
                Outcome::Done => {}
                Outcome::Partial(more) => failing.extend(more),
                rest => outcome = rest,
            }
        }
        if matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            let sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (rest, more) = self.compare_contents(progress, &sent);
            tally.add(more);
            outcome = match (outcome, rest) {
                (Outcome::Partial(mut failing), Outcome::Partial(more)) => {
                    failing.extend(more);
                    Outcome::Partial(failing)
                }
                (outcome, Outcome::Done) => outcome,
                (_, rest) => rest,
            };
        }
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
        progress.sent += 1;
        info!("{mirror}: {}", told(tally, begun));
    }

    /// Compares the contents of files that were written or put there but not sent just now, where nothing else can tell
    /// whether they are the same.
    fn compare_contents(&mut self, progress: &Progress, sent: &BTreeSet<PathBuf>) -> (Outcome, Tally) {
        let excludes = &self.excludes;
        let mut left = progress.suspects.left(sent, self.executor.root(), progress.pushed);
        left.retain(|path| !excludes.excludes_entry(path, false));
        if left.is_empty() || self.executor.mode() == Mode::DryRun {
            return (Outcome::Done, Tally::default());
        }
        let mirror = self.executor.mirror();
        debug!("{mirror}: comparing the content of {}", count(left.len(), "file"));
        let on_item = self.on_item;
        self.executor.run_by_content(left, &self.patterns, &|c, p| on_item(mirror, c, p))
    }

    /// Sends what of a batch cannot get in the way of a pass that is running, and cannot be harmed by it: files in places
    /// where no directory came or went. All of the batch is sent when the pass is over, so what fails here is no failure.
    fn send_beside_a_pass(&mut self, progress: &mut Progress, batch: &DirtySet) {
        let begun = Instant::now();
        let mirror = self.executor.mirror();
        let listed = |scope: Scope| match scope {
            Scope::Listed(Listed { present, .. }) => present,
            Scope::Tree(_) => Vec::new(),
        };
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
                info!("{mirror}: beside a pass: {}", told(tally, begun));
            }
            Outcome::Transient(trouble) | Outcome::Busy(trouble) => self.failed(progress, trouble, Cure::Time),
            Outcome::Aborted(trouble) => self.failed(progress, trouble, Cure::EndOfSession),
            Outcome::Permanent(trouble) => self.failed(progress, trouble, Cure::Operator),
            Outcome::Stopped | Outcome::NoMissingArgs | Outcome::Limited => {}
        }
    }

    /// The scopes for a batch.
    fn plan(&mut self, progress: &mut Progress, batch: &DirtySet) -> Vec<Scope> {
        let reach = Reach::of(self.executor.mirror(), &self.excludes).at(self.executor.root());
        let Plan { scopes, too_long } = plan::plan(reach, batch);
        let why = "is left as it is: its path is too long for rsync and the history";
        for dir in too_long {
            self.leave_out(progress, dir, why);
        }
        scopes
    }

    /// Takes the turn, unless a pass has it or waits for it.
    fn turn(&self) -> Result<Turn, Failure> {
        let mirror = self.executor.mirror();
        if self.executor.mode() == Mode::DryRun {
            return Ok(Turn::Ours(None));
        }
        let failed = |e| Failure::new(Exit::Failed, format!("{mirror}: cannot tell whether a pass is running: {e}"));
        if lock::is_held(self.state, mirror, Kind::Pass).map_err(failed)? {
            return Ok(Turn::OfAPass);
        }
        match Lock::take(self.state, mirror, Kind::Turn, Duration::ZERO, || true) {
            Ok(lock) => Ok(Turn::Ours(Some(lock))),
            Err(failure) if failure.exit == Exit::Locked => Ok(Turn::OfAPass),
            Err(failure) => Err(failure),
        }
    }

    /// Finds out whether somebody else had the turn since this worker had it last.
    fn note_turn(&self, progress: &mut Progress, turn: Option<&Lock>) {
        let serial = turn.map(Lock::serial);
        if serial != progress.turn.map(|last| last.wrapping_add(1)) {
            self.executor.use_new_bucket();
        }
        progress.turn = serial;
    }

    fn postpone(&self, progress: &mut Progress, batch: &DirtySet, trouble: Trouble, cure: Cure) {
        self.queue.put_back(batch);
        self.failed(progress, trouble, cure);
    }

    /// The source is not to be mirrored as it is now. It is looked at again soon: that costs nothing.
    fn refused(progress: &mut Progress, failure: Failure) {
        let trouble = Trouble { exit: failure.exit, why: failure.message };
        if progress.trouble.as_ref() != Some(&trouble) {
            error!("{}", trouble.why);
        }
        progress.hold = Some(Instant::now() + LOOK_AGAIN);
        progress.failures += 1;
        progress.trouble = Some(trouble);
        progress.cure = Cure::Operator;
    }

    fn failed(&self, progress: &mut Progress, trouble: Trouble, cure: Cure) {
        let backoff = match cure {
            Cure::Time | Cure::EndOfSession => &mut progress.transient,
            Cure::Operator => &mut progress.permanent,
        };
        let settled = if cure == Cure::EndOfSession { SETTLE } else { Duration::ZERO };
        let wait = backoff.after_failure().max(settled);
        progress.hold = Some(Instant::now() + wait);
        progress.failures += 1;
        let line =
            format!("{}: {} (trying again in {:.0} s)", self.executor.mirror(), trouble.why, wait.as_secs_f64().ceil());
        if progress.trouble.as_ref() == Some(&trouble) {
            debug!("{line}");
        } else {
            error!("{line}");
        }
        progress.trouble = Some(trouble);
        progress.cure = cure;
    }

    fn succeeded(&self, progress: &mut Progress) {
        if progress.trouble.take().is_some() {
            let failures = count(progress.failures, "failed attempt");
            warn!("{}: works again after {failures}", self.executor.mirror());
        }
        progress.failures = 0;
        progress.hold = None;
        progress.transient.reset();
        progress.permanent.reset();
    }

    /// Excludes a directory that must not be mirrored, and says so once.
    fn leave_out(&mut self, progress: &mut Progress, dir: PathBuf, why: &str) {
        if !progress.left_out.contains(&dir) {
            error!("{}: {} {why}", self.executor.mirror(), text::path(&dir));
            self.patterns.push(pattern_for_directory(&dir));
            progress.left_out.insert(dir);
        }
    }

    /// Puts the failing paths, or the whole batch when they are not known, aside for another attempt.
    fn partial(&self, progress: &mut Progress, failing: Failing, batch: Option<&DirtySet>) {
        let mirror = self.executor.mirror();
        let mut again = DirtySet::new(self.settings.max_pending);
        if failing.unattributed.is_empty() && !failing.deletions_skipped {
            for path in failing.paths.keys() {
                again.mark(path, Mark::Deep);
            }
        } else if let Some(batch) = batch {
            again.merge(batch);
        } else {
            again.mark(Path::new(""), Mark::Deep);
        }
        // The source is in motion: what vanished is looked at again with the next batch.
        if failing.unattributed.is_empty() && failing.paths.values().all(|why| why == VANISHED) {
            return self.queue.put_back(&again);
        }
        progress.retry.merge(&again);
        // What fails for the first time is tried again soon, whatever else has been failing for long.
        let wait = if progress.retrying { progress.retry_backoff.after_failure() } else { FIRST_RETRY };
        let at = Instant::now() + wait;
        progress.retry_at = Some(progress.retry_at.map_or(at, |before| before.min(at)));
        let worth_telling = |path: &PathBuf, why: &str| why != VANISHED && !progress.named.contains(path);
        let new: Vec<_> = failing.paths.iter().filter(|(path, why)| worth_telling(path, why)).collect();
        for (path, why) in new.iter().take(NAMED) {
            warn!("{mirror}: {}: {why}", text::path(path));
        }
        if new.len() > NAMED {
            warn!("{mirror}: {} more paths failed", new.len() - NAMED);
        }
        failing.unattributed.iter().take(NAMED).for_each(|why| warn!("{mirror}: {why}"));
        if failing.paths.is_empty() {
            // It has no name, but it counts.
            progress.failing.insert(PathBuf::new());
        }
        progress.failing.extend(failing.paths.keys().cloned());
        progress.named.extend(failing.paths.into_keys());
    }

    /// Everything went through: if nothing waits for another attempt, nothing fails any more.
    fn healed(&self, progress: &mut Progress) {
        progress.settled();
        if progress.retry.is_empty() && !progress.named.is_empty() {
            info!("{}: what failed before has arrived", self.executor.mirror());
            progress.named.clear();
            progress.retry_backoff.reset();
        }
    }

    /// Sends everything that is left: what failed once more, what a lost endpoint did not get until the time is over.
    fn drain(&mut self, progress: &mut Progress) {
        let deadline = Instant::now() + self.drain_timeout;
        let mut retried = false;
        while progress.caught_up() && !self.children.is_closed() && Instant::now() < deadline {
            if !progress.again.is_empty() && self.pass_is_running() {
                self.children.pause(LOOK_AGAIN / 5);
                continue;
            }
            let mut batch = progress.take_in(self.queue.take());
            batch.merge(&progress.again.take());
            if !std::mem::replace(&mut retried, true) {
                batch.merge(&progress.take_retry());
            }
            if batch.is_empty() {
                return;
            }
            let failures = progress.failures;
            self.send(progress, &batch);
            if progress.failures > failures && progress.cure == Cure::Operator {
                return;
            }
            if let Some(hold) = progress.hold {
                self.children.pause(hold.min(deadline).saturating_duration_since(Instant::now()));
            }
        }
    }

    fn end(&self, progress: &Progress) -> Exit {
        let mirror = self.executor.mirror();
        let pending = self.queue.pending() + progress.again.len();
        let failing = progress.failing.len() + progress.left_out.len();
        let gone = match self.queue.root() {
            Some(_) => !self.root_is_watched(),
            None => !mirror.source.path.is_dir(),
        };
        if gone && !self.children.is_closed() {
            error!("{mirror}: the source {} is gone or was replaced", mirror.source.path.display());
        }
        let exit = match &progress.trouble {
            Some(trouble) => trouble.exit,
            None if gone => Exit::Unreachable,
            None if !progress.caught_up() || pending > 0 || failing > 0 => Exit::Partial,
            None => Exit::Done,
        };
        // Why it was not, has been said.
        if !progress.caught_up() && progress.trouble.is_none() {
            let why = if progress.kept_out { ", since a pass was running" } else { "" };
            error!("{mirror}: ended before everything was compared{why}; the next start will compare it");
        }
        if pending > 0 {
            error!("{mirror}: ended with {} not sent; the next start will find them", count(pending, "path"));
        }
        if failing > 0 {
            error!("{mirror}: ended with {} failing", count(failing, "path"));
        }
        exit
    }

    /// Whether the directory at the source's path is the one that is watched. When it is not, what is missing there
    /// says nothing about what was deleted.
    fn root_is_watched(&self) -> bool {
        let now = fs::metadata(&self.executor.mirror().source.path).ok().map(|meta| (meta.dev(), meta.ino()));
        now.is_some() && now == self.queue.root()
    }

    fn pass_is_running(&self) -> bool {
        lock::is_held(self.state, self.executor.mirror(), Kind::Pass).unwrap_or_else(|e| {
            warn!("{}: cannot tell whether a pass is running: {e}", self.executor.mirror());
            false
        })
    }
}

fn told(tally: Tally, begun: Instant) -> String {
    let Tally { created, updated, deleted, sent, .. } = tally;
    let took = begun.elapsed().as_secs_f64();
    format!("{created} created, {updated} updated, {deleted} deleted, {} sent in {took:.2} s", bytes(sent))
}
