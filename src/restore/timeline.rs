//! Which buckets have to be undone to get back to a moment, and in which order. Pure.
//!
//! The name of a bucket is a local time, and when clocks are set back at the end of summer an hour comes twice. The journal
//! of a bucket tells when the last change went into it, which is unambiguous, and so puts them in order.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};

use super::plan::Step;
use super::when::When;
use crate::history::retention::Unit;

/// A bucket, or a day of the original's layout.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Which one.
    pub unit: Unit,
    /// When the last change went into it, if that is known.
    pub until: Option<DateTime<Utc>>,
    /// What it tells.
    pub step: Step,
}

/// What has to be undone to get back to `at`, the oldest first, and the moment to which that leads: within a bucket it is not
/// known what happened when, so it is undone as a whole. Without a journal, a bucket may have been in use for as long as
/// `resolution`.
#[must_use]
pub fn undone<Tz: TimeZone>(
    mut stretches: Vec<Stretch>,
    at: When,
    resolution: TimeDelta,
    zone: &Tz,
) -> (Vec<(Unit, Step)>, When) {
    stretches
        .sort_by_key(|stretch| (stretch.until.unwrap_or_else(|| absolute(stretch.unit.start(), zone)), stretch.unit));
    let first = match at {
        When::Begin(bucket) => {
            let itself = stretches.iter().position(|stretch| stretch.unit == Unit::Bucket(bucket));
            let later = |stretch: &Stretch| stretch.unit.start() >= bucket.start;
            itself.or_else(|| stretches.iter().position(later))
        }
        When::Time(time) => {
            let time = absolute(time, zone);
            stretches.iter().position(|stretch| ended(stretch, resolution, zone) >= time)
        }
    };
    let undone = stretches.split_off(first.unwrap_or(stretches.len()));
    let moment = match (undone.first().map(|stretch| stretch.unit), at) {
        (Some(Unit::Bucket(bucket)), When::Time(time)) if bucket.start < time => When::Begin(bucket),
        (Some(unit @ Unit::Day(_)), When::Time(time)) if unit.start() < time => When::Time(unit.start()),
        _ => at,
    };
    (undone.into_iter().map(|stretch| (stretch.unit, stretch.step)).collect(), moment)
}

/// The last moment at which something may have gone into it.
fn ended<Tz: TimeZone>(stretch: &Stretch, resolution: TimeDelta, zone: &Tz) -> DateTime<Utc> {
    let start = absolute(stretch.unit.start(), zone);
    match (stretch.unit, stretch.until) {
        (Unit::Day(_), _) => start + TimeDelta::days(1) - TimeDelta::seconds(1),
        (Unit::Bucket(_), Some(until)) => until.max(start),
        (Unit::Bucket(_), None) => start.checked_add_signed(resolution).unwrap_or(start),
    }
}

/// The earlier one where a local time comes twice; where it does not come at all, as if the clock had not been set forward.
fn absolute<Tz: TimeZone>(local: NaiveDateTime, zone: &Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.with_timezone(&Utc),
        LocalResult::None => local.and_utc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn stretch(name: &str, until: Option<&str>) -> Stretch {
        let until = until.map(|text| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc));
        let unit = match name.parse() {
            Ok(bucket) => Unit::Bucket(bucket),
            Err(_) => Unit::Day(name.parse().unwrap()),
        };
        Stretch { unit, until, step: Step::default() }
    }

    fn names(stretches: &[Stretch], at: &str) -> (Vec<String>, String) {
        let zone = FixedOffset::east_opt(3600).unwrap();
        let now = NaiveDateTime::parse_from_str("2026-12-01 00:00", "%Y-%m-%d %H:%M").unwrap();
        let at = When::parse(at, now).unwrap();
        let (undone, moment) = undone(stretches.to_vec(), at, TimeDelta::seconds(60), &zone);
        (undone.iter().map(|(unit, _)| unit.to_string()).collect(), moment.to_string())
    }

    #[test]
    fn a_bucket_that_covers_the_moment_is_undone_as_a_whole() {
        let all = [
            stretch("2026-11-19", None),
            stretch("2026-11-20/100000", Some("2026-11-20T09:10:00Z")),
            stretch("2026-11-20/120000", None),
        ];
        let (ten, noon) = ("2026-11-20/100000", "2026-11-20/120000");
        for (at, expected, moment) in [
            ("2026-11-20 09:59", &[ten, noon][..], "2026-11-20 09:59:00"),
            ("2026-11-20 10:05", &[ten, noon], "2026-11-20 10:00:00 (begin of bucket 2026-11-20/100000)"),
            ("2026-11-20 10:11", &[noon], "2026-11-20 10:11:00"),
            ("2026-11-20 12:01", &[noon], "2026-11-20 12:00:00 (begin of bucket 2026-11-20/120000)"),
            ("2026-11-20 12:02", &[], "2026-11-20 12:02:00"),
            ("2026-11-20/120000", &[noon], "2026-11-20 12:00:00 (begin of bucket 2026-11-20/120000)"),
            ("2026-11-19 12:00", &["2026-11-19", ten, noon], "2026-11-19 00:00:00"),
        ] {
            let expected = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(&all, at), (expected, moment.to_owned()), "{at}");
        }
    }

    #[test]
    fn buckets_of_an_hour_that_comes_twice_are_undone_in_the_order_of_their_changes() {
        let all = [
            stretch("2026-10-25/023000", Some("2026-10-25T00:30:10Z")),
            // After the clock was set back; it has a number that no bucket had before.
            stretch("2026-10-25/021000-7", Some("2026-10-25T01:10:10Z")),
            stretch("2026-10-25/024000-8", Some("2026-10-25T01:40:10Z")),
        ];
        let order = ["2026-10-25/023000", "2026-10-25/021000-7", "2026-10-25/024000-8"].map(str::to_owned);
        assert_eq!(names(&all, "2026-10-25/023000").0, order);
        assert_eq!(names(&all, "2026-10-25/021000-7").0, order[1..]);
    }
}
