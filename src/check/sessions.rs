//! Whether small sessions stall: a daemon without `socket options = TCP_NODELAY` waits now and then for an acknowledgement
//! that the other side delays by 40 ms or more. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::report::findings::{Finding, Grade};

/// How much longer than the shortest a session takes that has stalled once or twice: acknowledgements are delayed by 40 ms.
const STALLS: [RangeInclusive<u128>; 2] = [35..=60, 75..=110];
/// A session that takes longer by no more than this has not stalled.
const EVEN: u128 = 20;
/// So many stalls are no coincidence.
const MANY: usize = 2;
/// From this distance on, a stall cannot be told from what happens on the way.
pub(super) const FAR: Duration = Duration::from_millis(20);

/// What the times of some equal sessions mean, beside those of the same work on this host alone, where nothing stalls: where
/// times are scattered for another reason, such as a busy host, nothing is said.
#[must_use]
pub(super) fn stalls(times: &[Duration], beside: &[Duration]) -> Finding {
    let shortest = times.iter().min().copied().unwrap_or_default();
    let (late, late_beside) = (lateness(times), lateness(beside));
    let is_stall = |late: &u128| STALLS.iter().any(|stall| stall.contains(late));
    let stalled = late.iter().filter(|late| is_stall(late)).count();
    let scattered =
        late.iter().any(|late| *late > EVEN && !is_stall(late)) || late_beside.iter().any(|late| *late > EVEN);
    let shortest = format!("the shortest took {:.0} ms", shortest.as_secs_f64() * 1000.0);
    if scattered {
        let found = format!("their times are scattered, as on a busy host, so that stalls cannot be told; {shortest}");
        return Finding::ok("sessions", found);
    }
    let found = format!("{stalled} of {} stalled, {shortest}", times.len());
    if stalled < MANY {
        return Finding::ok("sessions", found);
    }
    let remedy = "write `socket options = TCP_NODELAY` into the global part of rsyncd.conf there";
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
        let of = |millis: &[u64], beside: &[u64]| stalls(&times(millis), &times(beside));
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
    }
}
