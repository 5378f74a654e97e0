//! The moment that `--at` asks for. Pure.

use std::fmt;

use chrono::{DateTime, Days, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::bucket::Bucket;
use crate::config::units::Span;
use crate::local_time::moments;

/// A moment in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This one. It is shown in the local time of this host, in which buckets are named.
    Time(DateTime<Local>),
    /// The present, at which nothing has to be undone, whatever changes meanwhile.
    Now(DateTime<Local>),
    /// When this bucket began.
    Begin(Bucket),
}

impl When {
    /// Reads RFC 3339 times, `2026-11-20 14:00[:30]`, `2026-11-20` (its beginning), `14:00` (today), `now`, `today` (its
    /// beginning), `yesterday` (a day ago), `3h ago`, `2 days ago`, and the name of a bucket as `history list` shows it. Of a
    /// local time that comes twice, the first one is meant.
    ///
    /// # Errors
    /// What can be written.
    pub fn parse(text: &str, now: DateTime<Local>) -> Result<When, String> {
        let text = text.trim().to_ascii_lowercase();
        if let Ok(bucket) = text.parse() {
            return Ok(When::Begin(bucket));
        }
        let parsed = match text.as_str() {
            "now" => return Ok(When::Now(now)),
            "today" => Some(local(now.date_naive().and_time(NaiveTime::MIN))),
            "yesterday" => now.checked_sub_days(Days::new(1)),
            _ => match text.strip_suffix("ago") {
                Some(span) => span_of(span).and_then(|span| now.checked_sub_signed(span)),
                None => written(&text, now),
            },
        };
        parsed.map(When::Time).ok_or_else(|| {
            "write it as `2026-11-20 14:00`, `2026-11-20T14:00:00+01:00`, `14:00`, `yesterday`, `3h ago`, or as the name of a \
             bucket (sersync history list)"
                .to_owned()
        })
    }
}

/// `3h`, `2 days`, `1 week`.
fn span_of(text: &str) -> Option<TimeDelta> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (times, unit) = match unit.trim() {
        "w" | "week" | "weeks" => (7, "d"),
        "d" | "day" | "days" => (1, "d"),
        "h" | "hour" | "hours" => (1, "h"),
        "m" | "min" | "minute" | "minutes" => (1, "m"),
        "s" | "second" | "seconds" => (1, "s"),
        other => (1, other),
    };
    let Span(span) = format!("{number}{unit}").parse().ok()?;
    TimeDelta::from_std(span).ok()?.checked_mul(times)
}

fn local(time: NaiveDateTime) -> DateTime<Local> {
    moments(time, &Local)[0]
}

fn written(text: &str, now: DateTime<Local>) -> Option<DateTime<Local>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(&text.to_ascii_uppercase()) {
        return Some(time.with_timezone(&Local));
    }
    for form in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dt%H:%M:%S", "%Y-%m-%dt%H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(local(time));
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(local(day.and_time(NaiveTime::MIN)));
    }
    let time = ["%H:%M:%S", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    Some(local(now.date_naive().and_time(time)))
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Time(time) | When::Now(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S")),
            When::Begin(bucket) => write!(f, "{} (begin of bucket {bucket})", bucket.start.format("%Y-%m-%d %H:%M:%S")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Local> {
        local(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap())
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
            ("yesterday", "2026-11-24 12:30:15"),
            ("3h ago", "2026-11-25 09:30:15"),
            ("10d ago", "2026-11-15 12:30:15"),
            ("2 days ago", "2026-11-23 12:30:15"),
            ("1 week ago", "2026-11-18 12:30:15"),
            ("Today", "2026-11-25 00:00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(When::parse(text, now), Ok(When::Time(at(expected))), "{text}");
        }
        let zone = DateTime::parse_from_rfc3339("2026-11-20T14:00:00+05:00").unwrap().with_timezone(&Local);
        assert_eq!(When::parse("2026-11-20T14:00:00+05:00", now), Ok(When::Time(zone)));
        assert_eq!(When::parse(" now ", now), Ok(When::Now(now)));
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
