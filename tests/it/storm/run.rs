//! A storm that is going on: the source, the daemon, the `watch` between them, and what is asked of them at quiet moments.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::ledger::{Counting, Ledger};
use super::workload::{self, Kind, Random};
use crate::full_sync::Place;
use crate::limits::assert_modest;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::proxy::Proxy;
use crate::support::sersync::{Output, Running, Sersync, config};
use crate::support::tree::Comparer;
use crate::support::{holds_within, is_root, process};

/// How long it may take until mirror and source are equal; the longest wait of the back-off is among it.
const CALM: Duration = Duration::from_secs(90);

/// What a storm is like.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) version: Version,
    pub(super) seed: u64,
    /// Put before the program: limits, namespaces.
    pub(super) inside: Vec<String>,
    /// The size of a file system of its own for the module, as `mount` takes it.
    pub(super) disk: Option<&'static str>,
    /// Something else is mounted at `mnt` in the source.
    pub(super) sub_mount: bool,
    /// Whether files change their owners.
    pub(super) owners: bool,
}

pub(super) struct Storm {
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) daemon: Rsyncd,
    pub(super) proxy: Proxy,
    pub(super) place: Place,
    pub(super) state: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) counting: Counting,
    /// What is not compared: it is not mirrored at the moment.
    pub(super) hidden: Option<PathBuf>,
    /// There is something that cannot be mirrored.
    pub(super) incomplete: bool,
    pub(super) operations: usize,
    pub(super) begun: Instant,
    inside: Vec<String>,
    sub_mount: bool,
    owners: bool,
    config: PathBuf,
    watch: Option<Running>,
    /// What was said by those that were killed.
    logs: String,
    /// What was done, and when.
    diary: String,
    mounted: Vec<PathBuf>,
}

impl Setup {
    /// Mounts the small disk of the target and the volume inside the source, where these are wanted. Returns where.
    fn mount(&self, daemon: &Rsyncd, place: &Place) -> Vec<PathBuf> {
        let mut mounted = Vec::new();
        if let Some(size) = &self.disk {
            mount(&["-t", "tmpfs", "-o", &format!("mode=755,size={size}"), "sersync-test"], &daemon.module_path());
            mounted.push(daemon.module_path());
        }
        if self.sub_mount {
            let (volume, point) = (place.dir.path().join("volume"), place.source().join("mnt"));
            fs::create_dir(&volume).unwrap();
            fs::create_dir(&point).unwrap();
            mount(&["-t", "tmpfs", "sersync-test"], &volume);
            mounted.push(volume.clone());
            mount(&["--bind", volume.to_str().unwrap()], &point);
            mounted.push(point);
        }
        mounted
    }
}

impl Storm {
    /// Starts everything; the mirror is equal when this returns.
    pub(super) fn start(setup: Setup) -> Storm {
        println!("seed {}", setup.seed);
        let daemon = Rsyncd::builder().version(setup.version).start();
        let place = Place::new();
        let mounted = setup.mount(&daemon, &place);
        fs::create_dir(place.dir.path().join("outside")).unwrap();
        let proxy = Proxy::start(daemon.port());
        // Every other storm is one with extended attributes.
        let xattrs = setup.seed.is_multiple_of(2) && has_xattrs(place.dir.path());
        let text = format!(
            "[rsync]\nuser = 'tester'\npassword-file = '{}'\ntimeout = '3s'\nconnect-timeout = '3s'\nxattrs = {xattrs}\n\
             [watch]\ndelay = '20ms'\nmax-delay = '200ms'\nmax-pending = 60\nrename-min-size = '0B'\n\
             [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n\
             [sources.name]\npath = '{}'\ntargets = ['t']\none-file-system = {}\n",
            daemon.password_file().display(),
            proxy.port(),
            place.source().display(),
            !setup.sub_mount,
        );
        let config = config(&place.dir, &text);
        let state = place.dir.path().join("state");
        fs::write(place.source().join("first"), "1").unwrap();
        // Where more happens than the kernel's queue holds, when that is wanted; it has to be watched by then.
        fs::create_dir(place.source().join("overflow")).unwrap();
        let ledger = Ledger::new(&place.source());
        let mut storm = Storm {
            seed: setup.seed,
            random: Random::new(setup.seed),
            daemon,
            proxy,
            place,
            state,
            ledger,
            counting: Counting::Exactly,
            hidden: None,
            incomplete: false,
            operations: 0,
            begun: Instant::now(),
            inside: setup.inside,
            sub_mount: setup.sub_mount,
            owners: setup.owners,
            config,
            watch: None,
            logs: String::new(),
            diary: String::new(),
            mounted,
        };
        let source = storm.place.source();
        storm.ledger.look(&[source.join("first")]);
        storm.start_watch();
        storm.quiet();
        // Equal is not yet remembered: whoever is killed in between begins without a memory.
        storm.watch().wait_for_log("caught up", CALM);
        storm
    }

