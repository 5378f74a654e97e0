//! Whether small sessions stall: a daemon without `socket options = TCP_NODELAY` waits now and then for an acknowledgement
//! that the other side delays by 40 ms or more. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::report::findings::{Finding, Grade};

/// How much longer than the shortest a session takes that has stalled once or twice: acknowledgements are delayed by 40 ms.
const STALLS: [RangeInclusive<u128>; 2] = [35..=60, 75..=110];
/// How much longer all sessions take than they need to, where each of them stalls.
const ALL_STALL: RangeInclusive<u128> = 35..=110;
/// So many times longer than the start of a program a session may take on a busy host.
const STARTS: u32 = 2;
/// So often do both sides wait for each other in a session, at most.
const ROUND_TRIPS: u32 = 8;
/// A session that takes longer by no more than this has not stalled.
const EVEN: u128 = 20;
/// So many stalls are no coincidence.
const MANY: usize = 2;
/// From this distance on, a stall cannot be told from what happens on the way.
pub(super) const FAR: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Of equal sessions.
    pub(super) sessions: Vec<Duration>,
    /// Of the same work on this host alone, where nothing stalls.
    pub(super) beside: Vec<Duration>,
    /// Of the start of rsync, which tells how busy this host is.
    pub(super) starts: Vec<Duration>,
    /// Of a round trip.
    pub(super) distance: Duration,
}

/// What the times mean: where they are scattered for another reason, such as a busy host, nothing is said.
#[must_use]
pub(super) fn stalls(Times { sessions: times, beside, starts, distance }: &Times) -> Finding {
    let fastest = times.iter().min().copied().unwrap_or_default();
    let (late, late_beside) = (lateness(times), lateness(beside));
    let is_stall = |late: &u128| STALLS.iter().any(|stall| stall.contains(late));
    let stalled = late.iter().filter(|late| is_stall(late)).count();
    let scattered =
        late.iter().any(|late| *late > EVEN && !is_stall(late)) || late_beside.iter().any(|late| *late > EVEN);
    let shortest = format!("the shortest took {:.0} ms", fastest.as_secs_f64() * 1000.0);
    let remedy = "write `socket options = TCP_NODELAY` into the global part of rsyncd.conf there";
    // Where all of them stall, in one way or the other, there is no other session to compare them with.
    if let Some(start) = starts.iter().min()
        && ALL_STALL.contains(&fastest.saturating_sub(*start * STARTS + *distance * ROUND_TRIPS).as_millis())
    {
        let found = format!("all of {} seem to stall: {shortest}", times.len());
        return Finding::with_remedy("sessions", Grade::Hint, found, remedy);
    }
    if scattered {
        let found = format!("their times are scattered, as on a busy host, so that stalls cannot be told; {shortest}");
        return Finding::ok("sessions", found);
    }
    let found = format!("{stalled} of {} stalled, {shortest}", times.len());
    if stalled < MANY {
        return Finding::ok("sessions", found);
    }
    Finding::with_remedy("sessions", Grade::Hint, found, remedy)
}

/// How many milliseconds longer than the shortest each took.
fn lateness(times: &[Duration]) -> Vec<u128> {
    let shortest = times.iter().min().copied().unwrap_or_default();
    times.iter().map(|time| time.saturating_sub(shortest).as_millis()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_delays_of_one_length_on_a_quiet_host_are_stalls() {
        let times = |millis: &[u64]| millis.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        let of_busy = |millis: &[u64], beside: &[u64], start: u64, distance: u64| {
            let (sessions, beside, starts) = (times(millis), times(beside), times(&[start, start + 9]));
            stalls(&Times { sessions, beside, starts, distance: Duration::from_millis(distance) })
        };
        let of = |millis: &[u64], beside: &[u64]| of_busy(millis, beside, 4, 0);
        let quiet = [5, 6, 5, 7];
        assert_eq!(of(&[4, 5, 46, 6, 4], &quiet).grade, Grade::Ok);
        assert_eq!(of(&[54, 5, 50, 6, 4], &quiet).grade, Grade::Hint);
        assert_eq!(of(&[54, 5, 96, 6, 4], &quiet).grade, Grade::Hint);
        // A busy host: all kinds of times, here or beside.
        for (millis, beside) in
            [(&[54, 5, 50, 31, 4], &quiet[..]), (&[54, 5, 50, 300, 4], &quiet), (&[54, 5, 50, 6, 4], &[5, 48, 6])]
        {
            let finding = of(millis, beside);
            assert!(finding.grade == Grade::Ok && finding.found.contains("scattered"), "{finding:?}");
        }
        assert_eq!(of(&[], &[]).grade, Grade::Ok);
        // All of them stall, evenly or not.
        for millis in [&[51, 52, 53, 51], &[51, 95, 143, 60]] {
            let finding = of(millis, &quiet);
            assert!(finding.grade == Grade::Hint && finding.found.contains("took 51 ms"), "{finding:?}");
        }
        // Not on a busy host, and not where something else is slow.
        assert_eq!(of_busy(&[61, 62, 63, 61], &quiet, 17, 0).grade, Grade::Ok);
        assert_eq!(of(&[300, 301, 303], &quiet).grade, Grade::Ok);
        // Over a distance a session takes its time.
        assert_eq!(of_busy(&[70, 71, 70], &quiet, 4, 9).grade, Grade::Ok);
    }
}
