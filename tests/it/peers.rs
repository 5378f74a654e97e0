//! Scenarios from the test suite of lsyncd, and from what users of lsyncd have reported; the numbers are those of its issues
//! (github.com/lsyncd/lsyncd). What is tried elsewhere already is not repeated: a full disk on the target (57, 678) and a
//! target that comes and goes are faults of `storm/`, a mirror that lost a file (593) is one of `full_sync.rs`, excludes of all
//! shapes are compared with rsync's in `excludes.rs`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::full_sync::{Place, history};
use crate::limits::assert_modest;
use crate::storm::workload::{Random, change_of_content};
use crate::support::daemon::Rsyncd;
use crate::support::events::{Source, for_each_source, run_with};
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{Comparer, assert_same, wait_until_same};
use crate::support::{SOON, fixture, let_pass, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    churn_that_begins_before_the_watch_ends_in_equal_trees,
    excluded_names_stay_out_at_the_start_after_all_is_deleted_and_when_all_is_made_again,
    trees_that_are_copied_while_it_watches_arrive_as_a_whole,
    no_busy_source_keeps_another_one_waiting,
    names_of_one_big_file_are_deleted_one_by_one,
    a_directory_that_becomes_a_link_takes_nothing_with_it,
    big_trees_that_are_copied_and_deleted_again_leave_nothing,
    a_rewrite_of_the_same_size_in_the_same_second_arrives,
    what_happens_while_the_target_is_down_for_long_arrives_when_it_is_back,
    a_file_that_is_copied_moved_away_and_copied_again_is_the_last_one,
    a_log_that_is_written_all_the_time_does_not_keep_others_from_being_sent,
    a_big_file_that_is_being_rewritten_ends_as_it_is,
    a_rename_of_what_the_mirror_has_lost_brings_it_back,
}

/// `tests/churn-rsync.lua`: what is there, the watch, and more in the middle of its start.
fn churn_that_begins_before_the_watch_ends_in_equal_trees() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(place.source().join("stays"), "1").unwrap();
    let mut random = Random::new(20_261_127);
    (0..100).for_each(|_| change_of_content(&mut random, &place.source(), &outside));
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    (0..500).for_each(|_| change_of_content(&mut random, &place.source(), &outside));
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// The files of `tests/exclude-rsync.lua`.
fn fill_for_excludes(source: &Path) {
    for dir in ["", "d"] {
        for name in ["erf", "eaf", "erd", "ead"] {
            fs::create_dir_all(source.join(dir).join(format!("{name}-dir"))).unwrap();
            if name.ends_with('f') {
                fs::write(source.join(dir).join(name), name).unwrap();
            } else {
                fs::create_dir_all(source.join(dir).join(name)).unwrap();
                fs::write(source.join(dir).join(name).join("inside"), name).unwrap();
            }
        }
    }
}

/// `tests/exclude-rsync.lua`, `tests/filter-rsync.lua`; 105 and 399 are about lists of patterns that silently did nothing.
fn excluded_names_stay_out_at_the_start_after_all_is_deleted_and_when_all_is_made_again() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fill_for_excludes(&place.source());
    fs::write(place.source().join("stays"), "1").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "exclude = ['erf', '/eaf', 'erd/', '/ead/']\n")).spawn();
    let is_out = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name == "erf" || name == "erd" || path == Path::new("eaf") || path == Path::new("ead")
    };
    // The times of directories in which only something excluded came or went follow later (README, limits).
    let arrives = || {
        wait_for("all of it", LATER, || {
            let differences = Comparer::new().ignore(is_out).diff(&place.source(), &mirror(&daemon));
            differences.iter().all(|difference| difference.contains(": mtime: "))
        });
        for out in ["erf", "eaf", "erd", "ead", "d/erf", "d/erd"] {
            assert!(!mirror(&daemon).join(out).exists(), "{out}");
        }
    };
    arrives();
    for entry in fs::read_dir(place.source()).unwrap().flatten().filter(|entry| entry.file_name() != "stays") {
        if entry.path().is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.unwrap();
    }
    arrives();
    fill_for_excludes(&place.source());
    arrives();
    running.terminate().signal(Signal::TERM);
}

