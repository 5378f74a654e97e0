//! The rsync processes: started in a session of their own, read to the end, and stopped together.

mod apart;
mod end;
mod lines;

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use log::info;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

pub(crate) use self::apart::detach;
use self::apart::leave_no_core;
pub use self::end::{EndedBy, Finished, Limit, NotRun, describe};
pub use self::lines::Ends;
use self::lines::each_line;
pub use super::standstill::Limits;
use super::standstill::Watched;
use super::unhurried::Unhurried;
use crate::backoff::SETTLE;
use crate::mirror::Mirror;
use crate::mutex::lock;

/// Lines of stderr that are kept; a tree full of unreadable files must not fill the memory.
const KEPT_ERRORS: usize = 2_000;

/// All children of this process that are running, so that they can be stopped from another thread.
#[derive(Debug, Default)]
pub struct Children {
    running: Mutex<Running>,
    closing: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    children: HashSet<Pid>,
    closed: bool,
}

impl Children {
    /// Runs `command`, which opens no files, to its end, or until it stands still for too long; each line of its stdout goes
    /// to `on_line`, without what ends it.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub fn run(
        &self,
        command: &mut Command,
        ends: Ends,
        standstill: Limits,
        on_line: impl FnMut(&[u8]),
    ) -> Result<Finished, NotRun> {
        self.run_within(command, ends, standstill, None, on_line)
    }

    /// The same, but it is ended when it takes longer than the limit, or writes more than it.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub fn run_within(
        &self,
        command: &mut Command,
        ends: Ends,
        standstill: Limits,
        limit: Option<Limit>,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<Finished, NotRun> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        detach(command, Signal::KILL);
        leave_no_core(command);
        let mut child = self.start(command)?;
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut errors = Errors::default();
        let mut stood_still = false;
        let limited = AtomicBool::new(false);
        // With what it has started, which may hold its pipes. It is reaped only after its number has left the list, so that this
        // hits no other process.
        let end = || {
            limited.store(true, Ordering::Relaxed);
            let _ = kill_process_group(pid, Signal::KILL);
        };
        let read = thread::scope(|scope| {
            let (over, is_over) = mpsc::channel::<()>();
            if let Some(limit) = limit {
                scope.spawn(move || {
                    if is_over.recv_timeout(limit.time) == Err(mpsc::RecvTimeoutError::Timeout) {
                        end();
                    }
                });
            }
            let reader = scope.spawn(|| {
                let kill = || stood_still = kill_process(pid, Signal::KILL).is_ok();
                let pipe = stderr.map(|pipe| Watched::new(pipe, pid, standstill, kill));
                each_line(pipe, Ends::Newline, |line| errors.add(line))
            });
            let mut bytes = 0;
            let read = each_line(stdout.map(Unhurried::new), ends, |line| {
                bytes += line.len() as u64 + 1;
                if limit.is_some_and(|limit| bytes > limit.bytes) { end() } else { on_line(line) }
            });
            let errors = reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader of stderr panicked")));
            drop(over);
            read.and(errors)
        });
        let status = self.reap(&mut child);
        if let Some(limit) = limit.filter(|_| limited.load(Ordering::Relaxed)) {
            return Err(NotRun::Limit(limit));
        }
        read.map_err(NotRun::Read)?;
        let status = status.map_err(NotRun::Read)?;
        let by = match stood_still {
            _ if self.is_closed() && !status.success() => EndedBy::Stop,
            true => EndedBy::Standstill,
            false => EndedBy::Itself,
        };
        Ok(Finished { status, errors: errors.kept, errors_dropped: errors.dropped, by })
    }

    fn start(&self, command: &mut Command) -> Result<Child, NotRun> {
        // Started under the lock, so that none slips through while the others are being stopped.
        let mut running = self.lock();
        if running.closed {
            return Err(NotRun::Closed);
        }
        let child = command.spawn().map_err(NotRun::Start)?;
        running.children.insert(Pid::from_child(&child));
        Ok(child)
    }

    /// The child is reaped only after it left the list: until then its number cannot go to another process, which a signal
    /// would hit.
    fn reap(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        let ended = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        self.lock().children.remove(&pid);
        let status = child.wait()?;
        ended?;
        Ok(status)
    }

    /// Ends every running child at once, lets no further one start, and ends every [pause](Children::pause).
    ///
    /// By SIGKILL, and only the process that was started: on SIGTERM rsync's client sends what an interrupted write was
    /// about a second time, and since file numbers are relative, the daemon files that content under other names, with
    /// their sizes and times, where no comparison finds it (seen with 3.5.0 and 3.2.7). Killed, it just falls silent; the
    /// receiver, which is what has temporary files, sees that and cleans up, also when it is a local process.
    pub fn stop(&self) {
        let mut running = self.lock();
        running.closed = true;
        for child in &running.children {
            // One that ended in the meantime needs no signal.
            let _ = kill_process(*child, Signal::KILL);
        }
        drop(running);
        self.closing.notify_all();
    }

    /// Waits before the next attempt, but not longer than until no child may be started any more.
    pub fn pause(&self, time: Duration) {
        let running = self.lock();
        let waited = self.closing.wait_timeout_while(running, time, |running| !running.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Leaves the endpoint of a mirror alone for a moment, since `who` was cut off: see [`SETTLE`].
    pub fn let_settle(&self, mirror: &Mirror, who: &str) {
        info!(mirror:%; "{mirror}: {who} was cut off; giving the daemon time to end its session");
        self.pause(SETTLE);
    }

    /// Whether [`Children::stop`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        lock(&self.running)
    }
}

