//! The parallel pass against real daemons: divided among several rsync clients, it does exactly what one would do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::sersync::{Sersync, config};
use crate::support::tree::assert_same;
use crate::support::{SOON, fixture, wait_for};
use crate::watch::LATER;

/// A tree that is worth dividing: deep, wide and lopsided, with a crowded directory and special files.
pub(crate) fn large_tree(root: &Path) {
    for number in 0..6000 {
        let dir = match number % 3 {
            0 => format!("even/{}/{}", number % 17, number % 5),
            1 => format!("chain/{}", vec!["deeper"; 1 + number % 40].join("/")),
            _ => "crowded".to_owned(),
        };
        let dir = root.join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), number.to_string()).unwrap();
    }
    fixture::small_tree(&root.join("even/small"));
    fixture::hostile_tree(&root.join("even/hostile"));
    symlink("even/3", root.join("link")).unwrap();
}

/// Deletes, changes and moves things in every part of the tree.
fn change(root: &Path) {
    fs::remove_dir_all(root.join("even/4")).unwrap();
    fs::remove_dir_all(root.join("even/hostile")).unwrap();
    fs::rename(root.join("even/5"), root.join("moved")).unwrap();
    fs::rename(root.join("chain/deeper/deeper/deeper"), root.join("crowded/from the chain")).unwrap();
    fs::remove_file(root.join("link")).unwrap();
    fs::create_dir(root.join("link")).unwrap();
    for number in (2..6000).step_by(300) {
        fs::remove_file(root.join(format!("crowded/{number}"))).unwrap();
    }
    fs::write(root.join("crowded/5"), "changed").unwrap();
}

fn configuration(place: &Place, daemon: &Rsyncd, jobs: &str) -> PathBuf {
    let url = daemon.url("name");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\njobs = {jobs}\n\
         [targets.t]\nmodule = '{}'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        url.rsplit('/').nth(1).unwrap(),
        daemon.port(),
        place.source().display(),
    );
    config(&place.dir, &text)
}

fn pass(place: &Place, config: &Path) -> Sersync {
    Sersync::new(&["full-sync", "-vv", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

fn divided(version: Version, jobs: &str) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    large_tree(&place.source());
    let config = configuration(&place, &daemon, jobs);
    let mirror = daemon.module_path().join("name");
    let first = pass(&place, &config).run().code(0);
    assert_same(&place.source(), &mirror);
    if jobs != "1" {
        assert!(!first.stderr.contains(" in 1 scope\n"), "it is divided: {first}");
    }
    let kept = fs::read(place.source().join("even/4/4/174")).unwrap();
    change(&place.source());
    fs::create_dir_all(mirror.join("even/7/stray/deep")).unwrap();
    fs::write(mirror.join("even/7/stray/deep/file"), "stray").unwrap();
    pass(&place, &config).run().code(0);
    assert_same(&place.source(), &mirror);
    let history = history(&daemon);
    for (path, content) in
        [("even/4/4/174", kept.as_slice()), ("even/7/stray/deep/file", b"stray"), ("crowded/5", b"5")]
    {
        assert!(history.contains(&(path.to_owned(), content.to_vec())), "{path} is not in the history");
    }
    let again =
        Sersync::new(&["full-sync", "--json", "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).run();
    let summary: serde_json::Value = serde_json::from_str(again.code(0).stdout.trim()).unwrap();
    for count in ["created", "updated", "deleted", "attributes"] {
        assert_eq!(summary[count], 0, "a second pass finds nothing to do: {summary}");
    }
}

#[test]
fn one_two_or_many_clients_do_the_same() {
    for jobs in ["1", "2", "7", "'auto'"] {
        divided(Version::Installed, jobs);
    }
}

#[test]
fn many_clients_do_the_same_with_debian_12() {
    divided(Version::Debian12, "4");
}

#[test]
fn a_daemon_with_few_connections_gets_fewer_clients() {
    let daemon = Rsyncd::builder().max_connections(2).start();
    let place = Place::new();
    large_tree(&place.source());
    let output = pass(&place, &configuration(&place, &daemon, "8")).run().code(0);
    assert_same(&place.source(), &daemon.module_path().join("name"));
    assert!(output.stderr.contains("one rsync fewer"), "{}", output.stderr);
}

#[test]
fn a_new_mirror_has_no_versions_to_keep_and_any_other_has() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        large_tree(&place.source());
        let config = configuration(&place, &daemon, "3");
        let pass = |state: &str| {
            let state = place.dir.path().join(state);
            Sersync::new(&["full-sync", "--force-delete", "-vvv", "-c"]).arg(&config).state_dir(&state).run().code(0)
        };
        let first = pass("state");
        assert!(!first.stderr.contains("--backup --backup-dir="), "{first}");
        assert_same(&place.source(), &daemon.module_path().join("name"));
        assert!(history(&daemon).is_empty());
        fs::remove_dir_all(daemon.module_path().join("name")).unwrap();
        fs::create_dir(daemon.module_path().join("name")).unwrap();
        let empty = pass("state of its own");
        assert!(!empty.stderr.contains("--backup --backup-dir="), "{empty}");
        assert_same(&place.source(), &daemon.module_path().join("name"));
        // Nothing is remembered of it any more, and it has versions.
        fs::write(place.source().join("crowded/5"), "changed").unwrap();
        assert!(pass("another state").stderr.contains("--backup --backup-dir="));
        assert!(history(&daemon).contains(&("crowded/5".to_owned(), b"5".to_vec())));
    }
}

#[test]
fn a_daemon_with_a_single_connection_is_enough() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).max_connections(1).start();
        let place = Place::new();
        large_tree(&place.source());
        let config = configuration(&place, &daemon, "8");
        for _ in 0..2 {
            pass(&place, &config).run().code(0);
        }
        assert_same(&place.source(), &daemon.module_path().join("name"));
        let verify = Sersync::new(&["verify", "-c"]).arg(&config).state_dir(&place.dir.path().join("state"));
        verify.run().code(0).silent();
    }
}

