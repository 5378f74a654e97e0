//! What is made of one event: the tree of directories is kept in step with it, and what it means is reported.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{Event, ReadFlags};

use super::super::Arrival;
use super::super::session::Ended;
use super::Inotify;
use super::reader::Reading;
use super::renames::Leaving;
use super::task::Task;
use super::tree::{DirTree, NodeId};
use crate::dirty::Mark;
use crate::exclude::Is;

/// What an event says of an entry of a watched directory.
struct Named<'a> {
    dir: NodeId,
    name: &'a OsStr,
    path: PathBuf,
    flags: ReadFlags,
    /// The number that the kernel gives to the rename, if it is one.
    number: u32,
    excluded: bool,
}

impl Named<'_> {
    fn is_dir(&self) -> bool {
        self.flags.contains(ReadFlags::ISDIR)
    }
}

/// What the tree had to do with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing arrived that is to be looked at as a whole.
    Usual,
    /// A directory arrived.
    Arrived,
    /// A directory arrived where one was known. Or two directories have changed places, and what was here is about to be
    /// reported as having left.
    Replaced,
}

impl Inotify<'_> {
    /// Takes one event.
    pub(super) fn event(&self, reading: &mut Reading<'_>, event: &Event<'_>, name: Option<&OsStr>) {
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            reading.ended = Some(Ended::Overflow);
            return;
        }
        let mut tree = self.tree();
        let leaving = reading.leaving.take();
        let relocated = leaving.is_some_and(|leaving| {
            let arrives = self.relocate(&mut tree, &leaving, event, name);
            if !arrives {
                reading.has_left(&mut tree, leaving);
            }
            arrives
        });
        let Some(dir) = tree.by_watch(event.wd()) else { return };
        let Some(name) = name else { return self.of_the_directory(reading, &mut tree, dir, event) };
        let Some(path) = tree.path(dir).map(|dir| dir.join(name)) else { return };
        let flags = event.events();
        let excluded = self.scene.excludes.excludes_entry(&path, Is::directory_if(flags.contains(ReadFlags::ISDIR)));
        let named = Named { dir, name, path, flags, number: event.cookie(), excluded };
        reading.moved |= named.is_dir() && flags.contains(ReadFlags::MOVED_TO);
        let step = if named.is_dir() { follow(reading, &mut tree, &named, relocated) } else { Step::Usual };
        drop(tree);
        self.report_move(reading, &named, step);
        self.report(&named, step);
    }

    /// Something happened to a watched directory itself.
    fn of_the_directory(&self, reading: &mut Reading<'_>, tree: &mut DirTree, dir: NodeId, event: &Event<'_>) {
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
        let flags = event.events();
        if dir == tree.root() {
            if flags.intersects(gone) {
                reading.ended = Some(Ended::RootLost);
            } else if flags.contains(ReadFlags::ATTRIB) {
                self.scene.sink.mark(Path::new(""), Mark::Path);
            }
        } else if flags.contains(ReadFlags::UNMOUNT) {
            reading.unmounted.extend(tree.path(dir).filter(|path| reading.mounts.contains(path)));
        } else if flags.contains(ReadFlags::IGNORED) {
            tree.forget_watch(event.wd());
        }
    }

    /// Reports where something came from, and that a directory arrived.
    fn report_move(&self, reading: &mut Reading<'_>, named: &Named<'_>, step: Step) {
        let Named { path, flags, number, excluded, .. } = named;
        if flags.contains(ReadFlags::MOVED_FROM) {
            reading.origins.leaves(*number, (!excluded).then(|| path.clone()));
        }
        if flags.contains(ReadFlags::MOVED_TO) {
            let from = reading.origins.arrives(*number);
            if !excluded {
                self.scene.sink.moved(from.as_deref(), path);
                if step == Step::Replaced {
                    self.scene.sink.directory(path, Mark::Path);
                }
                if named.is_dir() {
                    self.scene.sink.arrived(path, Arrival::Renamed);
                }
            }
        } else if named.is_dir() && flags.contains(ReadFlags::CREATE) && !excluded {
            self.scene.sink.arrived(path, Arrival::Made);
        }
    }

    /// Reports that something happened here.
    fn report(&self, named: &Named<'_>, step: Step) {
        let path = &named.path;
        match (named.excluded, named.is_dir()) {
            (true, _) => {}
            (false, true) => {
                self.scene.sink.directory(path, if step == Step::Usual { Mark::Path } else { Mark::Deep });
            }
            (false, false) => {
                if named.flags.intersects(ReadFlags::MODIFY | ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                    self.scene.sink.content(path);
                }
                self.scene.sink.mark(path, Mark::Path);
            }
        }
    }
}

/// Keeps the tree in step with a directory that left a name or came to it. `relocated`: it has its new place in the tree.
fn follow(reading: &mut Reading<'_>, tree: &mut DirTree, named: &Named<'_>, relocated: bool) -> Step {
    let Named { dir, name, flags, excluded, .. } = *named;
    if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        leave(reading, tree, named);
        return Step::Usual;
    }
    if excluded || !flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
        return Step::Usual;
    }
    let mut step = Step::Arrived;
    // A move may replace an empty directory, of which nothing else is reported.
    if flags.contains(ReadFlags::MOVED_TO)
        && !relocated
        && let Some(node) = tree.child(dir, name)
    {
        reading.leaves(tree, node);
        step = Step::Replaced;
    }
    // The crawler may have found it before.
    if let Some(node) = tree.child_or_new(dir, name).filter(|node| !tree.is_watched(*node)) {
        reading.send(Task::Crawl(node));
    }
    step
}

/// A directory left a name. One that was moved may arrive elsewhere by the next event.
fn leave(reading: &mut Reading<'_>, tree: &mut DirTree, named: &Named<'_>) {
    let Named { dir, name, number, .. } = *named;
    let node = tree.child(dir, name);
    let is_move = named.flags.contains(ReadFlags::MOVED_FROM) && !named.excluded;
    match node {
        Some(node) if is_move && reading.settled => {
            reading.leaving = Some(Leaving { number, node, dir, name: name.to_owned() });
        }
        _ => {
            if let Some(node) = node {
                reading.leaves(tree, node);
            }
            if is_move {
                reading.send(Task::Look(dir, name.to_owned()));
            }
        }
    }
}
