//! What goes wrong during a storm, each fault alone in a test of its own, and mixed at random. After each the mirror becomes
//! equal by itself, no version is lost, no process is left over, and the log says what happened, but not again and again.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::ledger::Counting;
use super::run::{Storm, mount};
use crate::support::events::is_fanotify;
use crate::support::{SOON, holds_within, let_pass, process};
use crate::watch::LATER;

macro_rules! faults {
    ($($fault:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Fault {
            $($fault,)*
        }

        use Fault::{$($fault),*};

        pub(super) const ALL: [Fault; [$($fault),*].len()] = [$($fault),*];
    };
}

// Those that can be mixed, in the order in which they are healed when several are there.
faults! {
    DaemonKilled,
    DaemonStopped,
    ConnectionsReset,
    NetworkSwallowsAll,
    NoConnectionFree,
    OtherPassword,
    ModuleReadOnly,
    ModuleMissing,
    ModuleUnreadable,
    DiskFull,
    MountGone,
    QueueOverflows,
    WatchKilled,
    WatchStopped,
    RsyncKilled,
    ClockSetBack,
}

/// What is there as long as the fault is.
pub(super) struct Struck {
    pub(super) fault: Fault,
    /// How much of the log was there before.
    log: usize,
    /// The connection that takes the place of all others.
    _connection: Option<TcpStream>,
}

impl Fault {
    /// How it is called in the table of results.
    pub(super) fn name(self) -> &'static str {
        match self {
            DaemonKilled => "daemon killed, started again later",
            DaemonStopped => "daemon stopped (SIGSTOP) for longer than `timeout`",
            ConnectionsReset => "TCP connections reset",
            NetworkSwallowsAll => "network swallows everything for longer than `timeout`",
            NoConnectionFree => "daemon at `max connections`",
            OtherPassword => "password changed and changed back",
            ModuleReadOnly => "module read-only for a while",
            ModuleMissing => "module's directory missing for a while",
            ModuleUnreadable => "module's directory unreadable for a while",
            DiskFull => "disk full on the target, then freed",
            MountGone => "file system in the source unmounted and mounted again",
            QueueOverflows => "the kernel's event queue overflows",
            WatchKilled => "`watch` killed (SIGKILL) and started again",
            WatchStopped => "`watch` stopped (SIGSTOP) and continued",
            RsyncKilled => "rsync child killed (SIGKILL)",
            ClockSetBack => "clock set back while `watch` is down",
        }
    }

    /// Any of these is said, where anything is.
    fn said(self) -> &'static [&'static str] {
        match self {
            DaemonKilled => &["the daemon cannot be reached", "the connection was lost"],
            DaemonStopped | NetworkSwallowsAll => &["the connection stalled", "did not answer", "nothing came or went"],
            ConnectionsReset => &["the connection was lost", "the daemon cannot be reached"],
            NoConnectionFree => &["the daemon is busy"],
            OtherPassword => &["the daemon refused the user or the password"],
            ModuleReadOnly => &["the module is read only"],
            ModuleMissing => &["the module's directory is missing"],
            ModuleUnreadable => &["Permission denied"],
            DiskFull => &["No space left", "no space is left"],
            MountGone => &["its mirror stays"],
            QueueOverflows => &["faster than they were read"],
            WatchKilled => &["the run before was cut off"],
            WatchStopped => &[],
            RsyncKilled => &["rsync was killed by signal"],
            ClockSetBack => &["the clock was set back"],
        }
    }

    /// Whether it is the watch itself that does not work as long as it is there.
    pub(super) fn is_of_the_watch(self) -> bool {
        matches!(self, WatchKilled | WatchStopped | ClockSetBack | QueueOverflows)
    }

    /// Whether it can happen together with these.
    pub(super) fn goes_with(self, others: &[Struck]) -> bool {
        let is_of = |class: fn(Fault) -> bool| others.iter().any(|other| class(other.fault));
        let of_the_watch: fn(Fault) -> bool = |fault| fault.is_of_the_watch() || fault == RsyncKilled;
        let of_the_target: fn(Fault) -> bool =
            |fault| !(fault.is_of_the_watch() || fault == RsyncKilled || fault == MountGone);
        // Two on the same side would hide each other from the log. And the mount goes at a quiet moment.
        let hides = of_the_watch(self) && is_of(of_the_watch) || of_the_target(self) && is_of(of_the_target);
        // No rsync can be met that ends in the moment in which it begins, and is tried again only after a while.
        let ends_it_at_once =
            |fault| matches!(fault, DaemonKilled | OtherPassword | ModuleReadOnly | ModuleMissing | ModuleUnreadable);
        let others_end_it = others.iter().any(|other| ends_it_at_once(other.fault));
        let is_killed = others.iter().any(|other| other.fault == RsyncKilled);
        let cannot_be_met = self == RsyncKilled && others_end_it || ends_it_at_once(self) && is_killed;
        !hides && !cannot_be_met && (self != MountGone || others.is_empty())
    }

    /// Lets it begin, and waits until it is felt.
    pub(super) fn strike(self, storm: &mut Storm) -> Struck {
        let log = storm.log().len();
        storm.note(&self);
        let mut connection = None;
        match self {
            DaemonKilled => {
                storm.counting = Counting::AtLeast;
                storm.daemon.kill();
            }
            DaemonStopped => storm.daemon.signal(Signal::STOP),
            ConnectionsReset | RsyncKilled => {}
            NetworkSwallowsAll => storm.proxy.swallow(true),
            NoConnectionFree => {
                storm.daemon.reconfigure("list = yes\n", "list = yes\nmax connections = 1\n");
                connection = Some(occupy(storm));
            }
            OtherPassword => storm.daemon.ask_for("another one"),
            ModuleReadOnly => storm.daemon.reconfigure("read only = false", "read only = true"),
            ModuleMissing => storm.daemon.reconfigure("/mod\nlock", "/missing\nlock"),
            ModuleUnreadable => {
                crate::support::fixture::mode(&storm.daemon.module_path(), 0o700);
                storm.daemon.reconfigure("uid = 0\ngid = 0\n", "uid = 65534\ngid = 65534\n");
            }
            DiskFull => fill(&storm.daemon.module_path().join("ballast")),
            MountGone => {
                let point = storm.place.source().join("mnt");
                // Nothing is on its way from there, and what is written there from now on is not seen.
                storm.quiet();
                // By force: a batch that is just looking there finds nothing any more, and what the mirror has goes to the
                // history until the mount is back.
                storm.counting = Counting::AtLeast;
                unmount(&point);
                storm.hidden = Some("mnt".into());
            }
            QueueOverflows => {
                storm.watch().signal(Signal::STOP);
                overflow(&storm.place.source().join("overflow"));
            }
            WatchStopped => storm.watch().signal(Signal::STOP),
            WatchKilled => storm.kill_watch(),
            ClockSetBack => {
                storm.kill_watch();
                set_stamp_to_tomorrow(storm);
            }
        }
        Struck { fault: self, log, _connection: connection }
    }
}

