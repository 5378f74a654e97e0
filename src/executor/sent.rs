//! Which files were sent just now, so that nobody need compare their content.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::mutex::{into_inner, lock};
use crate::rsync::output::Change;

/// The files of which several jobs at the same time tell that they were sent.
#[derive(Debug, Default)]
pub struct Sent(Mutex<BTreeSet<PathBuf>>);

impl Sent {
    /// Takes what rsync tells of a path.
    pub fn note(&self, change: Change, path: &Path) {
        if matches!(change, Change::Create | Change::Update) {
            lock(&self.0).insert(path.to_owned());
        }
    }

    /// Whether this one was sent.
    #[must_use]
    pub fn have(&self, path: &Path) -> bool {
        lock(&self.0).contains(path)
    }

    /// All of them.
    #[must_use]
    pub fn end(self) -> BTreeSet<PathBuf> {
        into_inner(self.0)
    }
}
