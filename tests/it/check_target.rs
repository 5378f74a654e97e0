//! `check-target`: what it says of good and bad daemons, and that it leaves nothing behind on any of them.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use crate::support::daemon::{Builder, Rsyncd, Version};
use crate::support::golden::{assert_golden, normalise};
use crate::support::sersync::{Output, Sersync, config};
use crate::support::{is_root, skip, tree};

/// A configuration for one daemon, which each case may spoil.
pub(crate) fn configured(dir: &TempDir, daemon: &Rsyncd, module: &str) {
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\nconnect-timeout = '5s'\n[targets.t]\nmodule = '{module}'\n\
         hosts = ['127.0.0.1:{}']\n[sources.name]\npath = '/data'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
    );
    config(dir, &text);
}

pub(crate) fn run(dir: &TempDir, args: &[&str]) -> Output {
    Sersync::new(&["check-target", "-c"]).arg(dir.path().join("sersync.toml")).args(args).run()
}

/// The table without what is left to chance: times, ports, directories, and whether sessions stalled on a busy machine.
fn plain(dir: &TempDir, port: u16, text: &str) -> String {
    let text = normalise(text, &[(dir.path().to_str().unwrap(), "DIR"), (&port.to_string(), "PORT")]);
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.split_whitespace().next() {
            Some("distance" | "sessions") => lines.push(format!("{} ...", line.split(' ').next().unwrap())),
            _ if line.contains("TCP_NODELAY") => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_good_daemon_passes_and_nothing_is_left_there() {
    if !is_root() {
        skip("only root can start a daemon that changes its root");
        return;
    }
    let mut report = String::new();
    for version in Version::ALL {
        if !version.is_here() {
            continue;
        }
        let daemon = Rsyncd::builder().version(version).start();
        let dir = tempfile::tempdir().unwrap();
        configured(&dir, &daemon, "mod");
        let output = run(&dir, &[]).code(0);
        write!(report, "## {version:?}\n{}", plain(&dir, daemon.port(), &(output.stdout + &output.stderr))).unwrap();
        assert_eq!(fs::read_dir(daemon.module_path()).unwrap().count(), 0, "something is left");
        // What is there stays, in the history as well.
        fs::create_dir_all(daemon.module_path().join("history-backup/name/2026-01-01/000000")).unwrap();
        fs::write(daemon.module_path().join("history-backup/name/2026-01-01/000000/f"), "old").unwrap();
        fs::create_dir(daemon.module_path().join("name")).unwrap();
        fs::write(daemon.module_path().join("name/f"), "new").unwrap();
        tree::Comparer::new();
        let before = tree::snapshot(&daemon.module_path());
        run(&dir, &["t"]).code(0);
        let after = tree::snapshot(&daemon.module_path());
        // The directories in which the trial was have another time.
        let kept = |snapshot: &tree::Snapshot| -> Vec<_> {
            snapshot.iter().map(|(path, entry)| (path.clone(), entry.kind.clone(), entry.mode)).collect()
        };
        assert_eq!(kept(&before), kept(&after));
    }
    assert_golden("check-target-good.txt", &report);
}

#[test]
fn each_fault_is_named_with_its_remedy_and_code() {
    if !is_root() {
        skip("only root can start a daemon that changes its root");
        return;
    }
    let mut report = String::new();
    let mut case = |title: &str, builder: Builder, module: &str, spoil: &dyn Fn(&Rsyncd, &TempDir)| {
        let daemon = builder.start();
        let dir = tempfile::tempdir().unwrap();
        configured(&dir, &daemon, module);
        spoil(&daemon, &dir);
        let output = run(&dir, &[]);
        let said = plain(&dir, daemon.port(), &(output.stdout + &output.stderr));
        writeln!(report, "## {title}: exit {}\n{said}", output.code.unwrap()).unwrap();
    };
    let nothing = |_: &Rsyncd, _: &TempDir| {};
    case("no such module", Rsyncd::builder(), "nope", &nothing);
    case("wrong password", Rsyncd::builder(), "mod", &|daemon, _| {
        fs::write(daemon.password_file(), "wrong\n").unwrap();
    });
    case("no password asked for", Rsyncd::builder().anonymous(), "mod", &|_, dir| {
        let file = dir.path().join("sersync.toml");
        let text = fs::read_to_string(&file).unwrap();
        let without = text.lines().filter(|line| !line.starts_with("user") && !line.starts_with("password-file"));
        fs::write(&file, without.map(|line| line.to_owned() + "\n").collect::<String>()).unwrap();
    });
    case("read only", Rsyncd::builder().read_only(true), "mod", &nothing);
    case("host denied", Rsyncd::builder().extra("hosts allow = 192.0.2.1").extra("list = yes"), "mod", &nothing);
    case("deletion refused", Rsyncd::builder().extra("refuse options = delete"), "mod", &nothing);
    case("links are munged", Rsyncd::builder().chroot(false), "mod", &nothing);
    case("links are changed", Rsyncd::builder().chroot(false).extra("munge symlinks = no"), "mod", &nothing);
    case("directory missing", Rsyncd::builder(), "mod", &|daemon, _| {
        fs::remove_dir(daemon.module_path()).unwrap();
    });
    let busy = Rsyncd::builder().max_connections(1).extra("lock file = /nonexistent/lock");
    case("lock file cannot be made", busy, "mod", &nothing);
    case("nobody listens", Rsyncd::builder(), "mod", &|daemon, dir| {
        let file = dir.path().join("sersync.toml");
        let text = fs::read_to_string(&file).unwrap().replace(&format!("127.0.0.1:{}", daemon.port()), "127.0.0.1:1");
        fs::write(&file, text).unwrap();
    });
    case("password file readable by others", Rsyncd::builder(), "mod", &|_, dir| {
        let (file, password) = (dir.path().join("sersync.toml"), dir.path().join("open"));
        fs::write(&password, "x\n").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.starts_with("password-file")).unwrap();
        let text = text.replace(line, &format!("password-file = '{}'", password.display()));
        fs::write(&file, text).unwrap();
    });
    assert_golden("check-target-faults.txt", &report);
}

#[test]
fn a_directory_is_checked_too_and_the_worst_decides() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("disk")).unwrap();
    let text = format!(
        "[targets.disk]\npath = '{0}/disk'\n[targets.gone]\npath = '{0}/gone'\n[sources.name]\npath = '/data'\ntargets = \
         ['disk', 'gone']\n",
        dir.path().display()
    );
    config(&dir, &text);
    let output = run(&dir, &["disk"]).code(0);
    assert_golden("check-target-directory.txt", &plain(&dir, 1, &output.stdout));
    assert_eq!(fs::read_dir(dir.path().join("disk")).unwrap().count(), 0, "something is left");
    let output = run(&dir, &["--json"]).code(10);
    let objects: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bad: Vec<_> = objects.iter().filter(|object| object["result"] == "bad").collect();
    assert_eq!(bad.len(), 1, "{output}");
    assert_eq!(
        (&bad[0]["target"], &bad[0]["check"], &bad[0]["type"]),
        (&"gone".into(), &"directory".into(), &"finding".into())
    );
    run(&dir, &["nope"]).code(2).stderr_has("known are: disk, gone");
}

