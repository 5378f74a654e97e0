//! `prune-history` against real daemons, in a local directory, and on the server itself: what has expired goes, entry by
//! entry, and nothing else.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use chrono::{Days, Local, TimeDelta};

use crate::full_sync::Place;
use crate::mounts::Mount;
use crate::support::daemon::{Builder, Rsyncd, Version};
use crate::support::fixture;
use crate::support::golden::assert_golden;
use crate::support::sersync::{Output, Sersync, config};
use crate::support::tree::{Kind, Snapshot, snapshot};
use crate::support::{is_root, skip};

/// A day so long ago.
fn day(ago: u64) -> String {
    (Local::now().date_naive() - Days::new(ago)).to_string()
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "an old version").unwrap();
}

/// A history with everything that can be in one, below the root of a module. What lies outside of it is linked to.
fn history(module: &Path) -> Vec<String> {
    let name = module.join("history-backup/name");
    let outside = module.join("outside");
    write(&outside.join("f"));
    write(&module.join("name/current"));
    write(&module.join(format!("history-backup/name2/{}/100000/f", day(30))));
    for bucket in ["100000", "110000-1"] {
        write(&name.join(day(30)).join(bucket).join("a/b/f"));
        fixture::hostile_tree(&name.join(day(30)).join(bucket).join("hostile"));
    }
    // Below a bucket any name is just content, and links are not followed.
    write(&name.join(day(20)).join(format!("235959/{}/100000/f", day(1))));
    symlink(&outside, name.join(day(20)).join("235959/link")).unwrap();
    write(&name.join(day(8)).join("235900/f"));
    for fresh in [format!("{}/080000/f", day(1)), format!("{}/000000-7/f", day(0))] {
        write(&name.join(fresh));
    }
    // As the original system has it, and days without anything.
    for legacy in [day(40) + "/file", day(40) + "/dir/sub/f", day(2) + "/dir/f"] {
        write(&name.join(legacy));
    }
    fs::create_dir(name.join(day(50))).unwrap();
    // What is not ours.
    write(&name.join("lost+found/f"));
    write(&name.join("new\nline"));
    write(&name.join("2020-1-2/100000/f"));
    symlink(&outside, name.join(day(24))).unwrap();
    write(&name.join(day(23)).join("100000/f"));
    symlink(&outside, name.join(day(23)).join("120000")).unwrap();
    write(&name.join(day(23)).join("130000"));
    write(&name.join(day(25)).join("090000/f"));
    write(&name.join(day(25)).join("100000/f"));
    write(&name.join(day(25)).join("notes/f"));
    let gone = [
        day(30),
        day(20),
        day(8),
        day(40),
        day(50),
        day(23) + "/100000",
        day(25) + "/090000",
        // Its directory tells that `notes` is none of the original's days.
        day(25) + "/100000/f",
    ];
    gone.map(|path| format!("history-backup/name/{path}")).to_vec()
}

/// Panics unless exactly this is gone.
#[track_caller]
fn assert_gone(before: &Snapshot, module: &Path, gone: &[String]) {
    let after = snapshot(module);
    let stays = |path: &Path| !gone.iter().any(|gone| path.starts_with(gone));
    for (path, entry) in before {
        let path = Path::new(path);
        match after.get(path.as_os_str()) {
            None => assert!(!stays(path), "{} is gone", path.display()),
            Some(now) => {
                assert!(stays(path), "{} is still there", path.display());
                // Something was removed from a directory, or not.
                let time = if now.kind == Kind::Dir { entry.mtime } else { now.mtime };
                assert_eq!(&crate::support::tree::Entry { mtime: time, ..now.clone() }, entry, "{}", path.display());
            }
        }
    }
    assert!(after.keys().all(|path| before.contains_key(path)), "something is new");
}

fn daemons() -> impl Iterator<Item = Builder> {
    let versions = Version::ALL.into_iter().filter(|version| version.is_here());
    let chroot = [false, true].into_iter().filter(|chroot| !chroot || is_root());
    versions
        .flat_map(move |version| chroot.clone().map(move |chroot| Rsyncd::builder().version(version).chroot(chroot)))
}

