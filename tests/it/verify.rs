//! `verify` against real daemons: every kind of difference is found and named, and nothing is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::checksum::damage;
use crate::full_sync::{Place, as_nobody};
use crate::parallel::large_tree;
use crate::support::SOON;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::fixture::{self, mode, mtime};
use crate::support::sersync::{Output, Sersync, config};
use crate::support::tree::{Comparer, Snapshot, snapshot};

/// A source on a daemon, with short waits before a difference is looked at again.
struct Pair {
    daemon: Rsyncd,
    place: Place,
    config: PathBuf,
}

impl Pair {
    fn new(version: Version, jobs: &str, watch: &str) -> Pair {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        let url = daemon.url("name");
        let text = format!(
            "[rsync]\nuser = 'tester'\npassword-file = '{}'\njobs = {jobs}\n[watch]\n{watch}\n\
             [targets.t]\nmodule = '{}'\nhosts = ['127.0.0.1:{}']\n\
             [sources.name]\npath = '{}'\ntargets = ['t']\nexclude = ['*.tmp', '/cache/']\n",
            daemon.password_file().display(),
            url.rsplit('/').nth(1).unwrap(),
            daemon.port(),
            place.source().display(),
        );
        let config = config(&place.dir, &text);
        Pair { daemon, place, config }
    }

    /// With both daemons, where they are here.
    fn each(test: impl Fn(&Pair)) {
        for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
            test(&Pair::new(version, "2", HASTE));
        }
    }

    fn source(&self, path: &str) -> PathBuf {
        self.place.source().join(path)
    }

    fn mirror(&self, path: &str) -> PathBuf {
        self.daemon.module_path().join("name").join(path)
    }

    fn command(&self, command: &str) -> Sersync {
        Sersync::new(&[command, "-c"]).arg(&self.config).state_dir(&self.place.dir.path().join("state"))
    }

    fn mirrored(&self) {
        self.command("full-sync").run().code(0);
        let excluded = |path: &Path| path.to_string_lossy().ends_with(".tmp") || path.starts_with("cache");
        Comparer::new().ignore(excluded).assert_same(&self.place.source(), &self.mirror(""));
    }

    /// Everything that must not change: the source, and the module with the mirror and its history.
    fn everything(&self) -> [Snapshot; 2] {
        [self.place.source(), self.daemon.module_path()].map(|dir| snapshot(&dir))
    }

    fn verify(&self, args: &[&str]) -> Output {
        let before = self.everything();
        let output = self.command("verify").args(args).run();
        assert!(before == self.everything(), "something has changed\n{output}");
        output
    }

    /// The differences, without the mirror's name.
    fn differences(&self, args: &[&str]) -> Vec<String> {
        let output = self.verify(args).code(3);
        assert!(output.stderr.is_empty(), "{output}");
        let prefix = format!("name@127.0.0.1:{}/mod: ", self.daemon.port());
        output.stdout.lines().map(|line| line.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }
}

/// A `watch` beside it would be this quick, so no longer is waited for it.
const HASTE: &str = "delay = '50ms'\nmax-delay = '100ms'";

#[test]
fn what_is_the_same_is_the_same_without_a_word() {
    Pair::each(|pair| {
        fixture::small_tree(&pair.place.source());
        fixture::hostile_tree(&pair.source("hostile"));
        pair.mirrored();
        pair.verify(&[]).code(0).silent();
        pair.verify(&["--sample", "100%"]).code(0).silent();
        let output = pair.verify(&["-v", "--sample", "100%", "--seed", "5"]).code(0);
        output.stdout_has("(a sample of 100%, seed 5): 0 missing, 0 differs, 0 attributes, 0 extra in ");
    });
}

