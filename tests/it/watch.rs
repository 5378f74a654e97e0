//! `watch` against real daemons: whatever happens to the source, the mirror becomes equal to it, entry by entry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::changed::let_time_pass;
use crate::full_sync::{Place, endless_chain, history};
use crate::scenarios;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::{for_each_source, is_fanotify};
use crate::support::sersync::{Running, Sersync, config};
use crate::support::tree::{Comparer, assert_same, wait_until_same};
use crate::support::{SOON, fixture, wait_for};

for_each_source! {
    mirrors_every_kind_of_change,
    mirrors_every_kind_of_change_to_debian_12,
    nothing_is_lost_that_happens_while_it_starts,
    nothing_is_lost_that_happens_while_it_starts_with_debian_12,
    killed_at_any_moment_the_next_start_makes_the_mirror_equal,
    every_version_that_was_on_the_mirror_is_kept,
    real_time_excludes_are_for_real_time_only,
    two_watchers_of_one_mirror_do_not_fight,
    an_overflow_of_the_kernels_queue_loses_nothing,
    a_dry_run_lists_and_changes_nothing,
    paths_that_are_too_long_stop_nothing_else,
    what_was_too_long_and_is_gone_fails_no_more,
    plenty_of_written_files_are_sent_although_more_may_come,
    its_own_state_inside_the_source_does_not_keep_it_busy,
    a_file_with_the_name_of_an_excluded_directory_is_deleted,
    what_is_excluded_stays_when_its_directory_is_deleted_live,
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
    let scenarios = scenarios::prepared(&place.source());
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
    let scenarios = scenarios::prepared(&place.source());
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

fn two_watchers_of_one_mirror_do_not_fight() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let first = watch(&place, &config).spawn();
    first.wait_for_log("caught up", LATER);
    let output = watch(&place, &config).run().code(11);
    assert!(output.stderr.contains("another watch is running"), "{output}");
    // Waiting is bounded by what bounds the run.
    let output = watch(&place, &config).args(&["--lock-wait", "1h", "--for", "1s"]).run().code(11);
    assert!(output.stderr.contains("it has not ended within 1s"), "{output}");
    // A pass may run beside a watcher.
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).run().code(0);
    let second = watch(&place, &config).args(&["--lock-wait", "1m", "--until-idle", "100ms"]).spawn();
    first.terminate().signal(Signal::TERM);
    second.wait(LATER).code(0);
}

/// Stops it, and does more in a directory than the kernel's queue holds (16384 events, unless the limit was raised). No two
/// events are of the same name: those would count as one.
pub(crate) fn overflow(running: &Running, dir: &Path) {
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

fn what_was_too_long_and_is_gone_fails_no_more() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let config = quick(&place, &[&daemon], "");
    let state = place.dir.path().join("state");
    let status = || Sersync::new(&["status", "--failing", "-c"]).arg(&config).state_dir(&state).run();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    endless_chain(&place.source(), 25);
    running.wait_for_log("too long for rsync", SOON);
    wait_for("it is named", SOON, || status().stdout.contains("too long for rsync"));
    fs::remove_dir_all(place.source().join("long".repeat(50))).unwrap();
    running.wait_for_log("which was left out, is gone", SOON);
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    wait_for("nothing fails", SOON, || status().code == Some(0));
    running.terminate().signal(Signal::TERM);
}

/// With a delay of an hour nothing else would send them in the time of a test.
fn plenty_of_written_files_are_sent_although_more_may_come() {
    const WRITTEN: usize = 5_000;
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let dirs: Vec<PathBuf> = (0..50).map(|number| place.source().join(format!("written/{number}"))).collect();
    for dir in &dirs {
        fs::create_dir_all(dir).unwrap();
    }
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("delay = '50ms'\nmax-delay = '1s'", "delay = '1h'\nmax-delay = '1h'")).unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    for number in 0..WRITTEN {
        fs::write(dirs[number / 100].join(number.to_string()), number.to_string()).unwrap();
    }
    let written = || walkdir::WalkDir::new(mirror(&daemon).join("written")).into_iter().flatten();
    wait_for("the first of them", LATER, || written().filter(|entry| entry.file_type().is_file()).count() > 4_000);
    // The others wait; they are sent at the end.
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
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
