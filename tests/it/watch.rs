//! `watch` against real daemons: whatever happens to the source, the mirror becomes equal to it, entry by entry.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::changed::let_time_pass;
use crate::full_sync::{Place, as_nobody, endless_chain, history};
use crate::scenarios;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::{for_each_source, is_fanotify};
use crate::support::proxy::Proxy;
use crate::support::sersync::{Running, Sersync, config};
use crate::support::tree::{Comparer, assert_same, wait_until_same};
use crate::support::{SOON, fixture, wait_for};

for_each_source! {
    mirrors_every_kind_of_change,
    mirrors_every_kind_of_change_to_debian_12,
    nothing_is_lost_that_happens_while_it_starts,
    nothing_is_lost_that_happens_while_it_starts_with_debian_12,
    what_is_pending_is_sent_before_it_ends,
    a_dead_endpoint_costs_the_other_nothing_and_gets_what_it_missed,
    it_waits_for_a_daemon_that_is_not_there_yet,
    a_daemon_that_takes_the_connection_and_says_nothing_is_not_waited_for_for_ever,
    killed_at_any_moment_the_next_start_makes_the_mirror_equal,
    every_version_that_was_on_the_mirror_is_kept,
    real_time_excludes_are_for_real_time_only,
    bounded_runs_end_by_themselves_with_everything_sent,
    a_bounded_run_says_what_it_could_not_send,
    a_run_of_some_batches_ends_on_a_source_that_is_never_quiet,
    two_watchers_of_one_mirror_do_not_fight,
    a_root_that_is_gone_deletes_nothing_and_is_mirrored_again_when_it_is_back,
    an_overflow_of_the_kernels_queue_loses_nothing,
    a_dry_run_lists_and_changes_nothing,
    a_second_signal_ends_it_at_once,
    paths_that_are_too_long_stop_nothing_else,
    its_own_state_inside_the_source_does_not_keep_it_busy,
    without_its_marker_nothing_is_sent_until_it_is_back,
    under_nohup_the_end_of_the_terminal_does_not_end_it,
    on_hangup_it_goes_on_with_the_configuration_as_it_is_then,
    a_hangup_ends_no_watch_whatever_is_wrong_at_that_moment,
    a_source_that_comes_later_is_watched_then,
    who_is_to_end_while_it_begins_anew_ends,
    a_file_with_the_name_of_an_excluded_directory_is_deleted,
    what_is_excluded_stays_when_its_directory_is_deleted_live,
    a_pass_beside_it_finds_out_for_itself_that_the_daemon_is_dead,
    without_time_to_drain_and_nothing_to_send_it_ends_in_order,
    a_source_that_is_gone_at_the_end_is_no_success,
    only_the_mirror_whose_session_was_cut_off_waits_for_it,
    a_service_manager_hears_when_it_is_ready_that_it_is_alive_and_when_it_ends,
    what_is_emptied_live_is_not_emptied_on_the_mirror_until_there_is_something_again,
    told_to_end_after_a_crash_it_still_sends_what_is_pending,
}

/// Long enough for a few attempts with their back-off on a loaded machine.
pub(crate) const LATER: Duration = Duration::from_secs(60);

/// A configuration with short delays, so that tests are quick; nothing depends on them. Whatever is renamed is placed.
pub(crate) fn quick(place: &Place, daemons: &[&Rsyncd], more: &str) -> PathBuf {
    let url = daemons[0].url("name");
    let module = url.rsplit('/').nth(1).unwrap();
    let hosts: Vec<String> = daemons.iter().map(|daemon| format!("'127.0.0.1:{}'", daemon.port())).collect();
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\ntimeout = '20s'\n[watch]\ndelay = '50ms'\nmax-delay = '1s'\n\
         rename-min-size = '0B'\n\
         [targets.t]\nmodule = '{module}'\nhosts = [{}]\n\
         [sources.name]\npath = '{}'\ntargets = ['t']\n{more}",
        daemons[0].password_file().display(),
        hosts.join(", "),
        place.source().display(),
    );
    config(&place.dir, &text)
}

