//! `watch` does not send again what was renamed, and what comes of it is right all the same: the mirror, the history, and the
//! files that two names may share for a moment.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::{Running, Sersync};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{fixture, is_root, wait_for};
use crate::watch::{LATER, mirror, quick};

for_each_source! {
    a_directory_that_is_moved_is_not_sent_again,
    a_big_file_that_is_renamed_or_moved_is_not_sent_again,
    what_is_smaller_than_rename_min_size_is_sent,
    renames_that_overlap_with_other_changes_are_right,
    a_directory_that_takes_the_place_of_another_with_the_same_sizes_and_times_is_mirrored,
    what_is_left_out_stays_left_out_when_it_is_moved_along,
    a_rename_that_was_cut_off_leaves_no_file_with_two_names,
}

/// More than would be sent for names and attributes alone, and much less than the data.
const LITTLE: u64 = 150_000;

struct Watched {
    place: Place,
    daemon: Rsyncd,
    config: PathBuf,
}

impl Watched {
    fn new(daemon: Rsyncd, more: &str) -> Watched {
        let place = Place::new();
        let config = quick(&place, &[&daemon], more);
        Watched { place, daemon, config }
    }

    /// With what is left out in real time.
    fn start(&self) -> Running {
        let state = self.place.dir.path().join("state");
        let running = Sersync::new(&["watch", "-vvv", "--json", "-c"]).arg(&self.config).state_dir(&state).spawn();
        running.wait_for_log("caught up", LATER);
        running
    }

    fn source(&self, path: &str) -> PathBuf {
        self.place.source().join(path)
    }

    fn mirror(&self, path: &str) -> PathBuf {
        mirror(&self.daemon).join(path)
    }

    /// A file of 3 MB, another one for each number.
    fn write(&self, path: &str, number: u8) {
        fs::create_dir_all(self.source(path).parent().unwrap()).unwrap();
        let mut data = fixture::bytes(3_000_000);
        data[0] = number;
        fs::write(self.source(path), data).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.source(from), self.source(to)).unwrap();
    }

    fn same(&self) {
        wait_until_same(&self.place.source(), &mirror(&self.daemon), LATER);
    }
}

/// What all batches after catching up have sent, in bytes.
fn sent(running: Running) -> u64 {
    let output = running.terminate().signal(Signal::TERM);
    let batches = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes = batches.filter(|batch| batch["type"] == "batch" && batch["occasion"] == "changes");
    changes.map(|batch| batch["sent"].as_u64().unwrap()).sum()
}

fn daemons() -> impl Iterator<Item = Rsyncd> {
    let versions = [Version::Installed, Version::Debian12].into_iter().filter(|version| version.is_here());
    let chroot = [false, true].into_iter().filter(|chroot| !chroot || is_root());
    let all = versions.flat_map(move |version| chroot.clone().map(move |chroot| (version, chroot)));
    all.map(|(version, chroot)| Rsyncd::builder().version(version).chroot(chroot).start())
}

fn a_directory_that_is_moved_is_not_sent_again() {
    for daemon in daemons() {
        let it = Watched::new(daemon, "");
        for (path, number) in [("a/f", 1), ("a/deep/er/g", 2), ("a/deep/h", 3)] {
            it.write(path, number);
        }
        fixture::mode(&it.source("a/deep"), 0o750);
        it.write("other/x", 4);
        let running = it.start();
        it.rename("a", "a1");
        // On the way into another one, that is moved as well.
        it.rename("a1", "other/b");
        it.rename("other", "new");
        it.same();
        let sent = sent(running);
        assert!(sent < LITTLE, "{sent} bytes");
        let mut kept: Vec<(String, u8)> = history(&it.daemon).into_iter().map(|(path, data)| (path, data[0])).collect();
        kept.sort();
        assert_eq!(
            kept,
            [("a/deep/er/g".into(), 2), ("a/deep/h".into(), 3), ("a/f".into(), 1), ("other/x".into(), 4)]
                as [(String, u8); 4]
        );
        let state = it.place.dir.path().join("state");
        assert!(walkdir::WalkDir::new(state.join("links")).min_depth(1).into_iter().next().is_none(), "a note is left");
    }
}

fn a_big_file_that_is_renamed_or_moved_is_not_sent_again() {
    for (daemon, chroot) in [(Rsyncd::builder().chroot(false), false), (Rsyncd::builder().chroot(true), true)] {
        if chroot && !is_root() {
            continue;
        }
        let it = Watched::new(daemon.start(), "");
        for (path, number) in [("d/one", 1), ("d/two", 2), ("d/three", 3)] {
            it.write(path, number);
        }
        fs::create_dir(it.source("e")).unwrap();
        let running = it.start();
        it.rename("d/one", "d/one.1");
        it.same();
        it.rename("d/two", "e/two");
        it.same();
        if chroot {
            // Without chroot rsync does not find it: see rsync/placement.rs.
            it.rename("d/three", "e/drei");
            it.same();
        }
        let sent = sent(running);
        assert!(sent < LITTLE, "{sent} bytes");
    }
}

fn what_is_smaller_than_rename_min_size_is_sent() {
    let it = Watched::new(Rsyncd::builder().start(), "");
    let text = fs::read_to_string(&it.config).unwrap();
    fs::write(&it.config, text.replace("rename-min-size = '0B'", "rename-min-size = '1M'")).unwrap();
    for name in ["d/f", "g"] {
        fs::create_dir_all(it.source(name).parent().unwrap()).unwrap();
        fs::write(it.source(name), fixture::bytes(900_000)).unwrap();
    }
    let running = it.start();
    it.rename("d", "e");
    it.rename("g", "h");
    it.same();
    let sent = sent(running);
    assert!(sent > 1_800_000, "{sent} bytes");
}