#[test]
fn every_kind_of_difference_is_named() {
    Pair::each(|pair| {
        for dir in ["d/sub", "gone/deep", "becomes-file", "cache"] {
            fs::create_dir_all(pair.source(dir)).unwrap();
        }
        for file in
            ["damaged", "d/sub/longer", "mode", "time", "gone/deep/f", "same", "becomes-file/f", "becomes-dir", "x.tmp"]
        {
            fs::write(pair.source(file), "content").unwrap();
        }
        symlink("same", pair.source("link")).unwrap();
        fixture::age(&pair.place.source());
        pair.mirrored();
        damage(&pair.mirror("damaged"));
        fs::write(pair.mirror("d/sub/longer"), "content and more").unwrap();
        mode(&pair.mirror("mode"), 0o600);
        mtime(&pair.mirror("time"), 1_600_000_000, 7);
        mode(&pair.mirror("d"), 0o700);
        fs::remove_dir_all(pair.mirror("gone")).unwrap();
        fs::remove_file(pair.mirror("link")).unwrap();
        symlink("elsewhere", pair.mirror("link")).unwrap();
        for dir in ["stray/deep", "cache"] {
            fs::create_dir_all(pair.mirror(dir)).unwrap();
        }
        for file in ["stray/deep/f", "d/sub/stray", "d/excluded.tmp", "cache/f"] {
            fs::write(pair.mirror(file), "only here").unwrap();
        }
        fs::remove_dir_all(pair.mirror("becomes-file")).unwrap();
        fs::write(pair.mirror("becomes-file"), "was a directory").unwrap();
        fs::remove_file(pair.mirror("becomes-dir")).unwrap();
        fs::create_dir(pair.mirror("becomes-dir")).unwrap();
        fs::write(pair.mirror("becomes-dir/inside"), "was a file").unwrap();
        let expected = [
            "attributes ./",
            "missing becomes-dir",
            "extra becomes-dir/inside",
            "missing becomes-file/",
            "missing becomes-file/f",
            "attributes d/",
            "attributes d/sub/",
            "differs d/sub/longer",
            "extra d/sub/stray",
            "differs damaged",
            "missing gone/",
            "missing gone/deep/",
            "missing gone/deep/f",
            "differs link",
            "attributes mode",
            "extra stray/",
            "extra stray/deep/",
            "extra stray/deep/f",
            "attributes time",
        ];
        assert_eq!(pair.differences(&[]), expected);
        // Of files only, and nothing that only the mirror has.
        let files = ["becomes-dir", "becomes-file/f", "d/sub/longer", "damaged", "gone/deep/f", "mode", "time"];
        let found = pair.differences(&["--sample", "100%"]);
        assert_eq!(found.iter().map(|line| line.split_once(' ').unwrap().1).collect::<Vec<_>>(), files);
        // What it finds is what a pass mends.
        pair.command("full-sync").arg("--checksum").run().code(0);
        pair.verify(&[]).code(0).silent();
    });
}

#[test]
fn every_hostile_name_is_found_on_either_side() {
    Pair::each(|pair| {
        fs::create_dir(pair.source("missing")).unwrap();
        fs::create_dir(pair.source("damaged")).unwrap();
        for dir in ["missing", "damaged"] {
            fixture::hostile_tree(&pair.source(dir));
        }
        pair.mirrored();
        let names = fixture::hostile_names();
        fs::remove_dir_all(pair.mirror("missing")).unwrap();
        fs::create_dir(pair.mirror("extra")).unwrap();
        for name in &names {
            damage(&pair.mirror("damaged").join(name));
            fs::write(pair.mirror("extra").join(name), "extra").unwrap();
        }
        let found = pair.differences(&[]);
        let count = |word: &str| found.iter().filter(|line| line.starts_with(word)).count();
        // Each name as a file, a directory, the file in it and a link; and the three directories of the tree.
        assert_eq!(count("missing "), names.len() * 4 + 3);
        assert_eq!((count("differs damaged/"), count("differs ")), (names.len(), names.len()));
        assert_eq!(count("extra "), names.len() + 1);
        assert!(
            found.contains(&"extra extra/new\\nline".to_owned())
                && found.contains(&"differs damaged/\\xff\\xfe".to_owned())
        );
        assert_eq!(pair.differences(&["--sample", "100%"]).len(), names.len() * 3);
    });
}

#[test]
fn a_mirror_that_was_never_made_lacks_everything() {
    Pair::each(|pair| {
        fs::create_dir(pair.source("d")).unwrap();
        fs::write(pair.source("d/f"), "f").unwrap();
        assert_eq!(pair.differences(&[]), ["missing ./", "missing d/", "missing d/f"]);
        assert_eq!(pair.differences(&["--sample", "0.01%"]), ["missing d/f"], "at least one file is compared");
    });
}