pub(crate) fn watch(place: &Place, config: &Path) -> Sersync {
    Sersync::new(&["watch", "-v", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

pub(crate) fn mirror(daemon: &Rsyncd) -> PathBuf {
    daemon.module_path().join("name")
}

fn every_kind_of_change(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let scenarios = scenarios::all();
    for scenario in &scenarios {
        let dir = place.source().join(scenario.name);
        fs::create_dir(&dir).unwrap();
        (scenario.before)(&dir);
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    assert_same(&place.source(), &mirror(&daemon));
    for scenario in &scenarios {
        let dir = place.source().join(scenario.name);
        (scenario.change)(&dir);
        wait_until_same(&dir, &mirror(&daemon).join(scenario.name), SOON);
    }
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
    let history = history(&daemon);
    for (path, content) in [
        ("changed_file/f", "file"),
        ("deleted_directory_with_content/d/sub/y", "y"),
        ("file_becomes_directory/f", "file"),
        ("directory_becomes_file/d/sub/y", "y"),
        ("renamed_directory/d/x", "x"),
    ] {
        assert!(history.contains(&(path.to_owned(), content.into())), "{path} is not in the history");
    }
}

fn mirrors_every_kind_of_change() {
    every_kind_of_change(Version::Installed);
}

fn mirrors_every_kind_of_change_to_debian_12() {
    every_kind_of_change(Version::Debian12);
}

/// All changes of all scenarios at once, while the first comparison is still running.
fn changes_during_start(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    for number in 0..2000 {
        let dir = place.source().join(format!("many/{}/{}", number % 40, number % 7));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
    let scenarios = scenarios::all();
    for scenario in &scenarios {
        let dir = place.source().join(scenario.name);
        fs::create_dir(&dir).unwrap();
        (scenario.before)(&dir);
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    for scenario in &scenarios {
        (scenario.change)(&place.source().join(scenario.name));
        let moved = place.source().join("many").join(scenario.name);
        fs::rename(place.source().join(scenario.name), &moved).unwrap();
        fs::write(place.source().join(scenario.name), "in its place").unwrap();
    }
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn nothing_is_lost_that_happens_while_it_starts() {
    changes_during_start(Version::Installed);
}

fn nothing_is_lost_that_happens_while_it_starts_with_debian_12() {
    changes_during_start(Version::Debian12);
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

fn a_dead_endpoint_costs_the_other_nothing_and_gets_what_it_missed() {
    let (alive, mut dying) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let place = Place::new();
    fixture::small_tree(&place.source());
    let running = watch(&place, &quick(&place, &[&alive, &dying], "")).spawn();
    wait_until_same(&place.source(), &mirror(&alive), LATER);
    wait_until_same(&place.source(), &mirror(&dying), LATER);
    // A comparison that is cut off tries again by itself; what is asked for here is what follows.
    wait_for("both have caught up", LATER, || running.stderr_so_far().matches("caught up").count() == 2);
    dying.kill();
    fs::write(place.source().join("a/new"), "new").unwrap();
    fs::rename(place.source().join("a/b"), place.source().join("moved")).unwrap();
    wait_until_same(&place.source(), &mirror(&alive), SOON);
    running.wait_for_log("cannot be reached", SOON);
    fs::remove_dir_all(place.source().join("links")).unwrap();
    wait_until_same(&place.source(), &mirror(&alive), SOON);
    dying.start();
    wait_until_same(&place.source(), &mirror(&dying), LATER);
    running.wait_for_log("works again", SOON);
    running.terminate().signal(Signal::TERM);
}

fn a_daemon_that_takes_the_connection_and_says_nothing_is_not_waited_for_for_ever() {
    let daemon = Rsyncd::builder().start();
    let proxy = Proxy::start(daemon.port());
    let place = Place::new();
    fixture::small_tree(&place.source());
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap().replace("timeout = '20s'", "timeout = '2s'");
    fs::write(&config, text.replace(&daemon.port().to_string(), &proxy.port().to_string())).unwrap();
    proxy.swallow(true);
    let running = watch(&place, &config).spawn();
    running.wait_for_log("the connection stalled for longer than `timeout`", LATER);
    proxy.swallow(false);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn it_waits_for_a_daemon_that_is_not_there_yet() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    daemon.stop();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("cannot be reached", LATER);
    daemon.start();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn killed_at_any_moment_the_next_start_makes_the_mirror_equal() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    let config = quick(&place, &[&daemon], "");
    for round in 0..5 {
        let running = watch(&place, &config).spawn();
        for number in 0..300 {
            let dir = place.source().join(format!("round{round}/{}", number % 17));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(number.to_string()), vec![b'x'; 5000]).unwrap();
        }
        if round > 0 {
            fs::rename(place.source().join(format!("round{}", round - 1)), place.source().join(format!("old{round}")))
                .unwrap();
        }
        running.kill();
    }
    let running = watch(&place, &config).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn every_version_that_was_on_the_mirror_is_kept() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let file = place.source().join("f");
    fs::write(&file, "version 0").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    for version in 1..=10 {
        fs::write(&file, format!("version {version}")).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
    }
    // A file, a directory and a link take turns in one place: that must not make a bucket unusable.
    for round in 0..3 {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        fs::write(file.join("inside"), format!("inside {round}")).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
        fs::remove_dir_all(&file).unwrap();
        symlink(format!("target {round}"), &file).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
        fs::remove_file(&file).unwrap();
        fs::write(&file, format!("file {round}")).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
    }
    running.terminate().signal(Signal::TERM);
    let kept: Vec<String> = history(&daemon).into_iter().map(|(_, c)| String::from_utf8(c).unwrap()).collect();
    let versions = (0..=10).map(|version| format!("version {version}"));
    let insides = (0..3).map(|round| format!("inside {round}"));
    let files = (0..2).map(|round| format!("file {round}"));
    for expected in versions.chain(insides).chain(files) {
        assert_eq!(kept.iter().filter(|content| **content == expected).count(), 1, "{expected} in {kept:?}");
    }
}

fn real_time_excludes_are_for_real_time_only() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("before.swp"), "compared at the start").unwrap();
    let config = quick(&place, &[&daemon], "exclude = ['*.tmp', '/cache/']\nwatch.exclude = ['*.swp']\n");
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    fs::create_dir_all(place.source().join("cache/deep")).unwrap();
    fs::create_dir_all(place.source().join("d/cache")).unwrap();
    for file in ["a.tmp", "a.swp", "cache/x", "cache/deep/y", "d/cache/z", "d/b.swp", "d/a"] {
        fs::write(place.source().join(file), file).unwrap();
    }
    fs::rename(place.source().join("d"), place.source().join("e")).unwrap();
    let left_out = |path: &Path| {
        let name = path.to_string_lossy();
        name.ends_with(".tmp") || name.starts_with("cache") || (name.ends_with(".swp") && name != "before.swp")
    };
    Comparer::new().ignore(left_out).wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
    for file in ["a.tmp", "a.swp", "cache", "e/b.swp"] {
        assert!(!mirror(&daemon).join(file).exists(), "{file}");
    }
    assert!(mirror(&daemon).join("before.swp").exists());
    Sersync::new(&["full-sync", "-c"]).arg(&config).run().code(0);
    assert!(mirror(&daemon).join("a.swp").exists());
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
                std::thread::sleep(Duration::from_millis(5));
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

fn two_watchers_of_one_mirror_do_not_fight() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let first = watch(&place, &config).spawn();
    first.wait_for_log("caught up", LATER);
    let output = watch(&place, &config).run().code(11);
    assert!(output.stderr.contains("another watch is running"), "{output}");
    // A pass may run beside a watcher.
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).run().code(0);
    let second = watch(&place, &config).args(&["--lock-wait", "1m", "--until-idle", "100ms"]).spawn();
    first.terminate().signal(Signal::TERM);
    second.wait(LATER).code(0);
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

/// Stops it, and does more in a directory than the kernel's queue holds (16384 events, unless the limit was raised). No two
/// events are of the same name: those would count as one.
fn overflow(running: &Running, dir: &Path) {
    let kind = if is_fanotify() { "fanotify" } else { "inotify" };
    let limit = fs::read_to_string(format!("/proc/sys/fs/{kind}/max_queued_events")).unwrap();
    running.signal(Signal::STOP);
    for number in 0..limit.trim().parse::<usize>().unwrap() + 100 {
        let file = dir.join(number.to_string());
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }
}

fn an_overflow_of_the_kernels_queue_loses_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for dir in ["src/d", "src/quiet/sub", "src/from/sub", "outside/sub"] {
        fs::create_dir_all(place.dir.path().join(dir)).unwrap();
    }
    for file in ["src/quiet/sub/f", "src/from/sub/f", "outside/sub/f", "src/written", "src/deleted"] {
        fs::write(place.dir.path().join(file), "before").unwrap();
    }
    let_time_pass();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    overflow(&running, &place.source().join("d"));
    fs::write(place.source().join("written"), "after").unwrap();
    fs::remove_file(place.source().join("deleted")).unwrap();
    fs::rename(place.source().join("from"), place.source().join("to")).unwrap();
    fs::rename(place.dir.path().join("outside"), place.source().join("came")).unwrap();
    fs::create_dir_all(place.source().join("unseen/deep")).unwrap();
    fs::write(place.source().join("unseen/deep/file"), "1").unwrap();
    // Only what changed meanwhile is looked for: what is amiss elsewhere on the mirror stays.
    fs::write(mirror(&daemon).join("quiet/only here"), "").unwrap();
    running.signal(Signal::CONT);
    running.wait_for_log("faster than they were read", LATER);
    running.wait_for_log("that changed meanwhile", LATER);
    Comparer::new().ignore(|path| path.starts_with("quiet")).wait_until_same(&place.source(), &mirror(&daemon), LATER);
    assert!(mirror(&daemon).join("quiet/only here").exists(), "{}", running.stderr_so_far());
    fs::remove_file(mirror(&daemon).join("quiet/only here")).unwrap();
    fixture::mtime(&mirror(&daemon).join("quiet"), 1_000_000_000, 0);
    fixture::mtime(&place.source().join("quiet"), 1_000_000_000, 0);
    // The directories that it did not hear of are watched now.
    fs::write(place.source().join("unseen/deep/later"), "1").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
}

fn a_dry_run_lists_and_changes_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("at the start"), "1").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).arg("--dry-run").spawn();
    wait_for("the first file is listed", LATER, || running.stdout_so_far().contains("create at the start"));
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("live"), "1").unwrap();
    wait_for("the change is listed", SOON, || running.stdout_so_far().contains("create live"));
    running.terminate();
    assert!(!mirror(&daemon).exists());
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

fn paths_that_are_too_long_stop_nothing_else() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "1").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    endless_chain(&place.source(), 25);
    running.wait_for_log("too long for rsync", SOON);
    for round in ["22", "333"] {
        fs::write(place.source().join("f"), round).unwrap();
        fs::write(place.source().join(format!("new{round}")), round).unwrap();
        wait_for("the others arrive", SOON, || {
            fs::read(mirror(&daemon).join("f")).is_ok_and(|content| content == round.as_bytes())
                && mirror(&daemon).join(format!("new{round}")).exists()
        });
    }
    let output = running.terminate();
    assert_eq!(output.code, Some(3), "it is not all there, so it is no success: {output}");
}

