//! Which file systems a group reports, and through which directories they are seen in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::Identity;
use super::super::limits;
use super::super::mounts::Mounts;
use super::super::session::{CannotOpen, Scene};
use super::places::View;
use super::sys;
use crate::exclude::Is;
use crate::kernel_limits;
use crate::report::text;

/// A directory through which a marked file system is seen.
#[derive(Debug)]
struct Seen {
    file_system: [u8; 8],
    identity: Identity,
    /// The line of procfs that says that it is marked.
    mark: Option<String>,
}

/// A group and what it reports.
#[derive(Debug)]
pub(super) struct Marks {
    group: OwnedFd,
    /// By their places, relative to the root; the root is always among them.
    seen: BTreeMap<PathBuf, Seen>,
}

impl Marks {
    /// Marks the file systems of the source: that of the root, and what is mounted below as far as it is mirrored.
    ///
    /// # Errors
    /// When one of them cannot be marked, or anything else goes wrong.
    pub(super) fn place(scene: Scene<'_>, mounts: &Mounts) -> Result<Marks, CannotOpen> {
        let group = sys::init().map_err(|e| match e {
            Errno::PERM => unable(PRIVILEGES),
            Errno::INVAL => unable("it needs Linux 5.9 or later"),
            Errno::NOSYS => unable("this kernel does not have it"),
            Errno::MFILE => {
                let remedy = limits::remedy(kernel_limits::GROUPS, kernel_limits::one_each(1));
                unable(format!("there are too many groups; {remedy}, or that of open files"))
            }
            e => CannotOpen::Failed(e.into()),
        })?;
        let mut marks = Marks { group, seen: BTreeMap::new() };
        let root = View::open(&scene.source.path, Path::new(""))?;
        marks.add(&root, &scene.source.path)?;
        marks.refresh(scene, mounts)?;
        Ok(marks)
    }

    /// To be read.
    pub(super) fn group(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    /// The root that is watched.
    pub(super) fn root(&self) -> Option<Identity> {
        self.seen.get(Path::new("")).map(|seen| seen.identity)
    }

    /// Opens all directories through which something is seen; nothing when the root is not what it was. What else is not
    /// there any more is left out: that it was unmounted is noticed elsewhere.
    pub(super) fn views(&self, root: &Path) -> Option<Vec<View>> {
        let mut views = Vec::with_capacity(self.seen.len());
        for (below, seen) in &self.seen {
            match View::open(root, below) {
                Ok(view) if view.identity == seen.identity => views.push(view),
                _ if below.as_os_str().is_empty() => return None,
                _ => {}
            }
        }
        Some(views)
    }

    /// Whether the file system of the root is still reported: when it is unmounted its mark vanishes, without an event.
    pub(super) fn has_root(&self) -> bool {
        let lines = self.lines();
        self.seen.get(Path::new("")).is_some_and(|seen| seen.mark.as_ref().is_none_or(|mark| lines.contains(mark)))
    }

    /// Marks what is mounted below the root now, as far as it is mirrored; returns the places of what was not seen before.
    ///
    /// # Errors
    /// When something cannot be marked.
    pub(super) fn refresh(&mut self, scene: Scene<'_>, mounts: &Mounts) -> Result<Vec<PathBuf>, CannotOpen> {
        let lines = self.lines();
        let is_root = |path: &Path| path.as_os_str().is_empty();
        self.seen.retain(|path, seen| {
            is_root(path) || mounts.has(path) && seen.mark.as_ref().is_none_or(|mark| lines.contains(mark))
        });
        let mut new = Vec::new();
        for path in mounts.all().filter(|path| !scene.excludes.excludes_within(path, Is::Directory)) {
            // What is not a directory has no events of its own; what is gone again is nobody's loss.
            let full = scene.source.path.join(path);
            let Ok(meta) = fs::symlink_metadata(&full) else { continue };
            if !meta.is_dir() || scene.reach.is_elsewhere(meta.dev()) || scene.reach.is_too_long(path) {
                self.seen.remove(path);
                continue;
            }
            let Ok(view) = View::open(&scene.source.path, path) else { continue };
            let known = self.seen.get(path);
            if known.is_some_and(|seen| (seen.identity, seen.file_system) == (view.identity, view.file_system)) {
                continue;
            }
            self.add(&view, &full)?;
            new.push(path.to_owned());
        }
        Ok(new)
    }

    fn add(&mut self, view: &View, path: &Path) -> Result<(), CannotOpen> {
        let shown = || text::path(path);
        view.check().map_err(|e| match e {
            Errno::PERM => unable(PRIVILEGES),
            Errno::OPNOTSUPP => unable(format!("the file system of {} has no handles for its directories", shown())),
            Errno::STALE => unable(format!("the directories of {} cannot be found by their handles", shown())),
            e => CannotOpen::Failed(e.into()),
        })?;
        let before = self.lines();
        sys::mark_filesystem(self.group.as_fd(), view.dir()).map_err(|e| match e {
            Errno::PERM => unable(PRIVILEGES),
            Errno::XDEV => unable(format!("{} is on a subvolume, which is no file system of its own", shown())),
            Errno::NODEV | Errno::OPNOTSUPP => {
                unable(format!("the file system of {} cannot report its changes as a whole", shown()))
            }
            Errno::INVAL => unable("it needs Linux 5.9 or later"),
            Errno::NOSPC => {
                let remedy = limits::remedy(kernel_limits::MARKS, kernel_limits::one_each(1));
                unable(format!("there are too many marks; {remedy}"))
            }
            e => CannotOpen::Failed(e.into()),
        })?;
        let mark = self.lines().difference(&before).next().cloned();
        // One file system may be seen at several places.
        let same = self.seen.values().find(|seen| seen.file_system == view.file_system);
        let mark = mark.or_else(|| same.and_then(|seen| seen.mark.clone()));
        let seen = Seen { file_system: view.file_system, identity: view.identity, mark };
        self.seen.insert(view.below.clone(), seen);
        Ok(())
    }

    /// What procfs says of the group's marks, a line each.
    fn lines(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", self.group.as_raw_fd())).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("fanotify sdev:")).map(ToOwned::to_owned).collect()
    }
}

/// Both, whichever of them was missed first.
const PRIVILEGES: &str = "it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, which root has outside of containers";

fn unable(why: impl Into<String>) -> CannotOpen {
    CannotOpen::Unable(why.into())
}
