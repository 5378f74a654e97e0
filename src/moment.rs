//! Moments by the clock on the wall, which may be set back.

use std::fs;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

/// A moment by the clock on the wall, with what tells whether that clock was set back later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// By the clock.
    pub time: DateTime<Utc>,
    /// How long the machine was running then, in milliseconds.
    uptime: i64,
    /// A name for the time from one start of the machine to the next.
    boot: String,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Moment {
        static BOOT: LazyLock<String> = LazyLock::new(|| {
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
        });
        let uptime = rustix::time::clock_gettime(ClockId::Boottime);
        Moment { time: Utc::now(), uptime: uptime.tv_sec * 1000 + uptime.tv_nsec / 1_000_000, boot: BOOT.clone() }
    }

    /// Whether the times of files that were changed since this moment can be compared with it: the clock was not set
    /// back, as far as can be told. Over a restart of the machine only the clock itself can tell.
    #[must_use]
    pub fn is_sound(&self, now: &Moment) -> bool {
        let by_clock = (now.time - self.time).num_milliseconds();
        let passed = now.uptime - self.uptime;
        by_clock >= 0 && (self.boot != now.boot || by_clock >= passed - CLOCK_SLACK)
    }

    /// The ctime from which on something may have changed since this moment. The kernel's clock for files is behind the
    /// real one by up to a tick, and a clock may have been corrected a little.
    #[must_use]
    pub fn in_files(&self) -> (i64, i64) {
        let time = self.time - TimeDelta::milliseconds(2 * CLOCK_SLACK);
        (time.timestamp(), time.timestamp_subsec_nanos().into())
    }
}

/// How far the clock may be corrected without having been set back, in milliseconds. [`Moment::in_files`] looks back farther.
const CLOCK_SLACK: i64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let start =
            Moment { time: DateTime::from_timestamp(1_790_000_000, 0).unwrap(), uptime: 5_000_000, boot: "a".into() };
        let later = |clock: i64, uptime: i64, boot: &str| Moment {
            time: start.time + TimeDelta::milliseconds(clock),
            uptime: start.uptime + uptime,
            boot: boot.to_owned(),
        };
        for (now, sound) in [
            (later(60_000, 60_000, "a"), true),
            (later(59_500, 60_000, "a"), true),
            (later(3_600_000, 60_000, "a"), true),
            (later(30_000, 60_000, "a"), false),
            (later(-1, 0, "a"), false),
            (later(60_000, -4_000_000, "b"), true),
            (later(-60_000, -4_000_000, "b"), false),
        ] {
            assert_eq!(start.is_sound(&now), sound, "{now:?}");
        }
    }
}