/// What would do nothing, or something else than its writer means, is refused.
#[test]
fn patterns_that_rsync_would_read_as_something_else_are_refused() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    for pattern in ["", "+ /a**", "- /ab**"] {
        let config = quick(&place, &[&daemon], &format!("exclude = ['{pattern}']\n"));
        Sersync::new(&["config", "check", "-c"]).arg(config).run().code(78);
    }
}

/// `tests/cron-rsync.lua`: nothing is watched, and only the pass that runs every now and then moves data.
#[test]
fn passes_alone_keep_the_mirror_equal_after_the_start_after_all_is_deleted_and_when_all_is_made_again() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let config = quick(&place, &[&daemon], "exclude = ['erf', 'erd/']\n");
    let pass = || {
        let pass = Sersync::new(&["full-sync", "--force-delete", "-c"]).arg(&config);
        pass.state_dir(&place.dir.path().join("state")).run().code(0);
        let is_out = |path: &Path| path.file_name().is_some_and(|name| name == "erf" || name == "erd");
        Comparer::new().ignore(is_out).assert_same(&place.source(), &mirror(&daemon));
        assert!(!mirror(&daemon).join("d/erf").exists() && !mirror(&daemon).join("d/erd").exists());
    };
    fill_for_excludes(&place.source());
    fs::write(place.source().join("stays"), "1").unwrap();
    pass();
    for entry in fs::read_dir(place.source()).unwrap().flatten().filter(|entry| entry.file_name() != "stays") {
        if entry.path().is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) }.unwrap();
    }
    pass();
    fill_for_excludes(&place.source());
    pass();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn deep_tree(root: &Path) {
    for number in 0..200 {
        let dir = root.join(format!("{}/{}/{}", number % 5, number % 7, number % 3));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), format!("{number}")).unwrap();
    }
}

/// `tests/l4rsyncdata.lua`: directories are filled before anything can watch them.
fn trees_that_are_copied_while_it_watches_arrive_as_a_whole() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    deep_tree(&place.source().join("d"));
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    for number in 1..=5 {
        copy_tree(&place.source().join("d"), &place.source().join(format!("d{number}")));
    }
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// `tests/schedule.lua`, where one process has to serve three sources that are always busy; 85: many sources that begin at the
/// same time with one host that takes few connections.
fn no_busy_source_keeps_another_one_waiting() {
    let (daemon, place) = (Rsyncd::builder().max_connections(2).start(), Place::new());
    let sources: Vec<PathBuf> = (0..13).map(|number| place.source().join(number.to_string())).collect();
    let mut text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[watch]\ndelay = '50ms'\nmax-delay = '500ms'\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n",
        daemon.password_file().display(),
        daemon.port(),
    );
    for (number, source) in sources.iter().enumerate() {
        fs::create_dir(source).unwrap();
        fs::write(source.join("first"), "1").unwrap();
        writeln!(text, "[sources.s{number}]\npath = '{}'\ntargets = ['t']", source.display()).unwrap();
    }
    let running = watch(&place, &config(&place.dir, &text)).spawn();
    let end = Instant::now() + LATER + LATER;
    let mut round = 0;
    // Three are busy until the last one of all has had several turns.
    let arrived = |number: usize, name: &str| daemon.module_path().join(format!("s{number}/{name}")).exists();
    for turn in ["one", "two"] {
        for source in &sources {
            fs::write(source.join(turn), turn).unwrap();
        }
        while !(0..13).all(|number| arrived(number, turn)) {
            assert!(Instant::now() < end, "somebody waits for turn {turn}\n{}", running.stderr_so_far());
            round += 1;
            for source in &sources[..3] {
                fs::write(source.join("busy"), round.to_string()).unwrap();
            }
            let_pass(Duration::from_millis(20));
        }
    }
    for (number, source) in sources.iter().enumerate() {
        wait_until_same(source, &daemon.module_path().join(format!("s{number}")), LATER);
    }
    running.terminate().signal(Signal::TERM);
}

