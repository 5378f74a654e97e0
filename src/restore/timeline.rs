//! Which buckets have to be undone to get back to a moment, and in which order. Pure.
//!
//! The name of a bucket is a local time, and when clocks are set back at the end of summer an hour comes twice. The journal
//! of a bucket tells when the last change went into it, which is unambiguous, and so puts them in order.

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, TimeZone, Utc};

use super::plan::Step;
use super::when::When;
use crate::local_time::moments;
use crate::retention::Unit;

/// A bucket, or a day of the original's layout.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Which one.
    pub unit: Unit,
    /// When the last change went into it, if that is known.
    pub until: Option<DateTime<Utc>>,
    /// There were versions in it, but it is no more.
    pub lost: bool,
    /// What it tells.
    pub step: Step,
}

/// What has to be undone.
#[derive(Debug)]
pub struct Undoing {
    /// The oldest first.
    pub steps: Vec<(Unit, Step)>,
    /// Of how many of these it is not known which paths were new.
    pub without_journal: usize,
    /// The moment to which that leads: within a bucket it is not known what happened when, so it is undone as a whole.
    pub moment: When,
}

/// What has to be undone to get back to `at`; nothing when the history does not reach back to it, nor has anything older.
/// What was before the oldest bucket is not known: then that is the moment. Without a journal, a bucket may have been in use
/// for as long as `resolution`.
///
/// # Errors
/// Why it is not possible.
pub fn undone<Tz: TimeZone>(
    mut stretches: Vec<Stretch>,
    at: When,
    resolution: TimeDelta,
    zone: &Tz,
) -> Result<Undoing, &'static str> {
    stretches
        .sort_by_key(|stretch| (stretch.until.unwrap_or_else(|| absolute(stretch.unit.start(), zone)), stretch.unit));
    if let Some(lost) = stretches.iter().rposition(|stretch| stretch.lost) {
        stretches.drain(..=lost);
    }
    let first = match at {
        When::Begin(bucket) => {
            let itself = stretches.iter().position(|stretch| stretch.unit == Unit::Bucket(bucket));
            Some(itself.ok_or("there is no such bucket, or not any more; see sersync history list")?)
        }
        When::Now(_) => None,
        When::Time(time) => {
            let oldest = stretches.first().map(|stretch| absolute(stretch.unit.start(), zone));
            if oldest.is_none() {
                return Err("the history does not reach back to then");
            }
            stretches.iter().position(|stretch| ended(stretch, resolution, zone) >= time)
        }
    };
    let before_all = first == Some(0);
    let undone = stretches.split_off(first.unwrap_or(stretches.len()));
    let moment = match (undone.first().map(|stretch| stretch.unit), at) {
        (Some(unit), When::Time(time)) if before_all || absolute(unit.start(), zone) < time.with_timezone(&Utc) => {
            match unit {
                Unit::Bucket(bucket) => When::Begin(bucket),
                Unit::Day(_) => When::Time(absolute(unit.start(), zone).with_timezone(&Local)),
            }
        }
        _ => at,
    };
    let without_journal = undone.iter().filter(|stretch| stretch.until.is_none()).count();
    let steps = undone.into_iter().map(|stretch| (stretch.unit, stretch.step)).collect();
    Ok(Undoing { steps, without_journal, moment })
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

/// The earlier one where a local time comes twice.
fn absolute<Tz: TimeZone>(local: NaiveDateTime, zone: &Tz) -> DateTime<Utc> {
    moments(local, zone)[0].with_timezone(&Utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(name: &str, until: Option<&str>) -> Stretch {
        let until = until.map(|text| {
            let When::Time(time) = When::parse(text, Local::now()).unwrap() else { panic!("{text}") };
            time.with_timezone(&Utc)
        });
        let unit = match name.parse() {
            Ok(bucket) => Unit::Bucket(bucket),
            Err(_) => Unit::Day(name.parse().unwrap()),
        };
        Stretch { unit, until, lost: false, step: Step::default() }
    }

    fn names(stretches: &[Stretch], at: &str) -> Result<(Vec<String>, String), &'static str> {
        let now = Local.with_ymd_and_hms(2026, 12, 1, 0, 0, 0).unwrap();
        let at = When::parse(at, now).unwrap();
        let undoing = undone(stretches.to_vec(), at, TimeDelta::seconds(60), &Local)?;
        Ok((undoing.steps.iter().map(|(unit, _)| unit.to_string()).collect(), undoing.moment.to_string()))
    }

    #[test]
    fn a_bucket_that_covers_the_moment_is_undone_as_a_whole() {
        let all = [
            stretch("2026-11-19", None),
            stretch("2026-11-20/100000", Some("2026-11-20 10:10")),
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
            ("2026-11-18 12:00", &["2026-11-19", ten, noon], "2026-11-19 00:00:00"),
            ("2026-11-19 12:00", &["2026-11-19", ten, noon], "2026-11-19 00:00:00"),
        ] {
            let expected = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(names(&all, at), Ok((expected, moment.to_owned())), "{at}");
        }
    }

    #[test]
    fn what_is_gone_is_not_taken_for_nothing() {
        let mut all = [
            stretch("2026-11-20/100000", Some("2026-11-20 10:00")),
            stretch("2026-11-20/110000", Some("2026-11-20 11:00")),
            stretch("2026-11-20/120000", Some("2026-11-20 12:00")),
        ];
        all[1].lost = true;
        let noon = "2026-11-20/120000".to_owned();
        let begin = "2026-11-20 12:00:00 (begin of bucket 2026-11-20/120000)".to_owned();
        assert_eq!(names(&all, "2026-11-20 09:00"), Ok((vec![noon], begin)));
        assert!(names(&all, "2026-11-20/100000").is_err());
        assert!(names(&all[..2], "2026-11-20 09:00").is_err());
        assert!(names(&[], "2026-11-20 09:00").is_err());
        assert_eq!(names(&[], "now").map(|(steps, _)| steps), Ok(Vec::new()));
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
        let names = |at| names(&all, at).unwrap().0;
        assert_eq!(names("2026-10-25/023000"), order);
        assert_eq!(names("2026-10-25/021000-7"), order[1..]);
    }
}
