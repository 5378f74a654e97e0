//! What is in the way of a pass: it is named, and stops nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::full_sync::{Place, as_nobody, endless_chain};
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::assert_same;
use crate::support::{SOON, fixture, wait_for};

#[test]
fn what_an_unreadable_directory_holds_is_never_deleted_and_the_rest_is_exact() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let secret = place.source().join("se[cr]et");
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("inside"), "inside").unwrap();
    fs::write(place.source().join("goes"), "goes").unwrap();
    fs::write(place.source().join("unreadable"), "old").unwrap();
    place.command("full-sync", &daemon).run().code(0);
    fs::remove_file(place.source().join("goes")).unwrap();
    fs::write(place.source().join("comes"), "comes").unwrap();
    fs::write(place.source().join("unreadable"), "newer").unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(place.source().join("unreadable"), PermissionsExt::from_mode(0o000)).unwrap();
    let output = as_nobody(&place, &daemon, "full-sync").run().code(3);
    let mirror = daemon.module_path().join("name");
    assert!(mirror.join("se[cr]et/inside").exists(), "it could not be read, so nothing in it may be deleted");
    assert!(!mirror.join("goes").exists(), "deletions elsewhere are made");
    assert!(mirror.join("comes").exists());
    assert_eq!(fs::read(mirror.join("unreadable")).unwrap(), b"old");
    for name in ["se[cr]et", "unreadable"] {
        assert!(output.stderr.contains(name), "{name} is named: {output}");
    }
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn paths_that_are_too_long_are_named_and_everything_else_is_mirrored() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("before"), "1").unwrap();
    endless_chain(&place.source(), 25);
    fs::write(place.source().join("zz after"), "1").unwrap();
    for round in ["1", "22"] {
        fs::write(place.source().join("before"), round).unwrap();
        let output = place.command("full-sync", &daemon).run().code(3);
        assert!(output.stderr.contains("too long for rsync"), "{output}");
    }
    let mirror = daemon.module_path().join("name");
    assert_eq!(fs::read(mirror.join("before")).unwrap(), b"22");
    assert!(mirror.join("zz after").exists());
    let deepest = walkdir::WalkDir::new(&mirror).into_iter().filter_map(Result::ok).map(|entry| entry.depth()).max();
    assert_eq!(deepest, Some(18), "17 directories of 201 bytes each fit, and the last has a file");
}

/// When rsync's client gets SIGTERM in the middle of a write, it sends those bytes twice, and the daemon puts them into
/// files with other names, which keep the right size and time. So it must never get one.
#[test]
fn a_pass_that_is_cut_off_leaves_no_file_with_the_content_of_another() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mirror = daemon.module_path().join("name");
    for round in 0..4 {
        for number in 0..800 {
            // The same size for all, so that no comparison of sizes would find a mix-up.
            let content = format!("{round:04} {number:04} {}", "x".repeat(20_000));
            fs::write(place.source().join(number.to_string()), content).unwrap();
        }
        let running = place.command("full-sync", &daemon).spawn();
        let begun = || fs::read(mirror.join("100")).is_ok_and(|c| c.starts_with(format!("{round:04}").as_bytes()));
        wait_for("it is in the middle", SOON, begun);
        drop(if round % 2 == 0 { running.kill() } else { running.terminate() });
        place.command("full-sync", &daemon).run().code(0);
        assert_same(&place.source(), &mirror);
    }
}

#[test]
fn long_roots_leave_less_room_for_what_is_inside() {
    let place = Place::new();
    let long = |root: &Path, levels: usize| (0..levels).fold(root.to_owned(), |path, _| path.join("r".repeat(200)));
    let inside = |depth: usize| (0..depth).map(|_| "d".repeat(200)).collect::<PathBuf>();
    for (source, target) in [
        (long(&place.dir.path().join("deep source"), 16), place.dir.path().join("t1")),
        (place.source(), long(&place.dir.path().join("deep target"), 16)),
    ] {
        fs::create_dir_all(source.join(inside(3))).unwrap();
        fs::create_dir_all(&target).unwrap();
        fs::write(source.join("f"), "f").unwrap();
        fs::write(source.join(inside(1)).join("g"), "g").unwrap();
        let state = place.dir.path().join("state");
        let run = || {
            let sersync = Sersync::new(&["full-sync", "--from"]).arg(&source).arg("--to").arg(target.join("name"));
            sersync.state_dir(&state).run()
        };
        run().code(3).stderr_has("too long for rsync");
        fs::write(source.join("f"), "changed").unwrap();
        fs::remove_file(source.join(inside(1)).join("g")).unwrap();
        run().code(3).stderr_has("too long for rsync");
        assert_eq!(fs::read(target.join("name/f")).unwrap(), b"changed");
        assert!(!target.join("name").join(inside(1)).join("g").exists(), "deleted, with its version in the history");
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn an_empty_variable_and_a_vanished_current_directory_stop_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    place.command("full-sync", &daemon).env("SERSYNC_CONFIG", "").run().code(0).silent();
    let gone = place.dir.path().join("gone");
    let script = format!("mkdir -p '{0}' && cd '{0}' && rmdir '{0}' && exec \"$@\"", gone.display());
    let run = |from: &Path| {
        let sersync = Sersync::of("sh", &["-c", &script, "sh", env!("CARGO_BIN_EXE_sersync"), "full-sync", "--from"]);
        let sersync = sersync.arg(from).arg("--to").arg(daemon.url("name")).arg("--password-file");
        sersync.arg(daemon.password_file()).state_dir(&place.dir.path().join("state")).run()
    };
    run(&place.source()).code(0).silent();
    run(Path::new("relative")).code(1).stderr_has("use absolute paths");
}

#[test]
fn a_file_in_the_way_of_the_state_is_named() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let locks = place.dir.path().join("state/locks");
    fs::create_dir(place.dir.path().join("state")).unwrap();
    fs::write(&locks, "").unwrap();
    let output = place.command("full-sync", &daemon).run().code(1);
    assert!(output.stderr.contains(&locks.display().to_string()), "{output}");
}

