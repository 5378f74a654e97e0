//! Notices a child that does nothing any more, or hears nothing any more, which its own `--timeout` does not end.
//!
//! rsync looks at its clock only while it waits for a session that has begun. Where a daemon takes the connection and then
//! never greets, since it or its network stopped at that moment, rsync waits for ever. So it does in `open` where a file that
//! it has listed has become a fifo, or the file system does not answer. And within a session, who has nothing to send but signs
//! of life takes those for a sign that all is well, so that it waits for ever for an answer where the other side stops then,
//! in both directions. (All seen with 3.5.0.)

use std::fs;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use crate::mirror::{Endpoint, Mirror};

/// How often it is looked within the limit.
const LOOKS: u32 = 4;
/// No more processes are looked at: those of a local copy are three.
const MOST_PROCESSES: usize = 16;

/// How long a child may go on without a sign of life.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Without doing anything at all.
    pub still: Duration,
    /// Without hearing anything, though it may say something now and then.
    pub unheard: Duration,
    /// The other side may say nothing for longer than that, as long as it is there.
    pub reader: Option<Reader>,
}

/// An endpoint that may be busy with the content of a large file.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Where its daemon listens, if it has one, and how long an answer may take.
    daemon: Option<(String, u16)>,
    wait: Duration,
}

/// No file takes longer to be read or copied: in a day a slow disk reads ten terabytes.
const LARGE_FILE: Duration = Duration::from_secs(24 * 3600);

impl Limits {
    /// Those of an rsync for a mirror. A daemon that is well says something at least every half of the `timeout`, but not while
    /// it reads the content of a file, or copies one, for a run that wants that.
    #[must_use]
    pub fn of(rsync: &Command, mirror: &Mirror) -> Limits {
        const READS: [&[u8]; 3] = [b"--checksum", b"--copy-dest=", b"--link-dest="];
        let has = |option: &[u8]| rsync.get_args().any(|argument| argument.as_bytes().starts_with(option));
        let daemon = match &mirror.endpoint {
            Endpoint::Daemon { host, .. } => Some((host.name.clone(), host.port)),
            Endpoint::Directory(_) => None,
        };
        let reader = READS.into_iter().any(has).then(|| Reader { daemon, wait: mirror.rsync.connect_timeout });
        let still = mirror.rsync.timeout * 2;
        Limits { still, unheard: still, reader }
    }
}

impl Reader {
    /// Whether it is there: its daemon greets.
    fn is_there(&self) -> bool {
        self.daemon.as_ref().is_none_or(|(name, port)| greeting(name, *port, self.wait).is_some())
    }
}

/// The time from the TCP handshake to the daemon's greeting: the last packet of the handshake travels there, the greeting
/// back. (The handshake itself may be with something in between.) Nothing when there is no answer.
pub(super) fn greeting(name: &str, port: u16, wait: Duration) -> Option<Duration> {
    let address = (name, port).to_socket_addrs().ok()?.next()?;
    let mut connection = TcpStream::connect_timeout(&address, wait).ok()?;
    connection.set_read_timeout(Some(wait)).ok()?;
    let begun = Instant::now();
    connection.read_exact(&mut [0]).ok()?;
    Some(begun.elapsed())
}

/// What there is to be seen of a child, and since when.
#[derive(Debug)]
struct Sign {
    seen: Option<Vec<String>>,
    /// Since when it is the same.
    same: Instant,
    /// When it was last said that it is.
    since: Instant,
}

impl Sign {
    fn new() -> Self {
        Sign { seen: None, same: Instant::now(), since: Instant::now() }
    }

    /// Whether it was the same for so long. Nothing is never the same.
    fn is_old(&mut self, seen: Option<Vec<String>>, limit: Duration) -> bool {
        if seen.is_none() || seen != self.seen {
            *self = Sign { seen, ..Sign::new() };
        }
        let old = self.since.elapsed() >= limit;
        if old {
            self.since = Instant::now();
        }
        old
    }
}

/// Reads a pipe of a child, and says when the child stands still in the meantime.
pub(super) struct Watched<R, F> {
    pipe: R,
    child: Pid,
    limits: Limits,
    did: Sign,
    heard: Sign,
    on_standstill: F,
}

impl<R: Read + AsFd, F: FnMut()> Watched<R, F> {
    /// The pipe of this child, which must not be reaped as long as this is in use.
    pub(super) fn new(pipe: R, child: Pid, limits: Limits, on_standstill: F) -> Self {
        Watched { pipe, child, limits, did: Sign::new(), heard: Sign::new(), on_standstill }
    }