fn its_own_state_inside_the_source_does_not_keep_it_busy() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let config = quick(&place, &[&daemon], "");
    let state = place.source().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(place.source().join("f"), "1").unwrap();
    let watch = || Sersync::new(&["watch", "-v", "-c"]).arg(&config).state_dir(&state);
    watch().args(&["--until-idle", "300ms"]).run().code(0);
    fs::write(place.source().join("f"), "22").unwrap();
    let running = watch().args(&["--until-idle", "300ms"]).spawn();
    running.wait(LATER).code(0);
    assert_eq!(fs::read(mirror(&daemon).join("f")).unwrap(), b"22");
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

fn who_is_to_end_while_it_begins_anew_ends() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    // Whatever it is just doing: the times only make that different each time.
    for milliseconds in [0, 1, 3, 10, 30, 100] {
        let running = without_terminal(&place, &config).spawn();
        running.wait_for_log("watching", LATER);
        running.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let output = running.terminate();
        assert!(output.signal == Some(Signal::TERM.as_raw()) || output.code == Some(3), "{output}");
    }
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

/// What is left out as a directory only is mirrored as a file, and goes as one.
fn a_file_with_the_name_of_an_excluded_directory_is_deleted() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let (daemon, place) = (Rsyncd::builder().version(version).start(), Place::new());
        fs::create_dir(place.source().join("d")).unwrap();
        for path in ["d/logs", "d/cache", "logs", "stays"] {
            fs::write(place.source().join(path), path).unwrap();
        }
        let config = quick(&place, &[&daemon], "exclude = ['cache/', 'logs/']\n");
        let running = watch(&place, &config).spawn();
        running.wait_for_log("caught up", LATER);
        fs::create_dir(mirror(&daemon).join("cache")).unwrap();
        for path in ["d/logs", "d/cache", "logs"] {
            fs::remove_file(place.source().join(path)).unwrap();
        }
        fs::create_dir(place.source().join("d/cache")).unwrap();
        fs::write(place.source().join("d/cache/c"), "left out").unwrap();
        wait_for("the deletions", LATER, || {
            ["d/logs", "d/cache", "logs"].iter().all(|path| !mirror(&daemon).join(path).exists())
        });
        assert!(mirror(&daemon).join("cache").exists(), "what is excluded stays");
        running.terminate().signal(Signal::TERM);
    }
}

