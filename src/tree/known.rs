//! What is known of the directories of a source from the time before: which there were, and where some came or went since.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{AtFlags, CWD};
use serde::{Deserialize, Serialize};

use super::walk::Entry;
use crate::hash::scattered;
use crate::mutex::{into_inner, lock};

/// The directories that a source had, its root among them, each as a number made of its path and its inode, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directories(Vec<u64>);

/// Places that directories came to or left since it was noted which there are. What is there now may be what was there then,
/// and not have been there in between: then the mirror does not have what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moved {
    /// These.
    These(BTreeSet<OsString>),
    /// Too many, or it is not known which.
    Anywhere,
}

impl Default for Moved {
    fn default() -> Self {
        Moved::These(BTreeSet::new())
    }
}

impl Moved {
    /// More are not noted one by one.
    const MOST: usize = 10_000;

    /// Adds places.
    pub fn add(&mut self, places: Moved) {
        match (&mut *self, places) {
            (Moved::These(all), Moved::These(places)) if all.len() + places.len() <= Self::MOST => all.extend(places),
            _ => *self = Moved::Anywhere,
        }
    }

    /// Whether a directory may not have been there all the time. `touched`: it was changed itself, and so was the one above.
    pub(super) fn may_be_back(&self, path: impl FnOnce() -> PathBuf, touched: impl FnOnce() -> bool) -> bool {
        match self {
            Moved::These(places) if places.is_empty() => false,
            Moved::These(places) => path().ancestors().any(|above| places.contains(above.as_os_str())),
            Moved::Anywhere => touched(),
        }
    }
}

impl Directories {
    /// From what [`Directories::as_bytes`] made; nothing for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        (rest.is_empty() && numbers.is_sorted()).then_some(Directories(numbers))
    }

    /// For a file.
    #[must_use]
    pub fn as_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Whether this is the root that they were found in.
    #[must_use]
    pub fn are_of(&self, root: &Path) -> bool {
        root_number(root).is_ok_and(|number| self.contains(number))
    }

    /// Whether this directory was there under this name.
    pub(super) fn have(&self, entry: &Entry<'_>) -> bool {
        self.contains(number(entry))
    }

    fn contains(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }
}

/// Collects directories while they are being walked.
#[derive(Debug)]
pub struct Collector(Mutex<Vec<u64>>);

impl Collector {
    /// For those in this root.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Collector(Mutex::new(vec![root_number(root)?])))
    }

    /// Takes a directory that was found.
    pub fn add(&self, entry: &Entry<'_>) {
        lock(&self.0).push(number(entry));
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Directories {
        let mut numbers = into_inner(self.0);
        numbers.sort_unstable();
        Directories(numbers)
    }
}

/// The inode alone does not tell a root: that of every file system of the same kind may have the same one.
fn root_number(root: &Path) -> io::Result<u64> {
    let inode = rustix::fs::statat(CWD, root, AtFlags::empty())?.st_ino;
    Ok(scattered(inode, &rustix::fs::statvfs(root)?.f_fsid.to_le_bytes()))
}

fn number(entry: &Entry<'_>) -> u64 {
    scattered(scattered(entry.inode, entry.path.as_os_str().as_bytes()), entry.name.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn directories_read_back(mut numbers in prop::collection::vec(any::<u64>(), 0..50)) {
            numbers.sort_unstable();
            let directories = Directories(numbers);
            prop_assert_eq!(Directories::from_bytes(&directories.as_bytes()), Some(directories));
        }
    }
}