    fn look(&mut self) {
        let pulse = pulse(self.child);
        let heard = pulse.as_ref().map(|pulse| pulse.heard.clone());
        let did = pulse.map(|pulse| [pulse.heard, pulse.said].concat());
        let still = self.did.is_old(did, self.limits.still);
        let unheard = self.heard.is_old(heard, self.limits.unheard);
        let reads = |reader: &Reader| self.heard.same.elapsed() < LARGE_FILE && reader.is_there();
        if still || unheard && !self.limits.reader.as_ref().is_some_and(reads) {
            (self.on_standstill)();
        }
    }
}

impl<R: Read + AsFd, F: FnMut()> Read for Watched<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let shorter = self.limits.still.min(self.limits.unheard);
        let Ok(wait) = Timespec::try_from(shorter / LOOKS) else { return self.pipe.read(buffer) };
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

/// What is different as soon as a process, or one that it has started, did anything. That it wakes now and then to go on
/// waiting does not count.
#[derive(Debug, Default)]
struct Pulse {
    /// The time that it has used, and what it has read, from its connection and from files.
    heard: Vec<String>,
    /// What it has written, to its connection as well.
    said: Vec<String>,
}

/// Nothing when the child has ended, somebody stopped it on purpose, or the kernel does not tell.
fn pulse(child: Pid) -> Option<Pulse> {
    let mut pulse = Pulse::default();
    let mut left = vec![child.as_raw_nonzero().to_string()];
    for seen in 0..MOST_PROCESSES {
        let Some(process) = left.pop() else { break };
        let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).ok();
        let (Some(stat), Some(io)) = (read("stat"), read("io")) else {
            // One that was started by the child may end at any time.
            if seen == 0 {
                return None;
            }
            continue;
        };
        // The name in brackets may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if seen == 0 && matches!(fields.first()?, &("T" | "t" | "Z" | "X")) {
            return None;
        }
        let line = |name: &str| io.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        pulse.heard.extend([fields.get(11..13)?.join(" "), line("rchar")]);
        pulse.said.push(line("wchar"));
        let started = read(&format!("task/{process}/children")).unwrap_or_default();
        left.extend(started.split_whitespace().map(str::to_owned));
    }
    Some(pulse)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use std::process::Stdio;

    #[test]
    fn a_daemon_is_there_when_it_greets() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let reader = |wait| Reader { daemon: Some(("127.0.0.1".to_owned(), port)), wait };
        // The connection is there, and nobody says anything.
        assert!(!reader(Duration::from_millis(50)).is_there());
        let greets = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let _ = io::Write::write_all(&mut stream.unwrap(), b"@RSYNCD: 32.0\n");
            }
        });
        assert!(reader(Duration::from_secs(20)).is_there());
        greets.join().unwrap();
        assert!(!reader(Duration::from_secs(20)).is_there());
        assert!(Reader { daemon: None, wait: Duration::ZERO }.is_there());
    }

    #[test]
    fn who_does_nothing_is_noticed_and_who_does_little_or_was_stopped_is_not() {
        // Who only writes hears nothing, and a child that reads is heard for.
        let writes = "import sys, time\nwhile True: print(file=open('/dev/null', 'w')); time.sleep(.2)";
        let reads = "import os, time\nparent = os.getpid()\npid = os.fork()\n\
                     while not pid and os.getppid() == parent: open('/dev/zero').read(1); time.sleep(.2)\n\
                     pid and os.wait()";
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(600));
        for (program, script, unheard, expected) in [
            ("sh", "exec sleep 60", long, true),
            ("python3", writes, long, false),
            ("python3", writes, short, true),
            ("python3", reads, short, false),
            ("sh", "kill -STOP $$; exec sleep 60", short, false),
        ] {
            let mut child = Command::new(program).args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
            let (pid, pipe) = (Pid::from_child(&child), child.stderr.take().unwrap());
            let noticed = Cell::new(false);
            let limits = Limits { still: short, unheard, reader: None };
            let mut watched = Watched::new(pipe, pid, limits, || noticed.set(true));
            // A program that is only beginning reads. Who is to be noticed is waited for, and the others have some time for it.
            let (begun, enough) = (Instant::now(), if expected { long } else { short * 3 });
            while !noticed.get() && begun.elapsed() < enough {
                std::thread::sleep(Duration::from_millis(100));
                watched.look();
            }
            drop(watched);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(noticed.get(), expected, "{script}");
        }
    }
}
