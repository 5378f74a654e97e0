//! Gives each run over a mirror the bucket that it may use.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Local;

use super::bucket::Bucket;
use super::current::Current;
use crate::mirror::Mirror;
use crate::scope::Scope;
use crate::state::{StateDir, bucket_claim};

/// The history of one mirror, as far as this process writes it.
#[derive(Debug)]
pub struct Keeper {
    /// Where buckets are claimed; nowhere when no history is kept.
    state: Option<StateDir>,
    resolution: Duration,
    current: Option<Current>,
}

impl Keeper {
    /// Keeps no history.
    #[must_use]
    pub fn none() -> Self {
        Keeper { state: None, resolution: Duration::ZERO, current: None }
    }

    /// Keeps history; one bucket is used for at most `resolution`.
    #[must_use]
    pub fn new(state: StateDir, resolution: Duration) -> Self {
        Keeper { state: Some(state), resolution, current: None }
    }

    /// The bucket for the next run over these scopes; none when no history is kept.
    ///
    /// # Errors
    /// Those of claiming a new bucket.
    pub fn bucket_for(&mut self, mirror: &Mirror, scopes: &[Scope]) -> io::Result<Option<Bucket>> {
        let Some(state) = &self.state else { return Ok(None) };
        let now = Instant::now();
        let current = match self.current.take().filter(|current| current.serves(scopes, now, self.resolution)) {
            Some(current) => current,
            None => Current::new(bucket_claim::claim(state, mirror, Local::now().naive_local())?, now),
        };
        Ok(Some(self.current.insert(current).bucket))
    }

    /// Notes that a version of a path may have gone into the bucket.
    pub fn note(&mut self, path: &Path) {
        if let Some(current) = &mut self.current {
            current.note(path);
        }
    }

    /// Uses this bucket no more: it is not known what the last run put there.
    pub fn leave(&mut self) {
        self.current = None;
    }
}
