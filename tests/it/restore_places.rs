//! From where `restore` fetches and where it puts what comes back: nothing that is there is lost, and what cannot be is said.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::restore::Restoring;
use crate::support::daemon::Rsyncd;
use crate::support::fixture;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::wait_until_same;
use crate::watch::{LATER, mirror, quick};

#[test]
fn a_file_comes_back_beside_in_place_or_elsewhere() {
    let it = Restoring::simple();
    it.write("d/f", "first");
    fixture::mtime(&it.source("d/f"), 1_700_000_000, 123_456_789);
    fixture::mode(&it.source("d/f"), 0o640);
    it.pass();
    it.write("d/f", "second version");
    let bucket = it.pass();
    let stamp = bucket[..17].replace('-', "").replace('/', "-");
    it.restore(&["d/f", "--at", &bucket, "-n"]).code(0).stdout_has("would restore d/f");
    assert_eq!(fs::read_dir(it.source("d")).unwrap().count(), 1);
    it.restore(&["d/f", "--at", &bucket]).code(0).stdout_has(&format!("d/f.as-of-{stamp}"));
    let copy = it.source(&format!("d/f.as-of-{stamp}"));
    let meta = fs::metadata(&copy).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), "first");
    assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()), (0o640, 1_700_000_000, 123_456_789));
    // Nothing is overwritten.
    it.restore(&["d/f", "--at", &bucket]).code(4).stderr_has("exists");
    let out = it.out();
    let absolute = it.source("d/f");
    it.restore(&[absolute.to_str().unwrap(), "--at", &bucket, "--to", out.to_str().unwrap()]).code(0);
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "first");
    it.restore(&["d/f", "--at", &bucket, "--in-place"]).code(2).stderr_has("--force");
    assert_eq!(fs::read_to_string(it.source("d/f")).unwrap(), "second version");
    it.restore(&["d/f", "--at", &bucket, "--in-place", "--force"]).code(0).stdout_has("what was there is");
    assert_eq!(fs::read_to_string(it.source("d/f")).unwrap(), "first");
    let aside = it.source(&format!("d/f.before-restore-{stamp}"));
    assert_eq!(fs::read_to_string(aside).unwrap(), "second version");
    let left: Vec<_> =
        walkdir::WalkDir::new(it.place.source()).into_iter().map(|e| e.unwrap().file_name().to_owned()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("sersync-restore")), "{left:?}");
}

#[test]
fn a_link_in_the_place_of_a_directory_is_not_followed() {
    let it = Restoring::simple();
    it.write("d/f", "first");
    it.write("stays", "stays");
    it.pass();
    let outside = it.place.dir.path().join("victim");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "of somebody else").unwrap();
    fs::remove_dir_all(it.source("d")).unwrap();
    std::os::unix::fs::symlink(&outside, it.source("d")).unwrap();
    let bucket = it.pass();
    it.restore(&["d/f", "--at", &bucket]).code(4).stderr_has("is a symbolic link now");
    it.restore(&["d/f", "--at", &bucket, "--in-place", "--force"]).code(4).stderr_has("is a symbolic link now");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "of somebody else");
    // The whole source goes beside it, not into it.
    it.restore(&[".", "--at", &bucket]).code(0).stdout_has(&format!("{}.as-of-", it.place.source().display()));
}

#[test]
fn what_is_not_whole_yet_is_not_mirrored() {
    let it = Restoring::simple();
    it.write("d/f", "first");
    let running = it.watch();
    it.write("d/f", "second version");
    wait_until_same(&it.place.source(), &mirror(&it.daemon), LATER);
    it.restore(&["d"]).code(0);
    it.restore(&["d", "--in-place", "--force"]).code(0);
    wait_until_same(&it.place.source(), &mirror(&it.daemon), LATER);
    running.terminate().signal(Signal::TERM);
    let names: Vec<_> = walkdir::WalkDir::new(it.daemon.module_path()).into_iter().map(Result::unwrap).collect();
    assert!(!names.iter().any(|entry| entry.path().to_string_lossy().contains("sersync-restore")), "{names:?}");
}