#[test]
fn what_is_wrong_with_a_source_is_said_once_for_all_its_mirrors() {
    let place = Place::new();
    let targets: Vec<PathBuf> = ["one", "two"].map(|name| place.dir.path().join(name)).to_vec();
    for target in &targets {
        fs::create_dir_all(target.join("name")).unwrap();
    }
    let command = Sersync::new(&["full-sync", "--from"]).arg(place.source());
    let output = targets.iter().fold(command, |command, target| command.arg("--to").arg(target.join("name")));
    let output = output.run().code(4);
    assert_eq!(output.stderr.matches("is empty").count(), 1, "{output}");
}

#[test]
fn a_list_that_cannot_be_written_is_said_once() {
    let place = Place::new();
    (0..50).for_each(|number| fs::write(place.source().join(number.to_string()), "").unwrap());
    let target = place.dir.path().join("target");
    fs::create_dir(&target).unwrap();
    let line = "exec \"$0\" full-sync -n --from \"$1\" --to \"$2\" >/dev/full";
    let program = env!("CARGO_BIN_EXE_sersync");
    let command = Sersync::of("sh", &["-c", line, program]).arg(place.source()).arg(target.join("name"));
    let output = command.run().code(1);
    assert_eq!(output.stderr.matches("the list cannot be written").count(), 1, "{output}");
}

#[test]
fn what_is_wrong_with_the_state_directory_is_not_taken_for_the_mirror() {
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let (target, state) = (place.dir.path().join("target"), place.dir.path().join("state"));
    fs::create_dir(&target).unwrap();
    let pass = || {
        let command = Sersync::new(&["full-sync", "--from"]).arg(place.source()).arg("--to").arg(target.join("name"));
        command.state_dir(&state).run()
    };
    pass().code(0);
    for lock in fs::read_dir(state.join("locks")).unwrap().flatten() {
        fs::remove_file(lock.path()).unwrap();
        symlink("/dev/full", lock.path()).unwrap();
    }
    pass().code(1).stderr_has("lock file ");
}

#[test]
fn an_rsync_that_says_nothing_is_not_waited_for_for_ever() {
    let place = Place::new();
    let bin = place.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("rsync"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fixture::mode(&bin.join("rsync"), 0o755);
    let mut path = bin.into_os_string();
    path.push(":/usr/bin:/bin");
    let command =
        Sersync::new(&["full-sync", "--from"]).arg(place.source()).arg("--to").arg(place.dir.path().join("name"));
    command.env("PATH", path).run().code(1).stderr_has("says nothing for 10 s");
}

/// rsync opens what was a file when it made its list, and waits for ever for somebody who writes to it.
#[test]
fn a_file_that_becomes_a_fifo_before_it_is_opened_holds_nothing_up() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("a slow one"), fixture::bytes(1 << 20)).unwrap();
    fs::write(place.source().join("b"), "a file").unwrap();
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\ntimeout = '2s'\nbwlimit = '1M'\njobs = 1\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    let pass = Sersync::new(&["full-sync", "-v", "-c"]).arg(config(&place.dir, &text)).spawn();
    let mirror = daemon.module_path().join("name");
    wait_for("the slow file to be on its way", SOON, || {
        fs::read_dir(&mirror).is_ok_and(|mut all| {
            all.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".a slow one."))
        })
    });
    fs::remove_file(place.source().join("b")).unwrap();
    fixture::fifo(&place.source().join("b"));
    pass.wait(3 * SOON).code(0).stderr_has("nothing came or went for twice the `timeout`");
    assert_same(&place.source(), &mirror);
}
