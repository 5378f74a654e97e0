//! Programs that watch a tree: how they are started, when they are ready, and what they cost.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::check_interrupted;

/// A watcher that is running. It ends with this value.
pub(crate) struct Watcher {
    child: Child,
    log: PathBuf,
    begun: Instant,
}

impl Watcher {
    /// Starts it; what it says goes to a file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Watcher {
        let output = File::create(&log).expect("a log");
        let errors = output.try_clone().expect("a second descriptor");
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let begun = Instant::now();
        Watcher { child: command.spawn().expect("a watcher"), log, begun }
    }

    /// Waits until it has said these words so many times; how long that took from its start. Nothing when it takes too long or
    /// it ends.
    pub(crate) fn says(&mut self, words: &str, times: usize, limit: Duration) -> Option<Duration> {
        loop {
            check_interrupted();
            if fs::read_to_string(&self.log).unwrap_or_default().matches(words).count() >= times {
                return Some(self.begun.elapsed());
            }
            let ended = self.child.try_wait().expect("wait for a watcher").is_some();
            if ended || self.begun.elapsed() > limit {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its memory at its highest, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.process("status")).unwrap_or_default();
        field(&status, "VmHWM:")
    }

    /// How often its threads were woken until now.
    pub(crate) fn wake_ups(&self) -> u64 {
        let threads = fs::read_dir(self.process("task")).into_iter().flatten().flatten();
        let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        threads.map(|thread| field(&status(thread), "voluntary_ctxt_switches:")).sum()
    }

    /// The processor time that it has used until now, in ticks of 10 ms.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(self.process("stat")).unwrap_or_default();
        // `pid (name) state ...`, where the name may hold anything; utime and stime are fields 14 and 15.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().skip(11).take(2).filter_map(|number| number.parse::<u64>().ok()).sum()
    }

    fn process(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // What it started goes with it; nobody is left to be told of an error.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
