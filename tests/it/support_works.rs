//! The tests' own tools, tested: a comparer that overlooks something would make every other test worthless.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::daemon::{Rsyncd, Version};
use crate::support::fixture::{self, fifo, hostile_names, hostile_tree, mode, mtime, small_tree, socket};
use crate::support::golden::{assert_golden, line_diff, normalise};
use crate::support::sersync::{Output, Sersync, config};
use crate::support::tree::{Comparer, assert_same, diff, snapshot, wait_until_same};
use crate::support::{SOON, is_root, wait_for};

/// Pushes with the options that make a mirror exact.
fn push(source: &Path, daemon: &Rsyncd, name: &str, options: &[&str]) -> Output {
    Sersync::of("rsync", &["-rlptgoDH", "--sockopts=TCP_NODELAY", "--modify-window=-1", "--password-file"])
        .arg(daemon.password_file())
        .args(options)
        .arg(format!("{}/", source.display()))
        .arg(daemon.url(name))
        .run()
}

/// Two equal trees, made independently of each other.
fn twins(make: impl Fn(&Path)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["left", "right"] {
        make(&dir.path().join(name));
    }
    dir
}

/// A small tree, then a change in one of two copies of it: the differences.
fn after(change: impl Fn(&Path)) -> Vec<String> {
    let twins = twins(|root| {
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        fs::write(root.join("dir/file"), "content").unwrap();
        fs::write(root.join("large"), fixture::bytes(3 << 20)).unwrap();
        symlink("file", root.join("dir/link")).unwrap();
        fifo(&root.join("fifo"));
        fixture::age(root);
    });
    let [left, right] = ["left", "right"].map(|name| twins.path().join(name));
    assert_same(&left, &right);
    let mtimes = |path: &str| fs::symlink_metadata(right.join(path)).map(|inode| (inode.mtime(), inode.mtime_nsec()));
    let before = ["", "dir"].map(|path| mtimes(path).unwrap());
    change(&right);
    // The directories' mtimes are put back: the change itself is what must be noticed.
    for (path, (seconds, nanoseconds)) in ["", "dir"].into_iter().zip(before) {
        mtime(&right.join(path), seconds, nanoseconds);
    }
    diff(&left, &right)
}

/// Same as [`after`], but the entry keeps its mtime, and there is exactly one difference.
fn only_difference(path: &str, change: impl Fn(&Path)) -> String {
    let found = after(|root| {
        let path = root.join(path);
        let inode = fs::symlink_metadata(&path).unwrap();
        change(&path);
        mtime(&path, inode.mtime(), inode.mtime_nsec());
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(&format!("{path:?}: ")), "{found:#?}");
    found[0].clone()
}

#[test]
fn the_comparer_notices_content() {
    let found = only_difference("dir/file", |path| fs::write(path, "CONTENT").unwrap());
    assert!(found.contains("\"content\"") && found.contains("\"CONTENT\""), "{found}");
}

#[test]
fn the_comparer_notices_one_byte_late_in_a_large_file() {
    only_difference("large", |path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    });
}

#[test]
fn the_comparer_notices_length() {
    only_difference("large", |path| {
        fs::File::options().write(true).open(path).unwrap().set_len((3 << 20) - 1).unwrap();
    });
    only_difference("dir/file", |path| fs::write(path, "conten").unwrap());
}

#[test]
fn the_comparer_notices_modes_with_the_special_bits() {
    let found = only_difference("dir/file", |path| mode(path, 0o4644));
    assert!(found.contains("mode: 0644 != 4644"), "{found}");
    only_difference("dir/sub", |path| mode(path, 0o1755));
    only_difference("fifo", |path| mode(path, 0o600));
}

#[test]
fn the_comparer_notices_one_nanosecond() {
    for path in ["dir/file", "dir/sub", "dir/link", "fifo"] {
        let found = after(|root| {
            let inode = fs::symlink_metadata(root.join(path)).unwrap();
            mtime(&root.join(path), inode.mtime(), inode.mtime_nsec() + 1);
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("{path:?}: mtime: ")), "{found:#?}");
    }
}

#[test]
fn the_comparer_notices_the_mtime_of_the_root() {
    let twins = twins(|root| {
        fs::create_dir(root).unwrap();
        fixture::age(root);
    });
    let [left, right] = ["left", "right"].map(|name| twins.path().join(name));
    mtime(&right, 1, 0);
    assert_eq!(diff(&left, &right).len(), 1);
    Comparer::new().ignore(|path| path == ".").assert_same(&left, &right);
}

