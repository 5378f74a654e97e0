//! The rsync processes: started in a session of their own, read to the end, and stopped together.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, setrlimit, waitid,
};

use super::standstill::Watched;
use super::unhurried::Unhurried;

/// A line longer than this is cut: names are at most 4096 bytes, each at most four bytes when escaped.
const LONGEST_LINE: u64 = 20_000;
/// What a pipe holds. A smaller buffer would take the pause between two reads of a busy pipe several times for the same
/// content, and hold up a run that prints much.
const PIPE: usize = 64 * 1024;
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

/// What ends a line of a child's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// A newline.
    Newline,
    /// A carriage return as well, with which rsync goes back to write the next progress over the last.
    Return,
}

/// How much of a child is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its time.
    pub time: Duration,
    /// The bytes of its stdout.
    pub bytes: u64,
}

/// How a child ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// The first lines that it wrote to stderr.
    pub errors: Vec<Vec<u8>>,
    /// How many lines more there were.
    pub errors_dropped: u64,
    /// It was killed because it did nothing any more.
    pub stood_still: bool,
}

/// How long a child may do nothing at all before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standstill {
    /// For ever.
    Allowed,
    /// For this long.
    Limited(Duration),
}

/// Why there is no [`Finished`].
#[derive(Debug)]
pub enum NotRun {
    /// [`Children::stop`] was called: no child is started any more.
    Closed,
    /// It took longer, or wrote more, than it may, and was ended.
    Limit,
    /// It could not be started or waited for.
    Io(io::Error),
}

impl Children {
    /// Runs `command`, which opens no files, to its end; each line of its stdout goes to `on_line`, without what ends it.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub fn run(&self, command: &mut Command, ends: Ends, on_line: impl FnMut(&[u8])) -> Result<Finished, NotRun> {
        self.run_bounded(command, ends, Standstill::Allowed, None, on_line)
    }

    /// The same for one that may stand still only for so long.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub fn run_watched(
        &self,
        command: &mut Command,
        ends: Ends,
        standstill: Standstill,
        on_line: impl FnMut(&[u8]),
    ) -> Result<Finished, NotRun> {
        self.run_bounded(command, ends, standstill, None, on_line)
    }

    /// The same, but it is ended when it takes longer than the limit, or writes more than it.
    ///
    /// # Errors
    /// See [`NotRun`].
    pub fn run_within(
        &self,
        command: &mut Command,
        ends: Ends,
        limit: Option<Limit>,
        on_line: impl FnMut(&[u8]),
    ) -> Result<Finished, NotRun> {
        self.run_bounded(command, ends, Standstill::Allowed, limit, on_line)
    }

    fn run_bounded(
        &self,
        command: &mut Command,
        ends: Ends,
        standstill: Standstill,
        limit: Option<Limit>,
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<Finished, NotRun> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        detach(command, Signal::KILL);
        leave_no_core(command);
        let mut child = self.start(command)?;
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut errors = Vec::new();
        let mut errors_dropped = 0;
        let mut stood_still = false;
        let limited = AtomicBool::new(false);
        // It is reaped only after its number has left the list, so that this hits no other process.
        let end = || {
            limited.store(true, Ordering::Relaxed);
            let _ = kill_process(pid, Signal::KILL);
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
                let keep = |line: &[u8]| {
                    if errors.len() < KEPT_ERRORS { errors.push(line.to_vec()) } else { errors_dropped += 1 }
                };
                let Standstill::Limited(limit) = standstill else { return each_line(stderr, Ends::Newline, keep) };
                let kill = || stood_still = kill_process(pid, Signal::KILL).is_ok();
                each_line(stderr.map(|pipe| Watched::new(pipe, pid, limit, kill)), Ends::Newline, keep)
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
        // The child is reaped only after it left the list: until then its number cannot go to another process, which
        // a signal would hit.
        let ended = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        self.lock().children.remove(&pid);
        let status = child.wait().map_err(NotRun::Io)?;
        if limited.load(Ordering::Relaxed) {
            return Err(NotRun::Limit);
        }
        read.map_err(NotRun::Io)?;
        ended.map_err(|e| NotRun::Io(e.into()))?;
        Ok(Finished { status, errors, errors_dropped, stood_still })
    }

    fn start(&self, command: &mut Command) -> Result<Child, NotRun> {
        // Started under the lock, so that none slips through while the others are being stopped.
        let mut running = self.lock();
        if running.closed {
            return Err(NotRun::Closed);
        }
        let child = command.spawn().map_err(NotRun::Io)?;
        running.children.insert(Pid::from_child(&child));
        Ok(child)
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

    /// Whether [`Children::stop`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the child a session of its own, so that it can neither ask for a password on the terminal nor get the
/// terminal's signals, and sends it `when_orphaned` when this process is killed, so that no orphan works on a mirror
/// beside the next run. Why rsync gets no kinder signal than SIGKILL: see [`Children::stop`].
#[allow(unsafe_code, reason = "pre_exec has no safe form")]
pub(crate) fn detach(command: &mut Command, when_orphaned: Signal) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(when_orphaned))?;
            // The parent may have ended before the line above took effect.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::CANCELED.raw_os_error()));
            }
            Ok(())
        });
    }
}

