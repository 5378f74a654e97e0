//! A seeded storm of random changes while `watch` runs, with passes beside it: at quiet moments and at the end source and
//! mirror are equal, entry by entry, and every version that was on the mirror at a quiet moment is still there or in the
//! history, exactly once.
//!
//! `SERSYNC_STORM_SEED` replays a storm, `SERSYNC_STORM_SECONDS` makes it longer. `make soak` makes many with seeds of its own.

mod faults;
mod ledger;
mod run;
mod trust;
pub(crate) mod workload;

use std::time::{Duration, Instant};

use faults::{ALL, Fault, Struck};
use run::{Setup, Storm};
use trust::Row;

use crate::full_sync::endless_chain;
use crate::support::daemon::Version;
use crate::support::events::{Source, for_each_source, run_with};
use crate::support::{SOON, is_root, skip, wait_for};

for_each_source! {
    a_storm_ends_in_equal_trees,
    a_storm_ends_in_equal_trees_with_debian_12,
    paths_that_are_longer_than_can_be_are_named_and_counted_and_hold_nothing_up,
    a_storm_with_faults_at_random_loses_nothing,
    what_was_unmounted_and_mounted_again_in_the_source_is_mirrored,
    an_overflow_of_the_kernels_queue_in_a_storm_loses_nothing,
    a_killed_watch_catches_up_with_the_storm,
    a_stopped_watch_catches_up_with_the_storm,
    a_clock_that_was_set_back_hides_nothing_of_a_storm,
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The seed that is asked for, or that of the test.
fn setup(version: Version, seed: u64) -> Setup {
    let seed = from_environment("SERSYNC_STORM_SEED").unwrap_or(seed);
    Setup { version, seed, inside: Vec::new(), disk: None, sub_mount: false, owners: true }
}

fn until(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(from_environment("SERSYNC_STORM_SECONDS").unwrap_or(seconds))
}

fn storm(version: Version, seed: u64, kind: &str) {
    if !version.is_here() {
        return;
    }
    let mut storm = Storm::start(setup(version, seed));
    let end = until(6);
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        if round % 4 == 0 {
            storm.churn_beside_a_pass(200);
        } else {
            storm.churn(200);
        }
        if round % 3 == 0 {
            storm.quiet();
        }
    }
    storm.is_idle();
    let row = Row::new(storm.seed);
    row.end(kind, &storm.end());
}

fn a_storm_ends_in_equal_trees() {
    storm(Version::Installed, 20_261_123, "no fault, passes beside it");
}

fn a_storm_ends_in_equal_trees_with_debian_12() {
    storm(Version::Debian12, 20_261_124, "no fault, passes beside it, daemon of Debian 12");
}

/// rsync cannot carry paths that are longer than `PATH_MAX`.
fn paths_that_are_longer_than_can_be_are_named_and_counted_and_hold_nothing_up() {
    let mut storm = Storm::start(setup(Version::Installed, 20_261_151));
    let row = Row::new(storm.seed);
    storm.churn(100);
    endless_chain(&storm.place.source(), 25);
    storm.hidden = Some("long".repeat(50).into());
    storm.incomplete = true;
    storm.churn(200);
    storm.quiet();
    storm.watch().wait_for_log("too long for rsync", SOON);
    wait_for("status to count it", SOON, || storm.status().contains("1 path failed"));
    storm.churn_beside_a_pass(200);
    storm.quiet();
    assert_eq!(storm.log().matches("too long for rsync").count(), 1, "once is enough");
    storm.is_idle();
    row.end("with paths longer than PATH_MAX", &storm.end());
}

/// A storm in which this happens once.
fn survives(fault: Fault) {
    if !is_root() && matches!(fault, Fault::DiskFull | Fault::MountGone | Fault::ModuleUnreadable) {
        return skip("only root can mount, and run a daemon as somebody else");
    }
    let setup = setup(Version::Installed, 20_261_125 + fault as u64);
    let disk = (fault == Fault::DiskFull).then_some("32m");
    let mut storm = Storm::start(Setup { disk, sub_mount: fault == Fault::MountGone, ..setup });
    let mut row = Row::new(storm.seed);
    storm.churn(150);
    storm.quiet();
    let struck = fault.strike(&mut storm);
    storm.churn(100);
    struck.is_felt(&mut storm);
    storm.churn(100);
    struck.heal(&mut storm);
    row.fault(fault.name(), storm.quiet());
    struck.was_said(&storm);
    storm.churn(100);
    storm.quiet();
    storm.is_idle();
    row.end("one fault", &storm.end());
}

