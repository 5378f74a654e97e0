//! What is kept of files only when the configuration asks for it: hard links, ACLs, extended attributes, owners by number.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::process::Signal;

use crate::full_sync::{Place, history};
use crate::parallel::large_tree;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{Comparer, assert_same, wait_until_same};
use crate::support::{SOON, skip, wait_for};

for_each_source! {
    watch_keeps_the_content_of_links_and_the_next_pass_their_identity,
    extended_attributes_are_kept_when_asked_for,
}

fn configured(place: &Place, daemon: &Rsyncd, rsync: &str) -> PathBuf {
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n{rsync}\n[watch]\ndelay = '50ms'\nmax-delay = '1s'\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    config(&place.dir, &text)
}

fn run(place: &Place, command: &str, config: &Path) -> Sersync {
    Sersync::new(&[command, "-vvv", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

fn is_one_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    inode(one) == inode(other)
}

fn hard_links_are_kept(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let (source, mirror) = (place.source(), daemon.module_path().join("name"));
    let config = configured(&place, &daemon, "hard-links = true\njobs = 4");
    // Links from one end of a tree that would be divided to the other.
    large_tree(&source);
    fs::hard_link(source.join("even/4/4/174"), source.join("crowded/link")).unwrap();
    fs::hard_link(source.join("even/4/4/174"), source.join("chain/link")).unwrap();
    fs::write(source.join("one"), "1").unwrap();
    fs::write(source.join("two"), "2").unwrap();
    let output = run(&place, "full-sync", &config).run().code(0);
    Comparer::new().hard_links().assert_same(&source, &mirror);
    assert!(output.stderr.contains("one rsync compares the whole source"), "{}", output.stderr);
    // A name that becomes a link to what is there already, one that is one no longer, and one that is new.
    fs::remove_file(source.join("two")).unwrap();
    fs::hard_link(source.join("one"), source.join("two")).unwrap();
    fs::remove_file(source.join("chain/link")).unwrap();
    fs::write(source.join("chain/link"), "its own").unwrap();
    fs::hard_link(source.join("crowded/2"), source.join("even/new")).unwrap();
    run(&place, "full-sync", &config).run().code(0);
    Comparer::new().hard_links().assert_same(&source, &mirror);
    assert!(history(&daemon).contains(&("two".to_owned(), b"2".to_vec())), "the version that a link replaced is kept");
}

#[test]
fn hard_links_are_kept_across_a_tree_that_would_be_divided() {
    hard_links_are_kept(Version::Installed);
}

#[test]
fn hard_links_are_kept_on_debian_12() {
    hard_links_are_kept(Version::Debian12);
}

#[test]
fn without_the_key_each_name_is_a_file_of_its_own() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("a"), "a").unwrap();
    fs::hard_link(place.source().join("a"), place.source().join("b")).unwrap();
    let output = run(&place, "full-sync", &configured(&place, &daemon, "")).run().code(0);
    let mirror = daemon.module_path().join("name");
    assert_same(&place.source(), &mirror);
    assert!(!is_one_file(&mirror.join("a"), &mirror.join("b")));
    for switch in ["--hard-links", "--acls", "--xattrs", "--numeric-ids"] {
        assert!(!output.stderr.contains(switch), "{switch} is not asked for: {output}");
    }
}

/// What the manual says of rsync's way with links that the source no longer has.
#[test]
fn names_that_are_a_link_no_longer_stay_one_file_until_one_of_them_changes() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (source, mirror) = (place.source(), daemon.module_path().join("name"));
    let config = configured(&place, &daemon, "hard-links = true");
    fs::write(source.join("a"), "same").unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    run(&place, "full-sync", &config).run().code(0);
    let time = fs::metadata(source.join("a")).unwrap().modified().unwrap();
    fs::remove_file(source.join("b")).unwrap();
    fs::write(source.join("b"), "same").unwrap();
    fs::File::options().append(true).open(source.join("b")).unwrap().set_modified(time).unwrap();
    run(&place, "full-sync", &config).run().code(0);
    assert!(is_one_file(&mirror.join("a"), &mirror.join("b")));
    fs::write(source.join("b"), "its own").unwrap();
    run(&place, "full-sync", &config).run().code(0);
    Comparer::new().hard_links().assert_same(&source, &mirror);
}

