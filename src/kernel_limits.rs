//! What the limits of the kernel should be, and what they are raised to. It is decided here only, so that `watch`, which meets
//! a limit, and `check-kernel`, which looks beforehand, say the same of the same tree. Pure.

/// The most directories that inotify watches.
pub const WATCHES: &str = "fs.inotify.max_user_watches";
/// The most instances of inotify.
pub const INSTANCES: &str = "fs.inotify.max_user_instances";
/// The longest queue of an instance of inotify.
pub const INOTIFY_QUEUE: &str = "fs.inotify.max_queued_events";
/// The most groups of fanotify.
pub const GROUPS: &str = "fs.fanotify.max_user_groups";
/// The most file systems that fanotify watches.
pub const MARKS: &str = "fs.fanotify.max_user_marks";
/// The longest queue of a group of fanotify.
pub const FANOTIFY_QUEUE: &str = "fs.fanotify.max_queued_events";

/// What others on the same host may need of instances: desktops and service managers.
const OTHERS: u64 = 64;
/// A limit of watches that is raised is raised to this at least.
const LEAST_WATCHES: u64 = 65_536;
/// The fewest events that a queue should hold, which is the kernel's own value.
const FEWEST_EVENTS: u64 = 16_384;
/// More need not wait in a queue: when it overflows, what was lost is found by comparing.
const MOST_EVENTS: u64 = 1 << 20;

/// How much of something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// To work at all.
    pub necessary: u64,
    /// To work well.
    pub good: u64,
    /// What it is raised to when it is too little: no less than what is good.
    pub better: u64,
}

impl Demand {
    /// What a limit is raised to that was met although it is `now` so high: others have a share of it.
    #[must_use]
    pub fn above(&self, now: u64) -> u64 {
        self.better.max(now.saturating_add(1).checked_next_power_of_two().unwrap_or(u64::MAX))
    }
}

/// Of [`WATCHES`], for so many directories.
#[must_use]
pub fn watches(directories: u64) -> Demand {
    Demand {
        necessary: directories,
        good: directories + directories / 4 + 1024,
        better: (directories * 2).max(LEAST_WATCHES).next_power_of_two(),
    }
}

/// Of what each source needs one of: [`INSTANCES`], [`GROUPS`] and [`MARKS`].
#[must_use]
pub fn one_each(sources: u64) -> Demand {
    Demand { necessary: sources, good: sources + OTHERS, better: (sources + 2 * OTHERS).next_power_of_two() }
}

/// Of a queue, for so many directories: nothing is necessary, since what is lost is looked for.
#[must_use]
pub fn queue(directories: u64) -> Demand {
    let good = (directories / 4).clamp(FEWEST_EVENTS, MOST_EVENTS).next_power_of_two();
    Demand { necessary: 0, good, better: good }
}

/// Of a queue that was too short, whatever the number of directories had let expect.
#[must_use]
pub fn queue_that_overflowed() -> Demand {
    queue(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_raised_has_room_for_more() {
        assert_eq!(watches(5), Demand { necessary: 5, good: 1030, better: 65_536 });
        assert_eq!(watches(312_500), Demand { necessary: 312_500, good: 391_649, better: 1 << 20 });
        assert_eq!(one_each(2), Demand { necessary: 2, good: 66, better: 256 });
        assert_eq!([0, 400_000, u64::MAX].map(|directories| queue(directories).better), [16_384, 131_072, 1 << 20]);
        for number in (0..24).map(|power| (1 << power) + 1) {
            for demand in [watches(number), one_each(number), queue(number)] {
                assert!(demand.necessary <= demand.good && demand.good <= demand.better, "{demand:?}");
            }
        }
    }

    #[test]
    fn whoever_meets_a_limit_says_what_was_said_beforehand() {
        // As long as a limit is not good, it is raised to the same.
        for number in [1, 127, 50_000, 3_000_000] {
            for demand in [watches(number), one_each(number)] {
                let low = [0, demand.necessary - 1, demand.good - 1];
                assert_eq!(low.map(|now| demand.above(now)), [demand.better; 3], "{demand:?}");
            }
        }
        // Where others have used it up, the same would not help.
        assert_eq!(watches(5).above(65_536), 131_072);
        assert_eq!(one_each(1).above(u64::MAX), u64::MAX);
        assert_eq!(queue_that_overflowed().above(16_384), 1 << 20);
    }
}