#[test]
fn json_is_one_object_per_difference_and_per_mirror() {
    let pair = Pair::new(Version::Installed, "1", HASTE);
    fs::write(pair.source("f"), "good").unwrap();
    pair.mirrored();
    damage(&pair.mirror("f"));
    let output = pair.verify(&["--json", "--sample", "12.5%", "--seed", "3"]).code(3);
    let objects: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [difference, mirror] = &objects[..] else { panic!("{output}") };
    assert_eq!([&difference["type"], &difference["difference"], &difference["path"]], ["difference", "differs", "f"]);
    assert_eq!(difference["mirror"], mirror["mirror"]);
    let expected =
        [("exit", 3), ("compared", 1), ("differs", 1), ("missing", 0), ("attributes", 0), ("extra", 0), ("seed", 3)];
    for (key, number) in expected {
        assert_eq!(mirror[key], number, "{key}: {output}");
    }
    assert_eq!((&mirror["type"], &mirror["sample"]), (&"mirror".into(), &"12.5%".into()));
}

#[test]
fn a_sample_is_the_same_for_the_same_seed_and_all_samples_together_find_everything() {
    let pair = Pair::new(Version::Installed, "3", HASTE);
    let names: Vec<String> = (0..300).map(|number| format!("d{}/file-{number:03}", number % 7)).collect();
    for name in &names {
        fs::create_dir_all(pair.source(name).parent().unwrap()).unwrap();
        fs::write(pair.source(name), name).unwrap();
    }
    pair.mirrored();
    for name in &names {
        damage(&pair.mirror(name));
    }
    let found = |seed: &str| pair.differences(&["--sample", "40%", "--seed", seed]);
    let first = found("1");
    assert!((60..180).contains(&first.len()), "about 120: {}", first.len());
    assert_eq!(first, found("1"));
    assert_ne!(first, found("2"));
    assert_eq!(pair.differences(&["--sample", "100%"]).len(), names.len());
}

