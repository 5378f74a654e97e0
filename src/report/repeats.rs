//! Failures that come again and again: each reason is said once, and then from time to time how often it failed. Pure.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Local};

/// The first reminder comes after this time, each further one after twice the time of the last.
const FIRST_REMINDER: Duration = Duration::from_secs(10 * 60);
/// The longest time between two.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// More reasons than this in one series are no news any more.
const MOST_REASONS: usize = 16;

/// One series of failures, from the first to the next success.
#[derive(Debug, Default)]
pub struct Repeats(Option<Series>);

#[derive(Debug)]
struct Series {
    since: DateTime<Local>,
    times: usize,
    told: BTreeSet<String>,
    next: Instant,
    wait: Duration,
}

/// What is to be said of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// The reason: it is new.
    Reason,
    /// The reason, and this: it goes on.
    Still(String),
    /// Nothing.
    Nothing,
}

impl Repeats {
    /// It failed, for this reason.
    pub fn failed(&mut self, why: &str, now: Instant, clock: DateTime<Local>) -> Say {
        let series = self.0.get_or_insert_with(|| Series {
            since: clock,
            times: 0,
            told: BTreeSet::new(),
            next: now + FIRST_REMINDER,
            wait: FIRST_REMINDER,
        });
        series.times += 1;
        if series.told.len() < MOST_REASONS && series.told.insert(why.to_owned()) {
            return Say::Reason;
        }
        if now < series.next {
            return Say::Nothing;
        }
        series.wait = (series.wait * 2).min(LONGEST);
        series.next = now + series.wait;
        let format = if series.since.date_naive() == clock.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        Say::Still(format!("still failing, {} times since {}", series.times, series.since.format(format)))
    }

    /// It worked; tells how often it had failed before.
    pub fn worked(&mut self) -> usize {
        self.0.take().map_or(0, |series| series.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_failure_that_goes_on_is_said_a_few_times_a_day() {
        let (begun, clock) = (Instant::now(), Local::now());
        let mut repeats = Repeats::default();
        let mut said = Vec::new();
        // A day, with a failure each minute, for one of two reasons.
        for minute in 0_u32..24 * 60 {
            let (now, clock) = (begun + Duration::from_secs(60) * minute, clock + TimeDelta::minutes(minute.into()));
            match repeats.failed(if minute % 2 == 0 { "a" } else { "b" }, now, clock) {
                Say::Nothing => {}
                say => said.push((minute, say)),
            }
        }
        let minutes: Vec<u32> = said.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes, [0, 1, 10, 30, 70, 150, 310, 630, 990, 1350]);
        let Say::Still(text) = &said[2].1 else { panic!("{said:?}") };
        assert!(text.starts_with("still failing, 11 times since "), "{text}");
        assert_eq!((repeats.worked(), repeats.worked()), (24 * 60, 0));
        assert_eq!(repeats.failed("a", begun, clock), Say::Reason);
    }
}
