//! What the passes over a mirror come to. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::exposition::{Page, number, size, timestamp};
use super::metric::{Metric, add_all, gauge};
use super::subject::Subject;
use crate::state::passes::{Ended, Passes};

/// Our own metrics.
pub static PASSES: &[Metric<Passes>] = &[
    gauge(
        "sersync_last_success_timestamp_seconds",
        "When the last pass ended that did all it was to do; 0 when none ever did.",
        |passes| Some(timestamp(passes.good.as_ref().map(|pass| pass.at))),
    ),
    gauge("sersync_last_run_timestamp_seconds", "When the last pass ended, well or not.", |passes| {
        Some(timestamp(Some(passes.last.as_ref()?.at)))
    }),
    gauge("sersync_last_run_duration_seconds", "How long the last pass took.", |passes| {
        Some(passes.last.as_ref()?.seconds)
    }),
    gauge("sersync_last_run_exit_code", "The exit code of the last pass for this mirror alone.", |passes| {
        Some(f64::from(passes.last.as_ref()?.exit))
    }),
    gauge("sersync_last_run_files", "Entries that the last pass created or updated.", |passes| {
        Some(number(files(passes.last.as_ref()?)))
    }),
    gauge("sersync_last_run_deleted_files", "Entries that the last pass deleted.", |passes| {
        Some(number(passes.last.as_ref()?.deleted))
    }),
    gauge("sersync_last_run_bytes", "The size of the files that the last pass sent.", |passes| {
        Some(number(passes.last.as_ref()?.bytes))
    }),
    gauge("sersync_last_run_sent_bytes", "What the last pass sent over the wire.", |passes| {
        Some(number(passes.last.as_ref()?.sent))
    }),
    gauge("sersync_last_run_errors", "Paths that failed in the last pass; 1 when it failed as a whole.", |passes| {
        Some(size(errors(passes.last.as_ref()?)))
    }),
    gauge("sersync_last_run_rsync_runs", "Rsync processes of the last pass.", |passes| {
        Some(number(passes.last.as_ref()?.rsync_runs))
    }),
];

/// What the bash sersync called them.
pub static LEGACY: &[Metric<Passes>] = &[
    gauge("rsync_status", "0 when the last pass went well, else 1.", |passes| {
        Some(f64::from(u8::from(!passes.last.as_ref()?.is_good())))
    }),
    gauge("rsync_total_files_sum", "Files that the last pass sent.", |passes| {
        Some(number(files(passes.last.as_ref()?)))
    }),
    gauge("rsync_total_size_mb", "Their size in MiB.", |passes| Some(number(passes.last.as_ref()?.bytes >> 20))),
    gauge("rsync_start_time", "When the last pass began, in seconds since 1970.", |passes| {
        Some(timestamp(began(passes.last.as_ref()?)).trunc())
    }),
    gauge("rsync_duration_time_sec", "How many seconds it took.", |passes| Some(passes.last.as_ref()?.seconds.trunc())),
];

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
    passes.last.as_ref()?;
    let mut page = Page::default();
    add_all(&mut page, PASSES, &subject.labels(), passes);
    if names == Names::Both {
        // The endpoint tells mirrors of the same source apart, which the original did not.
        let labels = [("dirname", subject.source.as_str()), ("endpoint", subject.endpoint.as_str())];
        add_all(&mut page, LEGACY, &labels, passes);
    }
    Some(page)
}

/// Entries that were created or updated.
fn files(pass: &Ended) -> u64 {
    pass.created + pass.updated
}

/// Paths that failed; one that failed as a whole counts as well.
fn errors(pass: &Ended) -> usize {
    if pass.is_good() { pass.failing } else { pass.failing.max(1) }
}

fn began(pass: &Ended) -> Option<DateTime<Utc>> {
    pass.at.checked_sub_signed(TimeDelta::milliseconds(milliseconds(pass.seconds)))
}

/// A time in seconds as whole milliseconds; the longest pass fits.
#[allow(clippy::cast_possible_truncation, reason = "out of range it is the greatest value")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::passes::Reached;

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
        let passes = Passes { last: Some(pass(10, 2000)), good: Some(pass(0, 1000)), ..Passes::default() };
        let text = page(&subject, &passes, Names::Both).unwrap().text();
        let values = ["sersync_last_success_timestamp_seconds", "sersync_last_run_timestamp_seconds"];
        assert_eq!(values.map(|name| value(&text, name)), ["1000", "2000"]);
        let values = ["sersync_last_run_exit_code", "sersync_last_run_errors", "sersync_last_run_files"];
        assert_eq!(values.map(|name| value(&text, name)), ["10", "1", "3"]);
        let legacy: Vec<String> = LEGACY.iter().map(|metric| value(&text, metric.family.name)).collect();
        assert_eq!(legacy, ["1", "3", "3", "1909", "90"]);
        assert!(text.contains("rsync_status{dirname=\"data\",endpoint=\"10.0.0.2/m\"} 1"), "{text}");
        let text = page(&subject, &passes, Names::Ours).unwrap().text();
        assert!(!text.contains("rsync_status"), "{text}");
        assert!(page(&subject, &Passes::default(), Names::Ours).is_none());
    }
}
