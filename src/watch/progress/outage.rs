//! What keeps everything from being sent: why, what it takes to be over, and until when the endpoint is left alone. Pure: it is
//! told what time it is.

use std::time::{Duration, Instant};

use chrono::{DateTime, Local};

use crate::backoff::Backoff;
use crate::backoff::SETTLE;
use crate::report::repeats::{Repeats, Say};
use crate::rsync::outcome::Trouble;

/// What a failing endpoint needs to work again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watch) enum Cure {
    /// It may be better by itself.
    Time,
    /// The same, but the session that was cut off has to end first.
    EndOfSession,
    /// Somebody has to do something.
    Operator,
}

/// The outage that there is, if there is one.
pub(in crate::watch) struct Outage {
    /// Why, as long as it goes on.
    pub(in crate::watch) trouble: Option<Trouble>,
    /// What it takes to be over.
    pub(in crate::watch) cure: Cure,
    /// How many attempts have failed since it last worked.
    pub(in crate::watch) failures: usize,
    /// Not before this time is anything sent again.
    pub(in crate::watch) hold: Option<Instant>,
    transient: Backoff,
    permanent: Backoff,
    /// The failures since it last worked, so that they are not said again and again.
    repeats: Repeats,
}

impl Default for Outage {
    fn default() -> Self {
        Outage {
            trouble: None,
            cure: Cure::Time,
            failures: 0,
            hold: None,
            transient: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            permanent: Backoff::new(Duration::from_secs(5), Duration::from_secs(300)),
            repeats: Repeats::default(),
        }
    }
}

impl Outage {
    /// The endpoint failed. Tells how long it is left alone, and what is to be said.
    pub(in crate::watch) fn failed(
        &mut self,
        trouble: Trouble,
        cure: Cure,
        now: Instant,
        clock: DateTime<Local>,
    ) -> (Duration, Say) {
        let backoff = match cure {
            Cure::Time | Cure::EndOfSession => &mut self.transient,
            Cure::Operator => &mut self.permanent,
        };
        let settled = if cure == Cure::EndOfSession { SETTLE } else { Duration::ZERO };
        let wait = backoff.after_failure().max(settled);
        (wait, self.goes_on(trouble, cure, now + wait, now, clock))
    }

    /// The source is not to be mirrored as it is now. It is looked at again after `wait`, without patience: that costs nothing.
    pub(in crate::watch) fn refused(
        &mut self,
        trouble: Trouble,
        wait: Duration,
        now: Instant,
        clock: DateTime<Local>,
    ) -> Say {
        self.goes_on(trouble, Cure::Operator, now + wait, now, clock)
    }

    fn goes_on(&mut self, trouble: Trouble, cure: Cure, hold: Instant, now: Instant, clock: DateTime<Local>) -> Say {
        let say = self.repeats.failed(&trouble.why, now, clock);
        self.failures += 1;
        (self.hold, self.trouble, self.cure) = (Some(hold), Some(trouble), cure);
        say
    }

    /// It works. Tells how many attempts had failed, when it did not before.
    pub(in crate::watch) fn is_over(&mut self) -> Option<usize> {
        let failures = std::mem::take(&mut self.failures);
        self.repeats.worked();
        self.hold = None;
        self.transient.reset();
        self.permanent.reset();
        self.trouble.take().map(|_| failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn it_waits_longer_each_time_and_begins_anew_when_it_worked() {
        let (now, clock, second) = (Instant::now(), Local::now(), Duration::from_secs(1));
        let trouble = || Trouble::new(Exit::Unreachable, "gone".to_owned());
        let mut outage = Outage::default();
        assert_eq!(outage.is_over(), None);
        let (first, say) = outage.failed(trouble(), Cure::Time, now, clock);
        assert_eq!((first <= second, say, outage.hold), (true, Say::Reason, Some(now + first)));
        let (next, say) = outage.failed(trouble(), Cure::EndOfSession, now, clock);
        assert_eq!((next >= SETTLE, say, outage.failures), (true, Say::Nothing, 2));
        assert!(outage.failed(trouble(), Cure::Operator, now, clock).0 > second * 3);
        assert_eq!(outage.refused(trouble(), second, now, clock), Say::Nothing);
        assert_eq!((outage.hold, outage.cure), (Some(now + second), Cure::Operator));
        assert_eq!((outage.is_over(), outage.is_over(), outage.hold), (Some(4), None, None));
        assert_eq!(outage.failed(trouble(), Cure::Time, now, clock).1, Say::Reason);
    }
}
