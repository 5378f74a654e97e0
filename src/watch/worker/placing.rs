//! How a worker puts what was renamed in its new place on the mirror, before it sends a batch: then the batch finds it there,
//! and only has to remove the old name.
//!
//! What goes wrong here is never a failure: what was not placed is sent with the batch.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use log::debug;
use walkdir::WalkDir;

use super::super::moves::Move;
use super::super::progress::{Names, Progress};
use super::Worker;
use crate::dirty::DirtySet;
use crate::exclude::Is;
use crate::executor::Mode;
use crate::report::text;
use crate::rsync::outcome::Outcome;
use crate::rsync::placement::{Basis, Placement, can_be_named};
use crate::rsync::probe;
use crate::rsync::tally::Tally;
use crate::state::links;
use crate::tree::Reach;

/// What an entry of a directory counts for, in bytes, beside its data.
const ENTRY: u64 = 1 << 10;
/// For so long before the last push a change may not have been told of.
const MOVING: Duration = Duration::from_secs(2);
/// More placements than this are not made for one batch.
const MOST: usize = 50;
/// With more paths to be left out a directory is sent.
const MOST_LEFT_OUT: usize = 1_000;

/// Files that went from one directory to another.
#[derive(Default)]
struct Files {
    /// Their names in that.
    names: Vec<OsString>,
    /// The old paths of those that are linked.
    linked: Vec<PathBuf>,
}