    pub(super) fn start_watch(&mut self) {
        let program = env!("CARGO_BIN_EXE_sersync").to_owned();
        let mut words = self.inside.clone();
        words.extend([program, "watch".to_owned(), "-vvv".to_owned(), "-c".to_owned()]);
        self.watch = Some(Sersync::of(&words[0], &words[1..]).arg(&self.config).state_dir(&self.state).spawn());
    }

    pub(super) fn watch(&self) -> &Running {
        self.watch.as_ref().unwrap()
    }

    pub(super) fn kill_watch(&mut self) {
        let output = self.watch.take().unwrap().kill();
        self.logs += &output.stderr;
    }

    /// For whoever has to find out what went wrong.
    pub(super) fn note(&mut self, what: &dyn std::fmt::Debug) {
        writeln!(self.diary, "{} {what:?}", chrono::Local::now().format("%H:%M:%S%.3f")).unwrap();
    }

    /// Everything that was said until now.
    pub(super) fn log(&self) -> String {
        let said = self.watch.as_ref().map(Running::stderr_so_far).unwrap_or_default();
        format!("{}{said}", self.logs)
    }

    /// So many random changes.
    pub(super) fn churn(&mut self, changes: usize) {
        let (source, outside) = (self.place.source(), self.place.dir.path().join("outside"));
        for _ in 0..changes {
            // What is mounted in the source changes as well, as long as it is.
            let inner = self.sub_mount && self.hidden.is_none() && self.random.below(5) == 0;
            let root = if inner { source.join("mnt") } else { source.clone() };
            let change = workload::choose(&mut self.random, &root);
            if change.kind == Kind::ChangeOwner && !self.owners {
                continue;
            }
            self.note(&change);
            let touched = change.touched();
            change.make(&outside);
            self.ledger.look(&touched);
        }
        self.operations += changes;
    }

    /// The same while a pass over the same mirror runs.
    pub(super) fn churn_beside_a_pass(&mut self, changes: usize) {
        self.ledger.beside_a_pass(true);
        self.note(&"a pass begins");
        let pass = Sersync::new(&["full-sync", "--allow-empty", "--force-delete", "-vvv", "-c"])
            .arg(&self.config)
            .state_dir(&self.state)
            .spawn();
        self.churn(changes);
        let output = pass.wait(CALM);
        self.ledger.beside_a_pass(false);
        assert!(matches!(output.code, Some(0 | 3 | 11)), "seed {}\n{}", self.seed, self.tail_of(&output));
    }

    /// What `status` shows.
    pub(super) fn status(&self) -> String {
        Sersync::new(&["status", "--failing", "-c"]).arg(&self.config).state_dir(&self.state).run().stdout
    }

