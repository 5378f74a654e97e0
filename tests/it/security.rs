//! The claims of SECURITY.md that no other test shows: each test is named in its table.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Output, Sersync};
use crate::support::{fixture, is_root, skip, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

/// What is outside of the source and must not get anywhere.
const OUTSIDE: &str = "what nobody is to see";

/// A directory beside the source with the names that are in the source.
fn outside(place: &Place) -> PathBuf {
    let outside = place.dir.path().join("outside");
    fs::create_dir_all(outside.join("d2")).unwrap();
    for file in ["f", "new", "d2/f"] {
        fs::write(outside.join(file), OUTSIDE).unwrap();
    }
    outside
}

/// Everything that is in a tree: paths, and the content of files.
fn all_of(root: &Path) -> Vec<(PathBuf, String)> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let text = |entry: &walkdir::DirEntry| {
        if entry.file_type().is_file() {
            String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned()
        } else {
            String::new()
        }
    };
    entries.map(|entry| (entry.path().to_owned(), text(&entry))).collect()
}

fn assert_nothing_from_outside(daemon: &Rsyncd) {
    for (path, text) in all_of(&daemon.module_path()) {
        assert!(!text.contains(OUTSIDE), "{} came from outside of the source", path.display());
    }
}

/// Takes a directory away and puts a link in its place.
fn swap(dir: &Path, away: &Path, outside: &Path) {
    fs::rename(dir, away).unwrap();
    symlink(outside, dir).unwrap();
}

#[test]
fn a_link_in_the_place_of_a_directory_leads_a_watch_nowhere() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let (config, outside, at) =
        (quick(&place, &[&daemon], ""), outside(&place), |name: &str| place.source().join(name));
    for dir in ["a", "d", "e"] {
        fs::create_dir(at(dir)).unwrap();
        fs::write(at(dir).join("f"), "inside").unwrap();
    }
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    // What happens while it stands still it hears of together.
    running.signal(Signal::STOP);
    fs::write(at("a/f"), "changed").unwrap();
    fs::write(at("a/new"), "new").unwrap();
    swap(&at("a"), &place.dir.path().join("a"), &outside);
    fs::rename(at("d"), at("e/d2")).unwrap();
    swap(&at("e"), &place.dir.path().join("e"), &outside);
    running.signal(Signal::CONT);
    let is_link = |name: &str| mirror(&daemon).join(name).is_symlink();
    wait_for("the links", LATER, || is_link("a") && is_link("e") && !mirror(&daemon).join("d").exists());
    running.terminate();
    assert_nothing_from_outside(&daemon);
}

#[test]
fn a_link_in_the_place_of_a_directory_leads_no_pass_and_no_catching_up_anywhere() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let (config, outside) = (quick(&place, &[&daemon], ""), outside(&place));
    for (number, command) in ["--changed", "--checksum", "watch"].iter().enumerate() {
        let (dir, away) = (place.source().join(command), place.dir.path().join(number.to_string()));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("f"), "inside").unwrap();
        let full_sync = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
        full_sync().run().code(0);
        fs::write(dir.join("f"), "changed").unwrap();
        swap(&dir, &away, &outside);
        match *command {
            "watch" => watch(&place, &config).args(&["--until-idle", "1s"]).run().code(0),
            flag => full_sync().arg(flag).run().code(0),
        };
        assert!(mirror(&daemon).join(command).is_symlink(), "{command}");
        assert_nothing_from_outside(&daemon);
    }
}

/// An `rsync` that runs a script first, and the real one after that, if the script does not end it.
pub(crate) fn rsync_that(place: &Place, script: &str) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("rsync")).find(|file| file.is_file()).unwrap();
    let bin = place.dir.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = script.replace("DIR", place.dir.path().to_str().unwrap());
    let text = format!("#!/bin/sh\n{script}\nexec {} \"$@\"\n", real.display());
    // By another name first: what is being written cannot be run.
    fs::write(bin.join("new"), text).unwrap();
    fs::set_permissions(bin.join("new"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(bin.join("new"), bin.join("rsync")).unwrap();
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).unwrap()
}

/// A tree with a version in the history: `d/old` was deleted, `d/f` was not.
fn with_history(place: &Place, daemon: &Rsyncd) -> PathBuf {
    let config = quick(place, &[daemon], "");
    fs::create_dir(place.source().join("d")).unwrap();
    for file in ["d/old", "d/f"] {
        fs::write(place.source().join(file), file).unwrap();
    }
    let full_sync = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    full_sync().run().code(0);
    fs::remove_file(place.source().join("d/old")).unwrap();
    full_sync().run().code(0);
    config
}

fn bucket(daemon: &Rsyncd) -> String {
    let root = daemon.module_path().join("history-backup/name");
    let only = |dir: &Path| fs::read_dir(dir).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let day = only(&root);
    format!("{day}/{}", only(&root.join(&day)))
}

