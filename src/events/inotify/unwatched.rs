//! What happens at the limit of watches: directories for which the kernel gives none are looked at again and again instead.
//!
//! The walk notes each of them and goes no deeper there (`walk.rs`). As soon as everything else is watched, it is said how many
//! directories there are and what the limit should be. From then on the crawler tries to watch them again every 10 seconds, or
//! less often where that takes long, and what changed in them meanwhile is found by the times of files. As long as there are
//! any, the source counts as degraded, and nothing counts as reported that was not looked for.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use log::{error, info};

use super::super::{limits, recovery};
use super::task::Task;
use super::{Inotify, locked};
use crate::kernel_limits::{self, WATCHES};
use crate::moment::Moment;
use crate::report::text::count;
use crate::tree::walk;

/// What is not watched is looked at again after so many times the time that it took...
const SCAN_SHARE: u32 = 20;
/// ...but within these bounds.
const SCAN_EVERY: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];

/// What was last looked at for want of watches.
pub(super) struct Scans {
    /// Everything that happened before it was found.
    pub(super) since: Moment,
    due: Instant,
    /// That watches are missing was said.
    told: bool,
}

impl Scans {
    pub(super) fn new() -> Self {
        Scans { since: Moment::now(), due: Instant::now(), told: false }
    }
}

impl Inotify<'_> {
    /// Whether some directories have no watch.
    pub(super) fn is_degraded(&self) -> bool {
        !locked(&self.unwatched).is_empty()
    }

    /// The next task; a timeout when it is time to look at what has no watch.
    pub(super) fn next_task(&self, queue: &Receiver<Task>, scans: &Scans) -> Result<Task, RecvTimeoutError> {
        if self.live.load(Ordering::Relaxed) && self.is_degraded() {
            queue.recv_timeout(scans.due.saturating_duration_since(Instant::now()))
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    /// Watches what had no watch before, if there are any by now, and finds what changed in all of that since it was looked
    /// at last.
    pub(super) fn scan_unwatched(&self, scans: &mut Scans) {
        let (begun, now) = (Instant::now(), Moment::now());
        let nodes = std::mem::take(&mut *locked(&self.unwatched));
        let paths: Vec<PathBuf> = {
            let tree = self.tree();
            nodes.iter().filter_map(|node| tree.path(*node)).collect()
        };
        for node in nodes {
            let path = self.tree().path(node);
            if let Some(path) = path {
                self.walk(node, path);
            }
        }
        recovery::changed_since(&self.scene, &scans.since, &paths);
        scans.since = now.clone();
        scans.due = Instant::now() + (begun.elapsed() * SCAN_SHARE).clamp(SCAN_EVERY[0], SCAN_EVERY[1]);
        *locked(&self.scanned) = Some(now);
        if !self.is_degraded() {
            info!("source `{}`: every directory is watched now", self.scene.source.name);
            scans.told = false;
            self.scene.sink.degraded(None);
        }
        // Its reader says how far it is.
        self.scene.stop.waker.wake();
    }

    /// Says once that watches are missing, if they are.
    pub(super) fn tell_limit(&self, scans: &mut Scans) {
        if !self.is_degraded() || scans.told {
            return;
        }
        scans.told = true;
        scans.due = Instant::now() + SCAN_EVERY[0];
        let paths: Vec<PathBuf> = {
            let tree = self.tree();
            locked(&self.unwatched).iter().filter_map(|node| tree.path(*node)).collect()
        };
        let below = walk::census_below(self.scene.reach, &paths, &|_| 0).map_or(0, |census| census.directories.len());
        let watched = self.tree().watched();
        let all = watched + below.max(paths.len());
        let why = format!("only {watched} of {} have an inotify watch", count(all, "directory"));
        self.scene.sink.degraded(Some(&why));
        error!(
            "source `{}`: it has {}, and the kernel gives watches for only {watched} of them; what changes in the others is \
             looked for every {} seconds, or less often where that takes long; {}",
            self.scene.source.name,
            count(all, "directory"),
            SCAN_EVERY[0].as_secs(),
            limits::remedy(WATCHES, kernel_limits::watches(all as u64))
        );
    }
}
