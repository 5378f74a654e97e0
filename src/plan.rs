//! Turns a dirty set into scopes by looking at what is there now (`lstat`): the only place that decides between pushing
//! and deleting. When marks are folded into their directory is decided in `dirty/`, before.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::dirty::{DirtySet, Mark, Node};
use crate::exclude::Is;
use crate::scope::{Listed, Scope};
use crate::tree::Reach;

/// A subtree with more directories than this is given to rsync as a tree rather than directory by directory.
const LARGE_SUBTREE: usize = 10_000;
/// With more directories than this in all, one pass over everything is cheaper than what was planned.
const TOO_MANY: usize = 200_000;

/// The scopes that bring everything in `dirty` to the mirror.
///
/// What exists is pushed. What is missing is deleted, and only the topmost missing directory is named: rsync would leave
/// the upper ones and end with 24. Below what is not a directory (any more) nothing is named: rsync would write through
/// a symbolic link.
#[must_use]
pub fn plan(reach: Reach<'_>, dirty: &DirtySet) -> Plan {
    let mut planner = Planner { reach, listed: Listed::default(), trees: Vec::new(), too_long: Vec::new() };
    planner.directory(&mut PathBuf::new(), dirty.root());
    let too_long = planner.too_long;
    if planner.listed.shallow.len() > TOO_MANY {
        return Plan { scopes: vec![Scope::Tree(vec![PathBuf::new()])], too_long };
    }
    let mut scopes = Vec::new();
    if !planner.listed.is_empty() {
        scopes.push(Scope::Listed(planner.listed));
    }
    if !planner.trees.is_empty() {
        scopes.push(Scope::Tree(planner.trees));
    }
    Plan { scopes, too_long }
}

/// What has to be done for a dirty set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The scopes, in the order in which they have to run; they do not overlap.
    pub scopes: Vec<Scope>,
    /// Directories that cannot be mirrored, see [`Reach::longest_directory`]. To be excluded.
    pub too_long: Vec<PathBuf>,
}

/// As what a name is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeftOut {
    /// As nothing.
    Neither,
    /// Either as a directory or as anything else.
    One,
    /// As both.
    Both,
}

struct Planner<'a> {
    reach: Reach<'a>,
    listed: Listed,
    trees: Vec<PathBuf>,
    too_long: Vec<PathBuf>,
}

impl Planner<'_> {
    /// Plans for a path that is a directory. `path` is the same again when this returns.
    fn directory(&mut self, path: &mut PathBuf, node: &Node) {
        if self.reach.is_too_long(path) {
            self.too_long.push(path.clone());
            return;
        }
        let is_root = path.as_os_str().is_empty();
        match node.mark() {
            Some(Mark::Deep) => return self.subtree(path),
            // The root cannot be named without its content.
            Some(Mark::Path) if is_root => self.listed.shallow.push(path.clone()),
            Some(Mark::Path) => self.listed.present.push(path.clone()),
            Some(Mark::Shallow) => self.listed.shallow.push(path.clone()),
            None => {}
        }
        for (name, child) in node.children() {
            path.push(name);
            self.any(path, child);
            path.pop();
        }
    }

    fn any(&mut self, path: &mut PathBuf, node: &Node) {
        let is_dir = match fs::symlink_metadata(self.reach.root.join(&*path)) {
            Ok(meta) if meta.is_dir() && self.reach.is_elsewhere(meta.dev()) => {
                if !self.reach.excludes.excludes_entry(path, Is::Directory) {
                    self.listed.present.push(path.clone());
                }
                return;
            }
            Ok(meta) => meta.is_dir(),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // It may have been a file or a directory.
                match self.left_out(path) {
                    LeftOut::Neither => self.listed.missing.push(path.clone()),
                    LeftOut::One => self.level_above(path),
                    LeftOut::Both => {}
                }
                return;
            }
            // rsync will fail on it too, and name it.
            Err(_) => false,
        };
        if self.reach.excludes.excludes_entry(path, Is::directory_if(is_dir)) {
            // The mirror may have something of the other kind there.
            if self.left_out(path) == LeftOut::One {
                self.level_above(path);
            }
            return;
        }
        if is_dir {
            self.directory(path, node);
        } else {
            self.listed.present.push(path.clone());
        }
    }

    /// What of a name is left out, whatever it is or was.
    fn left_out(&self, path: &Path) -> LeftOut {
        match [Is::Directory, Is::Other].map(|is| self.reach.excludes.excludes_entry(path, is)) {
            [false, false] => LeftOut::Neither,
            [true, true] => LeftOut::Both,
            _ => LeftOut::One,
        }
    }

    /// Has rsync compare the level in which a path is: it deletes what is to be deleted, and keeps what is left out.
    fn level_above(&mut self, path: &Path) {
        let above = path.parent().unwrap_or(Path::new(""));
        if self.listed.shallow.last().is_none_or(|last| last != above) {
            self.listed.shallow.push(above.to_owned());
        }
    }

    /// Everything at and below a directory: each directory with its entries, or the whole when there are many.
    fn subtree(&mut self, path: &Path) {
        let top = self.reach.root.join(path);
        let before = self.listed.shallow.len();
        let entries = WalkDir::new(&top).follow_links(false).into_iter().filter_entry(|entry| {
            let elsewhere = || entry.metadata().is_ok_and(|meta| self.reach.is_elsewhere(meta.dev()));
            let inside = || entry.path().strip_prefix(self.reach.root);
            entry.depth() == 0
                || entry.file_type().is_dir()
                    && inside().is_ok_and(|path| !self.reach.excludes.excludes_entry(path, Is::Directory))
                    && !(self.reach.stays_on_one_device() && elsewhere())
        });
        for entry in entries {
            let dir = match &entry {
                Ok(entry) => entry.path(),
                // It is listed all the same: rsync names what cannot be read, and then deletes nothing.
                Err(error) => match error.path() {
                    Some(path) => path,
                    None => continue,
                },
            };
            let Ok(dir) = dir.strip_prefix(self.reach.root) else { continue };
            if self.reach.is_too_long(dir) {
                // Of those below it only the topmost matters.
                if !self.too_long.iter().any(|above| dir.starts_with(above)) {
                    self.too_long.push(dir.to_owned());
                }
                continue;
            }
            if self.listed.shallow.len() - before == LARGE_SUBTREE {
                self.listed.shallow.truncate(before);
                self.trees.push(path.to_owned());
                return;
            }
            if self.listed.shallow.last().is_none_or(|last| last != dir) {
                self.listed.shallow.push(dir.to_owned());
            }
        }
    }
}