#[test]
fn a_large_tree_is_divided_and_compared_completely() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let pair = Pair::new(version, "4", HASTE);
        large_tree(&pair.place.source());
        pair.mirrored();
        let same = pair.verify(&["-vv"]).code(0);
        assert!(!same.stderr.contains(" in 1 parts"), "it is divided\n{same}");
        let mut expected = Vec::new();
        for number in (0..6000).step_by(3) {
            let name = format!("even/{}/{}/{number}", number % 17, number % 5);
            if number % 30 == 0 {
                damage(&pair.mirror(&name));
                expected.push(format!("differs {name}"));
            }
        }
        let stray = pair.mirror("chain/deeper/deeper");
        fs::write(stray.join("stray"), "stray").unwrap();
        expected.extend(["attributes chain/deeper/deeper/", "extra chain/deeper/deeper/stray"].map(str::to_owned));
        expected.sort();
        let mut found = pair.differences(&[]);
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_is_mended_before_the_last_look_is_no_difference() {
    // What changed within `max-delay` is looked at as often as possible: that is time enough for the pass that mends it.
    let pair = Pair::new(Version::Installed, "1", "delay = '1s'\nmax-delay = '1m'");
    for name in ["d/mended", "stays"] {
        fs::create_dir_all(pair.source("d")).unwrap();
        fs::write(pair.source(name), "before").unwrap();
    }
    pair.mirrored();
    // A pass that goes by size and time does not see this one.
    damage(&pair.mirror("stays"));
    fs::write(pair.source("d/mended"), "changed").unwrap();
    fs::write(pair.source("d/new"), "new").unwrap();
    let running = pair.command("verify").arg("-v").spawn();
    running.wait_for_log("looking again at 4 differences in 2.0 s", SOON);
    pair.command("full-sync").run().code(0);
    let output = running.wait(SOON * 3).code(3);
    let found: Vec<&str> = output.stdout.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(found[0], "differs stays", "{output}");
    assert!(
        found.len() == 2 && found[1].starts_with("4 compared: 0 missing, 1 differs, 0 attributes, 0 extra"),
        "{output}"
    );
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_compared() {
    Pair::each(|pair| {
        let secret = pair.source("secret");
        fs::create_dir(&secret).unwrap();
        for file in ["secret/f", "sealed", "sealed too", "damaged"] {
            fs::write(pair.source(file), "content").unwrap();
        }
        pair.mirrored();
        damage(&pair.mirror("damaged"));
        damage(&pair.mirror("sealed"));
        for root in [pair.place.source(), pair.mirror("")] {
            // On the mirror as well, so that the attributes are the same.
            for name in ["secret", "sealed", "sealed too"] {
                fs::set_permissions(root.join(name), PermissionsExt::from_mode(0o000)).unwrap();
            }
        }
        let before = snapshot_of_mirror(pair);
        let verify = || as_nobody(&pair.place, &pair.daemon, "verify").arg("-c").arg(&pair.config);
        let output = verify().run().code(3);
        for name in ["secret", "sealed", "sealed too"] {
            assert!(output.stderr.contains(&format!("{name}: ")), "{name} is named: {output}");
            assert!(!output.stdout.contains(name), "its content is not known: {output}");
        }
        assert!(output.stdout.contains(": differs damaged\n"), "{output}");
        assert!(before == snapshot_of_mirror(pair));
        fs::remove_dir_all(pair.place.dir.path().join("state-of-nobody")).unwrap();
        let sampled = verify().args(&["--sample", "100%"]).run().code(3);
        assert_eq!((sampled.stdout.lines().count(), sampled.stderr.lines().count()), (1, 3), "{sampled}");
        for root in [pair.place.source(), pair.mirror("")] {
            fs::set_permissions(root.join("secret"), PermissionsExt::from_mode(0o700)).unwrap();
        }
    });
}

fn snapshot_of_mirror(pair: &Pair) -> Snapshot {
    // Without looking into what was sealed: who runs the tests may not be able to.
    let sealed = |path: &Path| path.starts_with("name/secret") || path.to_string_lossy().starts_with("name/sealed");
    Comparer::new().ignore(sealed).snapshot(&pair.daemon.module_path())
}

#[test]
fn a_dead_daemon_and_an_unmounted_source_are_no_difference() {
    let mut pair = Pair::new(Version::Installed, "1", HASTE);
    fs::write(pair.source("f"), "f").unwrap();
    pair.mirrored();
    pair.daemon.stop();
    for args in [&[][..], &["--sample", "1%"]] {
        let output = pair.command("verify").args(args).run().code(10);
        assert!(output.stdout.is_empty() && output.stderr.contains("cannot be reached"), "{output}");
    }
    pair.daemon.start();
    fs::remove_file(pair.source("f")).unwrap();
    pair.verify(&[]).code(4).stderr_has("is empty");
    assert_eq!(pair.differences(&["--allow-empty"]), ["attributes ./", "extra f"]);
    fs::remove_dir(pair.place.source()).unwrap();
    pair.command("verify").run().code(10);
}

#[test]
fn a_running_pass_is_not_waited_for() {
    let pair = Pair::new(Version::Installed, "1", HASTE);
    fs::write(pair.source("f"), "f").unwrap();
    pair.mirrored();
    let files = fs::read_dir(pair.place.dir.path().join("state/locks")).unwrap().map(|entry| entry.unwrap().path());
    let locks: Vec<fs::File> = files.map(|file| fs::File::open(file).unwrap()).collect();
    for lock in &locks {
        lock.lock().unwrap();
    }
    pair.verify(&[]).code(0).silent();
}

#[test]
fn a_local_directory_is_compared_too() {
    let place = Place::new();
    fixture::small_tree(&place.source());
    let target = place.dir.path().join("disk");
    let (from, to) = (place.source(), target.display());
    let text = format!("[targets.t]\npath = '{to}'\n[sources.name]\npath = '{}'\ntargets = ['t']\n", from.display());
    let config = config(&place.dir, &format!("[watch]\n{HASTE}\n{text}"));
    let state = place.dir.path().join("state");
    let run = |command: &str| Sersync::new(&[command, "-c"]).arg(&config).state_dir(&state).run();
    run("verify").code(10).stderr_has("is it mounted?");
    fs::create_dir(&target).unwrap();
    run("full-sync").code(0);
    run("verify").code(0).silent();
    damage(&target.join("name/a/b/c/d/large"));
    fs::write(target.join("name/stray"), "stray").unwrap();
    let before = snapshot(&target);
    let output = run("verify").code(3);
    let found: Vec<&str> = output.stdout.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(found, ["attributes ./", "differs a/b/c/d/large", "extra stray"]);
    assert!(before == snapshot(&target), "nothing is changed, and no history is begun");
}

#[test]
fn a_signal_ends_it() {
    let pair = Pair::new(Version::Installed, "1", "delay = '1m'\nmax-delay = '1m'");
    fs::write(pair.source("f"), "f").unwrap();
    let running = pair.command("verify").arg("-v").spawn();
    running.wait_for_log("looking again at 2 differences", SOON);
    let output = running.terminate().signal(rustix::process::Signal::TERM);
    assert!(output.stderr.contains("stopped before it was done"), "{output}");
    assert!(!output.stdout.contains("missing f"), "what was not looked at again is not called different: {output}");
}
