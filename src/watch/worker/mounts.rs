//! File systems that are mounted inside a source and mirrored with it (`one-file-system = false`): what is missing in one that
//! is not mounted says nothing about what was deleted. It is left as it is, as a pass does, until it is mounted again.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use log::{debug, info};

use super::super::moves::Moves;
use super::super::progress::Progress;
use super::Worker;
use crate::dirty::{DirtySet, Mark};
use crate::exclude::Is;
use crate::executor::Mode;
use crate::mounted::{self, Mounted, NOT_MOUNTED};
use crate::report::json::{self, Fields};
use crate::report::text;
use crate::state::mounts;

impl Worker<'_> {
    /// Finds out what is mounted now, and leaves out what is not any more. What a batch reaches is held as long as what is
    /// returned lives. To be called before anything is looked at.
    ///
    /// # Errors
    /// When it cannot be found out what is mounted, or what was.
    pub(super) fn hold_mounts(&mut self, progress: &mut Progress, batch: &DirtySet) -> io::Result<Vec<Mounted>> {
        if self.executor.mirror().source.one_file_system {
            return Ok(Vec::new());
        }
        let mut mounted = mounted::below(self.executor.root(), &self.excludes)?;
        let known = self.known_mounts(progress)?;
        let mut held = Vec::new();
        // What nothing is looked at in need not be reached either: it may be on a host that does not answer.
        let is_wanted = |place: &&PathBuf| progress.left_out.contains_key(*place) || reaches(progress, batch, place);
        let wanted: Vec<PathBuf> = mounted.iter().filter(is_wanted).cloned().collect();
        for place in wanted {
            if let Some(hold) = Mounted::hold(&self.executor.root().join(&place)) {
                held.push(hold);
                progress.renamed_mounts.remove(&place);
                progress.mounts.insert(place);
            } else {
                mounted.remove(&place);
            }
        }
        let mut back = self.back(progress, &mounted, &known);
        for place in known.into_iter().filter(|place| !mounted.contains(place)) {
            if was_renamed(&progress.moves, &place, &mounted) {
                back.extend(progress.left_out.contains_key(&place).then(|| place.clone()));
                progress.mounts.remove(&place);
                progress.renamed_mounts.insert(place);
            } else {
                self.leave_out(progress, place, NOT_MOUNTED);
            }
        }
        self.take_back(progress, &back);
        Ok(held)
    }

    /// Begins with what is mounted already: where nothing is compared at first, nothing else would tell.
    pub(super) fn begin_with_mounts(&self, progress: &mut Progress) {
        if !self.executor.mirror().source.one_file_system {
            // Whoever sends looks again, and says when it cannot.
            let places = mounted::below(self.executor.root(), &self.excludes).unwrap_or_default();
            progress.mounts.extend(places.into_iter().filter(|place| self.executor.root().join(place).is_dir()));
        }
    }

    /// Notes what was mounted, before anything of it is sent: whenever the process ends after that, the next one knows. For
    /// whoever has the turn.
    ///
    /// # Errors
    /// When it cannot be found out what was noted before.
    pub(super) fn note_mounts(&self, progress: &mut Progress) -> io::Result<()> {
        if self.executor.mirror().source.one_file_system || self.executor.mode() != Mode::Real {
            return Ok(());
        }
        let mirror = self.executor.mirror();
        let noted = mounts::known(self.state, mirror)?;
        let all = noted.union(&progress.mounts).filter(|place| !progress.renamed_mounts.contains(*place));
        match mounts::note(self.state, mirror, &all.cloned().collect()) {
            Ok(()) => {
                progress.mounts.clear();
                progress.renamed_mounts.clear();
            }
            // The state directory has said it aloud.
            Err(e) => debug!(mirror:%; "{mirror}: what is mounted in the source cannot be remembered: {e}"),
        }
        Ok(())
    }

    /// Looks whether what is left out is not waited for any more, or mounted again, when nothing happens that would have it looked
    /// at.
    pub(super) fn look_for_mounts(&mut self, progress: &mut Progress) {
        let waits = progress.left_out.values().any(|why| why == NOT_MOUNTED);
        if waits
            && let Ok(mounted) = mounted::below(self.executor.root(), &self.excludes)
            && let Ok(known) = self.known_mounts(progress)
        {
            let back = self.back(progress, &mounted, &known);
            self.take_back(progress, &back);
        }
    }

    /// Where something was mounted before: what is noted, which a pass that was told that it is meant has made anew, and what
    /// could not be noted yet.
    fn known_mounts(&self, progress: &Progress) -> io::Result<BTreeSet<PathBuf>> {
        let mut known = mounts::known(self.state, self.executor.mirror())?;
        known.extend(progress.mounts.iter().cloned());
        known.retain(|place| {
            !progress.renamed_mounts.contains(place) && !self.excludes.excludes_within(place, Is::Directory)
        });
        Ok(known)
    }

    /// What was left out and is mounted again, or is not waited for any more.
    fn back(&self, progress: &Progress, mounted: &BTreeSet<PathBuf>, known: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let left_out = progress.left_out.iter().filter(|(_, why)| *why == NOT_MOUNTED).map(|(place, _)| place);
        let is_mounted =
            |place: &Path| mounted.contains(place) && Mounted::hold(&self.executor.root().join(place)).is_some();
        left_out.filter(|place| !known.contains(*place) || is_mounted(place)).cloned().collect()
    }

    /// Has them looked at as a whole.
    fn take_back(&mut self, progress: &mut Progress, places: &[PathBuf]) {
        if places.is_empty() {
            return;
        }
        let mut again = DirtySet::new(self.settings.max_pending);
        for place in places {
            let (mirror, Fields { path, path_hex }) = (self.executor.mirror(), json::fields(place));
            info!(mirror:%, path, path_hex; "{mirror}: {}, which was left as it is, is mirrored again", text::path(place));
            self.take_in_again(progress, place);
            again.mark(place, Mark::Deep);
        }
        self.queue.put_back(&again);
    }
}

/// Whether anything at a place, or below it, is looked at for a batch, or the level of the directory in which it is.
fn reaches(progress: &Progress, batch: &DirtySet, place: &Path) -> bool {
    let moves = progress.moves.all();
    let mut others = moves.iter().map(|it| &it.to).chain(&progress.replaced);
    batch.reaches(place.parent().unwrap_or(place))
        || progress.suspects.has_below(place)
        || others.any(|path| path.starts_with(place) || place.starts_with(path))
}

/// Whether what was mounted at a place is mounted elsewhere now because a directory above was renamed.
fn was_renamed(moves: &Moves, place: &Path, mounted: &BTreeSet<PathBuf>) -> bool {
    let is_there =
        |from: &Path, to: &Path| place.strip_prefix(from).is_ok_and(|below| mounted.contains(&to.join(below)));
    moves.all().iter().any(|it| is_there(&it.from, &it.to))
}