/// What is said of names that are not ours.
#[track_caller]
fn assert_reported(output: &Output) {
    let names = ["lost+found".to_owned(), "new\\nline".to_owned(), "2020-1-2".to_owned(), day(24)];
    let below = [day(23) + "/120000", day(23) + "/130000", day(25) + "/notes"];
    let names: Vec<String> = names.into_iter().chain(below).collect();
    for name in &names {
        let line = format!(": left alone, since it is no bucket: {name}\n");
        assert!(output.stderr.contains(&line), "{name}: {output}");
    }
    assert_eq!(output.stderr.lines().count(), names.len(), "{output}");
}

/// Looks first, then prunes, then finds nothing more to do.
#[track_caller]
fn prunes_exactly(module: &Path, command: impl Fn() -> Sersync) {
    let gone = history(module);
    let before = snapshot(module);
    let dry = command().arg("--dry-run").run().code(0);
    assert!(before == snapshot(module), "a dry run has changed something");
    assert_reported(&dry);
    assert!(dry.stdout.contains(&format!(": remove {}/110000-1: expired 2", day(30))), "{dry}");
    assert!(dry.stdout.contains(&format!(": remove {}: expired ", day(40))), "{dry}");
    assert!(dry.stdout.contains(&format!(": keep {}/080000: expires in ", day(1))), "{dry}");
    for again in [false, true] {
        let output = command().run().code(0);
        assert!(output.stdout.is_empty(), "{output}");
        assert_reported(&output);
        assert_gone(&before, module, &gone);
        let said = command().arg("-v").run().code(0);
        assert!(said.stdout.contains(" kept, 0 removed, 7 other names left alone in "), "{again}: {said}");
    }
}

#[test]
fn what_has_expired_goes_over_rsync_and_nothing_else() {
    for daemon in daemons() {
        let daemon = daemon.start();
        let place = Place::new();
        prunes_exactly(&daemon.module_path(), || place.command("prune-history", &daemon));
    }
}

#[test]
fn what_has_expired_goes_from_a_local_target_and_nothing_else() {
    let place = Place::new();
    let target = place.dir.path().join("disk");
    let command = || {
        let command = Sersync::new(&["prune-history", "--from"]).arg(place.source());
        command.arg("--to").arg(target.join("name")).state_dir(&place.dir.path().join("state"))
    };
    command().run().code(10).stderr_has("is it mounted?");
    fs::create_dir(&target).unwrap();
    command().run().code(0).silent();
    prunes_exactly(&target, command);
}

#[test]
fn what_has_expired_goes_on_the_server_itself_and_nothing_else() {
    let place = Place::new();
    let module = place.dir.path().join("module");
    let local = || Sersync::new(&["prune-history", "--local"]).arg(&module).args(&["--keep-days", "7", "name"]);
    local().run().code(10).stderr_has("No such file or directory");
    fs::create_dir_all(module.join("history-backup")).unwrap();
    local().run().code(10).stderr_has("history-backup/name: ");
    prunes_exactly(&module, local);
    // Without a name, all are pruned.
    let before = snapshot(&module);
    Sersync::new(&["prune-history", "--keep-days", "7", "--local"]).arg(&module).run().code(0);
    assert_gone(&before, &module, &[format!("history-backup/name2/{}", day(30))]);
    // How long anything is kept has to be said somewhere.
    Sersync::new(&["prune-history", "--local"]).arg(&module).run().code(2).stderr_has("--keep-days");
    local().arg("../outside").run().code(2);
}

#[test]
fn links_and_mounts_are_not_followed_on_the_server() {
    let place = Place::new();
    let module = place.dir.path().join("module");
    let history = module.join("history-backup");
    write(&place.dir.path().join("elsewhere/2020-01-02/100000/f"));
    fs::create_dir_all(&history).unwrap();
    symlink(place.dir.path().join("elsewhere"), history.join("linked")).unwrap();
    write(&history.join("name/2020-01-02/100000/f"));
    let local = || Sersync::new(&["prune-history", "--keep-days", "7", "--local"]).arg(&module);
    local().run().code(0).stderr_has("left alone, since it is no history");
    local().arg("linked").run().code(4).stderr_has("links are not followed");
    assert!(place.dir.path().join("elsewhere/2020-01-02/100000/f").exists());
    if !is_root() {
        return skip("only root can mount");
    }
    let inside = history.join("name/2020-01-02/100000/deep/mounted");
    fs::create_dir_all(&inside).unwrap();
    write(&history.join("name/2020-01-02/100000/g"));
    let Some(_mount) = Mount::tmpfs(&inside) else { return };
    write(&inside.join("f"));
    let output = local().arg("name").run().code(3);
    assert!(output.stderr.contains("2020-01-02/100000/deep/mounted: another file system is mounted there"), "{output}");
    assert!(inside.join("f").exists() && !history.join("name/2020-01-02/100000/g").exists());
}

