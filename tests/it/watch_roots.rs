//! A `watch` whose source goes, is emptied or cannot be read: nothing is deleted for that, and all is mirrored when it is back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::full_sync::{Place, as_nobody};
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    a_root_that_is_gone_deletes_nothing_and_is_mirrored_again_when_it_is_back,
    without_its_marker_nothing_is_sent_until_it_is_back,
    what_is_emptied_live_is_not_emptied_on_the_mirror_until_there_is_something_again,
}

fn a_root_that_is_gone_deletes_nothing_and_is_mirrored_again_when_it_is_back() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    let aside = place.dir.path().join("aside");
    fs::rename(place.source(), &aside).unwrap();
    running.wait_for_log("gone or replaced", SOON);
    assert_same(&aside, &mirror(&daemon));
    // An empty directory in its place looks like a mount point without its disk.
    fs::create_dir(place.source()).unwrap();
    fs::write(aside.join("changed meanwhile"), "1").unwrap();
    fs::remove_dir(place.source()).unwrap();
    fs::rename(&aside, place.source()).unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    fs::write(place.source().join("and it goes on"), "1").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
}

#[test]
fn a_directory_that_cannot_be_read_does_not_keep_deletions_elsewhere_from_being_made() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::create_dir_all(place.source().join("d/sub")).unwrap();
    fs::write(place.source().join("d/sub/x"), "1").unwrap();
    let running = as_nobody(&place, &daemon, "watch").arg("-v").spawn();
    running.wait_for_log("caught up", LATER);
    // All of it arrives as one directory, which is compared as a whole.
    let new = place.dir.path().join("new");
    fs::create_dir_all(new.join("secret")).unwrap();
    fs::write(new.join("y"), "2").unwrap();
    fs::set_permissions(new.join("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    fs::rename(place.source().join("d"), place.dir.path().join("old")).unwrap();
    fs::rename(&new, place.source().join("d")).unwrap();
    let arrived = || mirror(&daemon).join("d/y").exists() && !mirror(&daemon).join("d/sub").exists();
    wait_for("the new content replaces the old", SOON, arrived);
    running.wait_for_log("d/secret", SOON);
    assert_eq!(running.terminate().code, Some(3), "something could not be read");
    // So that everybody can remove it.
    fs::set_permissions(place.source().join("d/secret"), PermissionsExt::from_mode(0o700)).unwrap();
    let _ = fs::set_permissions(mirror(&daemon).join("d/secret"), PermissionsExt::from_mode(0o700));
}

fn without_its_marker_nothing_is_sent_until_it_is_back() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for file in ["marker", "goes"] {
        fs::write(place.source().join(file), file).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "marker = 'marker'\n")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::remove_file(place.source().join("marker")).unwrap();
    fs::remove_file(place.source().join("goes")).unwrap();
    running.wait_for_log("its marker `marker` is not there", SOON);
    assert!(mirror(&daemon).join("goes").exists() && mirror(&daemon).join("marker").exists());
    fs::write(place.source().join("marker"), "back").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn what_is_emptied_live_is_not_emptied_on_the_mirror_until_there_is_something_again() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::remove_file(place.source().join("f")).unwrap();
    running.wait_for_log("is empty", SOON);
    assert!(mirror(&daemon).join("f").exists());
    fs::write(place.source().join("g"), "g").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
    let running = watch(&place, &quick(&place, &[&daemon], "")).arg("--allow-empty").spawn();
    running.wait_for_log("caught up", LATER);
    fs::remove_file(place.source().join("g")).unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
}