fn what_is_excluded_stays_when_its_directory_is_deleted_live() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        fs::create_dir_all(place.source().join("d/sub")).unwrap();
        fs::write(place.source().join("d/sub/x"), "1").unwrap();
        fs::write(place.source().join("stays"), "1").unwrap();
        let running = watch(&place, &quick(&place, &[&daemon], "exclude = ['*.tmp']\n")).spawn();
        running.wait_for_log("caught up", LATER);
        fs::write(mirror(&daemon).join("d/sub/kept.tmp"), "only here").unwrap();
        fs::remove_dir_all(place.source().join("d")).unwrap();
        wait_for("the deletion arrives", SOON, || !mirror(&daemon).join("d/sub/x").exists());
        running.terminate().signal(Signal::TERM);
        assert_eq!(fs::read(mirror(&daemon).join("d/sub/kept.tmp")).unwrap(), b"only here");
    }
}

fn a_pass_beside_it_finds_out_for_itself_that_the_daemon_is_dead() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    daemon.stop();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("trying again", SOON);
    place.command("full-sync", &daemon).run().code(10).stderr_has("cannot be reached");
    daemon.start();
    running.wait_for_log("caught up", LATER);
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
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

fn only_the_mirror_whose_session_was_cut_off_waits_for_it() {
    let daemon = Rsyncd::builder().start();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let silent_host = silent.local_addr().unwrap().to_string();
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("hosts = [", &format!("hosts = ['{silent_host}', "));
    let text = text.replace("timeout = '20s'", "timeout = '2s'\nconnect-timeout = '1s'");
    fs::write(&config, text).unwrap();
    let state = place.dir.path().join("state");
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&state).run().code(3);
    let output = watch(&place, &config).args(&["--for", "1s", "--drain-timeout", "2s"]).run();
    let healthy = format!("name@127.0.0.1:{}/mod", daemon.port());
    assert!(output.stderr.contains(&format!("{healthy}: caught up")), "{output}");
    assert!(!output.stderr.contains(&format!("{healthy}: the run before")), "{output}");
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