#[test]
fn the_comparer_notices_owner_and_group() {
    // Without privileges nothing can be given away.
    if is_root() {
        for path in ["dir/file", "dir/sub", "dir/link", "fifo"] {
            assert!(only_difference(path, |path| lchown(path, Some(7), None).unwrap()).contains("uid: 0 != 7"));
            assert!(only_difference(path, |path| lchown(path, None, Some(8)).unwrap()).contains("gid: 0 != 8"));
        }
    }
}

#[test]
fn the_comparer_notices_missing_and_extra_entries() {
    for path in ["dir/file", "dir/link", "fifo"] {
        let found = after(|root| fs::remove_file(root.join(path)).unwrap());
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("{path:?}: missing in the mirror")), "{found:#?}");
    }
    let found = after(|root| fs::create_dir(root.join("dir/more")).unwrap());
    assert_eq!(found, ["\"dir/more\": only in the mirror: Dir"]);
    let found = after(|root| fs::remove_dir_all(root).and_then(|()| fs::create_dir_all(root.join("dir"))).unwrap());
    assert!(found.iter().any(|line| line.contains("missing in the mirror")), "{found:#?}");
}

#[test]
fn the_comparer_notices_types() {
    let make: [fn(&Path); 5] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("file", path).unwrap(),
        fifo,
        socket,
        |path| fs::write(path, "").unwrap(),
    ];
    for (n, one) in make.iter().enumerate() {
        for (m, other) in make.iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            for (name, make) in [("left", one), ("right", other)] {
                fs::create_dir(dir.path().join(name)).unwrap();
                make(&dir.path().join(name).join("entry"));
            }
            let found = diff(&dir.path().join("left"), &dir.path().join("right"));
            assert_eq!(found.iter().any(|line| line.starts_with("\"entry\": kind")), n != m, "{n} {m} {found:#?}");
        }
    }
}

#[test]
fn the_comparer_notices_device_numbers() {
    let dir = tempfile::tempdir().unwrap();
    for (name, minor) in [("left", 3), ("right", 5)] {
        fs::create_dir(dir.path().join(name)).unwrap();
        if !fixture::device(&dir.path().join(name).join("device"), 1, minor) {
            return;
        }
    }
    let found = diff(&dir.path().join("left"), &dir.path().join("right"));
    assert!(found.iter().any(|line| line.contains("CharDevice")), "{found:#?}");
}

#[test]
fn the_comparer_notices_link_targets() {
    let found = only_difference("dir/link", |path| {
        fs::remove_file(path).unwrap();
        symlink("elsewhere", path).unwrap();
    });
    assert!(found.contains("elsewhere"), "{found}");
}

#[test]
fn the_comparer_notices_hard_links_when_asked() {
    let twins = twins(|root| {
        fs::create_dir(root).unwrap();
        fs::write(root.join("a"), "x").unwrap();
    });
    let [left, right] = ["left", "right"].map(|name| twins.path().join(name));
    fs::hard_link(left.join("a"), left.join("b")).unwrap();
    fs::write(right.join("b"), "x").unwrap();
    for root in [&left, &right] {
        for name in ["a", "b", ""] {
            mtime(&root.join(name), 1, 1);
        }
    }
    assert_same(&left, &right);
    let found = Comparer::new().hard_links().diff(&left, &right);
    assert_eq!(found, ["\"b\": hard link to: Some(\"a\") != None"]);
}

#[test]
fn ignored_paths_and_all_below_them_are_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
    fs::create_dir_all(left.join("cache/deep")).unwrap();
    fs::create_dir(&right).unwrap();
    fs::write(right.join("file.tmp"), "x").unwrap();
    for root in [&left, &right] {
        mtime(root, 1, 1);
    }
    assert_eq!(diff(&left, &right).len(), 3);
    let ignored = |path: &Path| path == "cache" || path.extension().is_some_and(|extension| extension == "tmp");
    Comparer::new().ignore(ignored).assert_same(&left, &right);
}

#[test]
fn only_so_many_differences_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
    for root in [&left, &right] {
        fs::create_dir(root).unwrap();
    }
    for n in 0..100 {
        fs::write(left.join(n.to_string()), "").unwrap();
    }
    for root in [&left, &right] {
        mtime(root, 1, 1);
    }
    let found = diff(&left, &right);
    assert_eq!(found.len(), 31);
    assert_eq!(found[30], "... and 70 more differences");
}

#[test]
#[should_panic(expected = "\"late\": missing in the mirror")]
fn waiting_for_equality_ends_with_the_differences() {
    let dir = tempfile::tempdir().unwrap();
    let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
    fs::create_dir_all(left.join("late")).unwrap();
    fs::create_dir(&right).unwrap();
    wait_until_same(&left, &right, Duration::from_millis(120));
}

