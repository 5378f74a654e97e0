//! The guards before deletion: how much a pass may delete, and what a source has to be.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::full_sync::{Place, history};
use crate::mounts::Mount;
use crate::security::rsync_that;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::Sersync;
use crate::support::tree::{assert_same, snapshot};
use crate::support::{SOON, wait_for};
use crate::watch::{quick, watch};

for_each_source! {
    a_source_that_is_unmounted_while_it_is_watched_deletes_nothing,
}

/// Files `0` to `count - 1`, some of them in directories.
fn fill(root: &Path, count: usize) {
    for number in 0..count {
        let dir = root.join(format!("d{}", number % 3));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
}

fn remove(root: &Path, numbers: std::ops::Range<usize>) {
    for number in numbers {
        fs::remove_file(root.join(format!("d{}/{number}", number % 3))).unwrap();
    }
}

fn mirror(daemon: &Rsyncd) -> PathBuf {
    daemon.module_path().join("name")
}

#[test]
fn a_source_that_has_shrunk_too_much_is_refused_before_anything_is_done() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fill(&place.source(), 40);
    place.command("full-sync", &daemon).run().code(0);
    remove(&place.source(), 0..30);
    fs::write(place.source().join("new"), "new").unwrap();
    let before = snapshot(&mirror(&daemon));
    let refused = place.command("full-sync", &daemon).run().code(4);
    for word in ["14 entries", "had 43", "29 fewer", "`max-delete` (50%)", "--force-delete"] {
        assert!(refused.stderr.contains(word), "{word}: {refused}");
    }
    assert_eq!(before, snapshot(&mirror(&daemon)), "not even what is new was sent");
    // A dry run shows what it is about, and comes to the same end.
    let dry = place.command("full-sync", &daemon).arg("--dry-run").run().code(4);
    assert_eq!(dry.stdout.matches("delete").count(), 30 + 1, "{dry}");
    place.command("full-sync", &daemon).arg("--force-delete").run().code(0).silent();
    assert_same(&place.source(), &mirror(&daemon));
    assert_eq!(history(&daemon).len(), 30);
    // From now on this is what it is compared with.
    remove(&place.source(), 30..33);
    place.command("full-sync", &daemon).run().code(0).silent();
    assert_same(&place.source(), &mirror(&daemon));
}

fn deletions_are_stopped(version: Version, jobs: usize) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    // As many as there were, so that the source has not shrunk; but all have other names.
    fill(&place.source(), 300);
    let config = place.dir.path().join("sersync.toml");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\njobs = {jobs}\n[full-sync]\nmax-delete = 20\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    fs::write(&config, text).unwrap();
    let run = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    run().run().code(0);
    fs::rename(place.source(), place.dir.path().join("old")).unwrap();
    fs::create_dir(place.source()).unwrap();
    for number in 0..300 {
        fs::write(place.source().join(format!("other {number}")), "x").unwrap();
    }
    let refused = run().run().code(4).stderr_has("--force-delete");
    let left = walkdir::WalkDir::new(mirror(&daemon)).into_iter().filter_map(Result::ok);
    let left = left.filter(|entry| entry.file_type().is_file() && entry.depth() == 2).count();
    assert!((280..=300).contains(&left), "{left} left: {refused}");
    assert!(history(&daemon).len() <= 20);
    run().arg("--force-delete").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    assert_eq!(history(&daemon).len(), 300, "nothing is lost");
}

#[test]
fn more_deletions_than_may_be_are_stopped() {
    deletions_are_stopped(Version::Installed, 1);
}

#[test]
fn more_deletions_than_may_be_are_stopped_with_debian_12() {
    deletions_are_stopped(Version::Debian12, 4);
}

