//! Buckets: one directory of history, named for the moment from which on it collects. Pure.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, Timelike};

/// The directory beside the mirrors that holds all history.
pub const HISTORY_DIR: &str = "history-backup";

/// The longest place of a bucket from the module root on without the source's name, in bytes:
/// `/history-backup//YYYY-MM-DD/HHMMSS-NNNNNNNNNN/`.
pub const LONGEST_PLACE: usize = HISTORY_DIR.len() + 33;

/// One history directory: `YYYY-MM-DD/HHMMSS[-n]`, in local time of the host that runs.
///
/// The characters of its name are those that no rsync version escapes or expands in an option value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// The moment from which on it collects, to the second.
    pub start: NaiveDateTime,
    /// Tells apart what would have the same name; zero is not written.
    pub number: u32,
}

impl Bucket {
    /// The bucket that follows the latest time and the highest number claimed so far, and the same two after that.
    ///
    /// A time that is later than ever before needs no number. Any other time gets a number that no bucket ever had, so a
    /// clock that was set back never gives a name twice.
    #[must_use]
    pub fn after(highest: Option<Bucket>, now: NaiveDateTime) -> (Bucket, Bucket) {
        let start = now.with_nanosecond(0).unwrap_or(now);
        match highest {
            Some(last) if start <= last.start => {
                let number = last.number + 1;
                (Bucket { start, number }, Bucket { start: last.start, number })
            }
            _ => {
                let number = highest.map_or(0, |last| last.number);
                (Bucket { start, number: 0 }, Bucket { start, number })
            }
        }
    }
}

impl Bucket {
    /// Its name in its day directory.
    #[must_use]
    pub fn name(&self) -> String {
        let time = self.start.format("%H%M%S");
        if self.number > 0 { format!("{time}-{}", self.number) } else { time.to_string() }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start.format("%Y-%m-%d"), self.name())
    }
}

/// The text is not the name of a bucket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a bucket")]
pub struct NotABucket;

impl FromStr for Bucket {
    type Err = NotABucket;

    fn from_str(text: &str) -> Result<Self, NotABucket> {
        let (time, number) = match text.get(..17) {
            Some(time) => match &text[17..] {
                "" => (time, 0),
                suffix => (time, suffix.strip_prefix('-').and_then(|n| n.parse().ok()).ok_or(NotABucket)?),
            },
            None => return Err(NotABucket),
        };
        let start = NaiveDateTime::parse_from_str(time, "%Y-%m-%d/%H%M%S").map_err(|_| NotABucket)?;
        let bucket = Bucket { start, number };
        // Only the one spelling that we write is ours.
        if bucket.to_string() == text { Ok(bucket) } else { Err(NotABucket) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn at(seconds: i64) -> NaiveDateTime {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap().naive_utc() + TimeDelta::seconds(seconds)
    }

    proptest! {
        #[test]
        fn no_name_is_given_twice_whatever_the_clock_does(steps in prop::collection::vec(-5i64..6, 1..60)) {
            let (mut seen, mut highest, mut now) = (HashSet::new(), None, 0);
            for step in steps {
                now += step;
                let (bucket, next) = Bucket::after(highest, at(now));
                prop_assert!(seen.insert(bucket.to_string()), "{} twice", bucket);
                prop_assert_eq!(bucket.start, at(now));
                highest = Some(next);
            }
        }

        #[test]
        fn names_read_back(seconds in 0i64..1_000_000_000, number in 0u32..50) {
            let bucket = Bucket { start: at(seconds), number };
            prop_assert_eq!(bucket.to_string().parse::<Bucket>(), Ok(bucket));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,30}") {
            let _ = text.parse::<Bucket>();
        }
    }

    #[test]
    fn other_spellings_are_not_ours() {
        for text in ["2026-11-23/101500-0", "2026-11-23/101500-01", "2026-1-2/101500", "2026-11-23", "2026-11-23/lost"]
        {
            assert_eq!(text.parse::<Bucket>(), Err(NotABucket), "{text}");
        }
    }
}
