//! The inotify event source: one watch per directory.
//!
//! A reader thread decodes events (`reader.rs`) and keeps the tree of directories in step with them (`event.rs`); a crawler
//! thread puts watches on directories (`crawler.rs`), with helpers where there are many (`walk.rs`), and looks at those for which
//! there are none (`unwatched.rs`). The crawler sees directories as they are now, the reader as they were when an event happened,
//! so they may disagree on what a path stands for. These rules make them agree in the end, with nothing lost:
//! - A directory that arrives under a name (made or moved) is crawled by its path; one that leaves is removed from the
//!   tree with all below. A move is both, in whatever order and however often.
//! - While the two are known to agree, a move within the tree is one change of the tree (`renames.rs`).
//! - The last claim on a watch wins: the crawler found the directory there most recently. Who lost it makes a claim once more:
//!   most often it has left, but the other one may have been found through a symbolic link that was put in its way.
//! - Events for a watch that the tree does not know (yet, or any more) are dropped: the crawler registers a watch *before*
//!   it reads the directory, and marks everything below as dirty *after* that.

mod crawler;
mod event;
mod reader;
mod renames;
mod sharing;
mod task;
mod tree;
mod unwatched;
mod walk;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc;
use std::sync::{Mutex, MutexGuard};
use std::thread;

use rustix::fs::inotify::{self, CreateFlags};

use self::reader::{READ_BUFFER, Reading};
use self::task::Task;
use self::tree::{DirTree, NodeId};
use super::Identity;
use super::session::{Ended, Horizon, Missed, Scene, Session, identity};
use crate::moment::Moment;
use crate::mutex::lock as locked;
use crate::tree::file_system;

/// One inotify instance with its tree.
pub(super) struct Inotify<'a> {
    scene: Scene<'a>,
    /// Why it is inotify.
    why: String,
    instance: OwnedFd,
    root: Identity,
    /// The device on which a directory with two links has no directory in it.
    counts_links: Option<u64>,
    tree: Mutex<DirTree>,
    /// Everything that happened before this was reported.
    horizon: Horizon,
    /// Every directory has been seen once.
    live: AtomicBool,
    /// Nothing that was missed before is still to be reported.
    complete: AtomicBool,
    /// Directories for which there was no watch to be had. What is below them is not in the tree.
    unwatched: Mutex<Vec<NodeId>>,
    /// Nodes that lost their watch to another one, since the same directory was found there.
    robbed: Mutex<Vec<NodeId>>,
    /// Everything that happened in directories without a watch before this was found, and is still to be reported as such.
    scanned: Mutex<Option<Moment>>,
    /// How much the crawler has to do, what it is doing included.
    to_crawl: AtomicUsize,
    /// A directory was left out because its path was too long.
    left_out: AtomicBool,
}

/// Makes an instance, which has no watches yet. `why` there is no better way is said when it has.
///
/// # Errors
/// When there is none to be had, or no root.
pub(super) fn open(scene: Scene<'_>, why: String) -> io::Result<Inotify<'_>> {
    Ok(Inotify {
        scene,
        why,
        instance: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
        root: identity(&scene.source.path)?,
        counts_links: file_system::counts_links(&scene.source.path),
        tree: Mutex::default(),
        horizon: Horizon::default(),
        live: AtomicBool::new(false),
        complete: AtomicBool::new(false),
        unwatched: Mutex::default(),
        robbed: Mutex::default(),
        scanned: Mutex::default(),
        to_crawl: AtomicUsize::new(0),
        left_out: AtomicBool::new(false),
    })
}

impl Session for Inotify<'_> {
    fn run(&mut self, missed: &Missed) -> io::Result<Ended> {
        let this = &*self;
        let (tasks, queue) = mpsc::channel();
        let mut reading = Reading::new(tasks, &this.to_crawl);
        reading.send(Task::Crawl(this.tree().root()));
        thread::scope(|scope| {
            let crawler = thread::Builder::new()
                .name("crawler".to_owned())
                .spawn_scoped(scope, move || this.crawler(&queue, missed))?;
            let mut buffer = vec![MaybeUninit::uninit(); READ_BUFFER];
            let read = this.read(&mut reading, &mut buffer);
            // Without a sender the crawler ends when it has done what it was asked to do.
            let ended = reading.ended.take();
            drop(reading);
            let _ = crawler.join();
            if ended == Some(Ended::Stopped) {
                // What happened in directories that were only just watched.
                let (tasks, _queue) = mpsc::channel();
                this.read_available(&mut Reading::new(tasks, &this.to_crawl), &mut buffer)?;
            }
            read.map(|()| ended.unwrap_or(Ended::Stopped))
        })
    }

    fn reported(&self) -> Option<Moment> {
        self.horizon.moment()
    }
}

impl Inotify<'_> {
    fn tree(&self) -> MutexGuard<'_, DirTree> {
        locked(&self.tree)
    }
}