#[test]
fn a_daemon_that_dies_in_the_middle_is_named_and_the_next_pass_finishes() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    large_tree(&place.source());
    fs::write(place.source().join("even/large"), vec![b'x'; 200 << 20]).unwrap();
    let config = configuration(&place, &daemon, "3");
    let running = pass(&place, &config).spawn();
    let mirror = daemon.module_path().join("name/even");
    // The large file is on its way: it is written under a temporary name.
    let on_its_way = || {
        let names = fs::read_dir(&mirror).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with(".large."))
    };
    wait_for("the large file is being sent", SOON, on_its_way);
    daemon.kill();
    let output = running.wait(SOON * 3).code(10);
    assert!(output.stderr.contains("error: name@"), "{output}");
    daemon.start();
    pass(&place, &config).run().code(0);
    assert_same(&place.source(), &daemon.module_path().join("name"));
}

/// A configuration under which the tree takes minutes, with as many clients at work as were asked for.
fn slow(place: &Place, daemon: &Rsyncd, more: &str) -> PathBuf {
    let config = configuration(place, daemon, "4\nbwlimit = '100K'");
    let text = fs::read_to_string(&config).unwrap() + more;
    fs::write(&config, text).unwrap();
    for number in 0..8 {
        let file = place.source().join(format!("even/{number}/slow"));
        fs::write(file, fixture::bytes(4 << 20)).unwrap();
    }
    config
}

#[test]
fn a_pass_that_takes_too_long_is_stopped_and_says_what_it_did() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    large_tree(&place.source());
    let config = slow(&place, &daemon, "[full-sync]\ntimeout = '2s'\n");
    let state = place.dir.path().join("state");
    let output = Sersync::new(&["full-sync", "--json", "-c"]).arg(&config).state_dir(&state).run().code(3);
    assert!(output.stderr.contains("takes longer than `timeout`"), "{output}");
    let summary: serde_json::Value = serde_json::from_str(output.stdout.trim()).unwrap();
    assert_eq!((summary["exit"].as_u64(), summary["error"].as_str()), (Some(3), Some("stopped before it was done")));
    // Not one process of it is left: the mirror's lock is free, and without the limit the next pass finishes.
    let config = configuration(&place, &daemon, "4");
    pass(&place, &config).run().code(0);
    assert_same(&place.source(), &daemon.module_path().join("name"));
}

#[test]
fn the_limit_of_the_bandwidth_is_that_of_all_clients_together() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    large_tree(&place.source());
    let config = slow(&place, &daemon, "");
    let state = place.dir.path().join("state");
    let running = Sersync::new(&["full-sync", "-vvv", "-c"]).arg(&config).state_dir(&state).spawn();
    let limits = || -> Vec<u64> {
        let log = running.stderr_so_far();
        log.split_whitespace().filter_map(|word| word.strip_prefix("--bwlimit=")?.parse().ok()).collect()
    };
    wait_for("all clients to be at work", SOON * 3, || limits().len() == 5);
    // The first is for the glue, which runs by itself.
    assert_eq!(limits(), [100, 25, 25, 25, 25]);
    running.terminate().signal(Signal::TERM);
}

