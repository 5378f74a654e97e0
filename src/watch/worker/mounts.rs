//! File systems that are mounted inside a source and mirrored with it (`one-file-system = false`): what is missing in one that
//! is not mounted says nothing about what was deleted. It is left as it is, as a pass does, until it is mounted again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::{debug, info};

use super::super::moves::Moves;
use super::super::progress::Progress;
use super::Worker;
use crate::dirty::{DirtySet, Mark};
use crate::exclude::Is;
use crate::executor::Mode;
use crate::mounted::{Mounted, NOT_MOUNTED};
use crate::mountinfo;
use crate::report::json::{self, Fields};
use crate::report::text;
use crate::state::record::Record;
use crate::tree::shard::Shard;

impl Worker<'_> {
    /// Finds out what is mounted now, and leaves out what is not any more. What a batch reaches is held as long as what is
    /// returned lives. To be called before anything is looked at.
    ///
    /// # Errors
    /// When the kernel does not tell what is mounted.
    pub(super) fn hold_mounts(&mut self, progress: &mut Progress, batch: &DirtySet) -> io::Result<Vec<Mounted>> {
        if self.executor.mirror().source.one_file_system {
            return Ok(Vec::new());
        }
        let mut mounted = self.mounted()?;
        let known = self.known_mounts(progress);
        progress.mounts.clone_from(&known);
        let mut held = Vec::new();
        // What nothing is looked at in need not be reached either: it may be on a host that does not answer.
        let reached: Vec<PathBuf> = mounted.iter().filter(|place| reaches(progress, batch, place)).cloned().collect();
        for place in reached {
            if let Some(hold) = Mounted::hold(&self.executor.root().join(&place)) {
                held.push(hold);
                progress.renamed_mounts.remove(&place);
                progress.mounts.insert(place);
            } else {
                mounted.remove(&place);
            }
        }
        self.take_back(progress, &mounted, &known);
        for place in known.into_iter().filter(|place| !mounted.contains(place)) {
            if was_renamed(&progress.moves, &place, &mounted) {
                progress.mounts.remove(&place);
                progress.renamed_mounts.insert(place);
            } else {
                self.leave_out(progress, place, NOT_MOUNTED);
            }
        }
        Ok(held)
    }

    /// Notes what was mounted, before anything of it is sent: whenever the process ends after that, the next one knows. For
    /// whoever has the turn.
    pub(super) fn note_mounts(&self, progress: &mut Progress) {
        if self.executor.mirror().source.one_file_system || self.executor.mode() != Mode::Real {
            return;
        }
        let mirror = self.executor.mirror();
        match Record::note_mounts(self.state, mirror, &progress.mounts, &progress.renamed_mounts) {
            Ok(true) => {
                progress.mounts.clear();
                progress.renamed_mounts.clear();
            }
            Ok(false) => {}
            // The state directory has said it aloud.
            Err(e) => debug!(mirror:%; "{mirror}: what is mounted in the source cannot be remembered: {e}"),
        }
    }

    /// Begins to remember what is mounted.
    pub(super) fn look_for_mounts(&self, progress: &mut Progress) {
        if !self.executor.mirror().source.one_file_system {
            let root = &self.executor.mirror().source.path;
            // Whoever sends looks again, and says when it cannot.
            let places = self.mounted().unwrap_or_default().into_iter();
            progress.mounts.extend(places.filter(|place| root.join(place).is_dir()));
        }
    }

    /// The directories of the source in which something is mounted that is mirrored.
    fn mounted(&self) -> io::Result<BTreeSet<PathBuf>> {
        let table = fs::read(mountinfo::TABLE)?;
        let root = self.executor.root().canonicalize()?;
        let places = mountinfo::below(&table, &root).into_keys();
        Ok(places.filter(|place| !self.excludes.excludes_within(place, Is::Directory)).collect())
    }

    /// Where something was mounted before: what the record has, which a pass that was told that it is meant has made anew, and
    /// what is not in it.
    fn known_mounts(&self, progress: &Progress) -> BTreeSet<PathBuf> {
        let record = Record::load(self.state, self.executor.mirror(), Shard::WHOLE);
        let noted = record.into_iter().flat_map(|record| record.mounts).map(PathBuf::from);
        let known = noted.chain(progress.mounts.iter().cloned());
        known.filter(|place| !progress.renamed_mounts.contains(place)).collect()
    }

    /// Has looked at as a whole what was left out and is mounted again, or is not waited for any more.
    fn take_back(&mut self, progress: &mut Progress, mounted: &BTreeSet<PathBuf>, known: &BTreeSet<PathBuf>) {
        let is_back = |(place, why): &(&PathBuf, &String)| {
            *why == NOT_MOUNTED && (mounted.contains(*place) || !known.contains(*place))
        };
        let back: Vec<PathBuf> = progress.left_out.iter().filter(is_back).map(|(place, _)| place.clone()).collect();
        if back.is_empty() {
            return;
        }
        let mut again = DirtySet::new(self.settings.max_pending);
        for place in back {
            let (mirror, Fields { path, path_hex }) = (self.executor.mirror(), json::fields(&place));
            info!(mirror:%, path, path_hex; "{mirror}: {}, which was left as it is, is mirrored again", text::path(&place));
            self.take_in_again(progress, &place);
            again.mark(&place, Mark::Deep);
        }
        self.queue.put_back(&again);
    }
}

/// Whether anything at a place, or below it, is looked at for a batch.
fn reaches(progress: &Progress, batch: &DirtySet, place: &Path) -> bool {
    let moves = progress.moves.all();
    let mut others = moves.iter().map(|it| &it.to).chain(&progress.replaced);
    batch.reaches(place)
        || progress.suspects.has_below(place)
        || others.any(|path| path.starts_with(place) || place.starts_with(path))
}

/// Whether what was mounted at a place is mounted elsewhere now because a directory above was renamed.
fn was_renamed(moves: &Moves, place: &Path, mounted: &BTreeSet<PathBuf>) -> bool {
    let is_there =
        |from: &Path, to: &Path| place.strip_prefix(from).is_ok_and(|below| mounted.contains(&to.join(below)));
    moves.all().iter().any(|it| is_there(&it.from, &it.to))
}
