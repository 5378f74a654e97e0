//! That `check-target` changes nothing but what it has made itself, whatever ends it, and takes nothing for what it is not.

use std::fs::{self, FileTimes};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::check_target::{configured, run};
use crate::mounts::Mount;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::sersync::{Sersync, config};
use crate::support::{SOON, let_pass, wait_for};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is waited for until the only connection is free is not taken for a stall. On a busy machine that is not told at all.
#[test]
fn a_daemon_with_a_single_connection_does_not_stall() {
    let (daemon, dir) = (Rsyncd::builder().max_connections(1).start(), tempfile::tempdir().unwrap());
    configured(&dir, &daemon, "mod");
    let said = run(&dir, &[]).code(0).stdout;
    let sessions = said.lines().find(|line| line.starts_with("sessions")).unwrap();
    assert!(!sessions.contains("hint"), "{said}");
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

/// One that drips, or sends words of welcome for ever, ends the check all the same.
#[test]
fn a_peer_that_never_comes_to_an_end_is_given_up() {
    for (greeting, more) in [("", "@"), ("@RSYNCD: 32.0 sha512 md5\n", "welcome\n")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut connection = connection;
                    let _ = connection.write_all(greeting.as_bytes());
                    while connection.write_all(more.as_bytes()).is_ok() {
                        let_pass(Duration::from_millis(100));
                    }
                });
            }
        });
        let dir = tempfile::tempdir().unwrap();
        config(
            &dir,
            &format!(
                "[rsync]\nconnect-timeout = '1s'\ntimeout = '2s'\n[targets.t]\nmodule = 'm'\nhosts = ['127.0.0.1:{port}']\n\
                 [sources.name]\npath = '/data'\ntargets = ['t']\n"
            ),
        );
        let begun = std::time::Instant::now();
        run(&dir, &[]).code(10);
        assert!(begun.elapsed() < SOON, "{more}");
    }
}

#[test]
fn a_module_that_refuses_to_delete_by_name_keeps_nothing_of_the_trial() {
    let daemon = Rsyncd::builder().extra("refuse options = delete-missing-args").start();
    let dir = tempfile::tempdir().unwrap();
    configured(&dir, &daemon, "mod");
    run(&dir, &[]).code(0).stdout_has("take delete-missing-args out of `refuse options`");
    assert_eq!(names(&daemon.module_path()), Vec::<String>::new());
}

#[test]
fn what_a_module_refuses_or_hides_is_named() {
    for (extra, words) in [
        ("refuse options = *", "configured to refuse --"),
        ("refuse options = *", "allow the option in `refuse options`"),
        ("exclude = .*", "not tried out: the module hides names like .sersync-check-"),
    ] {
        let (daemon, dir) = (Rsyncd::builder().extra(extra).start(), tempfile::tempdir().unwrap());
        configured(&dir, &daemon, "mod");
        let said = run(&dir, &[]).stdout_has(words).stdout;
        assert!(!said.contains("cannot be reached"), "{said}");
    }
}

#[test]
fn a_peer_that_closes_at_once_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(drop));
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[targets.t]\nmodule = 'm'\nhosts = ['127.0.0.1:{port}']\n[sources.name]\npath = '/data'\ntargets = ['t']\n"
    );
    config(&dir, &text);
    run(&dir, &[]).code(10).stdout_has("closes connections from this host");
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

#[test]
fn what_is_to_be_done_for_a_directory_is_said_for_this_host() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let text = format!("[targets.t]\npath = '{}'\n[sources.name]\npath = '/data'\ntargets = ['t']\n", disk.display());
    config(&dir, &text);
    for (options, remedy) in [
        ("ro", format!("mount -o remount,rw {}", disk.display())),
        ("size=4k,nr_inodes=4", format!("make room on the file system of {}", disk.display())),
    ] {
        let Some(_mounted) = Mount::tmpfs_with(&disk, options) else { return };
        run(&dir, &[]).code(1).stdout_has(&remedy);
    }
}
