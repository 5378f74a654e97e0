//! What the figures depend on: the machine, its kernel, the programs that are compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// The magic number of tmpfs, which rustix has no name for.
const TMPFS: u64 = 0x0102_1994;

/// One line about cores, memory and kernel.
pub(crate) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let memory = memory("MemTotal:") as f64 / f64::from(1 << 30);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {memory:.0} GiB of memory, Linux {}", kernel.trim())
}

/// The share of the processors' time that others use, while this program only waits.
pub(crate) fn used_by_others() -> f64 {
    /// Long enough for the ticks that the kernel counts in.
    const PAUSE: Duration = Duration::from_millis(100);
    let before = ticks();
    thread::sleep(PAUSE);
    let (all, idle) = ticks();
    let (all, idle) = (all.saturating_sub(before.0), idle.saturating_sub(before.1));
    if all == 0 { 0.0 } else { 1.0 - idle as f64 / all as f64 }
}

/// All time and idle time of all processors since they were started.
fn ticks() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user.
    let fields: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    (fields.iter().sum(), fields.iter().skip(3).take(2).sum())
}

/// The first word with a number in what a program says about its version, or nothing when it cannot be run.
pub(crate) fn version(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).env("LC_ALL", "C").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let starts_with_digit = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    text.split_whitespace().find(starts_with_digit).map(|word| word.trim_start_matches('v').to_owned())
}

/// A directory for trees of so many bytes: one in memory when there is room, else the one for temporary files. And
/// whether it is in memory.
pub(crate) fn place_for(bytes: u64) -> (PathBuf, bool) {
    let usual = std::env::temp_dir();
    let in_memory = |dir: &Path| {
        let room = rustix::fs::statvfs(dir).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= bytes);
        is_tmpfs(dir) && room && memory("MemAvailable:") >= bytes
    };
    let shared = PathBuf::from("/dev/shm");
    match [&shared, &usual].into_iter().find(|dir| in_memory(dir)) {
        Some(dir) => (dir.clone(), true),
        None => (usual.clone(), is_tmpfs(&usual)),
    }
}

fn is_tmpfs(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == TMPFS))
}

/// A value of `/proc/meminfo`, in bytes.
fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
}