/// A job that may not delete as much as it would is run again by itself, and what it has sent before that is a version by then.
#[test]
fn what_is_replaced_twice_in_a_pass_with_too_many_deletions_is_kept_twice() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fill(&place.source(), 10);
    fs::write(place.source().join("f"), "1").unwrap();
    let config = place.dir.path().join("sersync.toml");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\njobs = 1\n[full-sync]\nmax-delete = 5\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    fs::write(&config, text).unwrap();
    let run = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    run().run().code(0);
    for number in 0..10 {
        fs::write(place.source().join(format!("other {number}")), "x").unwrap();
    }
    remove(&place.source(), 0..10);
    fs::write(place.source().join("f"), "22").unwrap();
    // Between the two runs it changes once more.
    let script = "case \"$*\" in *--max-delete=*) [ -e DIR/ran ] && echo 333 >f; : >DIR/ran;; esac";
    run().env("PATH", rsync_that(&place, script)).run().code(4).stderr_has("--force-delete");
    assert_eq!(fs::read_to_string(mirror(&daemon).join("f")).unwrap(), "333\n");
    let all = walkdir::WalkDir::new(daemon.module_path().join("history-backup")).into_iter().filter_map(Result::ok);
    let versions = all.filter(|entry| entry.file_name() == "f").map(|entry| fs::read_to_string(entry.path()).unwrap());
    assert_eq!(versions.collect::<std::collections::BTreeSet<_>>(), ["1", "22"].map(str::to_owned).into());
}

#[test]
fn a_first_pass_over_somebody_elses_mirror_does_not_empty_it() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("one"), "1").unwrap();
    let theirs = mirror(&daemon).join("theirs");
    fs::create_dir_all(&theirs).unwrap();
    fill(&theirs, 30);
    place.command("full-sync", &daemon).run().code(4).stderr_has("max-delete");
    let left = walkdir::WalkDir::new(&theirs).into_iter().filter_map(Result::ok).filter(|e| e.file_type().is_file());
    assert!(left.count() >= 29);
}

#[test]
fn a_local_target_has_the_same_guard() {
    let place = Place::new();
    fill(&place.source(), 30);
    let target = place.dir.path().join("target");
    fs::create_dir(&target).unwrap();
    let run = || {
        let sersync = Sersync::new(&["full-sync", "--from"]).arg(place.source()).arg("--to").arg(target.join("name"));
        sersync.state_dir(&place.dir.path().join("state"))
    };
    run().run().code(0);
    remove(&place.source(), 0..30);
    for number in 0..30 {
        fs::write(place.source().join(format!("other {number}")), "x").unwrap();
    }
    fs::remove_dir_all(place.dir.path().join("state/mirrors")).unwrap();
    fs::create_dir(target.join("name/more")).unwrap();
    fill(&target.join("name/more"), 30);
    run().run().code(4).stderr_has("max-delete");
    run().arg("--force-delete").run().code(0);
    assert_same(&place.source(), &target.join("name"));
}

#[test]
fn an_empty_source_that_is_meant_empties_the_mirror() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fill(&place.source(), 30);
    place.command("full-sync", &daemon).run().code(0);
    fs::remove_dir_all(place.source()).unwrap();
    fs::create_dir(place.source()).unwrap();
    place.command("full-sync", &daemon).run().code(4).stderr_has("--allow-empty");
    place.command("full-sync", &daemon).arg("--allow-empty").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
}

#[test]
fn a_source_that_was_mounted_is_not_mirrored_when_it_is_not() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("below the mount"), "not empty").unwrap();
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    fill(&place.source(), 10);
    place.command("full-sync", &daemon).run().code(0);
    drop(mount);
    let before = snapshot(&mirror(&daemon));
    for command in ["full-sync", "watch"] {
        place.command(command, &daemon).run().code(4).stderr_has("is it mounted?");
    }
    assert_eq!(before, snapshot(&mirror(&daemon)));
    place.command("full-sync", &daemon).arg("--force-delete").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    place.command("full-sync", &daemon).run().code(0);
}

fn a_source_that_is_unmounted_while_it_is_watched_deletes_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("below the mount"), "not empty").unwrap();
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    fill(&place.source(), 10);
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", SOON);
    let before = snapshot(&mirror(&daemon));
    drop(mount);
    running.wait_for_log("waiting for it", SOON);
    fs::write(place.source().join("below the mount 2"), "x").unwrap();
    assert_eq!(before, snapshot(&mirror(&daemon)));
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    fill(&place.source(), 11);
    running.wait_for_log("the directory is back", SOON);
    crate::support::tree::wait_until_same(&place.source(), &mirror(&daemon), SOON);
    assert!(!history(&daemon).iter().any(|(path, _)| path.contains("below")), "what is below was never mirrored");
    running.terminate().signal(Signal::TERM);
    drop(mount);
}