#[test]
fn a_local_directory_has_a_history_too() {
    let place = Place::new();
    let target = place.dir.path().join("target");
    fs::create_dir(&target).unwrap();
    let text = format!(
        "[targets.t]\npath = '{}'\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        target.display(),
        place.source().display()
    );
    let (config, state) = (config(&place.dir, &text), place.dir.path().join("state"));
    let run = |args: &[&str]| {
        Sersync::new(&["-c"]).arg(&config).args(&["--state-dir", state.to_str().unwrap()]).args(args).run().code(0)
    };
    fs::create_dir(place.source().join("d")).unwrap();
    fs::write(place.source().join("d/f"), "first").unwrap();
    run(&["full-sync"]);
    fs::write(place.source().join("d/f"), "the second").unwrap();
    fs::write(place.source().join("d/new"), "new").unwrap();
    run(&["full-sync"]);
    let bucket = run(&["history", "list", "--json"]).stdout;
    let bucket: serde_json::Value = serde_json::from_str(bucket.lines().next().unwrap()).unwrap();
    let out = place.dir.path().join("out");
    run(&["restore", "name", "d", "--at", bucket["path"].as_str().unwrap(), "--to", out.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(out.join("d/f")).unwrap(), "first");
    assert!(!out.join("d/new").exists());
}

#[test]
fn a_dead_daemon_is_no_reason_when_another_target_has_it() {
    let mut dead = Rsyncd::builder().start();
    let place = Place::new();
    let alive = Rsyncd::builder().start();
    let config = quick(&place, &[&dead, &alive], "");
    fs::write(place.source().join("f"), "f").unwrap();
    let state = place.dir.path().join("state");
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&state).run().code(0);
    dead.stop();
    let command = || Sersync::new(&["restore", "-c"]).arg(&config).state_dir(&state).arg("name");
    command().arg("f").run().code(0).stderr_has("asking another target");
    let only = format!("127.0.0.1:{}", dead.port());
    command().args(&["f", "--target", &only]).run().code(10);
}

#[test]
fn a_target_is_named_as_in_the_configuration_too() {
    let it = Restoring::simple();
    it.write("f", "f");
    it.pass();
    let out = it.out();
    it.restore(&["f", "--target", "t", "--to", out.to_str().unwrap()]).code(0);
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "f");
    it.restore(&["f", "--target", "other"]).code(2).stderr_has("`other` is no target of `name`; there are: 127.0.0.1:");
}

#[test]
fn what_cannot_be_put_there_is_said_with_what_to_do() {
    let it = Restoring::simple();
    let long = "n".repeat(250);
    it.write(&long, "long");
    it.write("f", "f");
    it.pass();
    it.restore(&[&long]).code(4).stderr_has("the name would be too long; give another place by --to DIR");
    let out = it.out();
    it.restore(&[&long, "--to", out.to_str().unwrap()]).code(0);
    assert_eq!(fs::read_to_string(out.join(&long)).unwrap(), "long");
    it.write("f", "second");
    let bucket = it.pass();
    let journals = it.state().join("journal");
    let journals = walkdir::WalkDir::new(&journals).into_iter().map(Result::unwrap);
    let journal = journals.filter(|entry| entry.path().ends_with(&bucket)).last().unwrap();
    fs::write(journal.path(), "=\0+new").unwrap();
    it.restore(&["f", "--at", &bucket]).code(0).stderr_has(&format!("the journal of bucket {bucket} is damaged"));
}

#[test]
fn a_target_in_the_history_of_another_is_refused() {
    let it = Restoring::simple();
    let history = it.place.dir.path().join("target/history-backup/name");
    fs::create_dir_all(history.join("2026-11-20/140000/x")).unwrap();
    it.write("x", "x");
    let to = history.parent().unwrap().join("name");
    Sersync::new(&["full-sync", "--from"])
        .arg(it.place.source())
        .arg("--to")
        .arg(&to)
        .run()
        .code(4)
        .stderr_has("history");
    assert!(history.join("2026-11-20/140000/x").exists());
}
