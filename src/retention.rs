//! Which parts of a history have expired. Pure: what is there, for how long it is to be kept and what time it is come in,
//! a plan comes out.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};

pub use self::names::{Found, is_day, place};
use self::names::{day_above, sort};
use crate::bucket::Bucket;
use crate::local_time::moments;

/// For how long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The days.
    pub keep_days: u32,
    /// How much longer a bucket may have been collecting after its start.
    pub resolution: Duration,
    /// A watch is or may be running, which goes on using the newest bucket.
    pub in_use: bool,
}

/// What expires as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A bucket.
    Bucket(Bucket),
    /// A day directory without buckets: of a system that kept one directory per day, or empty.
    Day(NaiveDate),
}

impl Unit {
    /// The day directory that it is or is in.
    #[must_use]
    pub fn day(self) -> NaiveDate {
        match self {
            Unit::Bucket(bucket) => bucket.start.date(),
            Unit::Day(day) => day,
        }
    }

    /// From when on it collected, in the local time of the host that wrote it.
    #[must_use]
    pub fn start(self) -> NaiveDateTime {
        match self {
            Unit::Bucket(bucket) => bucket.start,
            Unit::Day(day) => day.and_time(NaiveTime::MIN),
        }
    }

    /// How long ago that was; less than nothing when the clock is behind.
    #[must_use]
    pub fn age<Tz: TimeZone>(self, now: &DateTime<Tz>) -> TimeDelta {
        now.clone() - moments(self.start(), &now.timezone())[0].clone()
    }

    /// From when on its days are counted: a day directory collected until the day was over.
    fn counted_from(self) -> NaiveDateTime {
        match self {
            Unit::Bucket(bucket) => bucket.start,
            Unit::Day(day) => day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Bucket(bucket) => bucket.fmt(f),
            Unit::Day(day) => write!(f, "{}", day.format("%Y-%m-%d")),
        }
    }
}

/// What becomes of a unit, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Removed: its time was over so long ago.
    Expired(TimeDelta),
    /// Removed: the history is too big.
    TooBig,
    /// Its content is removed, but the directory stays: without any bucket, the other names in its day would be taken for
    /// what the original system kept there, and go the next time.
    Emptied,
    /// Kept: it has so much time left.
    Fresh(TimeDelta),
    /// Kept: it is the newest one, and a watch may be running.
    InUse,
}

impl Verdict {
    /// Whether it is to be removed.
    #[must_use]
    pub fn removes(self) -> bool {
        matches!(self, Verdict::Expired(_) | Verdict::TooBig)
    }

    /// Whether its content goes.
    fn frees(self) -> bool {
        self.removes() || self == Verdict::Emptied
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Expired(since) => write!(f, "expired {} ago", rough(*since)),
            Verdict::TooBig => f.write_str("the history is bigger than max-size"),
            Verdict::Emptied => {
                f.write_str("expired; its directory stays, empty, for the sake of other names in its day")
            }
            Verdict::Fresh(left) => write!(f, "expires in {}", rough(*left)),
            Verdict::InUse => f.write_str("it may be in use"),
        }
    }
}

/// A time for people, rounded down to its biggest unit.
#[must_use]
pub fn rough(time: TimeDelta) -> String {
    let units = [(time.num_days(), "day"), (time.num_hours(), "hour"), (time.num_minutes(), "minute")];
    let (number, unit) = units.into_iter().find(|(number, _)| *number > 0).unwrap_or((time.num_seconds(), "second"));
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

/// What is to be done with the history of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every unit, the oldest first.
    pub decisions: Vec<(Unit, Verdict)>,
    /// The names that are neither, in their order: they are never touched.
    pub foreign: Vec<PathBuf>,
}

/// The clock is behind the history, so that no age can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the clock is {} behind `{unit}` of the history: is it right, and does TZ name the time zone of the host that wrote it?", rough(*by))]
pub struct Ahead {
    /// The newest unit.
    pub unit: Unit,
    /// How far it is ahead.
    pub by: TimeDelta,
}

/// The units among what was found, the oldest first, and the names that are neither a unit nor a part of one.
#[must_use]
pub fn units(found: &[Found]) -> (Vec<Unit>, BTreeSet<PathBuf>) {
    let (units, foreign) = sort(found);
    let mut units: Vec<Unit> = units.into_iter().collect();
    units.sort_by_key(|unit| (unit.start(), *unit));
    (units, foreign)
}

