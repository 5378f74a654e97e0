//! `watch` begins anew: with the configuration as it is then, without losing anything, and without waiting for what fails.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::Sersync;
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, let_pass, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    on_hangup_it_goes_on_with_the_configuration_as_it_is_then,
    a_hangup_ends_no_watch_whatever_is_wrong_at_that_moment,
    a_source_that_comes_later_is_watched_then,
    who_is_to_end_while_it_begins_anew_sends_everything_before,
    who_is_to_end_while_it_begins_anew_waits_for_no_endpoint_that_is_gone,
    who_is_to_end_while_it_begins_anew_still_sends_what_is_pending,
    a_hangup_leaves_what_fails_to_the_watch_that_begins_then,
}

/// A run without a terminal, whatever the test has.
fn without_terminal(place: &Place, config: &Path) -> Sersync {
    let program = env!("CARGO_BIN_EXE_sersync");
    Sersync::of("setsid", &[program, "watch", "-v", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

fn on_hangup_it_goes_on_with_the_configuration_as_it_is_then() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (first, second) = (place.source().join("first"), place.source().join("second"));
    for dir in [&first, &second] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("f"), "1").unwrap();
    }
    let config = quick(&place, &[&daemon], "");
    let written = fs::read_to_string(&config).unwrap();
    let source = |name: &str| place.source().join(name).display().to_string();
    let whole = place.source().display().to_string();
    let one = written.replace(&format!("path = '{whole}'"), &format!("path = '{}'", source("first")));
    let one = one.replace("delay = '50ms'\n", "delay = '50ms'\nstart = 'none'\n");
    fs::write(&config, &one).unwrap();
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).run().code(0);
    let running = without_terminal(&place, &config).spawn();
    running.wait_for_log("source `name`: watching", LATER);
    // Wrong settings change nothing.
    fs::write(&config, one.replace("[watch]", "[wtach]")).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_log("the settings stay as they were", LATER);
    fs::write(first.join("f"), "22").unwrap();
    wait_until_same(&first, &mirror(&daemon), LATER);
    fs::write(&config, format!("{one}[sources.other]\npath = '{}'\ntargets = ['t']\n", source("second"))).unwrap();
    running.signal(Signal::HUP);
    // Nothing is missed, whenever it happens.
    let mut number = 0;
    wait_for("it is watching again", LATER, || {
        number += 1;
        fs::write(first.join(number.to_string()), "new").unwrap();
        running.stderr_so_far().matches("source `name`: watching").count() == 2
    });
    wait_until_same(&second, &daemon.module_path().join("other"), LATER);
    wait_until_same(&first, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn who_is_to_end_while_it_begins_anew_sends_everything_before() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    // Whatever it is just doing: the times only make that different each time.
    for milliseconds in [0, 1, 3, 6, 10, 20, 30, 50, 100, 200] {
        let running = without_terminal(&place, &config).spawn();
        running.wait_for_log("watching", LATER);
        running.signal(Signal::HUP);
        let_pass(Duration::from_millis(milliseconds));
        fs::write(place.source().join(milliseconds.to_string()), "new").unwrap();
        running.terminate().signal(Signal::TERM);
        assert_same(&place.source(), &mirror(&daemon));
    }
}

fn who_is_to_end_while_it_begins_anew_waits_for_no_endpoint_that_is_gone() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let mut dead = Rsyncd::builder().start();
    fs::write(place.source().join("f"), "1").unwrap();
    let running = without_terminal(&place, &quick(&place, &[&daemon, &dead], "")).spawn();
    wait_for("both to be live", LATER, || running.stderr_so_far().matches("caught up").count() == 2);
    dead.stop();
    running.signal(Signal::HUP);
    fs::write(place.source().join("f"), "22").unwrap();
    running.terminate().code(3);
    assert_same(&place.source(), &mirror(&daemon));
}