fn renames_that_overlap_with_other_changes_are_right() {
    for daemon in daemons() {
        let it = Watched::new(daemon, "[history]\nresolution = '0s'\n");
        for (path, number) in
            [("a/f", 1), ("a/g", 2), ("b/f", 3), ("b/sub/h", 4), ("c/f", 5), ("d/f", 6), ("e/f", 7), ("e/in/i", 8)]
        {
            it.write(path, number);
        }
        fs::create_dir(it.source("empty")).unwrap();
        let running = it.start();
        // A chain, with an edit on the way and one at the end.
        it.rename("a", "a1");
        it.write("a1/g", 20);
        it.rename("a1", "a2");
        it.write("a2/new", 21);
        it.same();
        // A swap.
        it.rename("b", "t");
        it.rename("c", "b");
        it.rename("t", "c");
        it.same();
        // Onto something that is there.
        it.rename("d", "empty");
        it.rename("a2/f", "a2/new");
        it.same();
        // Out of something that is moved, and the old name is used again for another one.
        it.rename("e", "e1");
        it.rename("e1/in", "in");
        it.write("e/f", 22);
        fixture::mode(&it.source("e/f"), 0o600);
        it.same();
        // There and back.
        it.rename("c", "away");
        it.rename("away", "c");
        it.rename("e1", "e2");
        fs::remove_dir_all(it.source("e2")).unwrap();
        it.same();
        running.terminate().signal(Signal::TERM);
        let kept: Vec<u8> = history(&it.daemon).into_iter().map(|(_, data)| data[0]).collect();
        for number in [2, 7] {
            assert!(kept.contains(&number), "version {number} is lost: {kept:?}");
        }
    }
}

fn a_directory_that_takes_the_place_of_another_with_the_same_sizes_and_times_is_mirrored() {
    let it = Watched::new(Rsyncd::builder().start(), "");
    for (dir, text) in [("current", "old"), ("next", "new")] {
        fs::create_dir_all(it.source(dir).join("sub")).unwrap();
        for name in ["f", "sub/g"] {
            fs::write(it.source(dir).join(name), text).unwrap();
            fixture::mtime(&it.source(dir).join(name), 1_700_000_000, 0);
        }
    }
    let running = it.start();
    it.rename("current", "previous");
    it.rename("next", "current");
    it.same();
    // From outside, over two batches.
    let outside = it.place.dir.path().join("outside");
    fs::rename(it.source("previous"), &outside).unwrap();
    wait_for("the removal", LATER, || !it.mirror("previous").exists());
    it.rename("current", "kept");
    fs::rename(&outside, it.source("current")).unwrap();
    it.same();
    running.terminate().signal(Signal::TERM);
    assert_eq!(fs::read(it.mirror("current/sub/g")).unwrap(), b"old");
}

fn what_is_left_out_stays_left_out_when_it_is_moved_along() {
    let more = "watch.exclude = ['*.swp', '/b/private/', 'x/y']\n";
    let it = Watched::new(Rsyncd::builder().start(), more);
    it.write("a/f", 1);
    for path in ["a/f.swp", "a/private/p", "a/x/y", "a/x/z"] {
        fs::create_dir_all(it.source(path).parent().unwrap()).unwrap();
        fs::write(it.source(path), path).unwrap();
    }
    let running = it.start();
    it.rename("a", "b");
    wait_for("the move", LATER, || it.mirror("b/x/z").exists() && it.mirror("b/f").exists());
    let sent = sent(running);
    assert!(sent < LITTLE, "{sent} bytes");
    for path in ["b/f.swp", "b/private/p", "b/x/y"] {
        assert!(!it.mirror(path).exists(), "{path}");
    }
}

/// Killed while both names are there, and then the old name is used for a copy with another mode: what the two share must
/// not get it.
fn a_rename_that_was_cut_off_leaves_no_file_with_two_names() {
    let it = Watched::new(Rsyncd::builder().start(), "");
    it.write("a/f", 1);
    fs::write(it.source("a/small"), "small").unwrap();
    let running = it.start();
    running.kill();
    // As it is left by a watch that was killed between the two.
    it.rename("a", "b");
    fs::create_dir(it.mirror("b")).unwrap();
    for name in ["f", "small"] {
        fs::hard_link(it.mirror("a").join(name), it.mirror("b").join(name)).unwrap();
    }
    let links = it.place.dir.path().join("state/links");
    fs::create_dir_all(&links).unwrap();
    let id = format!("name@127.0.0.1:{}%2fmod", it.daemon.port());
    fs::write(links.join(&id), "a\0").unwrap();
    fs::create_dir(it.source("a")).unwrap();
    for name in ["f", "small"] {
        let (from, to) = (it.source("b").join(name), it.source("a").join(name));
        fs::copy(&from, &to).unwrap();
        let time = fs::metadata(&from).unwrap().modified().unwrap();
        File::options().write(true).open(&to).unwrap().set_modified(time).unwrap();
        fixture::mode(&to, 0o600);
    }
    let running = it.start();
    it.same();
    running.terminate().signal(Signal::TERM);
    assert_same(&it.place.source(), &mirror(&it.daemon));
    let inode = |path: &str| fs::metadata(it.mirror(path)).unwrap().ino();
    assert_ne!(inode("a/f"), inode("b/f"));
    assert!(!Path::exists(&links.join(&id)));
}
