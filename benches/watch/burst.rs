//! Many changes at once, and how long it takes until they are on a mirror.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::trees::Tree;
use crate::support::until;

/// Longer than this nobody waits for a burst.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// New files, a hundred in each of as many directories of a tree as that takes.
pub(crate) struct Burst<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) count: usize,
    pub(crate) mirror: PathBuf,
    pub(crate) round: usize,
}

impl Burst<'_> {
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let round = self.round;
        let directory = |number: usize| {
            let path = self.tree.shape.path(number % 20_000 * self.tree.shape.files % self.tree.shape.total_files());
            path.parent().expect("a directory").to_owned()
        };
        (0..self.count).map(move |number| directory(number / 100).join(format!("burst-{round}-{number}")))
    }

    pub(crate) fn make(&self) -> Option<Duration> {
        let files: Vec<PathBuf> = self.files().map(|file| self.tree.root.join(file)).collect();
        for file in &files {
            fs::write(file, "new").expect("a file");
        }
        self.until_each_has(100)
    }

    pub(crate) fn delete(&self) -> Option<Duration> {
        self.clean();
        self.until_each_has(0)
    }

    pub(crate) fn clean(&self) {
        for file in self.files() {
            fs::remove_file(self.tree.root.join(file)).expect("remove a file");
        }
    }

    /// How long it takes until every directory of the mirror has so many of the files, or all of them that are to be in it.
    /// Each is looked at until it has, one after the other: reading all of them again and again would take a processor
    /// from what is measured.
    fn until_each_has(&self, number: usize) -> Option<Duration> {
        let mut wanted: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for file in self.files() {
            let found = wanted.entry(file.parent().expect("a directory").to_owned()).or_default();
            *found = (*found + 1).min(number);
        }
        until(LIMIT, || {
            while let Some(dir) = wanted.first_entry() {
                let entries = fs::read_dir(self.mirror.join(dir.key())).into_iter().flatten().flatten();
                let is_ours = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"burst-");
                if entries.filter(is_ours).count() != *dir.get() {
                    return false;
                }
                dir.remove();
            }
            true
        })
    }
}