    fn differences(&self) -> Vec<String> {
        let hidden = |path: &Path| self.hidden.as_ref().is_some_and(|hidden| path.starts_with(hidden));
        let mirror = self.daemon.module_path().join("name");
        Comparer::new().ignore(hidden).diff(&self.place.source(), &mirror)
    }

    /// Waits until mirror and source are equal, and writes down what is there then. Returns how long that took.
    pub(super) fn quiet(&mut self) -> Duration {
        let begun = Instant::now();
        let same = holds_within(CALM, || self.differences().is_empty());
        assert!(
            same,
            "seed {}, after {} changes\n{}\nthe log ends with:\n{}",
            self.seed,
            self.operations,
            self.differences().join("\n"),
            self.last_lines(&self.log())
        );
        self.ledger.quiet();
        self.note(&"quiet");
        begun.elapsed()
    }

    /// When there is nothing to do, no process is left of all that was done, and at no time it took more memory than it may.
    pub(super) fn is_idle(&self) {
        let id = self.watch().id();
        let idle = holds_within(CALM, || process::children_of(id).is_empty() && self.daemon.sessions() == 0);
        let (children, sessions) = (process::children_of(id), self.daemon.sessions());
        assert!(
            idle,
            "seed {}: children {children:?} and {sessions} sessions\n{}",
            self.seed,
            self.last_lines(&self.log())
        );
        assert_modest(self.watch());
    }

    /// Ends the watch, and looks for every version that was ever on the mirror.
    pub(super) fn end(mut self) -> Ended {
        self.quiet();
        let output = self.watch.take().unwrap().terminate();
        // What cannot be mirrored is told by the exit status as well.
        let good = if self.incomplete { output.code == Some(3) } else { output.signal == Some(Signal::TERM.as_raw()) };
        assert!(good, "seed {}\n{}", self.seed, self.tail_of(&output));
        let log = format!("{}{}", self.logs, output.stderr);
        assert!(!log.contains("from the history"), "seed {}\n{}", self.seed, self.last_lines(&log));
        let wrong = self.ledger.wrong(&self.daemon.module_path(), self.counting, &log);
        let seen = self.ledger.seen();
        assert!(
            wrong.is_empty(),
            "seed {}: {} of {seen} versions are not kept as they should be:\n{}\n{}",
            self.seed,
            wrong.len(),
            wrong.join("\n"),
            self.last_lines(&log)
        );
        let placed = log.lines().filter(|line| line.contains("placed what was renamed")).count();
        println!("{} changes, {seen} versions, {placed} renames placed", self.operations);
        Ended { versions: seen, operations: self.operations, took: self.begun.elapsed() }
    }
}

impl Storm {
    fn tail_of(&self, output: &Output) -> String {
        format!("code {:?}, signal {:?}\n{}", output.code, output.signal, self.last_lines(&output.stderr))
    }

    /// Enough of a log to see what was done last to the paths that differ. All of it is in a file, and what was done in another.
    pub(super) fn last_lines(&self, log: &str) -> String {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storm-{}.log", self.seed));
        fs::write(&path, log).unwrap();
        fs::write(path.with_extension("changes"), &self.diary).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        format!("{}\nThe whole log: {}", lines[lines.len().saturating_sub(100)..].join("\n"), path.display())
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.watch = None;
        for mounted in self.mounted.iter().rev() {
            let _ = std::process::Command::new("umount").arg("-l").arg(mounted).status();
        }
    }
}

/// What a storm came to.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) versions: usize,
    pub(super) operations: usize,
    pub(super) took: Duration,
}

pub(super) fn mount(words: &[&str], on: &Path) {
    assert!(is_root(), "only root can mount");
    let status = std::process::Command::new("mount").args(words).arg(on).status().expect("mount");
    assert!(status.success(), "mount {words:?}: {status}");
}

fn has_xattrs(dir: &Path) -> bool {
    rustix::fs::setxattr(dir, "user.storm", b"", rustix::fs::XattrFlags::empty()).is_ok()
}