#[test]
fn deep_trees_and_many_buckets_go_in_one_run() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    let name = module.join("history-backup/name");
    for number in 1..=2000 {
        // Every tenth day has one that stays.
        let ago = if number % 10 == 0 { 1 } else { 10 + number % 10 };
        write(&name.join(day(ago)).join(format!("{:06}-{number}/d/f", 100_000 + number % 60)));
    }
    let deep: PathBuf = std::iter::repeat_n("d", 1000).collect();
    fs::create_dir_all(name.join(day(15)).join("120000").join(&deep)).unwrap();
    let output = place.command("prune-history", &daemon).arg("--json").run().code(0);
    let last: serde_json::Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["removed"], &last["kept"], &last["rsync_runs"]), (&1801.into(), &200.into(), &2.into()));
    assert_eq!(fs::read_dir(&name).unwrap().count(), 1);
    // And on the server.
    fs::create_dir_all(name.join(day(15)).join("120000").join(&deep)).unwrap();
    Sersync::new(&["prune-history", "--keep-days", "7", "--local"]).arg(&module).run().code(0).silent();
    assert_eq!(fs::read_dir(&name).unwrap().count(), 1);
}

#[test]
fn a_clock_that_is_behind_removes_nothing() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    history(&module);
    let ahead = (Local::now().date_naive() + Days::new(3)).to_string();
    write(&module.join(format!("history-backup/name/{ahead}/100000/f")));
    let before = snapshot(&module);
    let local = Sersync::new(&["prune-history", "--keep-days", "7", "name", "--local"]).arg(&module);
    for command in [place.command("prune-history", &daemon), local] {
        let output = command.run().code(4);
        assert!(output.stderr.contains(&format!("days behind `{ahead}/100000` of the history")), "{output}");
        assert!(before == snapshot(&module), "something was removed");
    }
}

#[test]
fn without_a_history_nothing_goes_unless_it_is_asked_for() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    let url = daemon.url("name");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[history]\nkeep-days = 0\n[targets.t]\nmodule = '{}'\n\
         hosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        url.rsplit('/').nth(1).unwrap(),
        daemon.port(),
        place.source().display(),
    );
    let config = config(&place.dir, &text);
    let state = place.dir.path().join("state");
    let command = || Sersync::new(&["prune-history", "-c"]).arg(&config).state_dir(&state);
    // The newest may still be in use by its age.
    let now = Local::now().naive_local();
    let newest = now.format("%Y-%m-%d/%H%M%S").to_string();
    let old = (now - TimeDelta::hours(30)).format("%Y-%m-%d/%H%M%S").to_string();
    let buckets = [old.as_str(), newest.as_str()].map(|name| module.join("history-backup/name").join(name));
    for bucket in &buckets {
        write(&bucket.join("f"));
    }
    let output = command().run().code(0).stderr_has("--keep-days 0");
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{output}");
    Sersync::new(&["prune-history", "-c"]).arg(&config).arg("--local").arg(&module).run().code(0);
    assert!(buckets.iter().all(|bucket| bucket.exists()));
    command().args(&["--keep-days", "0"]).run().code(0).silent();
    assert_eq!(buckets.each_ref().map(|bucket| bucket.exists()), [false, true]);
    // On the server, where nobody can tell what is in use, the newest stays.
    fs::remove_dir_all(&buckets[1]).unwrap();
    write(&buckets[0].join("f"));
    write(&module.join("history-backup/name/2020-01-02/100000/f"));
    Sersync::new(&["prune-history", "--keep-days", "0", "--local"]).arg(&module).run().code(0).silent();
    assert_eq!(buckets.map(|bucket| bucket.exists()), [true, false]);
    assert!(!module.join("history-backup/name/2020-01-02").exists());
}

