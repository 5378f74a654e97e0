//! A private, real rsync daemon on a free loopback port, with its own modules, secrets and log. It ends with its value.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{SOON, holds_within, is_root, process, skip, wait_for};

/// What rsync says when it cannot bind its socket (`RERR_SOCKETIO`).
const EXIT_SOCKET: i32 = 10;

/// Which rsync serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one in the `PATH`.
    Installed,
    /// 3.2.7-1+deb12u6, whose receiver cannot do `--delete-missing-args`. See `tests/fetch-debian12-rsync.sh`.
    Debian12,
}

impl Version {
    /// For tests that hold for every daemon.
    pub(crate) const ALL: [Version; 2] = [Version::Installed, Version::Debian12];

    /// Whether this version is at hand. When it is not, the calling test is reported as skipped and has to return.
    pub(crate) fn is_here(self) -> bool {
        let runs = Command::new(self.binary()).arg("--version").output().is_ok_and(|output| output.status.success());
        if !runs {
            skip(&format!(
                "{} does not run; tests/fetch-debian12-rsync.sh fetches the old one",
                self.binary().display()
            ));
        }
        runs
    }

    /// The program.
    pub(crate) fn binary(self) -> PathBuf {
        match self {
            Version::Installed => PathBuf::from("rsync"),
            Version::Debian12 => std::env::var_os("SERSYNC_TEST_RSYNC_OLD").map_or_else(
                || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian12-rsync/usr/bin/rsync"),
                PathBuf::from,
            ),
        }
    }
}

/// What a daemon will be like. Every line that rsyncd.conf knows can be had by `extra` and `global`.
#[derive(Debug)]
pub(crate) struct Builder {
    version: Version,
    modules: Vec<String>,
    chroot: bool,
    auth: Option<(String, String)>,
    read_only: bool,
    max_connections: Option<u32>,
    nodelay: bool,
    extra: Vec<String>,
    global: Vec<String>,
}

impl Builder {
    /// Which rsync serves; the installed one when this is not called.
    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// One more module beside `mod`, with the same settings and a directory of its own.
    pub(crate) fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Whether the daemon changes its root. By default it does when it may, because only then symbolic links are
    /// stored as they are: without it the leading `/` of an absolute target is cut off (or, with munging, prefixed).
    pub(crate) fn chroot(mut self, chroot: bool) -> Self {
        self.chroot = chroot;
        self
    }

