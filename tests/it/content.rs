//! `watch` mirrors content that rsync takes for the same by its size and time, and keeps what it replaces.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::changed::let_time_pass;
use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::Sersync;
use crate::support::tree::wait_until_same;
use crate::support::wait_for;
use crate::watch::{LATER, mirror, overflow, quick, watch};

for_each_source! {
    what_keeps_its_size_and_time_is_mirrored_all_the_same,
    what_keeps_its_size_and_time_is_mirrored_all_the_same_by_debian_12,
    many_versions_of_one_size_and_time_are_all_mirrored,
    what_was_replaced_under_the_same_size_and_time_while_no_watch_ran_is_mirrored,
    a_pass_by_size_and_time_in_between_does_not_hide_what_was_replaced_under_both,
    other_settings_do_not_hide_what_was_replaced_under_the_same_size_and_time,
    what_was_replaced_while_the_kernels_queue_was_full_is_mirrored,
    another_source_with_the_same_names_sizes_and_times_is_mirrored,
    what_is_written_in_a_directory_just_after_it_was_renamed_is_mirrored,
    directories_that_change_places_or_make_room_for_others_are_mirrored,
    another_directory_in_the_place_of_one_that_could_not_be_deleted_yet_is_mirrored,
}

/// One time for all files.
pub(crate) fn age(path: &Path) {
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

fn what_keeps_its_size_and_time_is_mirrored_all_the_same() {
    what_keeps_size_and_time_is_mirrored(Version::Installed);
}

fn what_keeps_its_size_and_time_is_mirrored_all_the_same_by_debian_12() {
    what_keeps_size_and_time_is_mirrored(Version::Debian12);
}

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

fn what_was_replaced_under_the_same_size_and_time_while_no_watch_ran_is_mirrored() {
    let log = replaced_while_no_watch_runs(|_, _| {});
    assert!(log.contains("comparing what changed since the last time"), "{log}");
}

fn other_settings_do_not_hide_what_was_replaced_under_the_same_size_and_time() {
    let others = |_: &Place, config: &Path| {
        let text = fs::read_to_string(config).unwrap();
        fs::write(config, text + "exclude = ['*.nothing']\n").unwrap();
    };
    let log = replaced_while_no_watch_runs(others);
    assert!(!log.contains("comparing what changed"), "{log}");
    // A pass under these settings, by size and time, is no better.
    replaced_while_no_watch_runs(|place, config| {
        others(place, config);
        let sersync = Sersync::new(&["full-sync", "--config"]).arg(config);
        sersync.state_dir(&place.dir.path().join("state")).run().code(0);
    });
}

/// Many in one directory, of which single changes are not told any more when the directory itself changed.
fn files_of_one_size_and_time(dir: &Path, content: &str) {
    fs::create_dir_all(dir).unwrap();
    for number in 0..20 {
        fs::write(dir.join(number.to_string()), content).unwrap();
        age(&dir.join(number.to_string()));
    }
}

fn what_was_replaced_while_the_kernels_queue_was_full_is_mirrored() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (dir, outside) = (place.source().join("d"), place.dir.path().join("outside"));
    fs::create_dir(place.source().join("busy")).unwrap();
    files_of_one_size_and_time(&dir, "old");
    files_of_one_size_and_time(&outside, "new");
    let_time_pass();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    overflow(&running, &place.source().join("busy"));
    for number in 0..20 {
        fs::rename(outside.join(number.to_string()), dir.join(number.to_string())).unwrap();
    }
    running.signal(Signal::CONT);
    running.wait_for_log("that changed meanwhile", LATER);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
    assert_eq!(history(&daemon).iter().filter(|(_, content)| content == b"old").count(), 20);
}

fn another_source_with_the_same_names_sizes_and_times_is_mirrored() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let other = place.dir.path().join("other");
    files_of_one_size_and_time(&place.source().join("d"), "old");
    files_of_one_size_and_time(&other.join("d"), "new");
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::rename(place.source(), place.dir.path().join("before")).unwrap();
    fs::rename(&other, place.source()).unwrap();
    running.wait_for_log("the directory is back", LATER);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn a_pass_by_size_and_time_in_between_does_not_hide_what_was_replaced_under_both() {
    let pass = |place: &Place, config: &Path| {
        let sersync = Sersync::new(&["full-sync", "--config"]).arg(config);
        sersync.state_dir(&place.dir.path().join("state")).run().code(0);
    };
    // Twice: the second pass has the first one before it, and not the watch.
    replaced_while_no_watch_runs(|place, config| [(); 2].iter().for_each(|()| pass(place, config)));
}