#[test]
fn what_a_watch_may_be_using_is_kept() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    let buckets = ["2020-01-02/100000", "2020-01-02/110000"].map(|name| module.join("history-backup/name").join(name));
    for bucket in &buckets {
        write(&bucket.join("f"));
    }
    let locks = place.dir.path().join("state/locks");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(format!("name@127.0.0.1:{}%2fmod.watch", daemon.port()))).unwrap();
    lock.lock().unwrap();
    place.command("prune-history", &daemon).run().code(0).silent();
    assert_eq!(buckets.each_ref().map(|bucket| bucket.exists()), [false, true]);
    drop(lock);
    place.command("prune-history", &daemon).run().code(0).silent();
    assert!(!module.join("history-backup/name/2020-01-02").exists());
}

#[test]
fn a_pass_excludes_it_and_a_dry_run_disturbs_nobody() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    place.command("prune-history", &daemon).run().code(0).silent();
    history(&module);
    let before = snapshot(&module);
    let files = fs::read_dir(place.dir.path().join("state/locks")).unwrap().map(|entry| entry.unwrap().path());
    let locks: Vec<fs::File> = files.map(|file| fs::File::open(file).unwrap()).collect();
    for lock in &locks {
        lock.lock().unwrap();
    }
    place.command("prune-history", &daemon).run().code(11).stderr_has("another pass is running");
    place.command("prune-history", &daemon).arg("-n").run().code(0);
    assert!(before == snapshot(&module));
}

#[test]
fn what_cannot_be_reached_or_written_is_told_apart() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let mut daemon = Rsyncd::builder().version(version).read_only(true).start();
        let place = Place::new();
        history(&daemon.module_path());
        let before = snapshot(&daemon.module_path());
        let run = || place.command("prune-history", &daemon).run();
        run().code(1).stderr_has("the module is read only");
        fs::write(daemon.password_file(), "wrong\n").unwrap();
        run().code(12).stderr_has("refused the user or the password");
        daemon.stop();
        place.command("prune-history", &daemon).run().code(10).stderr_has("cannot be reached");
        assert!(before == snapshot(&daemon.module_path()));
    }
}

#[test]
fn what_could_not_be_deleted_is_named() {
    if !is_root() {
        return skip("only root can give files away");
    }
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).extra("uid = 65534").extra("gid = 65534").start();
        let place = Place::new();
        let name = daemon.module_path().join("history-backup/name");
        for bucket in ["2020-01-02/100000", "2020-01-03/100000"] {
            write(&name.join(bucket).join("f"));
        }
        for theirs in ["", "2020-01-02", "2020-01-02/100000"] {
            chown(name.join(theirs), Some(65534), Some(65534)).unwrap();
        }
        let output = place.command("prune-history", &daemon).arg("-v").run().code(3);
        assert!(output.stderr.contains(": 2020-01-03/100000: was not deleted\n"), "{output}");
        assert!(output.stdout.contains(": 1 bucket kept, 1 removed, "), "{output}");
        assert!(!name.join("2020-01-02").exists() && name.join("2020-01-03/100000/f").exists());
        // A day that cannot be read looks like an empty one.
        write(&name.join("2020-01-04/100000/f"));
        fixture::mode(&name.join("2020-01-03"), 0o700);
        let before = snapshot(&daemon.module_path());
        place.command("prune-history", &daemon).run().code(1).stderr_has("the history cannot be listed: ");
        assert!(before == snapshot(&daemon.module_path()));
    }
}

#[test]
fn a_history_that_is_a_link_is_refused() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    write(&module.join("elsewhere/2020-01-02/100000/f"));
    fs::create_dir(module.join("history-backup")).unwrap();
    symlink("../elsewhere", module.join("history-backup/name")).unwrap();
    place.command("prune-history", &daemon).run().code(4).stderr_has("is no directory itself");
    assert!(module.join("elsewhere/2020-01-02/100000/f").exists());
}

#[test]
fn a_busy_daemon_is_asked_again() {
    let daemon = Rsyncd::builder().max_connections(1).start();
    let (place, module) = (Place::new(), daemon.module_path());
    let mut text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n",
        daemon.password_file().display(),
        daemon.port(),
    );
    for name in ["a", "b", "c"] {
        write(&module.join("history-backup").join(name).join("2020-01-02/100000/f"));
        fs::create_dir(place.source().join(name)).unwrap();
        let path = place.source().join(name);
        writeln!(text, "[sources.{name}]\npath = '{}'\ntargets = ['t']", path.display()).unwrap();
    }
    let config = config(&place.dir, &text);
    Sersync::new(&["prune-history", "-c"]).arg(&config).run().code(0).silent();
    for name in ["a", "b", "c"] {
        assert_eq!(fs::read_dir(module.join("history-backup").join(name)).unwrap().count(), 0);
    }
}