    /// The only user, in place of the default one. The password file for clients follows.
    pub(crate) fn auth(mut self, user: &str, password: &str) -> Self {
        self.auth = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// No user and no password.
    pub(crate) fn anonymous(mut self) -> Self {
        self.auth = None;
        self
    }

    /// Whether clients may only read.
    pub(crate) fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How many clients each module serves at the same time.
    pub(crate) fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// Whether small packets are sent without delay, as a daemon that serves many small jobs should.
    pub(crate) fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// A further line for every module. It comes last, so it overrides what the other options wrote.
    pub(crate) fn extra(mut self, line: &str) -> Self {
        self.extra.push(line.to_owned());
        self
    }

    /// A further line for the global part. It comes last there.
    pub(crate) fn global(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// Starts the daemon and returns when it serves.
    pub(crate) fn start(self) -> Rsyncd {
        let dir = tempfile::Builder::new().prefix("rsyncd-").tempdir().expect("a temp dir");
        let (user, password) = self.auth.clone().unwrap_or_default();
        write_private(&dir.path().join("secrets"), &format!("{user}:{password}\n"));
        write_private(&dir.path().join("password"), &format!("{password}\n"));
        for module in &self.modules {
            fs::create_dir(dir.path().join(module)).expect("a module directory");
        }
        let user = self.auth.is_some().then_some(user);
        let config = dir.path().join("rsyncd.conf");
        let mut daemon = Rsyncd { dir, config, binary: self.version.binary(), user, port: 0, child: None };
        wait_for("a port for the daemon", SOON, || {
            daemon.port = free_port();
            fs::write(daemon.config(), self.rsyncd_conf(daemon.dir.path(), daemon.port)).expect("rsyncd.conf");
            daemon.try_start()
        });
        daemon
    }

    fn rsyncd_conf(&self, dir: &Path, port: u16) -> String {
        let dir = dir.display();
        let mut conf = format!("address = 127.0.0.1\nport = {port}\nlog file = {dir}/log\nreverse lookup = no\n");
        if self.nodelay {
            conf += "socket options = TCP_NODELAY\n";
        }
        conf += &lines(&self.global);
        for module in &self.modules {
            write!(conf, "[{module}]\npath = {dir}/{module}\nlock file = {dir}/{module}.lock\n").unwrap();
            writeln!(conf, "use chroot = {}\nread only = {}", self.chroot, self.read_only).unwrap();
            // Without chroot a daemon that may not munge links takes the leading slash from absolute ones.
            writeln!(conf, "munge symlinks = {}", !self.chroot).unwrap();
            conf += "numeric ids = yes\nlist = yes\n";
            if is_root() {
                conf += "uid = 0\ngid = 0\n";
            }
            if let Some((user, _)) = &self.auth {
                writeln!(conf, "auth users = {user}\nsecrets file = {dir}/secrets").unwrap();
            }
            if let Some(connections) = self.max_connections {
                writeln!(conf, "max connections = {connections}").unwrap();
            }
            conf += &lines(&self.extra);
        }
        conf
    }
}

/// A daemon that can be stopped, killed and started again at the same address.
#[derive(Debug)]
pub(crate) struct Rsyncd {
    dir: TempDir,
    config: PathBuf,
    binary: PathBuf,
    user: Option<String>,
    port: u16,
    child: Option<Child>,
}

impl Rsyncd {
    /// A writable module `mod` for one user, with `TCP_NODELAY`, by the installed rsync.
    pub(crate) fn builder() -> Builder {
        Builder {
            version: Version::Installed,
            modules: vec!["mod".to_owned()],
            chroot: is_root(),
            auth: Some(("tester".to_owned(), "open sesame".to_owned())),
            read_only: false,
            max_connections: None,
            nodelay: true,
            extra: Vec::new(),
            global: Vec::new(),
        }
    }

    /// A daemon with a configuration that comes from somewhere else: `write` makes the file for a port on 127.0.0.1.
    pub(crate) fn prepared(version: Version, config: PathBuf, mut write: impl FnMut(u16)) -> Rsyncd {
        let dir = tempfile::Builder::new().prefix("rsyncd-").tempdir().expect("a temp dir");
        let mut daemon = Rsyncd { dir, config, binary: version.binary(), user: None, port: 0, child: None };
        wait_for("a port for the daemon", SOON, || {
            daemon.port = free_port();
            write(daemon.port);
            daemon.try_start()
        });
        daemon
    }

    /// The port on 127.0.0.1. It stays the same over `stop` and `start`.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the module `mod`.
    pub(crate) fn module_path(&self) -> PathBuf {
        self.path_of("mod")
    }

    /// The directory of any module.
    pub(crate) fn path_of(&self, module: &str) -> PathBuf {
        self.dir.path().join(module)
    }

    /// Where `name` in the module `mod` is for a client.
    pub(crate) fn url(&self, name: &str) -> String {
        self.url_in("mod", name)
    }

    /// Where `name` in any module is for a client.
    pub(crate) fn url_in(&self, module: &str, name: &str) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("rsync://{user}127.0.0.1:{}/{module}/{name}", self.port)
    }

    /// The file with the password, for clients.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// The daemon's configuration file. A changed one is read at the next connection.
    pub(crate) fn config(&self) -> PathBuf {
        self.config.clone()
    }

    /// Changes lines of the configuration. Sessions that run already keep the old one.
    pub(crate) fn reconfigure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).expect("rsyncd.conf");
        assert!(text.contains(from), "no {from:?} in\n{text}");
        // In one step: a session that begins must not read half of it.
        let new = self.config.with_extension("new");
        fs::write(&new, text.replace(from, to)).expect("rsyncd.conf");
        fs::rename(new, &self.config).expect("rsyncd.conf");
    }

    /// Changes the password that the daemon asks for, not the one that clients have.
    pub(crate) fn ask_for(&self, password: &str) {
        let (secrets, new) = (self.dir.path().join("secrets"), self.dir.path().join("secrets.new"));
        write_private(&new, &format!("{}:{password}\n", self.user.as_deref().unwrap_or_default()));
        fs::rename(new, secrets).expect("secrets");
    }

    /// Sends a signal to the daemon and all its sessions.
    pub(crate) fn signal(&self, signal: Signal) {
        process::signal_group(self.child.as_ref().expect("the daemon runs"), signal);
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.child.as_ref().map_or(0, |child| process::members(child) - 1)
    }

    /// What the daemon has logged so far, over all its starts, and what it said on its standard error.
    pub(crate) fn log(&self) -> String {
        let read = |name| fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("log"), read("stderr")].concat()).into_owned()
    }

    /// Ends the daemon as a service manager does: first SIGTERM for the daemon, then an end to the sessions that are left.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        process::signal(&child, Signal::TERM);
        let ended = process::ends_within(&child, SOON);
        assert!(process::kill_group(&mut child) && ended, "the daemon does not end on SIGTERM:\n{}", self.log());
    }

    /// Ends the daemon and all its sessions as a power cut does.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        assert!(process::kill_group(&mut child), "the daemon survives SIGKILL");
    }

    /// Starts it again after `stop` or `kill`, on the same port, and returns when it serves.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        // Somebody else may have been given the port for a short-lived connection in the meantime.
        wait_for("the daemon's port to be free again", SOON, || self.try_start());
    }

    /// False when the port is taken; every other failure is a panic with the log.
    fn try_start(&mut self) -> bool {
        let stderr = File::options().append(true).create(true).open(self.dir.path().join("stderr")).expect("stderr");
        // It ends with the thread that started it, also when that is killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.binary)
            .args(["--daemon", "--no-detach", "--config"])
            .arg(self.config())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(stderr.try_clone().expect("a second descriptor"))
            .stderr(stderr)
            // A group of its own, so that its sessions can be ended with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let child = self.child.insert(child);
        let ended = |child: &Child| process::ends_within(child, Duration::ZERO);
        let serves = holds_within(SOON, || ended(child) || (greets(self.port) && listens(child, self.port)));
        if ended(child) {
            let status = child.wait().expect("wait for the daemon");
            self.child = None;
            assert_eq!(status.code(), Some(EXIT_SOCKET), "the daemon ended at once:\n{}", self.log());
            return false;
        }
        assert!(serves, "the daemon does not serve after {SOON:?}:\n{}", self.log());
        true
    }
}

impl Drop for Rsyncd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The result does not matter here: the test has seen what it wanted, or panics already.
            let _ = process::kill_group(&mut child);
        }
    }
}

fn write_private(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a private file");
    file.write_all(text.as_bytes()).expect("write");
}

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// A port that nobody has, and that nobody else is given in this process: a daemon that is down for a while must not find
/// another test's in its place. The kernel gives none of these to outgoing connections.
fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(61);
    let ports = std::iter::repeat_with(|| first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % 20_000 + 10_000);
    let mut ports = ports.take(20_000).map(|port| u16::try_from(port).expect("a port"));
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// Whether an rsync daemon answers there.
fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.set_read_timeout(Some(SOON)).expect("a time limit");
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).is_ok() && greeting.starts_with("@RSYNCD:")
}

/// Whether it is this child that listens there, and not the daemon of another test run, which took the port a moment
/// before ours wanted to bind it.
fn listens(child: &Child, port: u16) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    let open: Vec<PathBuf> = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    let address = format!("{:08X}:{port:04X}", u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets()));
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listening = fields[1] == address && fields[3] == "0A";
        listening && open.contains(&PathBuf::from(format!("socket:[{}]", fields[9])))
    })
}