#[test]
fn something_else_on_the_port_and_a_name_that_does_not_resolve() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"SSH-2.0-\x1b[2Jserver\r\n");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let text = |host: &str| {
        format!("[targets.t]\nmodule = 'm'\nhosts = ['{host}']\n[sources.name]\npath = '/data'\ntargets = ['t']\n")
    };
    config(&dir, &text(&format!("127.0.0.1:{port}")));
    let output = run(&dir, &[]).code(10);
    assert!(output.stdout.contains("not an rsync daemon: it says \"SSH-2.0-\\u{1b}[2Jserver"), "{output}");
    config(&dir, &text("no-such-host.invalid"));
    run(&dir, &[]).code(10).stdout_has("/etc/hosts, or write its address");
}

#[test]
fn what_is_in_the_place_of_the_histories_and_is_not_ours_stays() {
    for chroot in [false, true].into_iter().filter(|chroot| !chroot || is_root()) {
        for link in [false, true] {
            let (daemon, dir) = (Rsyncd::builder().chroot(chroot).start(), tempfile::tempdir().unwrap());
            configured(&dir, &daemon, "mod");
            let place = daemon.module_path().join("history-backup");
            if link {
                fs::create_dir_all(daemon.module_path().join("elsewhere/name")).unwrap();
                std::os::unix::fs::symlink("elsewhere", &place).unwrap();
            } else {
                fs::write(&place, "important").unwrap();
            }
            let before = tree::snapshot(&daemon.module_path());
            run(&dir, &["t"]).code(4).stdout_has("history-backup is no directory itself");
            assert!(before == tree::snapshot(&daemon.module_path()), "something was changed");
        }
    }
}
