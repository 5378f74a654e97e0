//! The limits of the kernel beside what is needed. Pure but for reading the limits.

use super::boot::{OURS, Setting, Turn};
use super::host::Host;
use super::need::Need;
use super::sysctl::Wanted;
use crate::config::settings::{Backend, Jobs, Settings};
use crate::exit::Exit;
use crate::kernel_limits::{self, Demand};
use crate::report::findings::{Finding, Grade};
use crate::report::text::{self, bytes, count};
use crate::rsync::probe::MOST;

/// What a watch costs: its own structure, and the inode that it keeps in memory (1,128 bytes with ext4).
const WATCH: u64 = 1300;
/// The name of the check of what will be at the next start.
pub const AT_START: &str = "next start";
/// Files that a process has open beside those for sources and mirrors.
const FILES: u64 = 64;
/// For each source, and for each rsync: its pipes and the like.
const FILES_EACH: u64 = 8;

/// Adds a finding for each limit, and returns those that should be higher.
pub(super) fn limits(settings: &Settings, needs: &[Need], host: &Host, findings: &mut Vec<Finding>) -> Vec<Wanted> {
    let by = |backend: Backend| needs.iter().filter(move |need| need.choice.backend == backend);
    let watches: u64 = by(Backend::Inotify).map(Need::directories).sum();
    let directories: u64 = needs.iter().map(Need::directories).sum();
    let (inotify, fanotify) = (by(Backend::Inotify).count() as u64, by(Backend::Fanotify).count() as u64);
    let mut wanted = Vec::new();
    let mut look = |key: &'static str, demand: Demand, what: &str| {
        let now = host.limit(key);
        let (finding, want) = limit(key, now, demand, what);
        findings.push(finding);
        let ours = want.as_ref().map(|want| want.value).or_else(|| host.boot.ours(key));
        let setting = host.boot.last(key).filter(|_| now.is_some());
        let (later, raise) = setting.map_or((None, None), |setting| at_next_start(key, setting, ours, demand));
        findings.extend(later);
        wanted.extend(want.or(raise));
    };
    if inotify > 0 {
        look(kernel_limits::WATCHES, kernel_limits::watches(watches), "one for each directory");
        look(kernel_limits::INSTANCES, kernel_limits::one_each(inotify), "one for each source");
        look(kernel_limits::INOTIFY_QUEUE, kernel_limits::queue(directories), "for bursts of changes");
    }
    if fanotify > 0 {
        look(kernel_limits::GROUPS, kernel_limits::one_each(fanotify), "one for each source");
        look(kernel_limits::MARKS, kernel_limits::one_each(fanotify), "one for each file system");
        look(kernel_limits::FANOTIFY_QUEUE, kernel_limits::queue(directories), "for bursts of changes");
    }
    findings.push(open_files(settings, needs.len() as u64, host));
    if inotify > 0 {
        findings.push(memory(watches, host));
    }
    wanted
}

fn limit(key: &'static str, now: Option<u64>, demand: Demand, what: &str) -> (Finding, Option<Wanted>) {
    let Demand { necessary, good, better } = demand;
    let Some(now) = now else {
        let found = "this kernel has no such limit that could be changed";
        return (Finding { grade: Grade::Skipped, ..Finding::ok(key, found) }, None);
    };
    let found = match necessary {
        0 => format!("{now}; {good} are enough, {what}"),
        _ => format!("{now}; {necessary} needed, {what}"),
    };
    if now >= good {
        return (Finding::ok(key, found), None);
    }
    let grade = if now < necessary { Grade::Bad(Exit::Failed) } else { Grade::Warning };
    let remedy = format!("sersync check-kernel --fix, or until the next start: sysctl -w {key}={better}");
    let found = if now < necessary { found } else { format!("{now}; {good} would be good, {what}") };
    (Finding::with_remedy(key, grade, found, remedy), Some(Wanted { key, value: better }))
}