impl Struck {
    /// Waits until it is felt: until it is said in the log, where it is said at once.
    pub(super) fn is_felt(&self, storm: &mut Storm) {
        let fault = self.fault;
        match fault {
            ConnectionsReset | RsyncKilled => {
                // There is not always something to be hit.
                let hit = holds_within(LATER, || {
                    storm.churn(20);
                    holds_within(Duration::from_millis(300), || {
                        if fault == RsyncKilled {
                            let id = storm.watch().id();
                            return process::children_of(id)
                                .into_iter()
                                .any(|child| process::kill_grandchild(id, child));
                        }
                        storm.proxy.reset();
                        self.is_said(storm)
                    }) && holds_within(SOON, || self.is_said(storm))
                });
                assert!(hit, "{fault:?} was not said, seed {}\n{}", storm.seed, storm.last_lines(&storm.log()));
            }
            WatchKilled | WatchStopped | QueueOverflows | ClockSetBack => {}
            _ => {
                let said = holds_within(LATER, || {
                    // What fails is tried again only when there is something to do.
                    storm.churn(1);
                    self.is_said(storm)
                });
                assert!(said, "{fault:?} was not said, seed {}\n{}", storm.seed, storm.last_lines(&storm.log()));
            }
        }
    }

    fn is_said(&self, storm: &Storm) -> bool {
        let log = storm.log();
        self.fault.said().iter().any(|said| log[self.log..].contains(said))
    }

