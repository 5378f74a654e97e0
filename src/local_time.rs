//! Which moments a local time can mean. Pure.
//!
//! Buckets are named in the local time of the host that wrote them. When clocks are set back, an hour of such times comes
//! twice; when they are set forward, an hour of them never comes. Where the zone is given by a rule, as in
//! `TZ=CET-1CEST,M3.5.0,M10.5.0/3`, `TimeZone::from_local_datetime` knows only the later of the two (chrono 0.4.45), so that
//! what was saved an hour ago seems to be in the future. So only the other direction is asked, from a moment to its local
//! time, which always has one answer.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};

/// The earliest and the latest moment that a local time can mean in a zone. One that never comes is taken for what it would
/// have been, had the clock not been set forward.
#[must_use]
pub fn moments<Tz: TimeZone>(local: NaiveDateTime, zone: &Tz) -> [DateTime<Tz>; 2] {
    // No zone is farther from UTC than this, and none sets its clock twice within two days.
    let day = TimeDelta::days(1);
    let offset_at = |time: NaiveDateTime| zone.offset_from_utc_datetime(&time).fix().local_minus_utc();
    let seconds = |offset: i32| TimeDelta::seconds(offset.into());
    let offsets = [-day, day].map(|aside| offset_at(local.checked_add_signed(aside).unwrap_or(local)));
    let candidates = offsets.map(|offset| (local.checked_sub_signed(seconds(offset)).unwrap_or(local), offset));
    let mut meant: Vec<NaiveDateTime> =
        candidates.iter().filter(|(time, offset)| offset_at(*time) == *offset).map(|(time, _)| *time).collect();
    if meant.is_empty() {
        meant.push(candidates[0].0);
    }
    meant.sort();
    [meant[0], meant[meant.len() - 1]].map(|time| zone.from_utc_datetime(&time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{FixedOffset, MappedLocalTime, NaiveDate};
    use proptest::prelude::*;

    /// An hour ahead of UTC until a moment, and not any more from then on; or the other way round.
    #[derive(Debug, Clone, Copy)]
    struct Changing {
        at: i64,
        before: i32,
        after: i32,
    }

    impl TimeZone for Changing {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Changing { at: 0, before: 0, after: 0 }
        }

        fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
            MappedLocalTime::None
        }

        fn offset_from_local_datetime(&self, _: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
            MappedLocalTime::None
        }

        fn offset_from_utc_date(&self, _: &NaiveDate) -> FixedOffset {
            FixedOffset::east_opt(0).unwrap()
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            let offset = if utc.and_utc().timestamp() < self.at { self.before } else { self.after };
            FixedOffset::east_opt(offset).unwrap()
        }
    }

    fn meant(zone: Changing, local: i64) -> [i64; 2] {
        let local = DateTime::from_timestamp(local, 0).unwrap().naive_utc();
        moments(local, &zone).map(|time| time.timestamp())
    }

    #[test]
    fn times_that_come_twice_or_never_are_told() {
        let (hour, at) = (3600, 1_790_000_000);
        let back = Changing { at, before: 3600, after: 0 };
        assert_eq!(meant(back, at - 10), [at - 10 - hour, at - hour - 10], "before");
        assert_eq!(meant(back, at + 10), [at + 10 - hour, at + 10], "twice");
        assert_eq!(meant(back, at + hour + 10), [at + hour + 10, at + hour + 10], "after");
        let forward = Changing { at, before: 0, after: 3600 };
        assert_eq!(meant(forward, at - 10), [at - 10, at - 10], "before");
        assert_eq!(meant(forward, at + 10), [at + 10, at + 10], "never");
        assert_eq!(meant(forward, at + hour + 10), [at + 10, at + 10], "after");
    }

    proptest! {
        #[test]
        fn what_a_clock_showed_can_mean_when_it_was(
            at in 1_790_000_000i64..1_790_090_000, before in -50_400i32..50_400, step in -7_200i32..7_200,
            time in 1_789_800_000i64..1_790_300_000,
        ) {
            let zone = Changing { at, before, after: (before + step).clamp(-50_400, 50_400) };
            let shown = DateTime::from_timestamp(time, 0).unwrap().with_timezone(&zone).naive_local();
            let meant = moments(shown, &zone).map(|time| time.timestamp());
            prop_assert!(meant.contains(&time), "{meant:?}");
            prop_assert!(meant[0] <= meant[1]);
        }
    }
}
