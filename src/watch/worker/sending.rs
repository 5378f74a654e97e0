//! How a worker sends a batch, alone or beside a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use log::{debug, info, warn};

use super::super::batch::Occasion;
use super::super::progress::{Cure, Names, Progress};
use super::{LOOK_AGAIN, Worker};
use crate::dirty::DirtySet;
use crate::dirty::plan::{self, Plan};
use crate::executor::{Mode, Tally};
use crate::exit::{Exit, Failure};
use crate::guard;
use crate::pass::separate;
use crate::report::text::count;
use crate::root::Root;
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::outcome::{Outcome, SETTLE, Trouble};
use crate::rsync::output::Change;
use crate::scope::{Listed, Scope};
use crate::state::lock::{self, Kind, Lock};
use crate::state::record::Record;
use crate::tree::Reach;
use crate::tree::changed::Moved;

/// How long it may take until it is known what has happened up to now.
const LONGEST_REPORT: Duration = Duration::from_secs(1);

/// Who may change anything in the mirror.
enum Turn {
    /// This worker, which needs a lock for that unless it changes nothing.
    Ours(Option<Lock>),
    /// A pass that is running or about to.
    OfAPass,
}

/// Those of the directories that are in no other one. They come in the order of their paths.
fn topmost(directories: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut topmost: Vec<PathBuf> = Vec::new();
    for dir in directories {
        if topmost.last().is_none_or(|above| !dir.starts_with(above)) {
            topmost.push(dir);
        }
    }
    topmost
}

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
        self.publish(progress, batch.len());
        if progress.moved != Moved::default() && self.executor.mode() == Mode::Real {
            match Record::note_moved(self.state, self.executor.mirror(), &progress.moved) {
                Ok(()) => progress.moved = Moved::default(),
                Err(e) => warn!("{}: where directories went cannot be remembered: {e}", self.executor.mirror()),
            }
        }
        let (begun, pushed) = (Instant::now(), SystemTime::now());
        let (outcome, tally) = self.transfer(progress, batch);
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
        self.tell(progress, progress.occasion, tally, begun);
    }

    /// Everything that rsync is run for to send a batch.
    fn transfer(&mut self, progress: &mut Progress, batch: &DirtySet) -> (Outcome, Tally) {
        let (mirror, on_item) = (self.executor.mirror(), self.on_item);
        let mut before = Tally::default();
        if progress.names == Names::PerhapsTwo {
            let (outcome, tally) = separate::separate(&mut self.executor, self.state, &|c, p| on_item(mirror, c, p));
            before.add(tally);
            if outcome == Outcome::Done {
                progress.names = Names::One;
            }
        }
        // Before it is planned: what is placed now may be gone again when it is looked at after that.
        if progress.names == Names::One {
            progress.names = self.place(progress, batch, &mut before);
        }
        self.suspect_what_is_recent(progress);
        let plan = self.plan(progress, batch);
        let sent = Mutex::new(BTreeSet::new());
        let (mut outcome, mut tally) = self.executor.run(&plan, &self.patterns, &|change, path| {
            if !progress.suspects.is_empty() && matches!(change, Change::Create | Change::Update) {
                sent.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
            }
            on_item(mirror, change, path);
        });
        tally.add(before);
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
        if outcome == Outcome::Done && progress.names == Names::PerhapsTwo {
            separate::forget(&self.executor, self.state);
            progress.names = Names::One;
        }
        (outcome, tally)
    }

    /// Compares the contents of files that were written or put there but not sent just now, and of directories that took the
    /// place of others, where nothing else can tell whether they are the same.
    fn compare_contents(&mut self, progress: &Progress, sent: &BTreeSet<PathBuf>) -> (Outcome, Tally) {
        let (excludes, root) = (&self.excludes, self.executor.root());
        let mut left = progress.suspects.left(sent, root, progress.pushed);
        left.retain(|path| !excludes.excludes(path, false));
        let is_there = |dir: &&PathBuf| {
            fs::symlink_metadata(root.join(dir)).is_ok_and(|meta| meta.is_dir()) && !excludes.excludes(dir, true)
        };
        let replaced: Vec<PathBuf> = progress.replaced.iter().filter(is_there).cloned().collect();
        if left.is_empty() && replaced.is_empty() || self.executor.mode() == Mode::DryRun {
            return (Outcome::Done, Tally::default());
        }
        let (mirror, on_item) = (self.executor.mirror(), self.on_item);
        let (files, directories) = (count(left.len(), "file"), count(replaced.len(), "directory"));
        debug!("{mirror}: comparing the content of {files} and {directories}");
        let mut scopes = Vec::new();
        if !left.is_empty() {
            scopes.push(Scope::Listed(Listed { present: left, ..Listed::default() }));
        }
        if !replaced.is_empty() {
            scopes.push(Scope::Tree(topmost(replaced)));
        }
        self.executor.run_by_content(&scopes, &self.patterns, &|c, p| on_item(mirror, c, p))
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
                self.tell(progress, Occasion::BesidePass, tally, begun);
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
}
