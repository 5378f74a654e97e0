//! What has to run regularly, and when: for crontabs and for timers of systemd. Pure.

mod cron;
mod systemd;
mod tick;

use std::time::Duration;

use crate::config::settings::Settings;
use crate::config::units::Span;
use crate::hash::scattered;

pub use cron::crontab;
pub use systemd::{Unit, units};
pub use tick::Tick;

/// Passes that are due once a day begin within these minutes of the day: from 1 to 5 o'clock.
const NIGHT: (u32, u32) = (60, 240);
/// When the history is pruned, and when mirrors are verified: within an hour from then on, in minutes of the day.
const PRUNE: u32 = 5 * 60;
const VERIFY: u32 = 6 * 60;
/// How much of the files a weekly verification reads.
const SAMPLE: &str = "5%";
/// How long a command that needs a mirror for itself waits for a pass.
const LOCK_WAIT: &str = "2h";
/// What a command may take to end beyond its own time limit.
const ROOM: Duration = Duration::from_secs(15 * 60);

/// One thing that runs regularly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name, different for each.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The page of the manual.
    pub page: &'static str,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// When it begins.
    pub when: When,
    /// How long it may take at most; it ends by itself before.
    pub limit: Duration,
}

/// Moments that come again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// How often.
    pub tick: Tick,
    /// Minutes after the beginning of each.
    pub offset: u32,
}

/// Everything for these sources, or for all when there are none. What is derived from `seed`, such as the name of the host,
/// spreads many hosts over the same night.
#[must_use]
pub fn jobs(settings: &Settings, names: &[String], seed: &str) -> Vec<Job> {
    let sources: Vec<&String> =
        settings.sources.keys().filter(|name| names.is_empty() || names.contains(name)).collect();
    let number = u32::try_from(sources.len()).unwrap_or(u32::MAX).max(1);
    let chance = |what: &str, among: u32| {
        u32::try_from(scattered(0, format!("{seed}\0{what}").as_bytes()) % u64::from(among.max(1))).unwrap_or_default()
    };
    let limit = settings.full_sync.timeout.saturating_add(settings.full_sync.hook_timeout.saturating_mul(2));
    let (tick, older) = tick::of(settings.full_sync.every);
    let (begin, window) = if tick == Tick::Day { NIGHT } else { (0, tick.minutes()) };
    let mut jobs = Vec::new();
    for (at, source) in (0_u32..).zip(&sources) {
        let share = u64::from(at) * u64::from(window) / u64::from(number);
        let offset = (u64::from(chance("full-sync", window)) + share) % u64::from(window.max(1));
        let mut arguments = vec!["full-sync".to_owned(), (*source).clone()];
        if let Some(older) = older {
            arguments.extend(["--if-older-than".to_owned(), Span(older).to_string()]);
        }
        jobs.push(Job {
            name: format!("full-sync-{source}"),
            description: format!("Compare the source {source} with its mirrors and make them equal"),
            page: "sersync-full-sync(8)",
            arguments,
            when: When { tick, offset: begin + u32::try_from(offset).unwrap_or_default() },
            limit: limit.saturating_add(ROOM),
        });
    }
    let chosen = || names.iter().cloned();
    let limit = settings.full_sync.timeout.saturating_add(ROOM);
    if settings.history.keep_days > 0 {
        let mut arguments = vec!["prune-history".to_owned()];
        arguments.extend(chosen());
        arguments.extend(["--lock-wait", LOCK_WAIT].map(str::to_owned));
        jobs.push(Job {
            name: "prune-history".to_owned(),
            description: "Remove what is too old from the history of mirrors".to_owned(),
            page: "sersync-prune-history(8)",
            arguments,
            when: When { tick: Tick::Day, offset: PRUNE + chance("prune-history", 60) },
            limit: limit.saturating_add(Duration::from_secs(2 * 60 * 60)),
        });
    }
    let mut arguments = vec!["verify".to_owned()];
    arguments.extend(chosen());
    arguments.extend(["--sample", SAMPLE].map(str::to_owned));
    jobs.push(Job {
        name: "verify".to_owned(),
        description: "Compare the content of some files with their mirrors".to_owned(),
        page: "sersync-verify(8)",
        arguments,
        when: When { tick: Tick::Week, offset: VERIFY + chance("verify", 60) },
        limit,
    });
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn settings(every: &str, sources: usize, more: &str) -> Settings {
        let source = |n: &str| ["[sources.s", n, "]\npath = '/s", n, "'\ntargets = ['t']\n"].concat();
        let sources: String = (0..sources).map(|n| source(&n.to_string())).collect();
        let text = format!("[full-sync]\nevery = '{every}'\n{more}[targets.t]\nmodule = 'm'\nhosts = ['h']\n{sources}");
        parse(&text, "x").unwrap()
    }

    #[test]
    fn sources_are_spread_and_so_are_hosts() {
        let at = |seed: &str| -> Vec<u32> {
            jobs(&settings("1d", 4, ""), &[], seed)[..4].iter().map(|job| job.when.offset).collect()
        };
        let one = at("host-1");
        assert!(one.iter().all(|offset| (60..300).contains(offset)), "{one:?}");
        let mut apart = one.clone();
        apart.sort_unstable();
        assert!(apart.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{one:?}");
        assert_eq!(one, at("host-1"));
        assert_ne!(one, at("host-2"));
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let names = |settings: &Settings, chosen: &[String]| -> Vec<String> {
            jobs(settings, chosen, "h").into_iter().map(|job| job.name).collect()
        };
        let all = settings("3d", 2, "");
        assert_eq!(names(&all, &[]), ["full-sync-s0", "full-sync-s1", "prune-history", "verify"]);
        assert_eq!(names(&all, &["s1".to_owned()]), ["full-sync-s1", "prune-history", "verify"]);
        let without = settings("3d", 1, "[history]\nkeep-days = 0\n");
        assert_eq!(names(&without, &[]), ["full-sync-s0", "verify"]);
        assert_eq!(jobs(&all, &[], "h")[0].arguments, ["full-sync", "s0", "--if-older-than", "60h"]);
    }
}
