//! Gives each run over a mirror the bucket that it may use.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Local;

use super::current::Current;
use crate::bucket::Bucket;
use crate::mirror::Mirror;
use crate::rsync::output::Change;
use crate::scope::Scope;
use crate::state::journal::Journal;
use crate::state::{StateDir, bucket_claim};

/// The history of one mirror, as far as this process writes it.
#[derive(Debug)]
pub struct Keeper {
    /// Where buckets are claimed; nowhere when no history is kept.
    state: Option<StateDir>,
    resolution: Duration,
    current: Option<Current>,
    /// What `restore` has to know of the current bucket.
    journal: Option<Journal>,
}

impl Keeper {
    /// Keeps no history.
    #[must_use]
    pub fn none() -> Self {
        Keeper { state: None, resolution: Duration::ZERO, current: None, journal: None }
    }

    /// Keeps history; one bucket is used for at most `resolution`.
    #[must_use]
    pub fn new(state: StateDir, resolution: Duration) -> Self {
        Keeper { state: Some(state), resolution, current: None, journal: None }
    }

    /// The bucket for the next run over these scopes; none when no history is kept.
    pub fn bucket_for(&mut self, mirror: &Mirror, scopes: &[Scope]) -> Option<Bucket> {
        let state = self.state.as_ref()?;
        let now = Instant::now();
        let serving = self.current.take().filter(|current| current.serves(scopes, now, self.resolution));
        let current = if let Some(current) = serving {
            current
        } else {
            let bucket = bucket_claim::claim(state, mirror, Local::now().naive_local());
            self.journal = state.journaled(Journal::begin(state, mirror, bucket)).ok();
            Current::new(bucket, now)
        };
        Some(self.current.insert(current).bucket)
    }

    /// Notes what was done to a path, of which a version may have gone into the bucket. Directories have a closing slash.
    pub fn note(&mut self, change: Change, path: &Path) {
        let Some(current) = self.current.as_mut().filter(|_| change != Change::Attributes) else { return };
        current.note(path);
        let Some(journal) = &mut self.journal else { return };
        let noted = match change {
            Change::Attributes => return,
            Change::Create => journal.created(path),
            Change::Delete if path.as_os_str().as_encoded_bytes().ends_with(b"/") => journal.removed(path),
            Change::Delete | Change::Update => journal.has_versions(),
        };
        self.check(noted);
    }

    /// Notes a path that was put in its place where nothing was, so that no version of anything went into the bucket.
    pub fn note_placed(&mut self, path: &Path) {
        if let Some(noted) = self.journal.as_mut().map(|journal| journal.created(path)) {
            self.check(noted);
        }
    }

    /// Makes what was noted last until after this process.
    pub fn settle(&mut self) {
        if let Some(settled) = self.journal.as_mut().map(Journal::settle) {
            self.check(settled);
        }
    }

    /// Without its journal, `restore` knows of a bucket only what is in it.
    fn check(&mut self, written: io::Result<()>) {
        if self.state.as_ref().is_some_and(|state| state.journaled(written).is_err()) {
            self.journal.take().into_iter().for_each(Journal::give_up);
        }
    }

    /// Uses this bucket no more: it is not known what the last run put there.
    pub fn leave(&mut self) {
        self.current = None;
        self.journal = None;
    }
}
