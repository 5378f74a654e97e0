//! That `check-target` changes nothing but what it has made itself, whatever ends it, and takes nothing for what it is not.

use std::fs::{self, FileTimes};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::check_target::{configured, run};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::sersync::{Sersync, config};
use crate::support::{SOON, wait_for};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is waited for until the only connection is free is not taken for a stall. A busy machine may stall by itself.
#[test]
fn a_daemon_with_a_single_connection_does_not_stall() {
    let (daemon, dir) = (Rsyncd::builder().max_connections(1).start(), tempfile::tempdir().unwrap());
    configured(&dir, &daemon, "mod");
    wait_for("eight sessions without a stall", SOON, || {
        let said = run(&dir, &[]).code(0).stdout;
        said.lines().any(|line| line.starts_with("sessions") && line.contains("  ok  "))
    });
}

#[test]
fn something_that_answers_and_says_nothing_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    config(
        &dir,
        &format!(
            "[rsync]\nconnect-timeout = '1s'\n[targets.t]\nmodule = 'm'\nhosts = ['127.0.0.1:{port}']\n[sources.name]\n\
             path = '/data'\ntargets = ['t']\n"
        ),
    );
    let output = run(&dir, &[]).code(10).stdout_has(&format!("{port} answers, but sends no greeting within 1s"));
    assert!(!output.stdout.contains("os error"), "{output}");
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let (daemon, dir) = (Rsyncd::builder().start(), tempfile::tempdir().unwrap());
    configured(&dir, &daemon, "mod");
    let check = Sersync::new(&["check-target", "-c"]).arg(dir.path().join("sersync.toml")).spawn();
    wait_for("the trial to be there", SOON, || !names(&daemon.module_path()).is_empty());
    check.signal(Signal::TERM);
    check.wait(SOON).signal(Signal::TERM);
    assert_eq!(names(&daemon.module_path()), Vec::<String>::new());
}

#[test]
fn what_a_killed_check_has_left_goes_with_a_later_one() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let (daemon, dir) = (Rsyncd::builder().version(version).start(), tempfile::tempdir().unwrap());
        configured(&dir, &daemon, "mod");
        let module = daemon.module_path();
        let (old, young, other) = (".sersync-check-0123456789ab", ".sersync-check-ba9876543210", ".sersync-check-mine");
        for name in [old, young, other] {
            for place in [module.join(name), module.join("history-backup").join(name)] {
                fs::create_dir_all(place.join("d")).unwrap();
                fs::write(place.join("d/f"), "f").unwrap();
            }
        }
        let long_ago = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60));
        for name in [old, other] {
            fs::File::open(module.join(name)).unwrap().set_times(long_ago).unwrap();
        }
        run(&dir, &[]).code(0);
        assert_eq!(names(&module), [young, other, "history-backup"], "{version:?}");
        assert_eq!(names(&module.join("history-backup")), [young, other], "{version:?}");
    }
}

#[test]
fn the_root_of_a_module_keeps_its_mode_whatever_incoming_chmod_says() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).extra("incoming chmod = D0755,F0644").start();
        let dir = tempfile::tempdir().unwrap();
        configured(&dir, &daemon, "mod");
        let history = daemon.module_path().join("history-backup");
        fs::create_dir(&history).unwrap();
        for place in [&daemon.module_path(), &history] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o700)).unwrap();
        }
        run(&dir, &[]).code(0);
        for place in [&daemon.module_path(), &history] {
            let mode = fs::metadata(place).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o700, "{version:?}: {}", place.display());
        }
        assert_eq!(names(&daemon.module_path()), ["history-backup"]);
        assert_eq!(names(&history), Vec::<String>::new());
    }
}