/// Decides what is removed and what is kept: a bucket goes when `keep_days` times 24 hours and `resolution` have passed
/// since its start, a day without buckets when `keep_days` times 24 hours have passed since its end.
///
/// # Errors
/// When something is in the future: then nothing of the history has an age.
pub fn plan<Tz: TimeZone>(found: &[Found], policy: Policy, now: &DateTime<Tz>) -> Result<Plan, Ahead> {
    let (units, foreign) = units(found);
    if let Some(newest) = units.last() {
        let by = moments(newest.start(), &now.timezone())[0].clone() - now.clone();
        if by > TimeDelta::zero() {
            return Err(Ahead { unit: *newest, by });
        }
    }
    let days = TimeDelta::days(policy.keep_days.into());
    let resolution = TimeDelta::from_std(policy.resolution).unwrap_or(TimeDelta::days(36_500));
    let in_use = policy.in_use.then(|| units.iter().rfind(|unit| matches!(unit, Unit::Bucket(_)))).flatten().copied();
    let decide = |unit: Unit| {
        let kept = if matches!(unit, Unit::Bucket(_)) { days + resolution } else { days };
        let since = now.clone() - moments(unit.counted_from(), &now.timezone())[1].clone() - kept;
        let verdict = match since < TimeDelta::zero() {
            true => Verdict::Fresh(-since),
            false if Some(unit) == in_use => Verdict::InUse,
            false => Verdict::Expired(since),
        };
        (unit, verdict)
    };
    let mut plan = Plan { decisions: units.into_iter().map(decide).collect(), foreign: foreign.into_iter().collect() };
    plan.keep_marks();
    Ok(plan)
}

impl Plan {
    /// Nothing to decide.
    pub const EMPTY: Plan = Plan { decisions: Vec::new(), foreign: Vec::new() };

    /// Removes more, the oldest first, until what is kept is not bigger than `most` bytes; the newest is always kept.
    pub fn limit(&mut self, most: u64, size: impl Fn(Unit) -> u64) {
        let kept = self.decisions.iter().filter(|(_, verdict)| !verdict.frees());
        let mut total = kept.map(|(unit, _)| size(*unit)).fold(0, u64::saturating_add);
        let all_but_the_newest = self.decisions.len().saturating_sub(1);
        for (unit, verdict) in &mut self.decisions[..all_but_the_newest] {
            if total <= most {
                break;
            }
            if !verdict.frees() && *verdict != Verdict::InUse {
                total = total.saturating_sub(size(*unit));
                *verdict = Verdict::TooBig;
            }
        }
        self.keep_marks();
    }

    /// Leaves a bucket, if only its directory, where one is what tells other names in its day from the original's.
    fn keep_marks(&mut self) {
        let is_bucket = |path: &Path| path.to_str().is_some_and(|text| text.parse::<Bucket>().is_ok());
        let mut unmarked = BTreeSet::new();
        for path in &self.foreign {
            unmarked.extend(day_above(path));
        }
        for path in self.foreign.iter().filter(|path| is_bucket(path)) {
            day_above(path).map(|day| unmarked.remove(&day));
        }
        let staying = self.decisions.iter().filter(|(_, verdict)| !verdict.removes()).map(|(unit, _)| unit.day());
        let staying: BTreeSet<NaiveDate> = staying.collect();
        // From the newest on, so that it is the newest of its day.
        for (unit, verdict) in self.decisions.iter_mut().rev() {
            if unmarked.remove(&unit.day()) && !staying.contains(&unit.day()) {
                *verdict = Verdict::Emptied;
            }
        }
    }

    /// The buckets of which the directories stay and nothing else.
    pub fn emptied(&self) -> impl Iterator<Item = Bucket> {
        self.decisions.iter().filter_map(|(unit, verdict)| match (unit, verdict) {
            (Unit::Bucket(bucket), Verdict::Emptied) => Some(*bucket),
            _ => None,
        })
    }

    /// What is to be removed, the oldest first.
    pub fn removed(&self) -> impl Iterator<Item = Unit> {
        self.decisions.iter().filter(|(_, verdict)| verdict.removes()).map(|(unit, _)| *unit)
    }

    /// The day directories in which something is to be removed. With each, whether nothing is left in it then.
    #[must_use]
    pub fn days(&self) -> BTreeMap<NaiveDate, bool> {
        let mut days: BTreeMap<NaiveDate, bool> = self.removed().map(|unit| (unit.day(), true)).collect();
        let kept = self.decisions.iter().filter(|(_, verdict)| !verdict.removes()).map(|(unit, _)| unit.day());
        let foreign = self.foreign.iter().filter_map(|path| day_above(path));
        for day in kept.chain(foreign) {
            if let Some(emptied) = days.get_mut(&day) {
                *emptied = false;
            }
        }
        days
    }
}

#[cfg(test)]
mod tests;
