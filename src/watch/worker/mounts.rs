//! What a worker makes of file systems that are mounted in the source: as long as one is, it may be mirrored; once it is
//! unmounted, that nothing is there tells nothing about what was deleted.

use std::path::{Path, PathBuf};

use log::error;

use super::super::progress::Progress;
use super::Worker;
use crate::dirty::DirtySet;
use crate::guard;
use crate::report::json::{self, Fields};
use crate::report::text;
use crate::root::Root;

/// What is said of a directory where something was unmounted by force while it was mirrored.
const UNMOUNTED: &str = "was unmounted while it was mirrored, and what the mirror has of it may have been deleted for that; it \
                         is in the history";
/// When the places have more bytes together nothing is deleted anywhere: each is an argument of rsync.
const MOST: usize = 64 * 1024;

/// What is mounted where a batch has something to do. As long as this lives, it cannot be unmounted in the ordinary way.
pub(super) struct Held(Vec<(PathBuf, Root)>);

impl Worker<'_> {
    /// Holds what is mounted as far as the batch reaches it, and sees to it that nothing is deleted where something was.
    pub(super) fn hold_mounts(&mut self, batch: &DirtySet) -> Held {
        let (mut held, mut unmounted) = (Vec::new(), Vec::new());
        for place in self.queue.mount_points() {
            let path = self.executor.root().join(&place);
            let root = batch.reaches(&place).then(|| Root::open(&path).ok()).flatten();
            // What was opened may be what is below the mount by now.
            if !guard::is_mounted(root.as_ref().map_or(&path, Root::path)) {
                unmounted.push(place);
            } else if let Some(root) = root {
                held.push((place, root));
            }
        }
        if unmounted.iter().map(|place| place.as_os_str().len()).sum::<usize>() > MOST {
            unmounted = vec![PathBuf::new()];
        }
        self.executor.protect(unmounted);
        Held(held)
    }

    /// Lets go of it, and says where something was unmounted all the same.
    pub(super) fn release_mounts(&self, progress: &mut Progress, Held(held): Held) {
        for (place, _) in &held {
            if !guard::is_mounted(&self.executor.root().join(place)) {
                self.tell_unmounted(progress, place);
            }
        }
    }

    fn tell_unmounted(&self, progress: &mut Progress, place: &Path) {
        let (mirror, Fields { path, path_hex }) = (self.executor.mirror(), json::fields(place));
        let why = format!("{} {UNMOUNTED}", text::path(place));
        error!(mirror:%, path, path_hex; "{mirror}: {why}");
        progress.counters.errors += 1;
        progress.note_error(&why);
    }
}
