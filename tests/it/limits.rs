//! The limits of `watch` that README.md gives figures for: at each nothing is lost, and its memory stays what it was. How long
//! it takes is measured by `make bench`. A hundred thousand files in one directory are in `peers.rs`.

use std::fs;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::Running;
use crate::support::tree::wait_until_same;
use crate::support::wait_for;
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    a_stream_of_changes_is_mirrored_whatever_its_speed,
    every_one_of_many_endpoints_gets_everything,
    many_changes_during_an_outage_are_there_after_it,
}

/// What a watch may take at its highest, in KiB, with its program, its threads and the buffers for what rsync says.
const MEMORY: u64 = 64 << 10;

pub(crate) fn assert_modest(running: &Running) {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY, "{peak} KiB");
}

fn a_stream_of_changes_is_mirrored_whatever_its_speed() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let dir = |number: usize| place.source().join(format!("d{}/e{}", number % 7, number % 31));
    for number in 0..7 * 31 {
        fs::create_dir_all(dir(number)).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    for number in 0..10_000 {
        fs::write(dir(number).join(number.to_string()), "new").unwrap();
        match number % 5 {
            0 => fs::write(dir(number).join(number.to_string()), "newer").unwrap(),
            1 => fs::rename(dir(number).join(number.to_string()), dir(number).join(format!("r{number}"))).unwrap(),
            2 => fs::remove_file(dir(number).join(number.to_string())).unwrap(),
            _ => {}
        }
    }
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    assert_modest(&running);
    running.terminate().signal(Signal::TERM);
}

fn every_one_of_many_endpoints_gets_everything() {
    let place = Place::new();
    let daemons: Vec<Rsyncd> = std::iter::repeat_with(|| Rsyncd::builder().start()).take(12).collect();
    let config = quick(&place, &daemons.iter().collect::<Vec<_>>(), "");
    fs::write(place.source().join("first"), "1").unwrap();
    let running = watch(&place, &config).spawn();
    wait_for("all to catch up", LATER, || running.stderr_so_far().matches("caught up").count() == daemons.len());
    for number in 0..300 {
        fs::write(place.source().join(number.to_string()), number.to_string()).unwrap();
    }
    for daemon in &daemons {
        wait_until_same(&place.source(), &mirror(daemon), LATER);
    }
    assert_modest(&running);
    running.terminate().signal(Signal::TERM);
}

fn many_changes_during_an_outage_are_there_after_it() {
    let (place, mut daemon) = (Place::new(), Rsyncd::builder().start());
    let dir = |number: usize| place.source().join(format!("d{}", number % 50));
    for number in 0..50 {
        fs::create_dir(dir(number)).unwrap();
        fs::write(dir(number).join("old"), "old").unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    daemon.kill();
    for number in 0..10_000 {
        fs::write(dir(number).join(number.to_string()), "new").unwrap();
    }
    (0..25).for_each(|number| fs::remove_file(dir(number).join("old")).unwrap());
    running.wait_for_log("cannot be reached", LATER);
    daemon.start();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    assert_modest(&running);
    running.terminate().signal(Signal::TERM);
}
