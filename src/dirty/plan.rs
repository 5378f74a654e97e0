//! Turns a dirty set into scopes by looking at what is there now (`lstat`): the only place that decides between pushing
//! and deleting.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{DirtySet, Mark, Node};
use crate::scope::{Listed, Scope};
use crate::tree::exclude::Excludes;

/// A subtree with more directories than this is given to rsync as a tree rather than directory by directory.
const LARGE_SUBTREE: usize = 10_000;
/// With more directories than this in all, one pass over everything is cheaper than what was planned.
const TOO_MANY: usize = 200_000;

/// The scopes that bring everything in `dirty` to the mirror, in the order in which they have to run; they do not
/// overlap.
///
/// What exists is pushed. What is missing is deleted, and only the topmost missing directory is named: rsync would leave
/// the upper ones and end with 24. Below what is not a directory (any more) nothing is named: rsync would write through
/// a symbolic link.
#[must_use]
pub fn scopes(root: &Path, dirty: &DirtySet, excludes: &Excludes) -> Vec<Scope> {
    let mut planner = Planner { root, excludes, listed: Listed::default(), trees: Vec::new() };
    planner.directory(&mut PathBuf::new(), dirty.root());
    if planner.listed.shallow.len() > TOO_MANY {
        return vec![Scope::Tree(vec![PathBuf::new()])];
    }
    let mut scopes = Vec::new();
    if !planner.listed.is_empty() {
        scopes.push(Scope::Listed(planner.listed));
    }
    if !planner.trees.is_empty() {
        scopes.push(Scope::Tree(planner.trees));
    }
    scopes
}

struct Planner<'a> {
    root: &'a Path,
    excludes: &'a Excludes,
    listed: Listed,
    trees: Vec<PathBuf>,
}

impl Planner<'_> {
    /// Plans for a path that is a directory. `path` is the same again when this returns.
    fn directory(&mut self, path: &mut PathBuf, node: &Node) {
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
        let is_dir = match fs::symlink_metadata(self.root.join(&*path)) {
            Ok(meta) => meta.is_dir(),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // It may have been a file or a directory: deleting what is excluded as either would be wrong.
                if !self.excludes.excludes_entry(path, true) && !self.excludes.excludes_entry(path, false) {
                    self.listed.missing.push(path.clone());
                }
                return;
            }
            // rsync will fail on it too, and name it.
            Err(_) => false,
        };
        if self.excludes.excludes_entry(path, is_dir) {
            return;
        }
        if is_dir {
            self.directory(path, node);
        } else {
            self.listed.present.push(path.clone());
        }
    }

    /// Everything at and below a directory: each directory with its entries, or the whole when there are many.
    fn subtree(&mut self, path: &Path) {
        let top = self.root.join(path);
        let before = self.listed.shallow.len();
        let entries = WalkDir::new(&top).follow_links(false).into_iter().filter_entry(|entry| {
            entry.depth() == 0
                || entry.file_type().is_dir()
                    && entry.path().strip_prefix(self.root).is_ok_and(|p| !self.excludes.excludes_entry(p, true))
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
            let Ok(dir) = dir.strip_prefix(self.root) else { continue };
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
