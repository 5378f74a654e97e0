//! A pass that several machines divide: each has its own state, all of them together do the whole.

use std::fs;

use crate::full_sync::{Place, history};
use crate::parallel::large_tree;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::tree::assert_same;

fn all_shards_together_are_a_pass(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    large_tree(&place.source());
    let mirror = daemon.module_path().join("name");
    let machine = |number: u32| {
        let sersync = place.command("full-sync", &daemon).arg(format!("--shard={number}/3"));
        // The numbers of clients differ from machine to machine.
        sersync.state_dir(&place.dir.path().join(format!("machine-{number}")))
    };
    let together = || {
        let running: Vec<_> = (1..=3).map(|number| machine(number).spawn()).collect();
        for machine in running {
            machine.wait(std::time::Duration::from_secs(100)).code(0);
        }
        assert_same(&place.source(), &mirror);
    };
    together();
    // Changes of every kind all over the tree, and things that only the mirror has.
    for (number, entry) in walkdir::WalkDir::new(place.source()).min_depth(1).into_iter().flatten().enumerate() {
        match number % 40 {
            0 if entry.file_type().is_file() => fs::remove_file(entry.path()).unwrap(),
            1 if entry.file_type().is_file() => fs::write(entry.path(), "changed").unwrap(),
            2 if entry.file_type().is_dir() => fs::write(entry.path().join("new"), "new").unwrap(),
            _ => {}
        }
    }
    fs::create_dir_all(mirror.join("only here/deep")).unwrap();
    fs::write(mirror.join("only here/deep/f"), "f").unwrap();
    together();
    assert!(history(&daemon).iter().any(|(path, _)| path == "only here/deep/f"));
    for number in 1..=3 {
        machine(number).arg("--if-older-than=1h").arg("-v").run().code(0).stderr_has("recent enough");
    }
    place.command("full-sync", &daemon).args(&["-v", "--if-older-than=1h"]).run().code(0).stdout_has("0 created");
}

#[test]
fn all_shards_together_are_a_pass_with_the_installed_daemon() {
    all_shards_together_are_a_pass(Version::Installed);
}

#[test]
fn all_shards_together_are_a_pass_with_debian_12() {
    all_shards_together_are_a_pass(Version::Debian12);
}

#[test]
fn a_small_tree_belongs_to_one_of_them_and_each_keeps_its_own_guard() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for name in ["a", "b", "c"] {
        fs::create_dir(place.source().join(name)).unwrap();
        fs::write(place.source().join(name).join("f"), name).unwrap();
    }
    for shard in ["1/5", "2/5", "3/5", "4/5", "5/5"] {
        place.command("full-sync", &daemon).args(&["--shard", shard]).run().code(0).silent();
    }
    assert_same(&place.source(), &daemon.module_path().join("name"));
    for (shard, text) in [("0/5", "K/N"), ("6/5", "K/N"), ("x", "K/N")] {
        place.command("full-sync", &daemon).args(&["--shard", shard]).run().code(2).stderr_has(text);
    }
}
