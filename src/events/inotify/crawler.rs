//! The crawler of an inotify instance: it puts watches on directories, and has what has none looked at (`unwatched.rs`).

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use log::{debug, info};
use rustix::fs::inotify;

use super::super::recovery;
use super::super::session::Missed;
use super::task::Task;
use super::unwatched::Scans;
use super::walk::Follow;
use super::{Inotify, NodeId, locked};
use crate::dirty::Mark;
use crate::moment::Moment;
use crate::report::text::{self, count};

impl Inotify<'_> {
    /// Does what it is asked to do, until nobody can ask any more.
    pub(super) fn crawler(&self, queue: &Receiver<Task>, missed: &Missed) {
        let mut scans = Scans::new();
        loop {
            match self.next_task(queue, &scans) {
                Ok(Task::Crawl(top)) => self.crawl(top),
                Ok(Task::Look(dir, name)) => self.look(dir, &name),
                Ok(Task::Mount(path, mark)) => {
                    if let Some(node) = self.node_at(&path) {
                        self.walk(node, path.clone());
                        self.scene.sink.directory(&path, mark);
                    }
                }
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
            self.tell_limit(&mut scans);
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
            let Ok(watch) = self.add_watch(&full, Follow::at(&path)) else { continue };
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

    /// The node for what stands at the path now, which is another directory than before.
    fn node_at(&self, path: &Path) -> Option<NodeId> {
        let mut tree = self.tree();
        let root = tree.root();
        path.iter().try_fold(root, |node, name| tree.child_or_new(node, name))
    }

    pub(super) fn unwatch(&self, watch: i32) {
        if self.tree().by_watch(watch).is_none() {
            // The kernel may have dropped it already.
            let _ = inotify::remove_watch(&self.instance, watch);
        }
    }
}
