//! Turns what happened in directories with such handles into paths of the source.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use log::{debug, warn};

use super::super::Arrival;
use super::super::mounts::Mounts;
use super::super::session::{CannotOpen, Ended, Horizon, Scene, identity};
use super::handle::Handle;
use super::inbox::{Batch, Inbox};
use super::marks::Marks;
use super::pending::Pending;
use super::places::{Places, View};
use super::renames::{Rename, at_their_time};
use super::unnamed;
use super::what::What;
use crate::dirty::Mark;
use crate::exclude::Is;
use crate::report::text;

/// How often a batch is looked at again when the root has moved meanwhile. The next check of the root finds out the rest.
const ATTEMPTS: usize = 3;

/// Finds directories, and delivers what happened in them.
pub(super) struct Finder<'a> {
    scene: Scene<'a>,
    pub(super) marks: Marks,
    mounts: Mounts,
    places: Places,
}

impl<'a> Finder<'a> {
    pub(super) fn new(scene: Scene<'a>, marks: Marks, mounts: Mounts) -> Self {
        Finder { scene, marks, mounts, places: Places::default() }
    }

    /// Takes batches until the last one, or until the session cannot go on: then it says so and wakes the reader.
    pub(super) fn run(&mut self, inbox: &Inbox, horizon: &Horizon) {
        let mut before = None;
        loop {
            let batch = inbox.next(before);
            before = Some(Instant::now());
            if let Err(ended) = self.handle(&batch) {
                inbox.end(ended);
                self.scene.stop.waker.wake();
                return;
            }
            if let Some((instant, moment)) = batch.reached {
                self.scene.sink.delivered(instant);
                if let Some(moment) = moment {
                    horizon.reached(moment.clone());
                    self.scene.sink.reported_until(moment);
                }
            }
            if batch.last {
                return;
            }
        }
    }

    fn handle(&mut self, batch: &Batch) -> Result<(), Ended> {
        // When a directory above is renamed, what is mounted has another place, of which the table wakes nobody.
        if batch.mounts || batch.pending.has_moves() && self.mounts.all().next().is_some() {
            self.mounts_changed()?;
        }
        if batch.pending.is_lost() {
            return Err(Ended::Overflow);
        }
        if batch.pending.is_empty() && !batch.root {
            return Ok(());
        }
        if batch.pending.has_moves() {
            self.places.forget();
        }
        for _ in 0..ATTEMPTS {
            let views = self.marks.views(&self.scene.source.path).ok_or(Ended::RootLost)?;
            self.deliver(&batch.pending, &views)?;
            if views.iter().all(View::stayed) {
                break;
            }
            // Its own path has changed, and so have all others.
            self.places.forget();
        }
        Ok(())
    }

    /// What left first, then renames in their order, then all there is: so nothing arrives where it is not known yet that
    /// something was there before.
    fn deliver(&mut self, pending: &Pending, views: &[View]) -> Result<(), Ended> {
        let scene = self.scene;
        self.each(pending, views, |path, what| {
            if what.is_dir() && what.left() {
                scene.sink.directory(path, Mark::Path);
            }
        })?;
        if let Some(renames) = self.renames(pending, views)?.and_then(at_their_time) {
            for Rename { from, to, is_dir } in renames {
                if let Some(to) = to {
                    arrived(scene, from.as_deref(), &to, is_dir);
                }
            }
        } else {
            self.each(pending, views, |path, what| {
                if what.moved_here() {
                    arrived(scene, None, path, what.is_dir());
                }
            })?;
        }
        self.each(pending, views, |path, what| deliver_one(scene, path, what))
    }

    /// What was renamed, with paths as they are now; nothing when that is not known.
    fn renames(&mut self, pending: &Pending, views: &[View]) -> Result<Option<Vec<Rename>>, Ended> {
        let Some(renames) = pending.renames() else { return Ok(None) };
        let mut found = Vec::new();
        for (from, to, is_dir) in renames {
            let (mut from, mut to) = (self.paths(views, from, is_dir)?, self.paths(views, to, is_dir)?);
            // Where a file system is seen at several places, it is not known which of them belong together.
            if from.len() > 1 || to.len() > 1 {
                return Ok(None);
            }
            found.push(Rename { from: from.pop(), to: to.pop(), is_dir });
        }
        Ok(Some(found))
    }