#[test]
fn it_waits_for_a_daemon_that_is_restarted_in_the_middle() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    large_tree(&place.source());
    let config = configuration(&place, &daemon, "2\nbwlimit = '1M'");
    fs::write(place.source().join("even/3/slow"), fixture::bytes(2 << 20)).unwrap();
    let running = pass(&place, &config).spawn();
    let mirror = daemon.module_path().join("name");
    wait_for("the pass to be at work", SOON, || mirror.join("even").exists());
    daemon.kill();
    daemon.start();
    running.wait(SOON * 3).code(0);
    assert_same(&place.source(), &mirror);
}

/// How much memory a running process has had at most, in kilobytes; nothing when it has ended.
fn most_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn a_million_entries_need_little_memory() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (directories, files) = (50_000, 19);
    for directory in 0..directories {
        let dir = place.source().join(format!("{}/{directory}", directory % 300));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..files {
            // Second names are made faster than files. A file may have 65,000 on ext4.
            let name = dir.join(file.to_string());
            if directory % 2500 == 0 {
                fs::write(name, "").unwrap();
            } else {
                let first = directory - directory % 2500;
                fs::hard_link(place.source().join(format!("{}/{first}/{file}", first % 300)), name).unwrap();
            }
        }
    }
    let state = place.dir.path().join("state");
    let config = configuration(&place, &daemon, "2");
    // All of it is walked and divided; that rsync lists a part is enough.
    let pass = Sersync::new(&["full-sync", "-n", "--shard", "1/50", "-c"]).arg(&config).state_dir(&state).spawn();
    let mut most = 0;
    let ended = || {
        most_memory(pass.id()).is_none_or(|memory| {
            most = most.max(memory);
            false
        })
    };
    wait_for("the pass", LATER, ended);
    let output = pass.wait(SOON).code(0);
    assert!(output.stdout.lines().count() > directories * (files + 1) / 100, "{output}");
    assert!((1000..100_000).contains(&most), "{most} kB");
}

/// A pass over a tree that is divided, and tells all as JSON.
fn told(place: &Place, config: &Path, arguments: &[&str]) -> (Vec<serde_json::Value>, serde_json::Value) {
    let command = Sersync::new(&["full-sync", "--json", "-c"]).arg(config).args(arguments);
    let output = command.state_dir(&place.dir.path().join("state")).run().code(0);
    let mut objects: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = objects.pop().unwrap();
    (objects, summary)
}

#[test]
fn a_dry_run_of_a_divided_pass_tells_each_change_once_and_counts_as_the_real_one() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        large_tree(&place.source());
        let config = configuration(&place, &daemon, "8");
        for round in 0..2 {
            let (items, planned) = told(&place, &config, &["--dry-run"]);
            let mut distinct: Vec<String> = items.iter().map(ToString::to_string).collect();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), items.len());
            let (_, done) = told(&place, &config, &[]);
            let counts = |summary: &serde_json::Value| {
                ["created", "updated", "deleted"].map(|key| summary[key].as_u64().unwrap())
            };
            assert_eq!(counts(&planned), counts(&done), "round {round}");
            assert_same(&place.source(), &daemon.module_path().join("name"));
            for number in 0..6000 {
                if number % 50 == 0 && number % 3 == 0 {
                    let dir = place.source().join(format!("even/{}/{}", number % 17, number % 5));
                    fs::create_dir_all(&dir).unwrap();
                    fs::write(dir.join("new"), "new").unwrap();
                    fs::write(dir.join(number.to_string()), "changed").unwrap();
                }
            }
            fs::remove_dir_all(place.source().join("even/4")).unwrap();
            fs::create_dir_all(place.source().join("even/4")).unwrap();
        }
    }
}

#[test]
fn a_file_that_cannot_be_replaced_is_named_and_the_pass_is_not_good() {
    if !crate::support::is_root() {
        return crate::support::skip("a file that cannot be replaced takes root to make");
    }
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        fs::create_dir(place.source().join("d")).unwrap();
        fs::write(place.source().join("d/f"), "old").unwrap();
        fs::write(place.source().join("d/g"), "old").unwrap();
        place.command("full-sync", &daemon).run().code(0);
        // Nothing can be renamed over what something is mounted on.
        let stuck = daemon.module_path().join("name/d/f");
        let status = Command::new("mount").arg("--bind").args([&stuck, &stuck]).status().unwrap();
        assert!(status.success());
        fs::write(place.source().join("d/f"), "changed").unwrap();
        fs::write(place.source().join("d/g"), "changed").unwrap();
        let output = place.command("full-sync", &daemon).run();
        assert!(Command::new("umount").arg("-l").arg(&stuck).status().unwrap().success());
        let output = output.code(3);
        assert!(output.stderr.contains(": d/f: "), "{output}");
        assert_eq!(fs::read(daemon.module_path().join("name/d/g")).unwrap(), b"changed");
        place.command("full-sync", &daemon).run().code(0);
        assert_same(&place.source(), &daemon.module_path().join("name"));
    }
}