#[test]
fn waiting_for_equality_sees_a_tree_that_changes_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
    small_tree(&left);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Every type in turn in the place of one entry, as fast as it goes.
            fs::create_dir(&right).unwrap();
            let entry = right.join("restless");
            for _ in 0..300 {
                fs::write(&entry, "x").unwrap();
                fs::remove_file(&entry).unwrap();
                fs::create_dir(&entry).unwrap();
                fs::remove_dir(&entry).unwrap();
                fifo(&entry);
                fs::remove_file(&entry).unwrap();
                socket(&entry);
                fs::remove_file(&entry).unwrap();
                symlink("one", &entry).unwrap();
                fs::remove_file(&entry).unwrap();
            }
            let copy = Command::new("cp").arg("-a").arg(left.join(".")).arg(&right).status().unwrap();
            assert!(copy.success());
        });
        wait_until_same(&left, &right, SOON);
    });
}

#[test]
fn every_hostile_name_is_there_once_and_can_be_created() {
    let mut names = hostile_names();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "a name is listed twice");
    let dir = tempfile::tempdir().unwrap();
    hostile_tree(dir.path());
    // Per name: a file, a directory with a file, a link; then the two directories of all that, and the root.
    assert_eq!(snapshot(dir.path()).len(), 4 * all + 3);
}

#[test]
fn the_fixtures_are_the_same_every_time() {
    for make in [small_tree, hostile_tree] {
        let twins = twins(make);
        // The names of hard links keep the time of their creation.
        let linked = |path: &Path| ["a/b/block", "links/hard-1", "a/sibling/hard-2"].iter().any(|name| path == *name);
        Comparer::new().ignore(linked).assert_same(&twins.path().join("left"), &twins.path().join("right"));
    }
}

#[test]
fn a_daemon_of_each_version_takes_a_tree_exactly() {
    for version in Version::ALL {
        if !version.is_here() {
            return;
        }
        let daemon = Rsyncd::builder().version(version).start();
        for (name, make) in [("small", small_tree as fn(&Path)), ("hostile", hostile_tree)] {
            let source = tempfile::tempdir().unwrap();
            make(source.path());
            push(source.path(), &daemon, name, &[]).code(0);
            let comparer = Comparer::new().hard_links();
            comparer.assert_same(source.path(), &daemon.module_path().join(name));
        }
        assert!(daemon.log().contains("to mod/small"), "{}", daemon.log());
    }
}

#[test]
fn a_stopped_or_killed_daemon_comes_back_on_its_port() {
    for version in Version::ALL {
        if !version.is_here() {
            return;
        }
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("file"), "x").unwrap();
        let mut daemon = Rsyncd::builder().version(version).start();
        let port = daemon.port();
        for end in [Rsyncd::stop, Rsyncd::kill] {
            push(source.path(), &daemon, "x", &[]).code(0);
            end(&mut daemon);
            push(source.path(), &daemon, "x", &[]).code(10).stderr_has("Connection refused");
            daemon.start();
            assert_eq!(daemon.port(), port);
            push(source.path(), &daemon, "x", &[]).code(0);
        }
    }
}

#[test]
fn a_daemon_waits_for_its_port_when_somebody_has_it() {
    for version in Version::ALL {
        if !version.is_here() {
            return;
        }
        let mut daemon = Rsyncd::builder().version(version).start();
        daemon.stop();
        let taken = TcpListener::bind(("127.0.0.1", daemon.port())).unwrap();
        std::thread::scope(|scope| {
            // It has tried, and has said why not, before the port is given up.
            let log = daemon.path_of("log");
            scope.spawn(move || {
                wait_for("the failed bind in the log", SOON, || {
                    fs::read_to_string(&log).is_ok_and(|log| log.contains("bind() failed"))
                });
                drop(taken);
            });
            daemon.start();
        });
    }
}

#[test]
fn killing_a_daemon_ends_its_sessions() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), fixture::bytes(1 << 20)).unwrap();
    let mut daemon = Rsyncd::builder().start();
    // The limit makes it last for minutes.
    let client = Sersync::of("rsync", &["-a", "--bwlimit=1", "--password-file"])
        .arg(daemon.password_file())
        .arg(format!("{}/", source.path().display()))
        .arg(daemon.url("x"))
        .spawn();
    wait_for("the transfer to be under way", SOON, || {
        fs::read_dir(daemon.module_path().join("x")).is_ok_and(|mut entries| entries.next().is_some())
    });
    daemon.kill();
    let output = client.wait(SOON);
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
}

