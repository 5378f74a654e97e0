//! How a `watch` ends: by itself, by a signal, under a service manager; what is pending is sent, or said.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::{Running, Sersync};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, let_pass};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    what_is_pending_is_sent_before_it_ends,
    bounded_runs_end_by_themselves_with_everything_sent,
    a_bounded_run_says_what_it_could_not_send,
    a_run_of_some_batches_ends_on_a_source_that_is_never_quiet,
    a_second_signal_ends_it_at_once,
    under_nohup_the_end_of_the_terminal_does_not_end_it,
    without_time_to_drain_and_nothing_to_send_it_ends_in_order,
    a_source_that_is_gone_at_the_end_is_no_success,
    a_service_manager_hears_when_it_is_ready_that_it_is_alive_and_when_it_ends,
    told_to_end_after_a_crash_it_still_sends_what_is_pending,
}

fn what_is_pending_is_sent_before_it_ends() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    // Without the flush at the end nothing would be sent for an hour.
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap().replace("'50ms'", "'1h'").replace("'1s'", "'1h'");
    fs::write(&config, text).unwrap();
    fs::write(place.source().join("first"), "1").unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    fixture::small_tree(&place.source().join("tree"));
    fs::remove_file(place.source().join("first")).unwrap();
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
}

fn bounded_runs_end_by_themselves_with_everything_sent() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    let config = quick(&place, &[&daemon], "");
    watch(&place, &config).args(&["--until-idle", "200ms"]).run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    watch(&place, &config).args(&["--for", "100ms"]).run().code(0);
    let running = watch(&place, &config).args(&["--batches", "1"]).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("new"), "new").unwrap();
    running.wait(SOON).code(0);
    assert_same(&place.source(), &mirror(&daemon));
}

fn a_run_of_some_batches_ends_on_a_source_that_is_never_quiet() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("first"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).args(&["--batches", "2", "--drain-timeout", "1h"]).spawn();
    running.wait_for_log("caught up", LATER);
    let goes_on = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if !goes_on.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                fs::write(place.source().join((number % 50).to_string()), number.to_string()).unwrap();
                let_pass(Duration::from_millis(5));
            }
        });
        let output = running.wait(LATER);
        goes_on.store(false, std::sync::atomic::Ordering::Relaxed);
        output.code(0);
    });
    // The next one finds the rest.
    let output = watch(&place, &config).args(&["--until-idle", "200ms"]).run().code(0);
    assert!(output.stderr.contains("comparing what changed since the last time"), "{output}");
    assert_same(&place.source(), &mirror(&daemon));
}

fn a_bounded_run_says_what_it_could_not_send() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    let config = quick(&place, &[&daemon], "");
    watch(&place, &config).args(&["--until-idle", "200ms"]).run().code(0);
    daemon.stop();
    let output = watch(&place, &config).args(&["--for", "1s", "--drain-timeout", "1s"]).run().code(10);
    assert!(output.stderr.contains("cannot be reached"), "{output}");
}

fn a_second_signal_ends_it_at_once() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let running: Running = watch(&place, &quick(&place, &[&daemon], "")).args(&["--drain-timeout", "1h"]).spawn();
    running.wait_for_log("caught up", LATER);
    daemon.stop();
    fs::write(place.source().join("f"), "ff").unwrap();
    running.wait_for_log("cannot be reached", SOON);
    running.signal(Signal::TERM);
    running.wait_for_log("ending", SOON);
    running.terminate().signal(Signal::TERM);
}

fn under_nohup_the_end_of_the_terminal_does_not_end_it() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = Sersync::of("nohup", &[env!("CARGO_BIN_EXE_sersync"), "watch", "-v", "-c"])
        .arg(&config)
        .state_dir(&place.dir.path().join("state"))
        .spawn();
    running.wait_for_log("caught up", LATER);
    running.signal(Signal::HUP);
    fs::write(place.source().join("f"), "22").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
}

fn without_time_to_drain_and_nothing_to_send_it_ends_in_order() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    for _ in 0..2 {
        let output = watch(&place, &config).args(&["--until-idle", "50ms", "--drain-timeout", "0s"]).run().code(0);
        assert!(!output.stderr.contains("error") && !output.stderr.contains("cut off"), "{output}");
    }
    assert_same(&place.source(), &mirror(&daemon));
}

fn a_source_that_is_gone_at_the_end_is_no_success() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).args(&["--for", "4s"]).spawn();
    running.wait_for_log("caught up", SOON);
    fs::rename(place.source(), place.dir.path().join("elsewhere")).unwrap();
    running.wait(LATER).code(10).stderr_has("is gone or was replaced");
    assert!(mirror(&daemon).join("f").exists());
}

fn a_service_manager_hears_when_it_is_ready_that_it_is_alive_and_when_it_ends() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let path = place.dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let next = || {
        let mut buffer = [0; 500];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let command = watch(&place, &quick(&place, &[&daemon], "")).env("NOTIFY_SOCKET", &path);
    let running = command.env("WATCHDOG_USEC", "200000").spawn();
    let ready = std::iter::repeat_with(next).find(|message| message != "WATCHDOG=1\n").unwrap();
    assert_eq!(ready, "READY=1\nSTATUS=watching 1 source for 1 mirror\n");
    // What happens from then on is not missed, whether or not it was caught up before.
    fs::write(place.source().join("later"), "1").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1\n");
    }
    running.signal(Signal::TERM);
    let stopping = std::iter::repeat_with(next).find(|message| message != "WATCHDOG=1\n").unwrap();
    assert_eq!(stopping, "STOPPING=1\nSTATUS=sending what is pending\n");
    running.wait(SOON).signal(Signal::TERM);
}

fn told_to_end_after_a_crash_it_still_sends_what_is_pending() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    running.kill();
    fs::write(place.source().join("g"), "g").unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("the run before was cut off", SOON);
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
}
