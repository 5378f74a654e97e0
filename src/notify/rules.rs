//! Who is told when. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::state::notices::Notices;

/// What is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It fails.
    Failure,
    /// It does not fail any more, and that it did was told.
    Recovery,
}

/// How often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// A failure of the same mirror is told at most once in this time, whether it worked in between or not.
    pub(super) failure_every: Duration,
}

impl Rules {
    /// It failed.
    pub(super) fn failed(self, notices: &mut Notices, now: DateTime<Utc>) -> Option<News> {
        notices.failing_since.get_or_insert(now);
        notices.times += 1;
        // A time in the future comes from a clock that was wrong.
        let is_recent = |told: DateTime<Utc>| (now - told).to_std().is_ok_and(|since| since < self.failure_every);
        if notices.told_at.is_some_and(is_recent) {
            return None;
        }
        notices.told_at = Some(now);
        notices.is_told = true;
        Some(News::Failure)
    }

    /// It worked.
    pub(super) fn worked(notices: &mut Notices) -> Option<News> {
        let was_told = std::mem::take(&mut notices.is_told);
        notices.failing_since = None;
        notices.times = 0;
        was_told.then_some(News::Recovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn what_comes_and_goes_is_told_once_in_a_while() {
        let rules = Rules { failure_every: Duration::from_secs(3600) };
        let begun = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let at = |minutes| begun + TimeDelta::minutes(minutes);
        let mut notices = Notices::default();
        assert_eq!(Rules::worked(&mut notices), None);
        assert_eq!(rules.failed(&mut notices, at(0)), Some(News::Failure));
        assert_eq!(rules.failed(&mut notices, at(1)), None);
        assert_eq!((notices.failing_since, notices.times), (Some(at(0)), 2));
        assert_eq!(Rules::worked(&mut notices), Some(News::Recovery));
        // It fails again within the hour: nobody is told of that, nor that it is over.
        assert_eq!(rules.failed(&mut notices, at(5)), None);
        assert_eq!(Rules::worked(&mut notices), None);
        // It goes on for longer.
        assert_eq!(rules.failed(&mut notices, at(50)), None);
        assert_eq!(rules.failed(&mut notices, at(60)), Some(News::Failure));
        assert_eq!(rules.failed(&mut notices, at(119)), None);
        assert_eq!(rules.failed(&mut notices, at(120)), Some(News::Failure));
        assert_eq!(Rules::worked(&mut notices), Some(News::Recovery));
        notices.told_at = Some(at(100_000));
        assert_eq!(rules.failed(&mut notices, at(130)), Some(News::Failure));
    }
}