/// What happens before the second watch starts is up to the caller.
fn replaced_while_no_watch_runs(before_the_next: impl Fn(&Place, &Path)) -> String {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = |name: &str| place.source().join(name);
    for name in ["d/killed", "d/plain", "moved/f", "moved/sub/g"] {
        fs::create_dir_all(source(name).parent().unwrap()).unwrap();
        fs::write(source(name), "old").unwrap();
        age(&source(name));
    }
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    running.kill();
    fs::write(source("d/killed"), "new").unwrap();
    age(&source("d/killed"));
    // Another directory with the same names, sizes and times.
    fs::remove_dir_all(source("moved")).unwrap();
    let outside = place.dir.path().join("moved");
    for name in ["f", "sub/g"] {
        fs::create_dir_all(outside.join(name).parent().unwrap()).unwrap();
        fs::write(outside.join(name), "new").unwrap();
        age(&outside.join(name));
    }
    fs::rename(&outside, source("moved")).unwrap();
    before_the_next(&place, &config);
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM).stderr
}

fn what_is_written_in_a_directory_just_after_it_was_renamed_is_mirrored() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = |name: &str| place.source().join(name);
    fs::create_dir(source("d0")).unwrap();
    for name in 0..20 {
        fs::write(source("d0").join(name.to_string()), "000").unwrap();
        age(&source("d0").join(name.to_string()));
    }
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    for round in 1..10 {
        let dir = source(&format!("d{round}"));
        fs::rename(source(&format!("d{}", round - 1)), &dir).unwrap();
        for name in 0..20 {
            fs::write(dir.join(name.to_string()), format!("{round:03}")).unwrap();
            age(&dir.join(name.to_string()));
        }
        wait_until_same(&place.source(), &mirror(&daemon), LATER);
    }
    running.terminate().signal(Signal::TERM);
}

/// All files have the same name, size and time, as builds that can be reproduced have.
fn directories_that_change_places_or_make_room_for_others_are_mirrored() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = |name: &str| place.source().join(name);
    let file = |name: &str, content: &str| fill(&source(name), content);
    file("one", "1");
    file("two", "2");
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    let same = || wait_until_same(&place.source(), &mirror(&daemon), LATER);
    for round in 0..4 {
        let here = rustix::fs::CWD;
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(here, source("one"), here, source("two"), exchange).unwrap();
        same();
        fs::rename(source("one"), place.dir.path().join(format!("out{round}"))).unwrap();
        file("one", &(4 + round).to_string());
        same();
        fs::remove_dir_all(source("one")).unwrap();
        file("one", "0");
        same();
    }
    running.terminate().signal(Signal::TERM);
}

/// Files of the same names, sizes and times, whatever directory they are in.
fn fill(dir: &Path, content: &str) {
    fs::create_dir_all(dir.join("deep")).unwrap();
    for file in ["f", "deep/f"] {
        fs::write(dir.join(file), content).unwrap();
        age(&dir.join(file));
    }
}

/// Two directories, for [`others_in_their_place`].
pub(crate) fn two_directories(source: &Path) {
    fill(&source.join("moved"), "1");
    fill(&source.join("removed"), "1");
}

/// One of the two is moved away and the other removed; then, after what is done `between`, others are in their place.
pub(crate) fn others_in_their_place(source: &Path, aside: &Path, between: impl FnOnce()) {
    fill(&aside.join("new"), "2");
    let (moved, removed) = (source.join("moved"), source.join("removed"));
    fs::rename(&moved, aside.join("old")).unwrap();
    fs::remove_dir_all(&removed).unwrap();
    between();
    fs::rename(aside.join("new"), &moved).unwrap();
    fill(&removed, "2");
}

fn another_directory_in_the_place_of_one_that_could_not_be_deleted_yet_is_mirrored() {
    let (mut daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (source, aside) = (place.source(), place.dir.path().join("aside"));
    two_directories(&source);
    fs::write(source.join("stays"), "").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    daemon.kill();
    others_in_their_place(&source, &aside, || running.wait_for_log("cannot be reached", LATER));
    daemon.start();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}