impl Worker<'_> {
    /// Places what can be placed. Says how many names files may have on the mirror now.
    pub(super) fn place(&mut self, progress: &Progress, batch: &DirtySet, tally: &mut Tally) -> Names {
        if self.executor.mode() == Mode::DryRun || !progress.caught_up() {
            return Names::One;
        }
        // What is left out has neither of the two names changed.
        let is_apart =
            |path: &Path| !progress.left_out.keys().any(|dir| dir.starts_with(path) || path.starts_with(dir));
        let moves = progress.moves.all().into_iter().filter(|it| is_apart(&it.from) && is_apart(&it.to));
        let moves: Vec<&Move> = moves.collect();
        let placements = self.placements(&moves);
        if placements.is_empty() {
            return Names::One;
        }
        let mirror = self.executor.mirror();
        let on_item = self.on_item;
        let linked: Vec<PathBuf> = placements.iter().flat_map(|(_, old)| old.iter().cloned()).collect();
        if !linked.is_empty()
            && let Err(e) = links::note(self.state, mirror, &linked)
        {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: what was renamed is sent again, since that cannot be noted: {e}");
            return Names::One;
        }
        let parents: BTreeSet<&Path> = placements.iter().flat_map(|(placement, _)| above(placement)).collect();
        let comes_along = |dir: &Path| {
            placements.iter().any(|(it, _)| matches!(it, Placement::Directory { to, .. } if dir.starts_with(to)))
        };
        let parents = parents.into_iter().filter(|dir| batch.covers(dir) && !comes_along(dir));
        let parents: Vec<PathBuf> = parents.map(PathBuf::from).collect();
        if !parents.is_empty() {
            tally.add(self.executor.run_carefully(parents, &self.patterns, &|c, p| on_item(mirror, c, p)).1);
        }
        // What is new and what is removed for it is to be undone together.
        self.executor.use_new_bucket();
        for (placement, _) in placements {
            if matches!(&placement, Placement::Directory { to, .. } if !probe::is_absent(mirror, self.children, to)) {
                debug!(mirror:%; "{mirror}: {} is there already, so it is compared", text::path(placement.to()));
                continue;
            }
            let (outcome, placed) = self.executor.place(&placement, &|c, p| on_item(mirror, c, p));
            tally.add(placed);
            debug!(mirror:%; "{mirror}: placed what was renamed to {}: {}", text::path(placement.to()), word(&outcome));
            if matches!(outcome, Outcome::Stopped) {
                break;
            }
        }
        if linked.is_empty() { Names::One } else { Names::PerhapsTwo }
    }

    /// Suspects what changed in directories that were renamed: while a directory moves, inotify may not tell what happens in it.
    pub(super) fn suspect_what_is_recent(&self, progress: &mut Progress) {
        let root = self.executor.root();
        let reach = Reach::of(self.executor.mirror(), &self.excludes).at(root);
        let since = progress.pushed.checked_sub(MOVING).unwrap_or(progress.pushed);
        let since =
            since.duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        let moved: Vec<PathBuf> = progress.moves.all().into_iter().map(|it| it.to.clone()).collect();
        for dir in moved.iter().filter(|dir| there(root, dir).is_some_and(|meta| meta.is_dir())) {
            let entries = WalkDir::new(root.join(dir)).min_depth(1).into_iter().flatten();
            for entry in entries.filter(|entry| entry.file_type().is_file()) {
                let is_recent = |meta: &fs::Metadata| meta.ctime() >= since && !reach.is_elsewhere(meta.dev());
                if entry.metadata().is_ok_and(|meta| is_recent(&meta))
                    && let Ok(path) = entry.path().strip_prefix(root)
                {
                    progress.suspects.add(path);
                }
            }
        }
    }

    /// What is worth placing and can be, each with the old names to which its files will be linked.
    fn placements(&self, moves: &[&Move]) -> Vec<(Placement, Vec<PathBuf>)> {
        let root = self.executor.root();
        let mut placements = Vec::new();
        let mut files: BTreeMap<(&Path, &Path, Basis), Files> = BTreeMap::new();
        for Move { from, to } in
            moves.iter().filter(|it| it.from != it.to && can_be_named(&it.from) && can_be_named(&it.to))
        {
            let Some(meta) = there(root, to) else { continue };
            let is = Is::directory_if(meta.is_dir());
            if self.excludes.excludes_within(from, is) || self.excludes.excludes_within(to, is) {
                continue;
            }
            // When something else has the old name now, it must not be the same file.
            let is_gone = fs::symlink_metadata(root.join(from)).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
            let basis = if is_gone { Basis::Linked } else { Basis::Copied };
            let linked = is_gone.then(|| from.clone());
            if meta.is_dir() {
                let inner = moves.iter().filter_map(|other| other.to.strip_prefix(to).ok());
                let inner = inner.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned).collect();
                if let Some(without) = self.left_out(to, inner) {
                    let (from, to, exclude) = (from.clone(), to.clone(), self.patterns_for_names());
                    let placement = Placement::Directory { from, to, basis, without, exclude };
                    placements.push((placement, linked.into_iter().collect()));
                }
            } else if meta.is_file()
                && meta.size() >= self.settings.rename_min_size
                && let (Some(from), Some(to), Some(name)) = (from.parent(), to.parent(), to.file_name())
            {
                let files = files.entry((from, to, basis)).or_default();
                files.names.push(name.to_owned());
                files.linked.extend(linked.filter(|_| from != to));
            }
        }
        for ((from, to, basis), Files { names, linked }) in files {
            placements.push((Placement::Files { from: from.to_owned(), to: to.to_owned(), basis, names }, linked));
        }
        placements.truncate(MOST);
        placements
    }

    /// The patterns that are about names alone, and so mean the same in a part of the source.
    fn patterns_for_names(&self) -> Vec<OsString> {
        let is_about_a_name = |pattern: &&OsString| {
            let pattern = pattern.as_encoded_bytes();
            !pattern.strip_suffix(b"/").unwrap_or(pattern).contains(&b'/')
        };
        self.patterns.iter().filter(is_about_a_name).cloned().collect()
    }

    /// What has to be left out of a directory, relative to it, `inner` included; nothing when it is not worth placing.
    fn left_out(&self, dir: &Path, inner: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
        let root = self.executor.root();
        let mut left_out = inner;
        let mut weight = 0;
        let mut walk = WalkDir::new(root.join(dir)).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            let Ok(path) = entry.path().strip_prefix(root) else { continue };
            let is_dir = entry.file_type().is_dir();
            if self.excludes.excludes_entry(path, Is::directory_if(is_dir)) {
                left_out.extend(path.strip_prefix(dir).map(Path::to_owned));
                if is_dir {
                    walk.skip_current_dir();
                }
                continue;
            }
            let is_file = entry.file_type().is_file();
            weight += ENTRY + if is_file { entry.metadata().map_or(0, |meta| meta.len()) } else { 0 };
            let is_enough = weight >= self.settings.rename_min_size;
            if is_enough && self.patterns.is_empty() || left_out.len() > MOST_LEFT_OUT {
                break;
            }
        }
        (weight >= self.settings.rename_min_size && left_out.len() <= MOST_LEFT_OUT).then_some(left_out)
    }
}

/// The directories that have to be there before.
fn above(placement: &Placement) -> impl Iterator<Item = &Path> {
    let own = match placement {
        Placement::Directory { .. } => 1,
        Placement::Files { .. } => 0,
    };
    placement.to().ancestors().skip(own).filter(|dir| !dir.as_os_str().is_empty())
}

/// What is at a path, when all above it are directories.
fn there(root: &Path, path: &Path) -> Option<fs::Metadata> {
    let above = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
    let is_dir = |dir: &Path| fs::symlink_metadata(root.join(dir)).is_ok_and(|meta| meta.is_dir());
    above.into_iter().all(is_dir).then(|| fs::symlink_metadata(root.join(path)).ok()).flatten()
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Partial(failing) => format!("{} failed", text::count(failing.len(), "path")),
        other => format!("{other:?}"),
    }
}