    /// The paths of an entry that are not left out.
    fn paths(
        &mut self,
        views: &[View],
        (dir, name): (Handle<'_>, &OsStr),
        is_dir: bool,
    ) -> Result<Vec<PathBuf>, Ended> {
        let excludes = self.scene.excludes;
        let dirs = self.find(views, dir)?;
        let paths = dirs.iter().map(|dir| dir.join(name));
        Ok(paths.filter(|path| !excludes.excludes_entry(path, Is::directory_if(is_dir))).collect())
    }

    /// Calls `tell` for every entry to which something happened, and that is not left out.
    fn each(&mut self, pending: &Pending, views: &[View], tell: impl Fn(&Path, What)) -> Result<(), Ended> {
        let Scene { source, excludes, .. } = self.scene;
        for (handle, names) in pending.directories() {
            let dirs = self.find(views, handle)?;
            if dirs.is_empty() {
                continue;
            }
            for (name, what) in names {
                for dir in dirs {
                    // Without a name it is the directory itself, which was looked at.
                    if name.is_empty() {
                        tell(dir, what);
                        continue;
                    }
                    let path = match unnamed::inode(name, what) {
                        None => dir.join(name),
                        Some(inode) => match unnamed::name_of(&source.path.join(dir), inode, name) {
                            Some(name) => dir.join(name),
                            None => continue,
                        },
                    };
                    if !excludes.excludes_entry(&path, Is::directory_if(what.is_dir())) {
                        tell(&path, what);
                    }
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, views: &[View], handle: Handle<'_>) -> Result<&[PathBuf], Ended> {
        let Scene { reach, excludes, source, .. } = self.scene;
        let wanted = |path: &Path| !reach.is_too_long(path) && !excludes.excludes_within(path, Is::Directory);
        self.places.find(views, handle, wanted).map_err(|e| {
            warn!("source `{}`: where something changed cannot be found out ({e}); looking for it", source.name);
            Ended::Unable
        })
    }

    fn mounts_changed(&mut self) -> Result<(), Ended> {
        let Scene { source, sink, excludes, .. } = self.scene;
        if identity(&source.path).ok() != self.marks.root() || !self.marks.has_root() {
            return Err(Ended::RootLost);
        }
        self.places.forget();
        let failed = |e: io::Error| {
            warn!("source `{}`: what is mounted in it cannot be found out: {e}", source.name);
            Ended::Unable
        };
        let places = self.mounts.changes().map_err(failed)?;
        let new = self.marks.refresh(self.scene, &self.mounts).map_err(|e| match e {
            CannotOpen::Unable(why) => {
                warn!("source `{}`: fanotify can no longer be used: {why}", source.name);
                Ended::Unable
            }
            CannotOpen::Failed(e) => failed(e),
        })?;
        let changed = places.into_iter().map(|path| (self.mounts.told(source, &path), path));
        let new = new.into_iter().map(|path| (Mark::Deep, path));
        for (mark, path) in changed.chain(new).filter(|(_, path)| !excludes.excludes_within(path, Is::Directory)) {
            debug!("source `{}`: looking at {} because of what is mounted there", source.name, text::path(&path));
            sink.directory(&path, mark);
        }
        Ok(())
    }
}

/// Says that something came to a path by a rename.
fn arrived(scene: Scene<'_>, from: Option<&Path>, to: &Path, is_dir: bool) {
    scene.sink.moved(from, to);
    if is_dir {
        scene.sink.arrived(to, Arrival::Renamed);
    }
}

/// Says what happened to a path.
fn deliver_one(scene: Scene<'_>, path: &Path, what: What) {
    let sink = scene.sink;
    if path.as_os_str().is_empty() {
        // The root's own attributes.
        return sink.mark(path, Mark::Path);
    }
    if what.is_dir() {
        return sink.directory(path, if what.arrived() { Mark::Deep } else { Mark::Path });
    }
    if what.arrived() || what.written() {
        sink.content(path);
    }
    sink.mark(path, Mark::Path);
}