    /// Lets it end.
    pub(super) fn heal(&self, storm: &mut Storm) {
        storm.note(&("the end of", self.fault));
        match self.fault {
            DaemonKilled => storm.daemon.start(),
            DaemonStopped => storm.daemon.signal(Signal::CONT),
            NetworkSwallowsAll => storm.proxy.swallow(false),
            NoConnectionFree => storm.daemon.reconfigure("max connections = 1\n", ""),
            OtherPassword => storm.daemon.ask_for("open sesame"),
            ModuleReadOnly => storm.daemon.reconfigure("read only = true", "read only = false"),
            ModuleMissing => storm.daemon.reconfigure("/missing\nlock", "/mod\nlock"),
            ModuleUnreadable => {
                storm.daemon.reconfigure("uid = 65534\ngid = 65534\n", "uid = 0\ngid = 0\n");
                crate::support::fixture::mode(&storm.daemon.module_path(), 0o755);
            }
            DiskFull => fs::remove_file(storm.daemon.module_path().join("ballast")).unwrap(),
            MountGone => {
                let volume = storm.place.dir.path().join("volume");
                fs::write(volume.join("written while it was not mounted"), storm.operations.to_string()).unwrap();
                mount(&["--bind", volume.to_str().unwrap()], &storm.place.source().join("mnt"));
                storm.hidden = None;
            }
            QueueOverflows | WatchStopped => storm.watch().signal(Signal::CONT),
            WatchKilled | ClockSetBack => storm.start_watch(),
            ConnectionsReset | RsyncKilled => {}
        }
    }

    /// When all is well again: it was said, and not again and again.
    pub(super) fn was_said(&self, storm: &Storm) {
        let said = self.fault.said();
        let heard = said.is_empty() || holds_within(SOON, || self.is_said(storm));
        assert!(
            heard,
            "{:?}: none of {said:?} was said, seed {}\n{}",
            self.fault,
            storm.seed,
            storm.last_lines(&storm.log())
        );
        let log = storm.log();
        let loud = |line: &&str| {
            (line.contains("error: ") || line.contains("warning: ")) && said.iter().any(|it| line.contains(it))
        };
        let times = log[self.log..].lines().filter(loud).count();
        assert!(times <= MOST_TOLD, "{:?} was said {times} times, seed {}", self.fault, storm.seed);
    }
}

/// Paths that fail are named, up to twenty at a time and each once; all else is said once, and once more after each success.
const MOST_TOLD: usize = 100;

/// Takes the only connection of the module: it is counted before the password is asked for.
fn occupy(storm: &Storm) -> TcpStream {
    let mut last = String::new();
    for _ in 0..2000 {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, storm.daemon.port())).unwrap();
        connection.set_read_timeout(Some(SOON)).unwrap();
        connection.write_all(b"@RSYNCD: 31.0 md5 md4\nmod\n").unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"AUTHREQD") && connection.read(&mut byte).is_ok_and(|size| size == 1) {
            said.push(byte[0]);
        }
        if said.ends_with(b"AUTHREQD") {
            return connection;
        }
        last = String::from_utf8_lossy(&said).into_owned();
        let_pass(Duration::from_millis(5));
    }
    panic!("the daemon does not take the connection: {last}");
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let portion = vec![0; 1 << 20];
    while file.write_all(&portion).is_ok() {}
    while file.write_all(&portion[..512]).is_ok() {}
}

fn unmount(point: &Path) {
    let status = std::process::Command::new("umount").arg("-l").arg(point).status().unwrap();
    assert!(status.success());
}

/// More than the kernel's queue holds. No two events are of the same name: those would count as one.
fn overflow(dir: &Path) {
    let kind = if is_fanotify() { "fanotify" } else { "inotify" };
    let limit = fs::read_to_string(format!("/proc/sys/fs/{kind}/max_queued_events")).unwrap();
    for number in 0..limit.trim().parse::<usize>().unwrap() + 100 {
        let file = dir.join(number.to_string());
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }
}

/// A clock that is a day behind where it was when the stamp was made.
fn set_stamp_to_tomorrow(storm: &Storm) {
    let records = fs::read_dir(storm.state.join("mirrors")).unwrap().flatten().map(|entry| entry.path());
    for path in records.filter(|path| path.extension().is_some_and(|it| it == "json")) {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let time = record["stamp"]["time"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        record["stamp"]["time"] = (time + chrono::TimeDelta::days(1)).to_rfc3339().into();
        fs::write(&path, record.to_string()).unwrap();
    }
}