fn restore(place: &Place, config: &Path, path: &std::ffi::OsStr, args: &[&str]) -> Output {
    let restore = Sersync::new(&["restore", "-c"]).arg(config).state_dir(&place.dir.path().join("state"));
    restore.env("PATH", path).args(args).run()
}

#[test]
fn whoever_may_rename_what_a_restore_works_in_has_nothing_written_elsewhere() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let (config, at) = (with_history(&place, &daemon), bucket(&daemon));
    let outside = place.dir.path().join("outside");
    fs::create_dir_all(outside.join("tree/d")).unwrap();
    let before = all_of(&outside);
    // The directory in which it is put together, just before it is filled.
    let path = rsync_that(
        &place,
        "case \"$*\" in *--files-from*) for dir in DIR/.sersync-restore-*; do mv \"$dir\" DIR/stolen; \
         ln -s DIR/outside \"$dir\"; done;; esac",
    );
    restore(&place, &config, &path, &["name", "d", "--at", &at, "--to", place.dir.path().join("to").to_str().unwrap()]);
    assert!(place.dir.path().join("stolen").is_dir(), "the test has done nothing");
    assert_eq!(all_of(&outside), before);
}

#[test]
fn an_endpoint_that_sends_a_link_for_a_directory_has_nothing_written_elsewhere() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let (config, at) = (with_history(&place, &daemon), bucket(&daemon));
    fs::create_dir(place.dir.path().join("outside")).unwrap();
    let path = rsync_that(
        &place,
        "case \"$*\" in *--files-from*) if [ -h d ]; then echo bad >d/f; else ln -s DIR/outside d; fi; exit 0;; esac",
    );
    let to = place.dir.path().join("to");
    let output = restore(&place, &config, &path, &["name", "d", "--at", &at, "--to", to.to_str().unwrap()]).code(1);
    assert!(output.stderr.contains("sent what it was not asked for: d"), "{output}");
    assert_eq!(fs::read_dir(place.dir.path().join("outside")).unwrap().count(), 0);
    assert!(!to.join("d").exists());
}

#[test]
fn a_listing_that_leads_out_of_the_history_is_not_followed() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let (config, at) = (with_history(&place, &daemon), bucket(&daemon));
    let precious = daemon.module_path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let bad = [format!("name/{at}/../../../precious"), format!("name/{at}/../../../../x"), "/etc/passwd".to_owned()];
    let bad = bad.map(|path| format!("echo '-rw-r--r--              8 2020/01/01 00:00:00 {path}';"));
    let bad_names = ["name/2020-01-01/..", "name/..", "name/../precious"]
        .map(|name| format!("echo 'drwxr-xr-x              8 2020/01/01 00:00:00 {name}';"));
    let script = format!("case \"$*\" in *--list-only*) {} {};; esac", bad.concat(), bad_names.concat());
    let path = rsync_that(&place, &script.replace(";;;", ";;"));
    let run = |args: &[&str]| {
        Sersync::new(args).arg("-c").arg(&config).state_dir(&place.dir.path().join("state")).env("PATH", &path).run()
    };
    for args in [
        &["history", "list", "name"][..],
        &["history", "list", "name", "--json"],
        &["history", "find", "name", "*"],
        &["prune-history", "name"],
        &["restore", "name", ".", "--at", &at, "--dry-run"],
        &["restore", "name", ".", "--at", &at],
    ] {
        let output = run(args).code(0);
        assert!(!output.stdout.contains("precious") && !output.stdout.contains("passwd"), "{output}");
    }
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    assert!(mirror(&daemon).join("d/f").exists());
}

#[test]
fn what_another_user_may_have_put_into_the_state_directory_is_refused() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    fs::write(place.source().join("f"), "").unwrap();
    let (state, run) = (place.dir.path().join("state"), || place.command("full-sync", &daemon).run());
    run().code(0);
    let mode = |mode| fs::set_permissions(&state, PermissionsExt::from_mode(mode)).unwrap();
    for open in [0o777, 0o1777] {
        mode(open);
        run().code(1).stderr_has("may be written to by everybody");
    }
    mode(0o700);
    let lock = fs::read_dir(state.join("locks")).unwrap().map(|entry| entry.unwrap().path());
    let lock = lock.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "pass")).unwrap();
    let victim = place.dir.path().join("victim");
    fs::write(&victim, "victim").unwrap();
    fs::remove_file(&lock).unwrap();
    symlink(&victim, &lock).unwrap();
    run().code(1).stderr_has("lock file");
    fs::remove_file(&lock).unwrap();
    fixture::fifo(&lock);
    run().code(1).stderr_has("is no file");
    fs::remove_file(&lock).unwrap();
    fs::rename(state.join("locks"), place.dir.path().join("locks")).unwrap();
    symlink(place.dir.path().join("locks"), state.join("locks")).unwrap();
    run().code(1).stderr_has("is a symbolic link");
    fs::remove_file(state.join("locks")).unwrap();
    run().code(0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "victim");
    if !is_root() {
        return skip("only root can make a directory of somebody else's");
    }
    std::os::unix::fs::chown(state.join("locks"), Some(65534), None).unwrap();
    run().code(1).stderr_has("belongs to user 65534");
}

