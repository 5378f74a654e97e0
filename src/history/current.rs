//! The bucket that `watch` is using, and when it needs a new one. Pure.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::scope::Scope;

/// More remembered paths than this cost more memory than a new bucket costs space.
const MOST_PATHS: usize = 100_000;

/// A bucket in use, with the paths of which it holds a version.
#[derive(Debug)]
pub struct Current {
    /// The bucket.
    pub bucket: Bucket,
    since: Instant,
    held: BTreeSet<PathBuf>,
}

impl Current {
    /// A bucket that was just claimed and is empty.
    #[must_use]
    pub fn new(bucket: Bucket, now: Instant) -> Self {
        Current { bucket, since: now, held: BTreeSet::new() }
    }

    /// Notes that rsync replaced or deleted a path, so that the bucket may hold a version of it.
    pub fn note(&mut self, path: &Path) {
        // Stored without a closing slash, which rsync prints for directories.
        self.held.insert(path.components().collect());
    }

    /// Whether the scopes may go on using this bucket: it is younger than `resolution`, and nothing that they touch is
    /// in it already. rsync would replace that version, and fails on a file in the place of a directory.
    #[must_use]
    pub fn serves(&self, scopes: &[Scope], now: Instant, resolution: Duration) -> bool {
        let fresh = now.saturating_duration_since(self.since) < resolution && self.held.len() < MOST_PATHS;
        fresh && !scopes.iter().any(|scope| self.collides(scope))
    }

    fn collides(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Tree(roots) => roots.iter().any(|root| self.holds_at_or_below(root) || self.holds_above(root)),
            Scope::Listed(listed) => listed.all().any(|path| self.holds_at_or_below(path) || self.holds_above(path)),
        }
    }

    fn holds_at_or_below(&self, path: &Path) -> bool {
        self.held
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .next()
            .is_some_and(|next| next.starts_with(path))
    }

    fn holds_above(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| self.held.contains(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Listed;
    use chrono::DateTime;

    fn paths(paths: &[&str]) -> Vec<Scope> {
        vec![Scope::Listed(Listed { present: paths.iter().map(PathBuf::from).collect(), ..Listed::default() })]
    }

    #[test]
    fn a_day_of_steady_changes_takes_hundreds_of_buckets() {
        let begin = Instant::now();
        let bucket = Bucket { start: DateTime::from_timestamp(0, 0).unwrap().naive_utc(), number: 0 };
        let (mut current, mut buckets) = (Current::new(bucket, begin), 1);
        // Every second another one of 5,000 files.
        for second in 0..24 * 3600 {
            let (now, path) = (begin + Duration::from_secs(second), format!("d{}/f{second}", second % 5000));
            if !current.serves(&paths(&[&path]), now, Duration::from_secs(60)) {
                current = Current::new(bucket, now);
                buckets += 1;
            }
            current.note(Path::new(&path));
        }
        assert!((500..1500).contains(&buckets), "{buckets}");
    }

    #[test]
    fn a_second_version_or_a_change_of_type_needs_a_new_bucket() {
        let now = Instant::now();
        let bucket = Bucket { start: DateTime::from_timestamp(0, 0).unwrap().naive_utc(), number: 0 };
        let mut current = Current::new(bucket, now);
        current.note(Path::new("a/f"));
        current.note(Path::new("d/"));
        let minute = Duration::from_secs(60);
        let cases = [
            (paths(&["a/g", "e", "a/f2", "a-"]), true),
            (paths(&["a/f"]), false),
            (paths(&["a"]), false),
            (paths(&["d/x"]), false),
            (vec![Scope::Listed(Listed { shallow: vec!["a".into()], ..Listed::default() })], false),
            (vec![Scope::Tree(vec!["".into()])], false),
            (vec![Scope::Tree(vec!["b".into()])], true),
        ];
        for (scopes, expected) in cases {
            assert_eq!(current.serves(&scopes, now, minute), expected, "{scopes:?}");
        }
        assert!(!current.serves(&paths(&["z"]), now + minute, minute), "too old");
        assert!(!current.serves(&paths(&["z"]), now, Duration::ZERO), "a bucket per batch");
    }
}