/// An rsync that crashes leaves no image of its memory behind: the password is in it, and where it is run, the tree that is
/// mirrored, it would be sent to every target.
#[allow(unsafe_code, reason = "pre_exec has no safe form")]
fn leave_no_core(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            let none = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
            setrlimit(Resource::Core, none).map_err(io::Error::from)
        });
    }
}

fn each_line(pipe: Option<impl Read>, ends: Ends, mut on_line: impl FnMut(&[u8])) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let is_end = |byte: &u8| *byte == b'\n' || (ends == Ends::Return && *byte == b'\r');
    let mut reader = BufReader::with_capacity(PIPE, pipe);
    let mut line = Vec::new();
    let mut inside_a_cut_line = false;
    loop {
        line.clear();
        if read_until(&mut Read::by_ref(&mut reader).take(LONGEST_LINE), is_end, &mut line)? == 0 {
            return Ok(());
        }
        let complete = line.last().is_some_and(is_end);
        if complete {
            line.pop();
        }
        if !inside_a_cut_line {
            on_line(&line);
        }
        inside_a_cut_line = !complete;
    }
}

/// [`BufRead::read_until`] for one of several bytes.
fn read_until(reader: &mut impl BufRead, is_end: impl Fn(&u8) -> bool, line: &mut Vec<u8>) -> io::Result<usize> {
    let before = line.len();
    loop {
        let available = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = available.iter().position(&is_end);
        let used = end.map_or(available.len(), |end| end + 1);
        line.extend_from_slice(&available[..used]);
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(line.len() - before);
        }
    }
}

/// `exited with 23` or `was killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_read_and_long_lines_are_cut() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 50000 /dev/zero | tr '\\0' x; echo; echo two; echo oops >&2; exit 3"]);
        let finished = Children::default().run(&mut command, Ends::Newline, |line| lines.push(line.to_vec())).unwrap();
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.errors, [b"oops".to_vec()]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].len() as u64, lines[1].as_slice()), (LONGEST_LINE, b"two".as_slice()));
    }

    #[test]
    fn no_image_of_its_memory_is_left_by_one_that_crashes() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -c"]);
        Children::default().run(&mut command, Ends::Newline, |line| lines.push(line.to_vec())).unwrap();
        assert_eq!(lines, [b"0".to_vec()]);
    }

    #[test]
    fn a_carriage_return_ends_a_line_only_where_it_is_asked_for() {
        let lines_by = |ends| {
            let mut lines = Vec::new();
            each_line(Some(&b"one\r 1%\r 2%\ntwo\n\nrest"[..]), ends, |line| {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            })
            .unwrap();
            lines
        };
        assert_eq!(lines_by(Ends::Newline), ["one\r 1%\r 2%", "two", "", "rest"]);
        assert_eq!(lines_by(Ends::Return), ["one", " 1%", " 2%", "two", "", "rest"]);
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
        let finished = children.run(&mut command, Ends::Newline, on_line).unwrap();
        assert_eq!(finished.status.signal(), Some(9));
        let nothing = |_: &[u8]| {};
        assert!(matches!(children.run(&mut Command::new("true"), Ends::Newline, nothing), Err(NotRun::Closed)));
    }
}