/// What a child wrote to stderr, as far as it is kept.
#[derive(Default)]
struct Errors {
    kept: Vec<Vec<u8>>,
    dropped: u64,
}

impl Errors {
    fn add(&mut self, line: &[u8]) {
        if self.kept.len() < KEPT_ERRORS { self.kept.push(line.to_vec()) } else { self.dropped += 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::lines::LONGEST_LINE;
    use super::*;

    const CALM: Limits = Limits { still: Duration::from_secs(600), unheard: Duration::from_secs(600), reader: None };

    #[test]
    fn both_streams_are_read_and_long_lines_are_cut() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 50000 /dev/zero | tr '\\0' x; echo; echo two; echo oops >&2; exit 3"]);
        let finished =
            Children::default().run(&mut command, Ends::Newline, CALM, |line| lines.push(line.to_vec())).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.errors, [b"oops".to_vec()]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].len() as u64, lines[1].as_slice()), (LONGEST_LINE, b"two".as_slice()));
    }

    #[test]
    fn who_reaches_a_limit_is_ended_with_what_it_has_started() {
        let limit = Limit { time: Duration::from_millis(200), bytes: 1000 };
        for script in ["sleep 1000; true", "yes; true"] {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let ended = Children::default().run_within(&mut command, Ends::Newline, CALM, Some(limit), |_| {});
            assert!(matches!(ended, Err(NotRun::Limit(reached)) if reached == limit), "{script}: {ended:?}");
        }
    }

    #[test]
    fn no_image_of_its_memory_is_left_by_one_that_crashes() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -c"]);
        Children::default().run(&mut command, Ends::Newline, CALM, |line| lines.push(line.to_vec())).unwrap();
        assert_eq!(lines, [b"0".to_vec()]);
    }

    #[test]
    fn who_succeeds_although_all_are_being_stopped_was_not_stopped() {
        for (script, expected) in [("echo; exit 0", EndedBy::Itself), ("echo; exit 23", EndedBy::Stop)] {
            let children = Children::default();
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let finished = children.run(&mut command, Ends::Newline, CALM, |_| children.lock().closed = true).unwrap();
            assert_eq!(finished.by, expected, "{script}");
        }
    }

    #[test]
    fn stopping_ends_the_child_and_lets_no_other_start() {
        let children = Children::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; exec sleep 1000"]);
        // Stopped from another thread, as in real life.
        let on_line = |_: &[u8]| {
            thread::scope(|scope| {
                scope.spawn(|| children.stop());
            });
        };
        let finished = children.run(&mut command, Ends::Newline, CALM, on_line).unwrap();
        assert_eq!((finished.status.signal(), finished.by), (Some(9), EndedBy::Stop));
        let nothing = |_: &[u8]| {};
        assert!(matches!(children.run(&mut Command::new("true"), Ends::Newline, CALM, nothing), Err(NotRun::Closed)));
    }
}
