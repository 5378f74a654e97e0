//! `full-sync --changed`, and what `watch` does on start: the mirror becomes equal although it is asked about nothing but what changed in the source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::mounts::Mount;
use crate::scenarios;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::Sersync;
use crate::support::tree::{assert_same, snapshot, wait_until_same};
use crate::support::{SOON, fixture, is_root, skip, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    a_watch_starts_from_where_the_last_one_was,
    a_watch_that_was_killed_is_followed_by_one_that_finds_what_it_had_not_sent,
    a_directory_that_left_and_came_back_while_no_watch_ran_is_mirrored_as_a_whole,
}

fn every_kind_of_change_is_found(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let scenarios = scenarios::prepared(&place.source());
    fixture::small_tree(&place.source().join("at rest"));
    let changed = || place.command("full-sync", &daemon).args(&["--changed", "-v", "--force-delete"]);
    changed().run().code(0).stderr_has("everything is compared: no pass over it was ever good");
    let mirror = daemon.module_path().join("name");
    assert_same(&place.source(), &mirror);
    for scenario in &scenarios {
        (scenario.change)(&place.source().join(scenario.name));
    }
    let output = changed().run().code(0);
    assert!(!output.stderr.contains("everything is compared"), "{output}");
    assert_same(&place.source(), &mirror);
}

#[test]
fn every_kind_of_change() {
    every_kind_of_change_is_found(Version::Installed);
}

#[test]
fn every_kind_of_change_with_debian_12() {
    every_kind_of_change_is_found(Version::Debian12);
}

/// Waits until what was done before is older than what a scan looks back at from its stamp.
pub(crate) fn let_time_pass() {
    let begun = std::time::Instant::now();
    wait_for("the changes to be old", SOON, || begun.elapsed().as_millis() > 2_300);
}

#[test]
fn directories_that_moved_here_come_with_all_that_is_in_them() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::create_dir_all(place.source().join("a/b/c")).unwrap();
    fs::create_dir_all(outside.join("moved/in/deep")).unwrap();
    fs::write(outside.join("moved/in/deep/f"), "old content").unwrap();
    fs::write(place.source().join("a/b/c/f"), "f").unwrap();
    let mirror = daemon.module_path().join("name");
    let changed = || place.command("full-sync", &daemon).args(&["--changed", "--force-delete"]);
    changed().run().code(0);
    let_time_pass();
    changed().run().code(0);
    // What this changes on the mirror is not looked at: nothing changed there in the source.
    fs::write(mirror.join("a/b/c/only on the mirror"), "x").unwrap();
    changed().run().code(0);
    assert!(mirror.join("a/b/c/only on the mirror").exists());
    fs::remove_file(mirror.join("a/b/c/only on the mirror")).unwrap();
    fs::rename(outside.join("moved"), place.source().join("a/b/moved")).unwrap();
    fs::rename(place.source().join("a/b/c"), place.source().join("c elsewhere")).unwrap();
    symlink("a", place.source().join("link")).unwrap();
    changed().run().code(0);
    fixture::mtime(&mirror.join("a/b"), 0, 0);
    assert!(mirror.join("a/b/moved/in/deep/f").exists() && mirror.join("c elsewhere/f").exists());
    assert!(!mirror.join("a/b/c").exists());
    place.command("full-sync", &daemon).run().code(0);
    assert_same(&place.source(), &mirror);
}

#[test]
fn what_it_cannot_know_it_compares() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let mirror = daemon.module_path().join("name");
    let changed = || place.command("full-sync", &daemon).args(&["--changed", "-v", "--force-delete"]).run().code(0);
    changed();
    let state = place.dir.path().join("state/mirrors");
    let file = |kind: &str| {
        let entries = fs::read_dir(&state).unwrap().flatten().map(|entry| entry.path());
        let is_it =
            |path: &PathBuf| path.extension().is_some_and(|e| e.as_encoded_bytes().starts_with(kind.as_bytes()));
        entries.into_iter().find(is_it).unwrap()
    };
    let record = fs::read_to_string(file("json")).unwrap();
    let damages: [(&str, Vec<u8>, &str); 5] = [
        ("json", b"{".to_vec(), "damaged"),
        ("json", vec![0xff; 100], "damaged"),
        ("directories", b"0123456".to_vec(), "its directories are not known"),
        ("directories", vec![0; 80], "its directories are not known"),
        ("json", record.replace("\"time\":\"20", "\"time\":\"29").into_bytes(), "the clock was set back"),
    ];
    for (kind, damage, told) in damages {
        fs::write(file(kind), damage).unwrap();
        fs::write(mirror.join("only on the mirror"), "x").unwrap();
        let output = changed();
        assert!(output.stderr.contains(told), "{told}: {output}");
        assert!(output.stderr.matches("damaged").count() <= 1, "said more than once: {output}");
        assert_same(&place.source(), &mirror);
        let before = snapshot(&mirror);
        let output = changed();
        assert!(!output.stderr.contains("compared"), "{output}");
        assert_eq!(before, snapshot(&mirror));
    }
}