/// Panics when something would reach a terminal that is no plain text.
#[track_caller]
pub(crate) fn assert_plain(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let bad = text.chars().find(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
        assert!(bad.is_none(), "{bad:?} in {output:?}");
    }
}

#[test]
fn no_command_prints_what_a_terminal_would_obey() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().extra("exclude = *refused*").start());
    let config = quick(&place, &[&daemon], "");
    let state = place.dir.path().join("state");
    let run = |args: &[&str]| {
        let output = Sersync::new(args).arg("-c").arg(&config).state_dir(&state).run();
        assert_plain(&output);
        if args.contains(&"--json") {
            for line in output.stdout.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        }
        output
    };
    fixture::hostile_tree(&place.source());
    fs::write(place.source().join("\u{1b}[31mrefused"), "").unwrap();
    run(&["full-sync", "-vvv", "--dry-run"]);
    let output = run(&["full-sync", "-vv"]);
    assert!(output.stdout.contains("\\u{1b}[31mrefused") || output.stderr.contains("\\u{1b}[31mrefused"), "{output}");
    run(&["full-sync", "--json"]);
    run(&["status", "--failing"]);
    run(&["status", "--json"]);
    fs::remove_dir_all(place.source().join("directories")).unwrap();
    run(&["verify"]);
    run(&["verify", "--json"]);
    run(&["watch", "-vv", "--until-idle", "1s"]);
    run(&["history", "list", "name"]);
    assert!(run(&["history", "find", "name", "*red*"]).stdout.contains("\\u{1b}[31mred"));
    run(&["history", "find", "name", "*", "--json"]);
    let at = bucket(&daemon);
    let to = place.dir.path().join("to\u{1b}[31m");
    run(&["restore", "name", "directories", "--at", &at, "-vvv", "--to", to.to_str().unwrap()]).code(0);
    run(&["prune-history", "-vv"]);
    run(&["prune-history", "--json"]);
}

#[test]
fn the_password_is_in_no_argument_environment_or_log() {
    let password = "p4ssw0rd-that-is-found-again";
    let (place, daemon) = (Place::new(), Rsyncd::builder().auth("tester", password).start());
    // What rsync is started with, and what is known of both processes while it runs.
    let path = rsync_that(
        &place,
        "{ printf '%s ' \"$@\"; env; cat /proc/$PPID/cmdline /proc/$PPID/environ; ulimit -c; } >>DIR/seen",
    );
    fs::write(place.dir.path().join("hook"), "#!/bin/sh\nenv >>\"$0.seen\"\n").unwrap();
    fs::set_permissions(place.dir.path().join("hook"), PermissionsExt::from_mode(0o755)).unwrap();
    let hook = place.dir.path().join("hook");
    let config = quick(&place, &[&daemon], &format!("[full-sync]\nbefore = ['{}']\n", hook.display()));
    fs::write(place.source().join("f"), "").unwrap();
    let (log, state) = (place.dir.path().join("log"), place.dir.path().join("state"));
    for args in [&["full-sync", "-vvv"][..], &["watch", "-vvv", "--until-idle", "1s"], &["verify", "-vvv"]] {
        let run = Sersync::new(args).arg("-c").arg(&config).arg("--log-file").arg(&log).state_dir(&state);
        // What is in the environment of this program is not handed on either.
        let output = run.env("PATH", &path).env("RSYNC_PASSWORD", password).run().code(0);
        assert!(!format!("{output}").contains(password), "{output}");
    }
    let read = |name: &str| String::from_utf8_lossy(&fs::read(place.dir.path().join(name)).unwrap()).into_owned();
    let seen = read("seen");
    assert!(seen.contains("--password-file=") && read("hook.seen").contains("PATH="), "{seen}");
    // It is in the environment of this program because the test has put it there, and nowhere else.
    let handed_on = seen.replace(&format!("RSYNC_PASSWORD={password}\0"), "");
    for (what, text) in [("rsync", handed_on), ("the hook", read("hook.seen")), ("the log", read("log"))] {
        assert!(!text.contains(password), "{what}: {text}");
    }
    for (path, text) in all_of(&state) {
        assert!(!text.contains(password), "{}", path.display());
    }
}
