//! The moment that `--at` asks for. Pure.

use std::fmt;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::config::units::Span;
use crate::history::bucket::Bucket;

/// A moment in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In the local time of this host, in which buckets are named.
    Time(NaiveDateTime),
    /// When this bucket began.
    Begin(Bucket),
}

impl When {
    /// Reads RFC 3339 times, `2026-11-20 14:00[:30]`, `2026-11-20` (its beginning), `14:00` (today), `now`, `yesterday` (a day
    /// ago), `3h ago`, and the name of a bucket as `history list` shows it.
    ///
    /// # Errors
    /// What can be written.
    pub fn parse(text: &str, now: NaiveDateTime) -> Result<When, String> {
        let text = text.trim();
        if let Ok(bucket) = text.parse() {
            return Ok(When::Begin(bucket));
        }
        let ago = |time: TimeDelta| now.checked_sub_signed(time).map(When::Time);
        let parsed = match text {
            "now" => Some(When::Time(now)),
            "yesterday" => ago(TimeDelta::days(1)),
            _ => text.strip_suffix("ago").map_or_else(
                || written(text, now).map(When::Time),
                |span| ago(TimeDelta::from_std(span.trim().parse::<Span>().ok()?.0).ok()?),
            ),
        };
        parsed.ok_or_else(|| {
            "write it as `2026-11-20 14:00`, `2026-11-20T14:00:00+01:00`, `14:00`, `yesterday`, `3h ago`, or as the name of a \
             bucket (sersync history list)"
                .to_owned()
        })
    }
}

fn written(text: &str, now: NaiveDateTime) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Local).naive_local());
    }
    for form in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time);
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(NaiveTime::MIN));
    }
    ["%H:%M:%S", "%H:%M"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok())
        .map(|t| now.date().and_time(t))
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Time(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S")),
            When::Begin(bucket) => write!(f, "{} (begin of bucket {bucket})", bucket.start.format("%Y-%m-%d %H:%M:%S")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = at("2026-11-25 12:30:15");
        let cases = [
            ("2026-11-20 14:00", "2026-11-20 14:00:00"),
            ("2026-11-20 14:00:07", "2026-11-20 14:00:07"),
            ("2026-11-20T14:00", "2026-11-20 14:00:00"),
            ("2026-11-20", "2026-11-20 00:00:00"),
            ("09:15", "2026-11-25 09:15:00"),
            (" now ", "2026-11-25 12:30:15"),
            ("yesterday", "2026-11-24 12:30:15"),
            ("3h ago", "2026-11-25 09:30:15"),
            ("10d ago", "2026-11-15 12:30:15"),
        ];
        for (text, expected) in cases {
            assert_eq!(When::parse(text, now), Ok(When::Time(at(expected))), "{text}");
        }
        let zone =
            DateTime::parse_from_rfc3339("2026-11-20T14:00:00+05:00").unwrap().with_timezone(&Local).naive_local();
        assert_eq!(When::parse("2026-11-20T14:00:00+05:00", now), Ok(When::Time(zone)));
        let bucket = "2026-11-20/140000-2".parse().unwrap();
        assert_eq!(When::parse("2026-11-20/140000-2", now), Ok(When::Begin(bucket)));
        for text in ["", "tomorrow", "3 ago", "ago", "2026-13-01", "25:00", "last week"] {
            assert!(When::parse(text, now).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}") {
            let _ = When::parse(&text, at("2026-11-25 12:30:15"));
        }
    }
}