/// None of the two has changed for long, so their times say nothing; and on file systems of their own they have the same inodes.
fn the_source_becomes_another_directory(mounted: impl Fn(&Path) -> Option<Mount>) {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (link, mirror) = (place.dir.path().join("link"), daemon.module_path().join("name"));
    let dirs = ["one", "two"].map(|name| place.dir.path().join(name));
    let disks = dirs.each_ref().map(|dir| {
        fs::create_dir(dir).unwrap();
        let disk = mounted(dir);
        fs::create_dir(dir.join("d")).unwrap();
        fs::write(dir.join("d").join(dir.file_name().unwrap()), "1").unwrap();
        disk
    });
    let_time_pass();
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&place.source().display().to_string(), &link.display().to_string())).unwrap();
    let state = place.dir.path().join("state");
    for words in [["watch", "--until-idle", "100ms", "-c"], ["full-sync", "--changed", "--force-delete", "-c"]] {
        for dir in dirs.iter().cycle().take(4) {
            let _ = fs::remove_file(&link);
            symlink(dir, &link).unwrap();
            Sersync::new(&words).arg(&config).state_dir(&state).run().code(0);
            assert_same(dir, &mirror);
        }
    }
    drop(disks);
}

#[test]
fn a_source_that_is_another_directory_is_compared_as_a_whole() {
    the_source_becomes_another_directory(|_| None);
}

#[test]
fn a_source_that_is_another_file_system_is_compared_as_a_whole() {
    if is_root() {
        the_source_becomes_another_directory(Mount::tmpfs);
    } else {
        skip("only root can mount");
    }
}

#[test]
fn what_is_remembered_belongs_together_at_any_moment() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::create_dir(place.source().join("d")).unwrap();
    let changed = || place.command("full-sync", &daemon).args(&["--changed", "-v"]).run().code(0);
    changed();
    let state = place.dir.path().join("state/mirrors");
    let files = || -> Vec<(PathBuf, Vec<u8>)> {
        let paths = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let before = files();
    fs::create_dir(place.source().join("new")).unwrap();
    changed();
    assert_eq!(files().len(), before.len(), "what belongs to an earlier pass is removed");
    // As if it had been killed before it wrote the record, after everything else.
    for (path, content) in before {
        fs::write(path, content).unwrap();
    }
    let output = changed();
    assert!(!output.stderr.contains("everything is compared"), "{output}");
    assert_same(&place.source(), &daemon.module_path().join("name"));
}

fn a_watch_starts_from_where_the_last_one_was() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for dir in ["src/a/b", "src/quiet", "outside/moved/deep"] {
        fs::create_dir_all(place.dir.path().join(dir)).unwrap();
    }
    fs::write(place.dir.path().join("outside/moved/deep/f"), "old").unwrap();
    fs::write(place.source().join("a/b/f"), "f").unwrap();
    let mirror = daemon.module_path().join("name");
    let config = quick(&place, &[&daemon], "");
    let watch = || watch(&place, &config);
    let running = watch().spawn();
    running.wait_for_log("caught up", SOON);
    let_time_pass();
    fs::write(place.source().join("a/live"), "live").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    // The stamp is moved on at the end, at the latest.
    running.terminate().signal(Signal::TERM);
    // What is changed behind its back stays: the mirror is asked only about what changed in the source.
    fs::write(mirror.join("quiet/only on the mirror"), "x").unwrap();
    fs::rename(place.dir.path().join("outside/moved"), place.source().join("a/moved")).unwrap();
    fs::remove_file(place.source().join("a/b/f")).unwrap();
    fs::write(place.source().join("a/live"), "changed").unwrap();
    let running = watch().spawn();
    running.wait_for_log("comparing what changed", SOON);
    running.wait_for_log("caught up", SOON);
    assert!(mirror.join("quiet/only on the mirror").exists());
    fs::remove_file(mirror.join("quiet/only on the mirror")).unwrap();
    fs::write(place.source().join("quiet/f"), "makes the directory's time the same again").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    running.terminate().signal(Signal::TERM);
}

fn a_watch_that_was_killed_is_followed_by_one_that_finds_what_it_had_not_sent() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    for number in 0..50 {
        let dir = place.source().join(format!("d{}", number % 7));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
    let mirror = daemon.module_path().join("name");
    let config = quick(&place, &[&daemon], "");
    let watch = || watch(&place, &config);
    let mut running = watch().spawn();
    running.wait_for_log("caught up", SOON);
    for round in 0..4 {
        fs::write(place.source().join("d1/sent"), round.to_string()).unwrap();
        wait_until_same(&place.source().join("d1/sent"), &mirror.join("d1/sent"), SOON);
        // From here on nothing arrives, and then nobody is left to send it.
        daemon.kill();
        fs::write(place.source().join("d2/not sent"), round.to_string()).unwrap();
        fs::remove_file(place.source().join(format!("d{}/{round}", round % 7))).unwrap();
        fs::create_dir_all(place.source().join(format!("new/{round}/deep"))).unwrap();
        fs::write(place.source().join(format!("new/{round}/deep/f")), "f").unwrap();
        running.wait_for_log("cannot be reached", SOON);
        running.kill();
        daemon.start();
        running = watch().spawn();
        running.wait_for_log("comparing what changed", SOON);
        running.wait_for_log("caught up", SOON);
        wait_until_same(&place.source(), &mirror, SOON);
    }
    running.terminate().signal(Signal::TERM);
}

/// The mirror has forgotten what is in a directory that was away, and none of that has changed since.
fn a_directory_that_left_and_came_back_while_no_watch_ran_is_mirrored_as_a_whole() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let inside = place.source().join("a/d");
    fs::create_dir_all(inside.join("deep/er")).unwrap();
    for path in ["f", "deep/g", "deep/er/h"] {
        fs::write(inside.join(path), path).unwrap();
    }
    fs::write(place.source().join("stays"), "s").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    let outside = place.dir.path().join("outside");
    fs::rename(&inside, &outside).unwrap();
    wait_for("the mirror has lost it", LATER, || !mirror(&daemon).join("a/d").exists());
    running.kill();
    fs::rename(&outside, &inside).unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("comparing what changed since the last time", LATER);
    running.wait_for_log("caught up", LATER);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}