fn a_source_that_comes_later_is_watched_then() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let late = place.dir.path().join("late");
    fs::write(place.source().join("f"), "1").unwrap();
    let more = format!("[sources.late]\npath = '{}'\ntargets = ['t']\n", late.display());
    let running = without_terminal(&place, &quick(&place, &[&daemon], &more)).spawn();
    running.wait_for_log("late", SOON);
    running.wait_for_log("caught up", LATER);
    fs::create_dir(&late).unwrap();
    fs::write(late.join("f"), "2").unwrap();
    running.wait_for_log("a source that was missing is there now", LATER);
    wait_until_same(&late, &daemon.module_path().join("late"), LATER);
    fs::write(place.source().join("f"), "33").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn a_hangup_ends_no_watch_whatever_is_wrong_at_that_moment() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = without_terminal(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    // The source is empty for a moment.
    fs::rename(place.source().join("f"), place.dir.path().join("f")).unwrap();
    running.signal(Signal::HUP);
    running.wait_for_log("the settings stay as they were", LATER);
    fs::rename(place.dir.path().join("f"), place.source().join("f")).unwrap();
    // Several, at whatever moment of beginning anew.
    for _ in 0..100 {
        running.signal(Signal::HUP);
        fs::write(place.source().join("busy"), running.stderr_so_far().len().to_string()).unwrap();
    }
    // Another watch waits for the lock, and may get it.
    let other = watch(&place, &config).args(&["--lock-wait", "1h"]).spawn();
    running.signal(Signal::HUP);
    running.wait_for_log("beginning anew", LATER);
    drop(other);
    fs::write(place.source().join("f"), "22").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
    let bounded = Sersync::of("setsid", &[env!("CARGO_BIN_EXE_sersync"), "watch", "--for", "1h", "-v", "-c"]);
    let bounded = bounded.arg(&config).state_dir(&place.dir.path().join("state")).spawn();
    bounded.wait_for_log("caught up", LATER);
    bounded.signal(Signal::HUP);
    bounded.wait_for_log("a run that ends by itself is not begun anew", LATER);
    bounded.terminate().signal(Signal::TERM);
}

fn a_hangup_leaves_what_fails_to_the_watch_that_begins_then() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let mut dead = Rsyncd::builder().start();
    fs::write(place.source().join("f"), "1").unwrap();
    let running = without_terminal(&place, &quick(&place, &[&daemon, &dead], "")).spawn();
    let times = |text: &str| running.stderr_so_far().matches(text).count();
    wait_for("both to be live", LATER, || times("caught up") == 2);
    dead.stop();
    fs::write(place.source().join("f"), "22").unwrap();
    running.wait_for_log("cannot be reached", LATER);
    for reloads in 1..=3 {
        running.signal(Signal::HUP);
        wait_for("it to watch again", LATER, || times("source `name`: watching") == reloads + 1);
        fs::write(place.source().join("f"), "3".repeat(reloads + 2)).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), LATER);
        wait_for("the other one to fail again", LATER, || times("cannot be reached") > reloads);
    }
    // That it is left to the next one is said, and is no failure.
    let log = running.stderr_so_far();
    let left: Vec<&str> = log.lines().filter(|line| line.contains("ended with 1 path not sent")).collect();
    assert!(left.len() == 3 && left.iter().all(|line| !line.starts_with("error")), "{log}");
    dead.start();
    wait_until_same(&place.source(), &mirror(&dead), LATER);
    running.terminate().signal(Signal::TERM);
}

fn who_is_to_end_while_it_begins_anew_still_sends_what_is_pending() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap();
    // A second's worth for each 100 KiB: longer than a reload may take.
    fs::write(&config, text.replace("[rsync]\n", "[rsync]\nbwlimit = '100K'\n")).unwrap();
    let running = without_terminal(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("big"), vec![7; 800 << 10]).unwrap();
    let is_on_the_way = || {
        let names = fs::read_dir(mirror(&daemon)).unwrap().map(|entry| entry.unwrap().file_name());
        names.into_iter().any(|name| name.as_encoded_bytes().starts_with(b".big."))
    };
    wait_for("the file to be on its way", LATER, is_on_the_way);
    running.signal(Signal::HUP);
    running.wait_for_log("beginning anew", LATER);
    // Most likely when nobody watches any more, but before it is another program.
    let_pass(Duration::from_millis(300));
    fs::write(place.source().join("small"), "s").unwrap();
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
}
