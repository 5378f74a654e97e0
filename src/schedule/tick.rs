//! How often something is started, so that it is done as often as is wanted. Pure.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// An interval that both cron and systemd can say exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// So many minutes, a divisor of 60.
    Minutes(u32),
    /// So many hours, a divisor of 24.
    Hours(u32),
    /// A day.
    Day,
    /// A week, on Sunday.
    Week,
}

/// All but the week, the longest first.
const TICKS: [Tick; 15] = [
    Tick::Day,
    Tick::Hours(12),
    Tick::Hours(8),
    Tick::Hours(6),
    Tick::Hours(4),
    Tick::Hours(3),
    Tick::Hours(2),
    Tick::Hours(1),
    Tick::Minutes(30),
    Tick::Minutes(20),
    Tick::Minutes(15),
    Tick::Minutes(10),
    Tick::Minutes(5),
    Tick::Minutes(2),
    Tick::Minutes(1),
];

impl Tick {
    /// Its length.
    #[must_use]
    pub fn minutes(self) -> u32 {
        match self {
            Tick::Minutes(minutes) => minutes,
            Tick::Hours(hours) => hours * 60,
            Tick::Day => 24 * 60,
            Tick::Week => 7 * 24 * 60,
        }
    }

    fn seconds(self) -> u64 {
        u64::from(self.minutes()) * MINUTE
    }
}

/// The tick for something that is wanted every so often, and the age from which on it is really done at a tick. Half a tick
/// is taken off, so that what was done a little late the last time is not left out the next.
pub(super) fn of(every: Duration) -> (Tick, Option<Duration>) {
    let every = every.as_secs();
    if let Some(tick) = TICKS.into_iter().find(|tick| tick.seconds() == every) {
        return (tick, None);
    }
    let longest = if every.is_multiple_of(DAY) { DAY } else { every / 2 };
    let Some(tick) = TICKS.into_iter().find(|tick| tick.seconds() <= longest) else { return (Tick::Minutes(1), None) };
    let whole = every / tick.seconds() * tick.seconds();
    (tick, Some(Duration::from_secs(whole - tick.seconds() / 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_intervals() {
        let hours = |hours: u64| Duration::from_secs(hours * HOUR);
        assert_eq!(of(hours(24)), (Tick::Day, None));
        assert_eq!(of(hours(72)), (Tick::Day, Some(hours(60))));
        assert_eq!(of(hours(6)), (Tick::Hours(6), None));
        assert_eq!(of(hours(36)), (Tick::Hours(12), Some(hours(30))));
        assert_eq!(of(Duration::from_secs(90 * MINUTE)), (Tick::Minutes(30), Some(Duration::from_secs(75 * MINUTE))));
        assert_eq!(of(Duration::from_secs(1)), (Tick::Minutes(1), None));
    }

    proptest! {
        #[test]
        fn it_is_never_done_less_often_than_is_wanted(every in 60u64..100 * DAY) {
            let (tick, older) = of(Duration::from_secs(every));
            let age = older.map_or(0, |older| older.as_secs());
            // The first tick at which it is old enough.
            let ticks = (age / tick.seconds() + 1).max(1);
            prop_assert!(ticks * tick.seconds() <= every, "{every}: {tick:?} {age}");
        }
    }
}