/// A storm in which everything happens, also at the same time.
fn a_storm_with_faults_at_random_loses_nothing() {
    let seed = setup(Version::Installed, 20_261_160);
    let mount = is_root();
    let mut storm = Storm::start(Setup { disk: mount.then_some("512m"), sub_mount: mount, ..seed });
    let mut row = Row::new(storm.seed);
    let end = until(10);
    let possible =
        |fault: &Fault| mount || !matches!(fault, Fault::DiskFull | Fault::MountGone | Fault::ModuleUnreadable);
    let possible: Vec<Fault> = ALL.into_iter().filter(possible).collect();
    loop {
        let mut struck: Vec<Struck> = Vec::new();
        for _ in 0..=storm.random.below(3) {
            let fault = possible[storm.random.below(possible.len())];
            if fault.goes_with(&struck) {
                let this = fault.strike(&mut storm);
                storm.churn(60);
                struck.push(this);
            }
        }
        // Those that stop the watch come to their end first: it has to be at work to feel the others.
        struck.sort_by_key(|it| !it.fault.is_of_the_watch());
        for it in &struck {
            it.is_felt(&mut storm);
            storm.churn(30);
            it.heal(&mut storm);
        }
        let took = storm.quiet();
        for it in &struck {
            it.was_said(&storm);
            row.fault(it.fault.name(), took);
        }
        if Instant::now() >= end {
            break;
        }
        if storm.random.below(3) == 0 {
            storm.churn_beside_a_pass(200);
        } else {
            storm.churn(200);
        }
        storm.quiet();
    }
    storm.is_idle();
    row.end("faults at random", &storm.end());
}

macro_rules! survives {
    ($($test:ident: $fault:ident),* $(,)?) => {
        $(fn $test() {
            survives(Fault::$fault);
        })*
    };
}

survives! {
    what_was_unmounted_and_mounted_again_in_the_source_is_mirrored: MountGone,
    an_overflow_of_the_kernels_queue_in_a_storm_loses_nothing: QueueOverflows,
    a_killed_watch_catches_up_with_the_storm: WatchKilled,
    a_stopped_watch_catches_up_with_the_storm: WatchStopped,
    a_clock_that_was_set_back_hides_nothing_of_a_storm: ClockSetBack,
}

/// What has nothing to do with where changes come from is tried with one source each, in turn.
macro_rules! survives_with {
    ($($test:ident: $fault:ident, $source:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            run_with(Source::$source, || survives(Fault::$fault));
        })*
    };
}

survives_with! {
    a_daemon_that_is_killed_in_a_storm_gets_all_of_it_later: DaemonKilled, Inotify,
    a_daemon_that_is_stopped_in_a_storm_gets_all_of_it_later: DaemonStopped, Fanotify,
    connections_that_are_reset_in_a_storm_lose_nothing: ConnectionsReset, Inotify,
    a_network_that_swallows_everything_in_a_storm_loses_nothing: NetworkSwallowsAll, Fanotify,
    a_daemon_without_a_free_connection_gets_the_storm_later: NoConnectionFree, Inotify,
    a_password_that_is_wrong_for_a_while_loses_nothing_of_a_storm: OtherPassword, Fanotify,
    a_module_that_is_read_only_for_a_while_gets_the_storm_later: ModuleReadOnly, Inotify,
    a_module_whose_directory_is_missing_for_a_while_gets_the_storm_later: ModuleMissing, Fanotify,
    a_module_that_cannot_be_read_for_a_while_gets_the_storm_later: ModuleUnreadable, Inotify,
    a_full_disk_on_the_target_loses_nothing_of_a_storm: DiskFull, Fanotify,
    an_rsync_that_is_killed_in_a_storm_loses_nothing: RsyncKilled, Inotify,
}

/// With fewer watches than directories everything arrives all the same, only later.
#[test]
fn a_storm_with_too_few_watches_ends_in_equal_trees() {
    run_with(Source::Inotify, || {
        let script = "echo 20 >/proc/sys/user/max_inotify_watches && exec \"$@\"";
        let inside = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"].map(ToOwned::to_owned).to_vec();
        let tried = std::process::Command::new(&inside[0]).args(&inside[1..]).arg("true").output();
        if !tried.is_ok_and(|output| output.status.success()) {
            return skip("no user namespace with a limit of its own can be made");
        }
        // In there nobody may read what belongs to users that it does not have.
        let setup = setup(Version::Installed, 20_261_150);
        let mut storm = Storm::start(Setup { inside, owners: false, ..setup });
        let mut row = Row::new(storm.seed);
        storm.churn(400);
        row.fault("`max_user_watches` exhausted", storm.quiet());
        assert!(storm.log().contains("the kernel gives watches for only"), "{}", storm.log());
        storm.churn(200);
        storm.quiet();
        storm.is_idle();
        row.end("one fault", &storm.end());
    });
}
