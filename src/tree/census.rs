//! All directories of a source, with the number of their entries. Nothing is kept of single files, so that the memory needed
//! depends on the number of directories only. Pure.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::mem;
use std::path::PathBuf;

/// A directory of the source.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The index of the directory above; the root is its own.
    pub parent: u32,
    /// Its name; empty for the root.
    pub name: Box<OsStr>,
    /// How many entries it has, of whatever type, excluded ones left out.
    pub entries: u32,
    /// What the visitor made of them.
    pub bytes: u64,
}

impl Directory {
    pub(super) fn new(parent: u32, name: &OsStr) -> Self {
        Directory { parent, name: name.into(), entries: 0, bytes: 0 }
    }
}

/// All directories of a source. Each comes after the one above it; the first is the root.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// The directories.
    pub directories: Vec<Directory>,
    /// Directories that could not be read, or not to their end.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Those of the directories that are on another device than the one above: something is mounted there.
    pub mounts: Vec<u32>,
}

impl Census {
    /// The path of a directory, relative to the root.
    #[must_use]
    pub fn path(&self, index: u32) -> PathBuf {
        let mut names = Vec::new();
        let mut index = index as usize;
        while index != 0 {
            names.push(&*self.directories[index].name);
            index = self.directories[index].parent as usize;
        }
        names.iter().rev().collect()
    }

    /// Entries of all directories, the root itself not counted.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.directories.iter().map(|directory| u64::from(directory.entries)).sum()
    }

    /// What the visitor made of all entries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.directories.iter().map(|directory| directory.bytes).sum()
    }

    /// Forgets the directories where something else is mounted; the walk did not go below them.
    pub(super) fn forget_mounts(&mut self) {
        if self.mounts.is_empty() {
            return;
        }
        let gone: BTreeSet<u32> = self.mounts.drain(..).collect();
        let moved = |index: u32| index - u32::try_from(gone.range(..index).count()).unwrap_or_default();
        let old = mem::take(&mut self.directories);
        let kept = (0_u32..).zip(old).filter(|(index, _)| !gone.contains(index));
        self.directories =
            kept.map(|(_, directory)| Directory { parent: moved(directory.parent), ..directory }).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_mount_is_forgotten_and_the_others_keep_their_places() {
        let below = |parent, name: &str| Directory::new(parent, OsStr::new(name));
        let directories =
            vec![below(0, ""), below(0, "mnt"), below(0, "a"), below(2, "b"), below(3, "mnt2"), below(3, "c")];
        let mut census = Census { directories, unreadable: vec![], mounts: vec![4, 1] };
        census.forget_mounts();
        let paths: Vec<PathBuf> = (0..4).map(|index| census.path(index)).collect();
        assert_eq!((census.directories.len(), paths), (4, ["", "a", "a/b", "a/b/c"].map(PathBuf::from).to_vec()));
    }
}