#[test]
fn the_oldest_go_until_the_history_is_small_enough() {
    let place = Place::new();
    let module = place.dir.path().join("module");
    for ago in 1..=5 {
        let file = module.join(format!("history-backup/name/{}/100000/f", day(ago)));
        write(&file);
        fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
        fs::hard_link(&file, file.with_file_name("second name")).unwrap();
    }
    write(&module.join(format!("history-backup/small/{}/100000/f", day(5))));
    let local = || Sersync::new(&["prune-history", "--keep-days", "30", "--local"]).arg(&module);
    local().run().code(0).silent();
    let text =
        "[history]\nmax-size = '2500K'\n[targets.t]\npath = '/t'\n[sources.name]\npath = '/s'\ntargets = ['t']\n";
    let config = config(&place.dir, text);
    let dry = local().arg("-c").arg(&config).arg("-n").run().code(0);
    let too_big = |line: &&str| line.ends_with(": the history is bigger than max-size");
    assert_eq!(dry.stdout.lines().filter(too_big).count(), 3, "{dry}");
    let before = snapshot(&module);
    local().arg("-c").arg(&config).run().code(0).silent();
    let gone: Vec<String> = (3..=5).map(|ago| format!("history-backup/name/{}", day(ago))).collect();
    assert_gone(&before, &module, &gone);
    // The newest is kept, however big it is.
    local().args(&["--max-size", "1K"]).run().code(0).silent();
    assert!(module.join(format!("history-backup/name/{}/100000/f", day(1))).exists());
    assert!(!module.join(format!("history-backup/name/{}", day(2))).exists());
    for wrong in ["0B", "12", "1Q"] {
        local().args(&["--max-size", wrong]).run().code(2);
    }
}

#[test]
fn listings_for_people_and_for_programs() {
    let daemon = Rsyncd::builder().start();
    let (place, module) = (Place::new(), daemon.module_path());
    for name in ["2020-01-02/100000/f", "2020-01-02/110000-1/f", "2020-01-03/f", "2020-01-04/100000/f", "2020-01-04/x"]
    {
        write(&module.join("history-backup/name").join(name));
    }
    write(&module.join(format!("history-backup/name/{}/100000/f", day(1))));
    let dry = place.command("prune-history", &daemon).args(&["-n", "--keep-days", "30"]).run().code(0);
    let said = (dry.stdout + &dry.stderr).replace(&day(1), "YESTERDAY").replace(&daemon.port().to_string(), "PORT");
    // Ages and times differ from run to run.
    let said: String = said.lines().map(|line| without_numbers(line) + "\n").collect();
    assert_golden("prune-history.txt", &said);
    let output = place.command("prune-history", &daemon).arg("--json").run().code(0);
    let objects: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (mirror, buckets) = objects.split_last().unwrap();
    let listed: Vec<(&str, &str)> =
        buckets.iter().map(|b| (b["action"].as_str().unwrap(), b["path"].as_str().unwrap())).collect();
    let newest = day(1) + "/100000";
    let expected = [
        ("remove", "2020-01-02/100000"),
        ("remove", "2020-01-02/110000-1"),
        ("remove", "2020-01-03"),
        ("keep", "2020-01-04/100000"),
        ("keep", newest.as_str()),
        ("leave", "2020-01-04/x"),
    ];
    assert_eq!(listed, expected);
    assert!(buckets.iter().all(|bucket| bucket["type"] == "bucket" && bucket["mirror"] == mirror["mirror"]));
    for (key, number) in [("exit", 0), ("kept", 2), ("removed", 3), ("left_alone", 1), ("rsync_runs", 2)] {
        assert_eq!(mirror[key], number, "{key}: {output}");
    }
    assert_eq!((&mirror["type"], &mirror["dry_run"]), (&"mirror".into(), &false.into()));
}

/// The line with N for what is a number between spaces.
fn without_numbers(line: &str) -> String {
    let words =
        line.split(' ').map(|word| if word.parse::<f64>().is_ok() && line.contains("expire") { "N" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    line.split(" in 0.").next().unwrap().to_owned()
}
