//! A target that takes some files and others not: what it does not take fails by itself, and stops nothing else.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::mounts::Mount;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::sersync::Sersync;
use crate::support::tree::wait_until_same;
use crate::support::{SOON, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

/// Each attempt leaves the daemon alone for a while, and there are several.
const SOME_ATTEMPTS: std::time::Duration = LATER.saturating_mul(2);

#[test]
fn a_file_that_does_not_fit_stops_nothing_that_comes_after_it() {
    does_not_fit(Version::Installed);
}

#[test]
fn a_file_that_does_not_fit_stops_nothing_that_comes_after_it_with_debian_12() {
    does_not_fit(Version::Debian12);
}

fn does_not_fit(version: Version) {
    if !version.is_here() {
        return;
    }
    let (daemon, place) = (Rsyncd::builder().version(version).start(), Place::new());
    let module = daemon.module_path();
    let Some(_mount) = Mount::tmpfs_with(&module, "size=4m") else { return };
    let (source, copy) = (place.source(), mirror(&daemon));
    fs::create_dir(source.join("d")).unwrap();
    fs::write(source.join("z"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let state = place.dir.path().join("state");
    let run = |args: &[&str]| Sersync::new(args).arg("-c").arg(&config).state_dir(&state).run();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);

    fs::write(source.join("d/b \n[g"), vec![b'x'; 8 << 20]).unwrap();
    running.wait_for_log("write failed on", LATER);
    fs::create_dir(source.join("e")).unwrap();
    fs::write(source.join("e/small"), "2").unwrap();
    fs::remove_file(source.join("z")).unwrap();
    wait_for("the rest arrives", LATER, || copy.join("e/small").exists() && !copy.join("z").exists());
    wait_for("it is named", LATER, || {
        let status = run(&["status", "--failing"]);
        status.code == Some(3) && status.stdout.contains("failing: d/b ") && status.stdout.contains("No space left")
    });
    running.signal(Signal::TERM);
    running.wait(LATER).code(3);

    // A pass does the same, and so does a watch that compares first.
    fs::write(source.join("e/more"), "3").unwrap();
    run(&["full-sync"]).code(3).stderr_has("No space left");
    assert!(copy.join("e/more").exists());
    fs::write(source.join("e/yet more"), "4").unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    assert!(copy.join("e/yet more").exists());

    let remounted = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&module).status().unwrap();
    assert!(remounted.success());
    wait_until_same(&source, &copy, SOME_ATTEMPTS);
    running.wait_for_log("what failed before has arrived", SOON);
    running.terminate().signal(Signal::TERM);
}

#[test]
fn a_target_that_takes_nothing_at_all_is_not_tried_with_each_file() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let module = daemon.module_path();
    let Some(_mount) = Mount::tmpfs_with(&module, "size=1m") else { return };
    fs::write(place.source().join("z"), "1").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(module.join("filler"), vec![b'x'; 2 << 20]).unwrap_err();
    for number in 0..20 {
        fs::write(place.source().join(format!("f{number}")), vec![b'x'; 9000]).unwrap();
    }
    running.wait_for_log("no space is left on the receiving side", LATER);
    fs::remove_file(module.join("filler")).unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOME_ATTEMPTS);
    running.terminate().signal(Signal::TERM);
}
