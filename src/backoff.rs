//! How long to wait before the next attempt: twice as long each time, up to a limit, and never all at the same moment.

use std::time::Duration;

/// How long to leave an endpoint alone after a session was cut off. The daemon's receiver works through what is in its
/// socket before it sees the end: it can still put an older version of a file in its place, and removing its temporary
/// file changes the time of a directory.
pub const SETTLE: Duration = Duration::from_secs(3);

/// The waits of one series of failures.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits start at `first` and end at `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, failures: 0 }
    }

    /// The wait after one more failure. A quarter of it is left to chance, so that many mirrors that lost the same
    /// daemon do not all come back at once.
    pub fn after_failure(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(0.75 + 0.25 * fastrand::f64())
    }

    /// It worked: the next failure starts a new series.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The waits for a connection of a daemon that has none free: only a few, since it frees one as soon as a process of it has
/// ended, a moment after the client.
#[derive(Debug)]
pub struct WaitsForAConnection {
    backoff: Backoff,
    left: u32,
}

impl WaitsForAConnection {
    /// None was made yet.
    #[must_use]
    pub fn new() -> Self {
        WaitsForAConnection { backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)), left: 6 }
    }
}

impl Default for WaitsForAConnection {
    fn default() -> Self {
        WaitsForAConnection::new()
    }
}

impl Iterator for WaitsForAConnection {
    type Item = Duration;

    /// The wait before the next attempt; nothing when there were enough.
    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(self.backoff.after_failure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let wait = backoff.after_failure().as_secs_f64();
            assert!(wait <= expected && wait >= expected * 0.75, "{wait} for {expected}");
        }
        (0..100).for_each(|_| assert!(backoff.after_failure() <= Duration::from_secs(60)));
        backoff.reset();
        assert!(backoff.after_failure() <= Duration::from_secs(1));
    }

    #[test]
    fn a_connection_is_waited_for_a_few_times() {
        let waits: Vec<Duration> = WaitsForAConnection::new().collect();
        assert_eq!(waits.len(), 6);
        assert!(waits.iter().sum::<Duration>() < Duration::from_secs(6));
    }
}