/// What comes of a limit at the next start, when files set it lower than is good, or than our own does (`ours`) or is going
/// to: those that come before ours are overruled by it, and those that come after have to be changed by hand.
fn at_next_start(
    key: &'static str,
    setting: &Setting,
    ours: Option<u64>,
    demand: Demand,
) -> (Option<Finding>, Option<Wanted>) {
    let aim = ours.unwrap_or_default().max(demand.good);
    let overruled = setting.turn != Turn::After && ours.is_some_and(|ours| ours > setting.value);
    if setting.value >= aim || overruled {
        return (None, None);
    }
    let (file, line) = (text::path(&setting.file), setting.line);
    let found = format!("{file}:{line} sets {key} to {} at the next start; {aim} would be good", setting.value);
    let enough = setting.value >= demand.good;
    let grade = if enough { Grade::Hint } else { Grade::Warning };
    if setting.turn == Turn::After {
        let remedy = format!("take line {line} out of {file}, or write {key} = {aim} there: it is read after {OURS}");
        return (Some(Finding::with_remedy(AT_START, grade, found, remedy)), None);
    }
    let raise = Wanted { key, value: demand.better };
    (Some(Finding::with_remedy(AT_START, grade, found, "sersync check-kernel --fix")), Some(raise))
}

fn open_files(settings: &Settings, sources: u64, host: &Host) -> Finding {
    const CHECK: &str = "open files";
    let clients = |jobs| match jobs {
        Jobs::Auto => MOST as u64,
        Jobs::Fixed(number) => number as u64,
    };
    let mirrors = settings.sources.values().flat_map(|source| &source.targets);
    let targets = mirrors.filter_map(|name| settings.targets.get(name));
    let each = targets.map(|target| {
        let hosts = crate::mirror::endpoints(&target.place).len() as u64;
        hosts.saturating_mul(clients(target.rsync.jobs))
    });
    let runs = each.fold(0_u64, u64::saturating_add);
    let needed = sources.saturating_add(runs).saturating_mul(FILES_EACH).saturating_add(FILES);
    match host.open_files {
        None => Finding { grade: Grade::Skipped, ..Finding::ok(CHECK, "the limit is not known") },
        Some(limit) if limit >= needed => {
            let limit = if limit == u64::MAX { "no limit".to_owned() } else { limit.to_string() };
            Finding::ok(CHECK, format!("{limit}; up to {needed} needed"))
        }
        Some(limit) => Finding::with_remedy(
            CHECK,
            Grade::Warning,
            format!("{limit}; up to {needed} needed when all mirrors are busy at the same time"),
            format!(
                "set LimitNOFILE={0} in the units of systemd, or run `ulimit -n {0}` first",
                needed.next_power_of_two()
            ),
        ),
    }
}

/// The inodes of watched directories cannot leave the memory.
fn memory(watches: u64, host: &Host) -> Finding {
    const CHECK: &str = "memory";
    let pinned = watches.saturating_mul(WATCH);
    let found = format!(
        "{} for the watches of {}",
        bytes(pinned),
        count(usize::try_from(watches).unwrap_or(usize::MAX), "directory")
    );
    match (host.memory, host.available) {
        (Some(memory), Some(available)) => {
            let found = format!("{found}, of {}, of which {} are free", bytes(memory), bytes(available));
            let remedy =
                "exclude directories that need not be mirrored at once (`watch.exclude`), or let fanotify watch (root)";
            if pinned > available {
                Finding::with_remedy(CHECK, Grade::Bad(Exit::Failed), found, remedy)
            } else if pinned > memory / 10 {
                Finding::with_remedy(CHECK, Grade::Warning, found, remedy)
            } else {
                Finding::ok(CHECK, found)
            }
        }
        _ => Finding { grade: Grade::Skipped, ..Finding::ok(CHECK, found) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_bad_below_what_is_needed_and_raised_with_room() {
        let demand = Demand { necessary: 100, good: 150, better: 256 };
        let grade = |now| limit("k", Some(now), demand, "x").0.grade;
        assert_eq!([grade(99), grade(100), grade(150)], [Grade::Bad(Exit::Failed), Grade::Warning, Grade::Ok]);
        assert_eq!(limit("k", Some(99), demand, "x").1, Some(Wanted { key: "k", value: 256 }));
        assert_eq!(limit("k", None, demand, "x").0.grade, Grade::Skipped);
    }
}
