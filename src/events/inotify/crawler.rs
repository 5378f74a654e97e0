//! The crawler of an inotify instance: it puts watches on directories, and looks again and again at what has none.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use log::{debug, error, info};
use rustix::fs::inotify;

use super::super::recovery;
use super::super::session::Missed;
use super::{Inotify, NodeId, locked};
use crate::dirty::Mark;
use crate::report::text::{self, count};
use crate::state::record::Moment;
use crate::tree::walk;

/// What the crawler is asked to do.
pub(super) enum Task {
    /// Watch this directory and all below.
    Crawl(NodeId),
    /// Something left this name. If there is a directory all the same, watch it: two directories may have changed places,
    /// which is reported as one move after the other.
    Look(NodeId, OsString),
    /// Something was mounted or unmounted here.
    Mount(PathBuf),
    /// Drop these watches, unless their directories have come back into the tree.
    Unwatch(Vec<i32>),
}

/// What is not watched is looked at again after so many times the time that it took...
const SCAN_SHARE: u32 = 20;
/// ...but within these bounds.
const SCAN_EVERY: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(600)];
/// No less than this is recommended as a limit of watches.
const LEAST_LIMIT: usize = 524_288;

/// What was last looked at for want of watches.
struct Scans {
    /// Everything that happened before it was found.
    since: Moment,
    due: Instant,
    /// That watches are missing was said.
    told: bool,
}

impl Inotify<'_> {
    /// Does what it is asked to do, until nobody can ask any more.
    pub(super) fn crawler(&self, queue: &Receiver<Task>, missed: &Missed) {
        let mut scans = Scans { since: Moment::now(), due: Instant::now(), told: false };
        loop {
            let task = if self.live.load(Ordering::Relaxed) && self.is_degraded() {
                queue.recv_timeout(scans.due.saturating_duration_since(Instant::now()))
            } else {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match task {
                Ok(Task::Crawl(top)) => self.crawl(top),
                Ok(Task::Look(dir, name)) => self.look(dir, &name),
                Ok(Task::Mount(path)) => self.look_at_mount(&path),
                Ok(Task::Unwatch(watches)) => watches.into_iter().for_each(|watch| self.unwatch(watch)),
                Err(RecvTimeoutError::Timeout) => {
                    self.to_crawl.fetch_add(1, Ordering::Relaxed);
                    self.scan_unwatched(&mut scans);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.give_back();
            if self.to_crawl.fetch_sub(1, Ordering::Release) == 1 {
                // Its reader sees that the tree is settled.
                self.scene.stop.waker.wake();
            }
            if !self.scene.stop.is_requested() && !self.live.swap(true, Ordering::Relaxed) {
                self.begin(&scans.since, missed);
            }
            if self.is_degraded() && !scans.told {
                scans.told = true;
                scans.due = Instant::now() + SCAN_EVERY[0];
                self.tell_limit();
            }
        }
    }

    /// Every directory that there was when it began has been seen, and is watched if there was a watch to be had.
    fn begin(&self, begun: &Moment, missed: &Missed) {
        let directories = count(self.tree().watched(), "directory");
        info!("source `{}`: watching {directories} by inotify: {}", self.scene.source.name, self.why);
        if *missed == Missed::Nothing {
            self.horizon.reached(begun.clone());
        }
        self.scene.sink.watches(self.tree().watched());
        self.scene.sink.watching(Some(self.root));
        recovery::recover(&self.scene, missed);
        self.complete.store(true, Ordering::Release);
    }

    /// Watches a directory and all below it, each before it is read, and then marks all of it as dirty. The first crawl
    /// need not mark anything: everything is compared after it.
    fn crawl(&self, top: NodeId) {
        let path = self.tree().path(top);
        if let Some(path) = path {
            debug!("source `{}`: watching what is in {}", self.scene.source.name, text::path(&path));
            self.walk(top, path);
        }
        let path = self.tree().path(top);
        if let Some(path) = path.filter(|_| self.live.load(Ordering::Relaxed)) {
            // What came and went in it before it was watched, was not reported.
            self.scene.sink.directory(&path, Mark::Deep);
        }
    }

    /// Watches what lost its watch to another node, if the directory is still there.
    fn give_back(&self) {
        for node in std::mem::take(&mut *locked(&self.robbed)) {
            let path = self.tree().path(node);
            let Some(path) = path else { continue };
            let full = self.scene.source.path.join(&path);
            let Ok(watch) = self.add_watch(&full, path.as_os_str().is_empty()) else { continue };
            if !self.tree().set_watch(node, watch) {
                self.unwatch(watch);
            } else if self.live.load(Ordering::Relaxed) {
                self.scene.sink.directory(&path, Mark::Deep);
            }
        }
    }

    fn look(&self, dir: NodeId, name: &OsStr) {
        let path = self.tree().path(dir);
        let Some(path) = path else { return };
        let meta = fs::symlink_metadata(self.scene.source.path.join(path).join(name));
        if meta.is_ok_and(|meta| meta.is_dir()) {
            let node = self.tree().child_or_new(dir, name);
            if let Some(node) = node {
                self.crawl(node);
            }
        }
    }

    /// What stands at the path now is another directory than before.
    fn look_at_mount(&self, path: &Path) {
        let node = {
            let mut tree = self.tree();
            let root = tree.root();
            path.iter().try_fold(root, |node, name| tree.child_or_new(node, name))
        };
        if let Some(node) = node {
            self.crawl(node);
        }
    }

    pub(super) fn unwatch(&self, watch: i32) {
        if self.tree().by_watch(watch).is_none() {
            // The kernel may have dropped it already.
            let _ = inotify::remove_watch(&self.instance, watch);
        }
    }

    /// Watches what had no watch before, if there are any by now, and finds what changed in all of that since it was looked
    /// at last.
    fn scan_unwatched(&self, scans: &mut Scans) {
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

    fn tell_limit(&self) {
        let paths: Vec<PathBuf> = {
            let tree = self.tree();
            locked(&self.unwatched).iter().filter_map(|node| tree.path(*node)).collect()
        };
        let below = walk::census_below(self.scene.reach, &paths, &|_| 0).map_or(0, |census| census.directories.len());
        let watched = self.tree().watched();
        let all = watched + below.max(paths.len());
        let limit = (all + all / 4).next_power_of_two().max(LEAST_LIMIT);
        let why = format!("only {watched} of {} have an inotify watch", count(all, "directory"));
        self.scene.sink.degraded(Some(&why));
        error!(
            "source `{}`: it has {}, and the kernel gives watches for only {watched} of them; what changes in the others is \
             looked for every {} seconds, or less often where that takes long. Raise the limit: sysctl \
             fs.inotify.max_user_watches={limit}",
            self.scene.source.name,
            count(all, "directory"),
            SCAN_EVERY[0].as_secs()
        );
    }
}
