//! Notices a child that does nothing at all any more, which its own `--timeout` does not end.
//!
//! rsync looks at its clock only while it waits for a session that has begun. Where a daemon takes the connection and then
//! never greets, since it or its network stopped at that moment, rsync waits for ever. So it does in `open` where a file that
//! it has listed has become a fifo, or the file system does not answer. (Seen with 3.5.0.)

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

/// How often it is looked within the limit.
const LOOKS: u32 = 4;

/// Reads a pipe of a child, and says when the child stands still in the meantime.
pub(super) struct Watched<R, F> {
    pipe: R,
    child: Pid,
    /// How long it may do nothing.
    limit: Duration,
    pulse: Option<String>,
    since: Instant,
    on_standstill: F,
}

impl<R: Read + AsFd, F: FnMut()> Watched<R, F> {
    /// The pipe of this child, which must not be reaped as long as this is in use.
    pub(super) fn new(pipe: R, child: Pid, limit: Duration, on_standstill: F) -> Self {
        Watched { pipe, child, limit, pulse: None, since: Instant::now(), on_standstill }
    }

    fn look(&mut self) {
        let pulse = pulse(self.child);
        if pulse.is_none() || pulse != self.pulse {
            self.pulse = pulse;
            self.since = Instant::now();
        } else if self.since.elapsed() >= self.limit {
            self.since = Instant::now();
            (self.on_standstill)();
        }
    }
}

impl<R: Read + AsFd, F: FnMut()> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(wait) = Timespec::try_from(self.limit / LOOKS) else { return self.pipe.read(buffer) };
        loop {
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&wait)) {
                Ok(0) => self.look(),
                Ok(_) => return self.pipe.read(buffer),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// What is different as soon as a process did anything: the time that it has used, and what it has read and written, its
/// connection included. That it wakes now and then to go on waiting does not count. Nothing when it has ended, somebody stopped
/// it on purpose, or the kernel does not tell.
fn pulse(child: Pid) -> Option<String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.as_raw_nonzero())).ok();
    let (stat, io) = (read("stat")?, read("io")?);
    // The name in brackets may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first()?, &("T" | "t" | "Z" | "X")) {
        return None;
    }
    let used = fields.get(11..13)?.join(" ");
    let moved: Vec<&str> = io.lines().filter(|line| line.starts_with("rchar") || line.starts_with("wchar")).collect();
    Some(format!("{used} {}", moved.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn who_does_nothing_is_noticed_and_who_does_little_or_was_stopped_is_not() {
        for (script, expected) in [
            ("exec sleep 60", true),
            ("while :; do echo >/dev/null; sleep 0.05; done", false),
            ("kill -STOP $$; exec sleep 60", false),
        ] {
            let mut child = Command::new("sh").args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
            let (pid, pipe) = (Pid::from_child(&child), child.stderr.take().unwrap());
            let mut noticed = false;
            let mut watched = Watched::new(pipe, pid, Duration::from_millis(400), || noticed = true);
            // Each look finds what is the same, or not.
            for _ in 0..8 {
                std::thread::sleep(Duration::from_millis(100));
                watched.look();
            }
            drop(watched);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(noticed, expected, "{script}");
        }
    }
}