/// In real time rsync sees the links among the paths of one batch only; the next comparison of everything sees all.
fn watch_keeps_the_content_of_links_and_the_next_pass_their_identity() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (source, mirror) = (place.source(), daemon.module_path().join("name"));
    let config = configured(&place, &daemon, "hard-links = true");
    for name in ["a", "other"] {
        fs::write(source.join(name), name).unwrap();
    }
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    // A link to a file that is there already, and one that takes the place of another file.
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    wait_until_same(&source, &mirror, SOON);
    fs::hard_link(source.join("a"), source.join("temporary")).unwrap();
    fs::rename(source.join("temporary"), source.join("other")).unwrap();
    wait_until_same(&source, &mirror, SOON);
    // Both names in one new directory go in one batch.
    let new = place.dir.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("x"), "x").unwrap();
    fs::hard_link(new.join("x"), new.join("y")).unwrap();
    fs::rename(&new, source.join("new")).unwrap();
    wait_until_same(&source, &mirror, SOON);
    assert!(is_one_file(&mirror.join("new/x"), &mirror.join("new/y")));
    running.terminate().signal(Signal::TERM);
    run(&place, "full-sync", &config).run().code(0);
    Comparer::new().hard_links().assert_same(&source, &mirror);
}

fn extended_attributes_are_kept_when_asked_for() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (file, copy) = (place.source().join("f"), daemon.module_path().join("name/f"));
    fs::write(&file, "f").unwrap();
    for root in [place.source(), daemon.module_path()] {
        if let Err(error) = setxattr(&root, "user.sersync-test", b"", XattrFlags::empty()) {
            return skip(&format!("{} keeps no extended attributes: {error}", root.display()));
        }
    }
    let value = |path: &Path| {
        let mut value = [0; 16];
        getxattr(path, "user.x", &mut value).map(|length| value[..length].to_vec())
    };
    setxattr(&file, "user.x", b"bytes \xff\n", XattrFlags::empty()).unwrap();
    run(&place, "full-sync", &configured(&place, &daemon, "")).run().code(0);
    value(&copy).expect_err("nobody asked for it");
    // Overridden for the target.
    let config = configured(&place, &daemon, "[targets.t.rsync]\nxattrs = true");
    run(&place, "full-sync", &config).run().code(0);
    assert_eq!(value(&copy).unwrap(), b"bytes \xff\n");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    setxattr(&file, "user.x", b"changed", XattrFlags::empty()).unwrap();
    wait_for("the attribute follows", SOON, || value(&copy).unwrap() == b"changed");
    running.terminate().signal(Signal::TERM);
}

#[test]
fn access_control_lists_are_kept_when_asked_for() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let (file, copy) = (place.source().join("f"), daemon.module_path().join("name/f"));
    fs::write(&file, "f").unwrap();
    let set = Command::new("setfacl").args(["-m", "u:12345:rwx"]).arg(&file).output();
    match set {
        Err(error) => return skip(&format!("setfacl (package acl) cannot be run: {error}")),
        Ok(set) if !set.status.success() => {
            return skip(&format!("the file system keeps no ACLs: {}", String::from_utf8_lossy(&set.stderr)));
        }
        Ok(_) => {}
    }
    let entries = |path: &Path| {
        let mut getfacl = Command::new("getfacl");
        let output = getfacl.args(["--omit-header", "--numeric", "--absolute-names"]).arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    run(&place, "full-sync", &configured(&place, &daemon, "")).run().code(0);
    assert!(!entries(&copy).contains("user:12345"), "nobody asked for it");
    run(&place, "full-sync", &configured(&place, &daemon, "acls = true\nnumeric-ids = true")).run().code(0);
    assert!(entries(&file).contains("user:12345:rwx"));
    assert_eq!(entries(&file), entries(&copy));
}

#[test]
fn owners_go_by_number_when_asked_for() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = configured(&place, &daemon, "numeric-ids = true");
    run(&place, "full-sync", &config).run().code(0).stderr_has(" --numeric-ids ");
    assert_same(&place.source(), &daemon.module_path().join("name"));
}

#[test]
fn verify_finds_links_that_are_broken_on_the_mirror() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let config = configured(&place, &daemon, "hard-links = true");
    for number in 0..5 {
        fs::write(place.source().join(format!("a{number}")), number.to_string()).unwrap();
        fs::hard_link(place.source().join(format!("a{number}")), place.source().join(format!("b{number}"))).unwrap();
    }
    let run = |command| Sersync::new(&[command, "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).run();
    run("full-sync").code(0);
    run("verify").code(0);
    let mirror = daemon.module_path().join("name");
    let broken = mirror.join("b3");
    let content = fs::read(&broken).unwrap();
    let time = fs::metadata(&broken).unwrap().modified().unwrap();
    fs::remove_file(&broken).unwrap();
    fs::write(&broken, content).unwrap();
    fs::File::options().write(true).open(&broken).unwrap().set_modified(time).unwrap();
    let root_time = fs::metadata(place.source()).unwrap().modified().unwrap();
    fs::File::open(&mirror).unwrap().set_modified(root_time).unwrap();
    run("verify").code(3).stdout_has("differs b3");
    run("full-sync").code(0);
    run("verify").code(0);
}