/// `tests/test_actions.sh`: several names of one big file, in one directory and below.
fn names_of_one_big_file_are_deleted_one_by_one() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    fs::create_dir_all(source.join("d/below")).unwrap();
    fs::write(source.join("d/one"), fixture::bytes(20 << 20)).unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    wait_until_same(&source, &mirror(&daemon), LATER);
    fs::hard_link(source.join("d/one"), source.join("d/two")).unwrap();
    fs::hard_link(source.join("d/one"), source.join("d/below/three")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    fs::remove_file(source.join("d/one")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    fs::remove_dir_all(source.join("d/below")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    fs::remove_file(source.join("d/two")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 290: what the link leads to lost its files on the target.
fn a_directory_that_becomes_a_link_takes_nothing_with_it() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    for file in ["a/f", "a/deep/g", "b/f", "b/deep/g"] {
        fs::create_dir_all(source.join(file).parent().unwrap()).unwrap();
        fs::write(source.join(file), file).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    wait_until_same(&source, &mirror(&daemon), LATER);
    fs::remove_dir_all(source.join("a")).unwrap();
    symlink("b", source.join("a")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    assert_eq!(fs::read(mirror(&daemon).join("b/deep/g")).unwrap(), b"b/deep/g");
    fs::remove_file(source.join("a")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 630: directories that were deleted stayed; 12, 542, 652, 660 are about the same.
fn big_trees_that_are_copied_and_deleted_again_leave_nothing() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    deep_tree(&source.join("d"));
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    for round in 0..4 {
        let copy = source.join(format!("copy {round}"));
        copy_tree(&source.join("d"), &copy);
        // Sometimes before anything of it was sent, sometimes after that, sometimes in between.
        let_pass(Duration::from_millis(60 * round));
        fs::remove_dir_all(copy).unwrap();
    }
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 327: neither size nor second tell that there is something new.
fn a_rewrite_of_the_same_size_in_the_same_second_arrives() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let file = place.source().join("f");
    fs::write(&file, "0000").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    for text in ["1111", "2222", "3333"] {
        fs::write(&file, text).unwrap();
        fixture::mtime(&file, 1_700_000_000, 0);
        wait_for(text, LATER, || fs::read_to_string(mirror(&daemon).join("f")).is_ok_and(|read| read == text));
    }
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 695: many deletions at once; 315, 322 and 586 are about backlogs that never end. With inotify, whose queue is the smaller one.
#[test]
fn a_hundred_thousand_files_come_and_go_in_one_go() {
    run_with(Source::Inotify, a_hundred_thousand_files);
}

fn a_hundred_thousand_files() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (dir, mirrored) = (place.source().join("crowd"), mirror(&daemon).join("crowd"));
    fs::create_dir(&dir).unwrap();
    fs::write(place.source().join("stays"), "1").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    for number in 0..100_000 {
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
    let entries = || fs::read_dir(&mirrored).map_or(0, Iterator::count);
    wait_for("all to arrive", LATER, || entries() == 100_000);
    // Some change, some go, and all of them get another name.
    for number in 0..1000 {
        fs::write(dir.join(number.to_string()), "changed").unwrap();
        fs::remove_file(dir.join((number + 50_000).to_string())).unwrap();
    }
    wait_for("some to go", LATER, || entries() == 99_000);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    for number in 0..50_000 {
        fs::remove_file(dir.join(number.to_string())).unwrap();
    }
    fs::remove_dir_all(&dir).unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    assert_modest(&running);
    running.terminate().signal(Signal::TERM);
    // A file that rsync meets between being opened and being written was mirrored empty, and that is a version, too.
    let (whole, empty): (Vec<_>, Vec<_>) = history(&daemon).into_iter().partition(|(_, content)| !content.is_empty());
    assert_eq!(whole.len(), 101_000, "each version once, beside {} empty ones", empty.len());
}

/// 695, 381, 174: create, move and delete while the target is down.
fn what_happens_while_the_target_is_down_for_long_arrives_when_it_is_back() {
    let (mut daemon, place) = (Rsyncd::builder().start(), Place::new());
    let (source, outside) = (place.source(), place.dir.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    deep_tree(&source.join("tree"));
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    daemon.stop();
    let mut random = Random::new(20_261_128);
    for _ in 0..10 {
        (0..50).for_each(|_| change_of_content(&mut random, &source, &outside));
        let_pass(Duration::from_millis(100));
    }
    fs::rename(source.join("tree"), source.join("moved")).unwrap();
    fs::remove_dir_all(source.join("moved/1")).unwrap();
    running.wait_for_log("cannot be reached", LATER);
    daemon.start();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// Pull request 285: `cp f dir/; mv f g; touch dir; cp h dir/f`.
fn a_file_that_is_copied_moved_away_and_copied_again_is_the_last_one() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    fs::create_dir(source.join("dir")).unwrap();
    for name in ["f", "h"] {
        fs::write(source.join(name), name).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::copy(source.join("f"), source.join("dir/f")).unwrap();
    fs::rename(source.join("f"), source.join("g")).unwrap();
    fixture::mtime(&source.join("dir"), 1_700_000_000, 0);
    fs::copy(source.join("h"), source.join("dir/f")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    assert_eq!(fs::read(mirror(&daemon).join("dir/f")).unwrap(), b"h");
    running.terminate().signal(Signal::TERM);
}

/// 558: a file that is appended to several times a second.
fn a_log_that_is_written_all_the_time_does_not_keep_others_from_being_sent() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    let mut log = File::create(source.join("log")).unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(source.join("other"), "1").unwrap();
    wait_for("the other file", LATER, || {
        log.write_all(b"one more line\n").unwrap();
        mirror(&daemon).join("other").exists()
    });
    wait_for("some of the log", LATER, || {
        log.write_all(b"one more line\n").unwrap();
        fs::metadata(mirror(&daemon).join("log")).is_ok_and(|meta| meta.len() > 0)
    });
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 537: a file that is still being rewritten when it is sent.
fn a_big_file_that_is_being_rewritten_ends_as_it_is() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    fs::write(source.join("big"), fixture::bytes(30 << 20)).unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    let file = File::options().write(true).open(source.join("big")).unwrap();
    for number in 0..300_u64 {
        file.write_all_at(&fixture::bytes(4000), number * 100_003).unwrap();
        let_pass(Duration::from_millis(3));
    }
    drop(file);
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 371: what is renamed is not there on the target.
fn a_rename_of_what_the_mirror_has_lost_brings_it_back() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let source = place.source();
    for name in ["d/f", "f"] {
        fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
        fs::write(source.join(name), name).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::remove_dir_all(mirror(&daemon).join("d")).unwrap();
    fs::remove_file(mirror(&daemon).join("f")).unwrap();
    fs::rename(source.join("d"), source.join("e")).unwrap();
    fs::rename(source.join("f"), source.join("g")).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// 481: SIGTERM in the middle of a transfer leaves whole files only, old or new, and the next start goes on.
#[test]
fn told_to_end_during_a_transfer_it_leaves_old_or_new_files_and_goes_on_later() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let file = place.source().join("big");
    let (old, new) = (vec![b'o'; 3 << 20], vec![b'n'; 4 << 20]);
    fs::write(&file, &old).unwrap();
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap().replace("timeout = '20s'", "timeout = '20s'\nbwlimit = '2M'");
    fs::write(&config, text).unwrap();
    let arguments = ["--drain-timeout", "100ms"];
    let running = watch(&place, &config).args(&arguments).spawn();
    running.wait_for_log("caught up", LATER);
    // What has nothing in common with the old one takes its time.
    fs::write(&file, fixture::bytes(new.len())).unwrap();
    wait_for("it to be on its way", SOON, || {
        fs::read_dir(mirror(&daemon)).unwrap().flatten().any(|it| it.file_name().to_string_lossy().starts_with(".big."))
    });
    running.terminate();
    let there = fs::read(mirror(&daemon).join("big")).unwrap();
    assert!(there == old || there == fs::read(&file).unwrap(), "{} bytes", there.len());
    let running = watch(&place, &config).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
}