#[test]
fn a_file_system_inside_that_is_not_mounted_any_more_deletes_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let inside = place.source().join("a/mnt");
    fs::create_dir_all(&inside).unwrap();
    fs::write(place.source().join("a/f"), "f").unwrap();
    fill(&place.source().join("b"), 20);
    let Some(mount) = Mount::tmpfs(&inside) else { return };
    fill(&inside, 3);
    let config = place.dir.path().join("sersync.toml");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n\
         [sources.name]\npath = '{}'\ntargets = ['t']\none-file-system = false\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    fs::write(&config, text).unwrap();
    let run =
        |command: &str| Sersync::new(&[command, "-v", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    run("full-sync").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    drop(mount);
    fs::write(place.source().join("a/f"), "changed").unwrap();
    run("full-sync").run().code(3).stderr_has("a/mnt").stderr_has("is it mounted?");
    let watching = run("watch").args(&["--until-idle", "100ms"]).run();
    assert!(watching.stderr.contains("is it mounted?"), "{watching}");
    assert!(mirror(&daemon).join("a/mnt/d0/0").exists());
    assert_eq!(fs::read(mirror(&daemon).join("a/f")).unwrap(), b"changed");
    run("full-sync").arg("--force-delete").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    run("full-sync").run().code(0);
}

#[test]
fn a_recent_pass_is_not_repeated_when_that_is_not_wanted() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fill(&place.source(), 3);
    let run = |age: &str| place.command("full-sync", &daemon).args(&["-v", "--if-older-than", age]).run();
    run("1h").code(0).stdout_has("created");
    fill(&place.source(), 4);
    run("1h").code(0).stderr_has("recent enough");
    run("every").code(0).stderr_has("recent enough");
    assert!(!mirror(&daemon).join("d0/3").exists());
    run("0s").code(0).stdout_has("created");
    assert_same(&place.source(), &mirror(&daemon));
    run("soon").code(2);
}

/// A tree that several clients work on, in pieces that last a while; and the configuration for it.
fn slow_pass(place: &Place, daemon: &Rsyncd, jobs: usize, more: &str) -> PathBuf {
    for number in 0..4000 {
        let dir = place.source().join(format!("d{}/s", number % 40));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), "x").unwrap();
    }
    for number in 0..2400 {
        fs::write(place.source().join(format!("d{}/f{number}", number % 40)), "x").unwrap();
    }
    let config = place.dir.path().join("sersync.toml");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\njobs = {jobs}\n{more}\n[targets.t]\nmodule = 'mod'\n\
         hosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    fs::write(&config, text).unwrap();
    config
}

/// Takes the source away while a pass is at work. Whatever the limit, the pass must delete nothing: the source has not
/// shrunk, it is gone. Its exit code comes back.
fn taken_away_during_a_pass(place: &Place, take_away: impl FnOnce()) -> Option<i32> {
    let daemon = Rsyncd::builder().start();
    let config = slow_pass(place, &daemon, 2, "[full-sync]\nmax-delete = '100%'");
    let pass = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    pass().run().code(0);
    for number in 0..40 {
        fs::write(place.source().join(format!("d{number}/large")), vec![b'x'; 400_000]).unwrap();
    }
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("jobs = 2", "jobs = 2\nbwlimit = '3M'")).unwrap();
    let running = pass().spawn();
    wait_for("a large file to arrive", SOON, || mirror(&daemon).join("d0/large").exists());
    take_away();
    let output = running.wait(SOON * 5);
    let left = walkdir::WalkDir::new(mirror(&daemon)).into_iter().filter_map(Result::ok);
    let left = left.filter(|entry| entry.file_type().is_file() && entry.file_name() != "large").count();
    assert_eq!(left, 6400, "nothing was deleted: {output}");
    output.code
}

#[test]
fn a_source_that_is_unmounted_during_a_pass_deletes_nothing() {
    let place = Place::new();
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    assert_eq!(taken_away_during_a_pass(&place, move || drop(mount)), Some(10));
}

