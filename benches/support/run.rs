//! One run of a client: how long it takes, and how much memory it and what it starts need.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::check_interrupted;

/// How often the memory is looked at.
const SAMPLE: Duration = Duration::from_millis(5);
/// How often a run is asked whether the bench was told to end. A run that ends is noticed at once.
const LOOK: Duration = Duration::from_millis(200);
/// How long a run that is to end may clean up.
const GRACE: Duration = Duration::from_secs(5);

/// The memory of a run at its highest, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Peak {
    /// Of the biggest single process (`VmHWM`).
    pub(crate) biggest: u64,
    /// Of all processes at the same moment (the sum of `VmRSS`).
    pub(crate) together: u64,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its time, with nothing else going on.
    Time,
    /// Its memory; looking at that takes time itself.
    Memory,
}

/// Runs a command to its end. When it fails, what it said is the error.
pub(crate) fn run(mut command: Command, wanted: Wanted, log: &Path) -> Result<(Duration, Peak), String> {
    check_interrupted();
    let output = File::create(log).expect("a log");
    let errors = output.try_clone().expect("a second descriptor");
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // A group of its own, so that it is ended with what it started.
    command.process_group(0);
    let begun = Instant::now();
    let mut running =
        Running(command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?);
    let mut peak = Peak::default();
    let handle = pidfd_open(Pid::from_child(&running.0), PidfdFlags::empty()).expect("pidfd_open");
    let pause = if wanted == Wanted::Memory { SAMPLE } else { LOOK };
    while !ends_within(&handle, pause) {
        check_interrupted();
        if wanted == Wanted::Memory {
            peak.look_at(running.0.id());
        }
    }
    let time = begun.elapsed();
    let status = running.0.wait().expect("wait for the client");
    if status.success() {
        return Ok((time, peak));
    }
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..said.len().min(2000)]).trim().to_owned();
    Err(format!("{status}: {said}"))
}

fn ends_within(handle: impl std::os::fd::AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).expect("a short time");
    // Interrupted by a signal is as good as "not yet".
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// A child that does not outlive this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A child that was waited for has no group any more; the result of the rest matters to nobody.
        if matches!(self.0.try_wait(), Ok(None)) {
            let group = Pid::from_child(&self.0);
            let _ = kill_process_group(group, Signal::TERM);
            let handle = pidfd_open(group, PidfdFlags::empty());
            let end = Instant::now() + GRACE;
            while handle.as_ref().is_ok_and(|handle| !ends_within(handle, LOOK)) && Instant::now() < end {}
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

impl Peak {
    fn look_at(&mut self, root: u32) {
        let mut together = 0;
        for process in family(root) {
            let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else { continue };
            let value = |name: &str| -> u64 {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
            };
            together += value("VmRSS:");
            self.biggest = self.biggest.max(value("VmHWM:"));
        }
        self.together = self.together.max(together);
    }
}

/// A process and all that descend from it.
fn family(root: u32) -> HashSet<u32> {
    let mut parents: HashMap<u32, u32> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // `pid (name) state ppid ...`, where the name may hold anything.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (process, parent)));
    }
    let mut family = HashSet::from([root]);
    loop {
        let size = family.len();
        family.extend(
            parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(child, _)| *child).collect::<Vec<_>>(),
        );
        if family.len() == size {
            return family;
        }
    }
}
