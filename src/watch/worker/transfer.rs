//! Everything that rsync is run for to send a batch: what was renamed is put in its place, what changed is sent, and what may
//! have changed unseen is compared by content.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use log::debug;

use super::super::progress::{Names, Progress};
use super::Worker;
use super::results::TOO_LONG;
use crate::dirty::DirtySet;
use crate::exclude::Is;
use crate::executor::{Mode, Sent};
use crate::pass::separate;
use crate::plan::{self, Plan};
use crate::report::text::count;
use crate::rsync::argv::pattern_for_directory;
use crate::rsync::outcome::Outcome;
use crate::rsync::tally::Tally;
use crate::scope::{Listed, Scope};
use crate::tree::Reach;

impl Worker<'_> {
    /// Everything that rsync is run for to send a batch.
    pub(super) fn transfer(&mut self, progress: &mut Progress, batch: &DirtySet) -> (Outcome, Tally) {
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
        let sent = Sent::default();
        let (mut outcome, mut tally) = self.executor.run(&plan, &self.patterns, &|change, path| {
            if !progress.suspects.is_empty() {
                sent.note(change, path);
            }
            on_item(mirror, change, path);
        });
        tally.add(before);
        if let Outcome::Partial(failing) = &mut outcome
            && failing.deletions_skipped
            && !failing.unreadable.is_empty()
        {
            failing.deletions_skipped = false;
            let (rest, more) = self.delete_elsewhere(&plan, &failing.unreadable);
            tally.add(more);
            outcome = together(outcome, rest);
        }
        if matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            let (rest, more) = self.compare_contents(progress, &sent.end());
            tally.add(more);
            outcome = together(outcome, rest);
        }
        if outcome == Outcome::Done && progress.names == Names::PerhapsTwo {
            separate::forget(&self.executor, self.state);
            progress.names = Names::One;
        }
        (outcome, tally)
    }

    /// Without the directories that cannot be read, the deletions everywhere else are made.
    fn delete_elsewhere(&mut self, plan: &[Scope], unreadable: &[PathBuf]) -> (Outcome, Tally) {
        let (mirror, on_item) = (self.executor.mirror(), self.on_item);
        let unreadable = unreadable.iter().map(|dir| pattern_for_directory(dir));
        let patterns: Vec<OsString> = self.patterns.iter().cloned().chain(unreadable).collect();
        self.executor.run(plan, &patterns, &|c, p| on_item(mirror, c, p))
    }

    /// The scopes for a batch.
    pub(super) fn plan(&mut self, progress: &mut Progress, batch: &DirtySet) -> Vec<Scope> {
        let reach = Reach::of(self.executor.mirror(), &self.excludes).at(self.executor.root());
        let Plan { scopes, too_long } = plan::plan(reach, batch);
        for dir in too_long {
            self.leave_out(progress, dir, TOO_LONG);
        }
        scopes
    }

    /// Compares the contents of files that were written or put there but not sent just now, and of directories that took the
    /// place of others, where nothing else can tell whether they are the same.
    fn compare_contents(&mut self, progress: &Progress, sent: &BTreeSet<PathBuf>) -> (Outcome, Tally) {
        let (excludes, root) = (&self.excludes, self.executor.root());
        let mut left = progress.suspects.left(sent, root, progress.pushed);
        left.retain(|path| !excludes.excludes_within(path, Is::Other));
        let is_there = |dir: &&PathBuf| {
            fs::symlink_metadata(root.join(dir)).is_ok_and(|meta| meta.is_dir())
                && !excludes.excludes_within(dir, Is::Directory)
        };
        let replaced: Vec<PathBuf> = progress.replaced.iter().filter(is_there).cloned().collect();
        if left.is_empty() && replaced.is_empty() || self.executor.mode() == Mode::DryRun {
            return (Outcome::Done, Tally::default());
        }
        let (mirror, on_item) = (self.executor.mirror(), self.on_item);
        let (files, directories) = (count(left.len(), "file"), count(replaced.len(), "directory"));
        debug!(mirror:%; "{mirror}: comparing the content of {files} and {directories}");
        let mut scopes = Vec::new();
        if !left.is_empty() {
            scopes.push(Scope::Listed(Listed { present: left, ..Listed::default() }));
        }
        if !replaced.is_empty() {
            scopes.push(Scope::Tree(topmost(replaced)));
        }
        self.executor.run_by_content(&scopes, &self.patterns, &|c, p| on_item(mirror, c, p))
    }
}

/// What became of two runs: what fails in either of them fails, and what is not about single paths counts more.
fn together(first: Outcome, then: Outcome) -> Outcome {
    match (first, then) {
        (Outcome::Partial(mut failing), Outcome::Partial(more)) => {
            failing.extend(more);
            Outcome::Partial(failing)
        }
        (first, Outcome::Done) => first,
        (_, then) => then,
    }
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