#[test]
fn a_source_that_is_replaced_during_a_pass_deletes_nothing() {
    let place = Place::new();
    let code = taken_away_during_a_pass(&place, || {
        fs::rename(place.source(), place.dir.path().join("elsewhere")).unwrap();
        fs::create_dir(place.source()).unwrap();
    });
    // Clients that had begun may end well: they go on with the directory that they began with.
    assert!(matches!(code, Some(0 | 10)), "{code:?}");
}

#[test]
fn many_clients_together_delete_no_more_than_may_be() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let config = slow_pass(&place, &daemon, 16, "[full-sync]\nmax-delete = 500");
    let pass = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    pass().run().code(0);
    for number in 0..4000 {
        let dir = place.source().join(format!("d{}/s", number % 40));
        fs::write(dir.join(format!("new {number}")), "x").unwrap();
        if number % 2 == 0 {
            fs::remove_file(dir.join(number.to_string())).unwrap();
        }
    }
    let refused = pass().run().code(4).stderr_has("may delete 500 paths");
    let deleted = history(&daemon).len();
    assert!(deleted <= 500 && refused.stderr.contains(&format!("deleted {deleted},")), "{deleted}: {refused}");
    let dry = pass().arg("-n").run().code(4);
    assert!(dry.stderr.contains("would delete") && !dry.stderr.contains("history"), "{}", dry.stderr);
    pass().arg("--force-delete").run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
}

#[test]
fn all_may_be_deleted_when_it_is_no_more_than_the_limit_however_it_is_spread() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let config = slow_pass(&place, &daemon, 4, "[full-sync]\nmax-delete = 100");
    let pass = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
    pass().run().code(0);
    // All of them in one directory, and so for one of the clients, which has a quarter to begin with.
    for number in (0..4000).step_by(40) {
        fs::remove_file(place.source().join("d0/s").join(number.to_string())).unwrap();
    }
    pass().run().code(0);
    assert_same(&place.source(), &mirror(&daemon));
    assert_eq!(history(&daemon).len(), 100);
}

#[test]
fn that_it_was_mounted_is_remembered_whatever_else_changes() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let config = place.dir.path().join("sersync.toml");
    let configure = |rsync: &str, source: &str| {
        let text = format!(
            "[rsync]\nuser = 'tester'\npassword-file = '{}'\n{rsync}\n[targets.t]\nmodule = 'mod'\n\
             hosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n{source}\n",
            daemon.password_file().display(),
            daemon.port(),
            place.source().display(),
        );
        fs::write(&config, text).unwrap();
    };
    let pass = |shard: &str| {
        let sersync = Sersync::new(&["full-sync", "--shard", shard, "-c"]).arg(&config);
        sersync.state_dir(&place.dir.path().join("state")).run()
    };
    fs::write(place.source().join("below"), "").unwrap();
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    fill(&place.source(), 30);
    configure("", "");
    pass("1/1").code(0);
    drop(mount);
    let before = snapshot(&mirror(&daemon));
    for (rsync, source) in [("", "exclude = ['*.tmp']"), ("numeric-ids = true", ""), ("", "one-file-system = false")] {
        configure(rsync, source);
        for shard in ["1/1", "1/2", "2/2"] {
            pass(shard).code(4).stderr_has("is it mounted?");
        }
    }
    assert_eq!(before, snapshot(&mirror(&daemon)));
}

#[test]
fn a_root_that_was_replaced_by_something_as_large_is_refused() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fill(&place.source(), 40);
    place.command("full-sync", &daemon).run().code(0);
    fs::rename(place.source(), place.dir.path().join("old")).unwrap();
    fs::create_dir(place.source()).unwrap();
    for number in 0..60 {
        fs::write(place.source().join(format!("other {number}")), "x").unwrap();
    }
    place.command("full-sync", &daemon).run().code(4).stderr_has("--force-delete");
    assert!(history(&daemon).len() <= 21);
}

#[test]
fn a_root_that_may_be_listed_but_not_entered_is_named() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let nobody = crate::full_sync::as_nobody(&place, &daemon, "full-sync");
    crate::support::fixture::mode(&place.source(), 0o444);
    nobody.run().code(10).stderr_has("cannot be read");
    crate::support::fixture::mode(&place.source(), 0o755);
}