#[test]
fn the_options_of_a_daemon_arrive() {
    let source = tempfile::tempdir().unwrap();
    let writable = Rsyncd::builder().auth("ann", "two words").module("other").extra("timeout = 77").start();
    push(source.path(), &writable, "x", &[]).code(0);
    assert!(writable.url("x").contains("ann@") && writable.url_in("other", "x").ends_with("/other/x"));
    assert!(fs::read_to_string(writable.config()).unwrap().ends_with("timeout = 77\n"));
    fs::write(writable.password_file(), "wrong\n").unwrap();
    push(source.path(), &writable, "x", &[]).code(5).stderr_has("auth failed");

    let read_only = Rsyncd::builder().anonymous().read_only(true).nodelay(false).global("motd file = /nowhere").start();
    push(source.path(), &read_only, "x", &[]).stderr_has("read only");
    let full = Rsyncd::builder().max_connections(1).chroot(false).start();
    push(source.path(), &full, "x", &[]).code(0);
}

#[test]
fn the_old_daemon_breaks_on_missing_arguments_and_the_installed_one_does_not() {
    if !Version::Debian12.is_here() {
        return;
    }
    for version in Version::ALL {
        let daemon = Rsyncd::builder().version(version).start();
        let empty = tempfile::tempdir().unwrap();
        let gone = daemon.module_path().join("gone");
        fs::write(&gone, "x").unwrap();
        let output = Sersync::of("rsync", &["-lptDR", "--dirs", "--delete-missing-args", "--force", "--password-file"])
            .arg(daemon.password_file())
            .args(&["./gone", &daemon.url("")])
            .current_dir(empty.path())
            .run();
        if version == Version::Debian12 {
            output.code(2).stderr_has("invalid file mode 00");
            assert!(gone.exists());
        } else {
            output.code(0);
            assert!(!gone.exists());
        }
    }
}

#[test]
fn a_run_is_collected_whole() {
    let output = Sersync::of("sh", &["-c", "seq 100000; seq 200000 >&2; exit 7"]).run().code(7);
    assert!(output.stdout.ends_with("\n100000\n") && output.stderr.ends_with("\n200000\n"));
    Sersync::of("true", &[] as &[&str]).run().code(0).silent();
    Sersync::of("sh", &["-c", "kill -KILL $$"]).run().signal(Signal::KILL);
}

#[test]
fn a_run_sees_only_the_environment_that_it_is_given() {
    let output = Sersync::of("sh", &["-c", "env | cut -d= -f1 | sort"]).env("MORE", "x").run().code(0);
    for name in output.stdout.lines() {
        let own =
            ["HOME", "LANG", "LLVM_PROFILE_FILE", "MORE", "PATH", "PWD", "STATE_DIRECTORY", "TMPDIR", "_", "SHLVL"];
        assert!(own.contains(&name), "{name}");
    }
    let shared = tempfile::tempdir().unwrap();
    let output = Sersync::of("sh", &["-c", "echo $STATE_DIRECTORY"]).state_dir(shared.path()).run().code(0);
    assert_eq!(output.stdout.trim_end(), shared.path().to_str().unwrap());
}

#[test]
#[should_panic(expected = "hangs: it was killed after")]
fn a_run_that_hangs_is_killed() {
    Sersync::of("sleep", &["1000"]).limit(Duration::from_millis(50)).run();
}

#[test]
fn a_process_that_goes_on_can_be_watched_and_ended() {
    let loops = "trap 'echo bye; exit 3' TERM; echo ready >&2; while :; do sleep 0.01; done";
    let running = Sersync::of("sh", &["-c", loops]).spawn();
    running.wait_for_log("ready", SOON);
    assert_eq!(running.stderr_so_far(), "ready\n");
    running.terminate().code(3).stdout_has("bye");

    let running = Sersync::of("sh", &["-c", loops]).spawn();
    running.wait_for_log("ready", SOON);
    running.kill().signal(Signal::KILL);
}

#[test]
#[should_panic(expected = "the process has ended")]
fn waiting_for_a_log_line_ends_with_the_process() {
    Sersync::of("sh", &["-c", "echo something else >&2"]).spawn().wait_for_log("never said", SOON);
}

#[test]
fn the_program_runs() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(fs::read_to_string(config(&dir, "[watch]\n")).unwrap(), "[watch]\n");
    Sersync::new(&["--version"]).run().code(0);
}

#[test]
fn golden_text_is_compared_after_the_changeable_is_replaced() {
    let text = normalise(
        "The first line.\nPort 4711, directory /tmp/x/y.\n",
        &[("4711", "<PORT>"), ("/tmp/x/y", "<DIR>"), ("/tmp/x", "never reached")],
    );
    assert_golden("support-works.txt", &text);
}

#[test]
fn a_line_diff_shows_what_came_and_what_went() {
    assert_eq!(line_diff("a\nb\nc\n", "a\nx\nc\nd"), " a\n-b\n+x\n c\n+d\n\\ no newline at the end\n");
    assert_eq!(line_diff("", ""), "");
    assert_eq!(line_diff("a\n", ""), "-a\n");
}
