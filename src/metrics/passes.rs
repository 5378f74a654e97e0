//! What the passes over a mirror come to. Pure.

use chrono::TimeDelta;

use super::exposition::{Page, number, size, timestamp};
use super::families as f;
use super::textfiles::Subject;
use crate::state::passes::Passes;

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Our own names.
    Ours,
    /// Those of the bash sersync as well.
    Both,
}

/// The file of the passes; nothing when there never was one.
#[must_use]
pub fn page(subject: &Subject, passes: &Passes, names: Names) -> Option<Page> {
    let last = passes.last.as_ref()?;
    let mut page = Page::default();
    let files = last.created + last.updated;
    let errors = if last.is_good() { last.failing } else { last.failing.max(1) };
    for (family, value) in [
        (&f::LAST_SUCCESS, timestamp(passes.good.as_ref().map(|pass| pass.at))),
        (&f::LAST_RUN, timestamp(Some(last.at))),
        (&f::LAST_RUN_DURATION, last.seconds),
        (&f::LAST_RUN_EXIT_CODE, f64::from(last.exit)),
        (&f::LAST_RUN_FILES, number(files)),
        (&f::LAST_RUN_DELETED, number(last.deleted)),
        (&f::LAST_RUN_BYTES, number(last.bytes)),
        (&f::LAST_RUN_SENT, number(last.sent)),
        (&f::LAST_RUN_ERRORS, size(errors)),
        (&f::LAST_RUN_RSYNC_RUNS, number(last.rsync_runs)),
    ] {
        page.add(family, &subject.labels(), value);
    }
    if names == Names::Both {
        let began = last.at.checked_sub_signed(TimeDelta::milliseconds(milliseconds(last.seconds)));
        // The endpoint tells mirrors of the same source apart, which the original did not.
        let labels = [("dirname", subject.source.as_str()), ("endpoint", subject.endpoint.as_str())];
        for (family, value) in [
            (&f::LEGACY_STATUS, f64::from(u8::from(!last.is_good()))),
            (&f::LEGACY_FILES, number(files)),
            (&f::LEGACY_SIZE, number(last.bytes >> 20)),
            (&f::LEGACY_START, timestamp(began).trunc()),
            (&f::LEGACY_DURATION, last.seconds.trunc()),
        ] {
            page.add(family, &labels, value);
        }
    }
    Some(page)
}

/// A time in seconds as whole milliseconds; the longest pass fits.
#[allow(clippy::cast_possible_truncation, reason = "out of range it is the greatest value")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::passes::{Ended, Reached};
    use chrono::DateTime;

    fn pass(exit: u8, at: i64) -> Ended {
        Ended {
            at: DateTime::from_timestamp(at, 0).unwrap(),
            seconds: 90.5,
            reached: Reached::Everything,
            exit,
            error: None,
            failing: 0,
            created: 2,
            updated: 1,
            deleted: 4,
            attributes: 5,
            bytes: 3 << 20,
            sent: 7,
            rsync_runs: 8,
        }
    }

    fn value(text: &str, name: &str) -> String {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    }

    #[test]
    fn a_failing_pass_does_not_lose_the_last_good_one() {
        let subject = Subject::of("data@10.0.0.2/m");
        let passes = Passes { last: Some(pass(10, 2000)), good: Some(pass(0, 1000)), full: None };
        let text = page(&subject, &passes, Names::Both).unwrap().text();
        let values = ["sersync_last_success_timestamp_seconds", "sersync_last_run_timestamp_seconds"];
        assert_eq!(values.map(|name| value(&text, name)), ["1000", "2000"]);
        let values = ["sersync_last_run_exit_code", "sersync_last_run_errors", "sersync_last_run_files"];
        assert_eq!(values.map(|name| value(&text, name)), ["10", "1", "3"]);
        let legacy = f::LEGACY.map(|family| value(&text, family.name));
        assert_eq!(legacy, ["1", "3", "3", "1909", "90"]);
        assert!(text.contains("rsync_status{dirname=\"data\",endpoint=\"10.0.0.2/m\"} 1"), "{text}");
        let text = page(&subject, &passes, Names::Ours).unwrap().text();
        assert!(!text.contains("rsync_status"), "{text}");
        assert!(page(&subject, &Passes::default(), Names::Ours).is_none());
    }
}
