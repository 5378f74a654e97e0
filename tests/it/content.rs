//! `watch` mirrors content that rsync takes for the same by its size and time, and keeps what it replaces.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::tree::wait_until_same;
use crate::support::wait_for;
use crate::watch::{LATER, mirror, quick, watch};

/// One time for all files.
fn age(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn what_keeps_size_and_time_is_mirrored(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let source = |name: &str| place.source().join(name);
    let names = ["written", "renamed", "d/copied", "touched"];
    fs::create_dir(source("d")).unwrap();
    for name in names {
        fs::write(source(name), "old").unwrap();
        age(&source(name));
    }
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    let outside = place.dir.path().join("new");
    fs::write(&outside, "new").unwrap();
    age(&outside);
    fs::write(source("written"), "new").unwrap();
    age(&source("written"));
    fs::rename(&outside, source("renamed")).unwrap();
    let replace = || {
        fs::write(source("d/copied"), "new").unwrap();
        age(&source("d/copied"));
    };
    replace();
    // Only its time is set anew, to what it was: nothing is sent for that.
    age(&source("touched"));
    let arrived = |name: &str| fs::read(mirror(&daemon).join(name)).is_ok_and(|content| content == b"new");
    wait_for("the new contents", LATER, || names[..3].iter().all(|name| arrived(name)));
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
    let history = history(&daemon);
    for name in &names[..3] {
        assert!(history.contains(&((*name).to_owned(), b"old".to_vec())), "{name}: {history:?}");
    }
    assert_eq!(history.len(), 3, "{history:?}");
}

#[test]
fn what_keeps_its_size_and_time_is_mirrored_all_the_same() {
    what_keeps_size_and_time_is_mirrored(Version::Installed);
}

#[test]
fn what_keeps_its_size_and_time_is_mirrored_all_the_same_by_debian_12() {
    what_keeps_size_and_time_is_mirrored(Version::Debian12);
}

#[test]
fn many_versions_of_one_size_and_time_are_all_mirrored() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let file = place.source().join("f");
    fs::write(&file, "00").unwrap();
    age(&file);
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    for number in 1..12 {
        let text = format!("{number:02}");
        fs::write(&file, &text).unwrap();
        age(&file);
        wait_for("the version", LATER, || fs::read_to_string(mirror(&daemon).join("f")).is_ok_and(|now| now == text));
    }
    running.terminate().signal(Signal::TERM);
    assert_eq!(history(&daemon).len(), 11);
}
