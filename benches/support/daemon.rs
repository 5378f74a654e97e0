//! A private rsync daemon on a free loopback port, without a password. It ends with its value.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{SOON, wait_for};

/// The name of the only module.
pub(crate) const MODULE: &str = "bench";

/// A daemon that serves.
#[derive(Debug)]
pub(crate) struct Daemon {
    module: PathBuf,
    address: SocketAddr,
    child: Child,
}

impl Daemon {
    /// Starts a daemon that has its files in `dir`, which has to exist.
    pub(crate) fn start(dir: &Path) -> Daemon {
        let module = dir.join("module");
        fs::create_dir(&module).expect("the module's directory");
        // The port may be given away before the daemon binds it.
        for _ in 0..10 {
            if let Some(daemon) = Daemon::try_start(dir, &module) {
                return daemon;
            }
        }
        panic!("the daemon does not start: {}", fs::read_to_string(dir.join("log")).unwrap_or_default());
    }

    fn try_start(dir: &Path, module: &Path) -> Option<Daemon> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let (config, log) = (dir.join("rsyncd.conf"), dir.join("log"));
        // As a backup server is set up: its own root directory for each session, where the daemon may do that.
        let is_root = rustix::process::geteuid().is_root();
        let (chroot, owner) = if is_root { ("yes", "uid = 0\ngid = 0\n") } else { ("no", "") };
        let text = format!(
            "address = {ip}\nport = {port}\nlog file = {log}\nreverse lookup = no\nsocket options = TCP_NODELAY\n\
             [{MODULE}]\npath = {path}\nread only = no\nuse chroot = {chroot}\nmunge symlinks = no\n{owner}",
            ip = address.ip(),
            port = address.port(),
            log = log.display(),
            path = module.display(),
        );
        fs::write(&config, text).expect("rsyncd.conf");
        let child = run(dir);
        let mut daemon = Daemon { module: module.to_owned(), address, child };
        let mut ended = false;
        wait_for("the daemon", || {
            ended = daemon.child.try_wait().expect("wait for the daemon").is_some();
            ended || greets(address)
        });
        (!ended).then_some(daemon)
    }

    /// Ends it with all its sessions.
    pub(crate) fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }

    /// Starts it again after it was stopped, at the same address.
    pub(crate) fn start_again(&mut self) {
        self.child = run(self.module.parent().expect("a directory above"));
        wait_for("the daemon", || greets(self.address));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes clients have sent it in all sessions that are over.
    pub(crate) fn received(&self) -> u64 {
        let log = fs::read_to_string(self.module.with_file_name("log")).unwrap_or_default();
        let numbers = log.lines().filter_map(|line| line.split_once("received ")?.1.split_once(" bytes"));
        numbers.filter_map(|(number, _)| number.trim().replace(',', "").parse::<u64>().ok()).sum()
    }

    /// The directory that its module stands for.
    pub(crate) fn module(&self) -> &Path {
        &self.module
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Without a result: there is nobody left to tell. A daemon that ended by itself was reaped and has no group.
        self.stop();
    }
}

/// A daemon with the configuration that is in this directory.
fn run(dir: &Path) -> Child {
    let stderr = File::options().append(true).create(true).open(dir.join("log")).expect("a log");
    let mut command = Command::new("rsync");
    command.args(["--daemon", "--no-detach", "--config"]).arg(dir.join("rsyncd.conf")).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    // A group of its own, so that its sessions can be ended with it.
    command.process_group(0).spawn().expect("rsync, as a daemon")
}

/// Whether an rsync daemon answers there.
fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(SOON)).expect("a time limit");
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting).is_ok() && greeting == *b"@RSYNCD:"
}
