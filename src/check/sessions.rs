//! Whether small sessions stall: a daemon without `socket options = TCP_NODELAY` waits now and then for an acknowledgement
//! that the other side delays by 40 ms or more. Pure.

use std::time::Duration;

use crate::report::findings::{Finding, Grade};

/// A session that takes this much longer than the shortest has stalled.
const STALL: Duration = Duration::from_millis(30);
/// So many stalls are no coincidence.
const STALLS: usize = 2;
/// From this distance on, a stall cannot be told from what happens on the way.
pub(super) const FAR: Duration = Duration::from_millis(20);

/// What the times of some equal sessions mean.
#[must_use]
pub(super) fn stalls(times: &[Duration]) -> Finding {
    let shortest = times.iter().min().copied().unwrap_or_default();
    let stalled = times.iter().filter(|time| **time >= shortest + STALL).count();
    let found =
        format!("{stalled} of {} stalled, the shortest took {:.0} ms", times.len(), shortest.as_secs_f64() * 1000.0);
    if stalled < STALLS {
        return Finding::ok("sessions", found);
    }
    let remedy = "write `socket options = TCP_NODELAY` into the global part of rsyncd.conf there";
    Finding::with_remedy("sessions", Grade::Hint, found, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_session_is_a_coincidence_and_two_are_not() {
        let grade =
            |millis: &[u64]| stalls(&millis.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>()).grade;
        assert_eq!(grade(&[4, 5, 90, 6, 4]), Grade::Ok);
        assert_eq!(grade(&[54, 5, 50, 6, 4]), Grade::Hint);
        assert_eq!(grade(&[]), Grade::Ok);
    }
}
