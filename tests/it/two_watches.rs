//! Two watches at the same time, as `sersync-watch.service` and `sersync-watch@NAME.service` would be: each mirror has one of
//! them, and none is left without.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::Sersync;
use crate::support::tree::wait_until_same;
use crate::support::wait_for;
use crate::watch::{LATER, mirror, quick};

#[test]
fn a_mirror_that_another_watch_has_is_taken_over_when_that_ends() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (one, two) = (place.dir.path().join("one"), place.dir.path().join("two"));
    let more = [&one, &two].map(|dir| {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("f"), "1").unwrap();
        let name = dir.file_name().unwrap().display();
        format!("[sources.{name}]\npath = '{}'\ntargets = ['t']\n", dir.display())
    });
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], &more.concat());
    // Whatever the test has, it is without a terminal, so that SIGHUP has it read its configuration.
    let watch = |sources: &[&str]| {
        let run = Sersync::of("setsid", &[env!("CARGO_BIN_EXE_sersync"), "watch", "-v", "-c"]).arg(&config);
        run.args(sources).state_dir(&place.dir.path().join("state")).spawn()
    };
    let others = ["one", "two"].map(|name| watch(&[name]));
    for other in &others {
        other.wait_for_log("caught up", LATER);
    }
    let all = watch(&[]);
    all.wait_for_log("another watch is running", LATER);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    // Reading the configuration again waits for nobody.
    all.signal(Signal::HUP);
    // What ends before it has looked again is not taken over, but simply free.
    wait_for("it has begun anew", LATER, || all.stderr_so_far().matches("another watch is running").count() == 4);
    fs::write(place.source().join("f"), "22").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    let module = daemon.module_path();
    let [first, second] = others;
    first.terminate().signal(Signal::TERM);
    all.wait_for_log("another watch of a mirror has ended, and this one takes it over", LATER);
    // The other one is where it was.
    for (dir, content) in [(&one, "333"), (&two, "4444")] {
        fs::write(dir.join("f"), content).unwrap();
        wait_until_same(dir, &module.join(dir.file_name().unwrap()), LATER);
    }
    assert_eq!(second.terminate().signal, Some(Signal::TERM.as_raw()));
    all.terminate();
}

#[test]
fn told_to_end_while_it_waits_for_a_lock_it_ends_by_that_signal_without_a_word() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    // As above.
    let watch = |more: &[&str]| {
        let run = Sersync::of("setsid", &[env!("CARGO_BIN_EXE_sersync"), "watch", "-v", "-c"]).arg(&config);
        run.args(more).state_dir(&place.dir.path().join("state")).spawn()
    };
    let first = watch(&[]);
    first.wait_for_log("caught up", LATER);
    for signals in [&[Signal::TERM][..], &[Signal::INT], &[Signal::HUP, Signal::TERM]] {
        let waiting = watch(&["--lock-wait", "10m"]);
        let is_lock =
            |file: PathBuf| fs::read_link(file).is_ok_and(|file| file.extension().is_some_and(|e| e == "watch"));
        wait_for("it waits for the lock", LATER, || {
            let open = fs::read_dir(format!("/proc/{}/fd", waiting.id())).into_iter().flatten();
            open.flatten().any(|file| is_lock(file.path()))
        });
        for signal in signals {
            waiting.signal(*signal);
        }
        let output = waiting.wait(LATER).signal(signals[signals.len() - 1]);
        assert!(!output.stderr.contains("another watch"), "{output}");
    }
    first.terminate().signal(Signal::TERM);
}
