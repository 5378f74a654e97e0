//! The whole way, from nothing, on two hosts: network namespaces with a cable between them. The server is set up by
//! `gen-rsyncd-conf`, and the client checks it, mirrors to it, watches, and prunes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::daemon::Version;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, is_root, process, skip, wait_for};

/// The addresses; nobody else is in these networks.
const SERVER: &str = "10.213.0.1";
const CLIENT: &str = "10.213.0.2";

/// Two network namespaces with a cable between them.
struct Hosts {
    server: String,
    client: String,
}

impl Hosts {
    /// Nothing where network namespaces cannot be had; the test is reported as skipped then, and has to return.
    fn new() -> Option<Hosts> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip("only root can make network namespaces");
            return None;
        }
        let id = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let hosts = Hosts { server: format!("sersync-server-{id}"), client: format!("sersync-client-{id}") };
        if !ip(&["netns", "add", &hosts.server]) {
            skip("network namespaces cannot be made here");
            return None;
        }
        assert!(ip(&["netns", "add", &hosts.client]));
        let plug = ["link", "add", "eth0", "netns", &hosts.server, "type", "veth", "peer", "name", "eth0"];
        assert!(ip(&[&plug[..], &["netns", &hosts.client]].concat()));
        for (host, address) in [(&hosts.server, SERVER), (&hosts.client, CLIENT)] {
            assert!(ip(&["-n", host, "address", "add", &format!("{address}/30"), "dev", "eth0"]));
            for device in ["lo", "eth0"] {
                assert!(ip(&["-n", host, "link", "set", device, "up"]));
            }
        }
        Some(hosts)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.server, &self.client] {
            ip(&["netns", "del", host]);
        }
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The program on one of the hosts.
fn on(host: &str, args: &[&str]) -> Sersync {
    Sersync::of("ip", &["netns", "exec", host, env!("CARGO_BIN_EXE_sersync")]).args(args)
}

/// The daemon of the server. It ends with this.
struct Daemon(Child);

impl Daemon {
    fn start(host: &str, version: Version, conf: &Path, client: &str) -> Daemon {
        let child = Command::new("ip")
            .args(["netns", "exec", host, "setpriv", "--pdeathsig", "KILL", "--"])
            .arg(version.binary())
            .args(["--daemon", "--no-detach", "--config"])
            .arg(conf)
            .stdin(Stdio::null())
            .spawn()
            .expect("ip");
        let daemon = Daemon(child);
        // A daemon that lists nothing is asked for its list.
        let url = format!("rsync://{SERVER}/");
        wait_for("the daemon to serve", SOON, || {
            let rsync = ["netns", "exec", client, "rsync", "--contimeout=5", &url];
            ip(&rsync)
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        process::signal(&self.0, Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The places of both hosts, which share a file system but no file.
struct Places(TempDir);

impl Places {
    fn new() -> Places {
        let places = Places(tempfile::tempdir().unwrap());
        for name in ["server/run", "client/state"] {
            fs::create_dir_all(places.at(name)).unwrap();
        }
        places
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }
}

#[test]
fn from_nothing_to_a_mirror_with_a_history() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let Some(hosts) = Hosts::new() else { return };
        whole_way(&hosts, version);
    }
}

fn whole_way(hosts: &Hosts, version: Version) {
    let places = Places::new();
    fixture::small_tree(&places.at("client/data"));
    let config = config(
        &places.0,
        &format!(
            "[rsync]\nuser = 'rsync'\npassword-file = '{0}/client/rsync.passwd'\n[watch]\ndelay = '50ms'\n[history]\nresolution = '0s'\n\
             [full-sync]\nmax-delete = '100%'\n[targets.backup]\nmodule = 'backup1'\nhosts = ['{SERVER}']\n\
             [targets.backup.server]\npath = '{0}/server/backup1'\nhosts-allow = ['{CLIENT}']\n\
             [sources.data]\npath = '{0}/client/data'\ntargets = ['backup']\n",
            places.0.path().display()
        ),
    );
    let with_config =
        |host: &str, args: &[&str]| on(host, args).arg("-c").arg(&config).state_dir(&places.at("client/state"));
    let client = |args: &[&str]| with_config(&hosts.client, args);

    // Before anything is there, the client is told what is missing.
    client(&["check-target"]).run().code(10).stdout_has("start the daemon there");

    // The server, with the configuration of the client.
    let etc = places.text("server/etc");
    let (log, run_dir) = (places.text("server/log"), places.text("server/run"));
    let args = ["gen-rsyncd-conf", "--out", &etc, "--log-file", &log, "--run-dir", &run_dir];
    with_config(&hosts.server, &args).run().code(0).stdout_has("give the password to each client");
    let _daemon = Daemon::start(&hosts.server, version, &places.at("server/etc/rsyncd.conf"), &hosts.client);

    // The client has no password yet; then it gets the one that was made.
    client(&["check-target"]).run().code(78).stdout_has("rsync.passwd");
    fs::copy(places.at("server/etc/sersync/rsync.passwd"), places.at("client/rsync.passwd")).unwrap();
    fs::set_permissions(places.at("client/rsync.passwd"), PermissionsExt::from_mode(0o600)).unwrap();
    let checked = client(&["check-target"]).run().code(0);
    for line in ["writing   ok", "deleting  ok", "history   ok", "links     ok", "password  ok"] {
        assert!(checked.stdout.contains(line), "{version:?}: {line:?}\n{checked}");
    }
    // Nobody else is let in, not even the server itself.
    with_config(&hosts.server, &["check-target"]).run().code(10).stdout_has("hosts allow");

    let (source, mirror) = (places.at("client/data"), places.at("server/backup1/data"));
    client(&["full-sync"]).run().code(0);
    assert_same(&source, &mirror);

    // What changes is mirrored at once, and what is replaced is kept.
    let watch = client(&["watch", "-v"]).spawn();
    watch.wait_for_log("caught up", SOON);
    fs::write(source.join("one"), "another content").unwrap();
    fs::remove_dir_all(source.join("a/b/c")).unwrap();
    fs::create_dir(source.join("new")).unwrap();
    fs::write(source.join("new/file"), "new").unwrap();
    wait_until_same(&source, &mirror, SOON);
    watch.terminate().signal(Signal::TERM);
    client(&["history", "find", "data", "one"]).run().code(0).stdout_has("one");
    client(&["verify"]).run().code(0);

    // And is removed when it is too old, which a bucket is after its first second.
    let history = places.at("server/backup1/history-backup/data");
    assert!(fs::read_dir(&history).unwrap().next().is_some());
    wait_for("the history to be empty", SOON, || {
        client(&["prune-history", "--keep-days", "0"]).run().code(0);
        fs::read_dir(&history).map_or(0, Iterator::count) == 0
    });
    assert_same(&source, &mirror);

    // Setting the server up again changes nothing, and the client goes on.
    let before = fs::read(places.at("server/etc/rsyncd.secrets")).unwrap();
    with_config(&hosts.server, &args).run().code(0);
    assert_eq!(fs::read(places.at("server/etc/rsyncd.secrets")).unwrap(), before);
    client(&["full-sync"]).run().code(0);
}
