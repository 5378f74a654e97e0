//! `full-sync` against real daemons: after a pass the mirror equals the source, entry by entry.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::scenarios;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{Comparer, assert_same};
use crate::support::{SOON, fixture, is_root};

/// A source beside room for state and configuration.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        Place { dir }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    /// The command with `--from` this source `--to` the daemon's mirror `name`, and a state directory that stays.
    pub(crate) fn command(&self, command: &str, daemon: &Rsyncd) -> Sersync {
        let (source, url, password) = (self.source(), daemon.url("name"), daemon.password_file());
        Sersync::new(&[command, "--from"])
            .arg(source)
            .arg("--to")
            .arg(url)
            .arg("--password-file")
            .arg(password)
            .state_dir(&self.dir.path().join("state"))
    }
}

/// What is in the history of `name`, as paths below the bucket, without the bucket.
pub(crate) fn history(daemon: &Rsyncd) -> Vec<(String, Vec<u8>)> {
    let root = daemon.module_path().join("history-backup/name");
    let files = walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok).filter(|e| e.file_type().is_file());
    let mut all: Vec<_> = files
        .map(|entry| {
            let below = entry.path().strip_prefix(&root).unwrap();
            let path: PathBuf = below.iter().skip(2).collect();
            (path.to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// The command run by somebody without privileges, with copies of the program, the password and a state directory where
/// that user can get at them.
pub(crate) fn as_nobody(place: &Place, daemon: &Rsyncd, command: &str) -> Sersync {
    let nobody = is_root().then_some(65534);
    let password = place.dir.path().join("password");
    fs::copy(daemon.password_file(), &password).unwrap();
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&password, nobody, nobody).unwrap();
    let state = place.dir.path().join("state-of-nobody");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, nobody, nobody).unwrap();
    Sersync::as_nobody(&place.dir, &[command, "--from"])
        .arg(place.source())
        .arg("--to")
        .arg(daemon.url("name"))
        .arg("--password-file")
        .arg(password)
        .state_dir(&state)
}

fn every_kind_of_change(version: Version) {
    if !version.is_here() {
        return;
    }
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let mirror = daemon.module_path().join("name");
    let scenarios = scenarios::prepared(&place.source());
    place.command("full-sync", &daemon).run().code(0).silent();
    assert_same(&place.source(), &mirror);
    for scenario in &scenarios {
        (scenario.change)(&place.source().join(scenario.name));
    }
    place.command("full-sync", &daemon).run().code(0).silent();
    assert_same(&place.source(), &mirror);
    let history = history(&daemon);
    for (path, content) in [
        ("changed_file/f", "file"),
        ("rewritten_in_the_same_second/f", "aaaa"),
        ("deleted_directory_with_content/d/sub/y", "y"),
        ("file_becomes_directory/f", "file"),
        ("directory_becomes_file/d/sub/y", "y"),
        ("file_becomes_symlink/f", "file"),
    ] {
        assert!(history.contains(&(path.to_owned(), content.into())), "{path} is not in the history: {history:?}");
    }
}

#[test]
fn mirrors_every_kind_of_change() {
    every_kind_of_change(Version::Installed);
}

#[test]
fn mirrors_every_kind_of_change_to_debian_12() {
    every_kind_of_change(Version::Debian12);
}

#[test]
fn what_is_only_on_the_mirror_is_deleted_and_kept_in_history() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    place.command("full-sync", &daemon).run().code(0);
    let mirror = daemon.module_path().join("name");
    fs::create_dir_all(mirror.join("stray/deep")).unwrap();
    fs::write(mirror.join("stray/deep/file"), "stray").unwrap();
    place.command("full-sync", &daemon).run().code(0);
    assert_same(&place.source(), &mirror);
    assert_eq!(history(&daemon), [("stray/deep/file".to_owned(), b"stray".to_vec())]);
}

#[test]
fn each_pass_has_a_bucket_of_its_own_even_within_one_second() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for version in ["one", "two", "three", "four"] {
        fs::write(place.source().join("f"), version).unwrap();
        place.command("full-sync", &daemon).run().code(0);
    }
    let kept: Vec<Vec<u8>> = history(&daemon).into_iter().map(|(_, content)| content).collect();
    let mut expected = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    expected.sort();
    assert_eq!(kept, expected);
}

#[test]
fn a_dry_run_lists_and_changes_nothing() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("stays"), "1").unwrap();
    fs::write(place.source().join("goes"), "1").unwrap();
    place.command("full-sync", &daemon).run().code(0);
    fs::remove_file(place.source().join("goes")).unwrap();
    fs::write(place.source().join("stays"), "22").unwrap();
    fs::write(place.source().join("comes\n\x1b[2J"), "3").unwrap();
    let output = place.command("full-sync", &daemon).arg("--dry-run").run().code(0);
    for line in ["create comes\\n\\u{1b}[2J", "update stays", "delete goes", "1 created, 1 updated, 1 deleted"] {
        assert!(output.stdout.contains(line), "no {line:?} in:\n{}", output.stdout);
    }
    let mirror = daemon.module_path().join("name");
    assert_eq!(fs::read(mirror.join("stays")).unwrap(), b"1");
    assert!(mirror.join("goes").exists());
    assert!(!daemon.module_path().join("history-backup").exists());
}

#[test]
fn a_local_directory_is_a_target_too() {
    let place = Place::new();
    fixture::small_tree(&place.source());
    fixture::hostile_tree(&place.source().join("hostile"));
    let target = place.dir.path().join("disk");
    fs::create_dir(&target).unwrap();
    let run = || {
        Sersync::new(&["full-sync", "--from"])
            .arg(place.source())
            .arg("--to")
            .arg(target.join("name"))
            .state_dir(&place.dir.path().join("state"))
            .run()
    };
    run().code(0).silent();
    assert_same(&place.source(), &target.join("name"));
    let gone = place.source().join("gone");
    fs::write(&gone, "kept").unwrap();
    run().code(0);
    fs::remove_file(gone).unwrap();
    run().code(0);
    assert_same(&place.source(), &target.join("name"));
    let kept = walkdir::WalkDir::new(target.join("history-backup/name")).into_iter().filter_map(Result::ok);
    assert!(kept.into_iter().any(|entry| entry.file_name() == "gone"), "the deleted file is in the history");
}

#[test]
fn all_sources_go_to_all_endpoints_and_a_dead_one_does_not_stop_the_others() {
    let (first, mut second) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let dir = tempfile::tempdir().unwrap();
    for source in ["one", "two"] {
        fs::create_dir(dir.path().join(source)).unwrap();
        fixture::small_tree(&dir.path().join(source));
    }
    fs::copy(first.password_file(), dir.path().join("password")).unwrap();
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{0}/password'\n\
         [targets.t]\nmodule = 'MODULE'\nhosts = ['127.0.0.1:{1}', '127.0.0.1:{2}']\n\
         [sources.one]\npath = '{0}/one'\ntargets = ['t']\n[sources.two]\npath = '{0}/two'\ntargets = ['t']\n",
        dir.path().display(),
        first.port(),
        second.port(),
    );
    let module = first.url("x").rsplit('/').nth(1).unwrap().to_owned();
    let config = config(&dir, &text.replace("MODULE", &module));
    let state = dir.path().join("state");
    let run = |sources: &[&str]| Sersync::new(&["full-sync", "-c"]).arg(&config).args(sources).state_dir(&state).run();
    run(&[]).code(0).silent();
    for daemon in [&first, &second] {
        for source in ["one", "two"] {
            assert_same(&dir.path().join(source), &daemon.module_path().join(source));
        }
    }
    second.stop();
    fs::write(dir.path().join("one/new"), "new").unwrap();
    let output = run(&["one"]).code(3);
    assert_same(&dir.path().join("one"), &first.module_path().join("one"));
    assert!(output.stderr.contains(&format!("127.0.0.1:{}", second.port())), "the dead one is named: {output}");
    second.start();
    run(&[]).code(0);
    assert_same(&dir.path().join("one"), &second.module_path().join("one"));
}

#[test]
fn excluded_files_are_neither_sent_nor_deleted() {
    let daemon = Rsyncd::builder().start();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("src");
    fs::create_dir_all(source.join("logs/deep")).unwrap();
    fs::create_dir_all(source.join("keep/cache")).unwrap();
    for file in ["a.tmp", "a", "logs/deep/x", "keep/cache/y", "keep/b.tmp", "cache"] {
        fs::write(source.join(file), file).unwrap();
    }
    let url = daemon.url("name");
    let module = url.rsplit('/').nth(1).unwrap();
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[targets.t]\nmodule = '{module}'\nhosts = ['127.0.0.1:{}']\n\
         [sources.name]\npath = '{}'\ntargets = ['t']\nexclude = ['*.tmp', '/cache/', 'logs/']\n",
        daemon.password_file().display(),
        daemon.port(),
        source.display(),
    );
    let config = config(&dir, &text);
    let mirror = daemon.module_path().join("name");
    fs::create_dir_all(mirror.join("logs")).unwrap();
    fs::write(mirror.join("logs/old"), "left alone").unwrap();
    Sersync::new(&["full-sync", "-c"]).arg(&config).run().code(0);
    let excluded = |path: &Path| path.to_string_lossy().ends_with(".tmp") || path.starts_with("logs");
    Comparer::new().ignore(excluded).assert_same(&source, &mirror);
    assert!(mirror.join("cache").is_file(), "/cache/ only means a directory");
    assert_eq!(fs::read(mirror.join("logs/old")).unwrap(), b"left alone");
    assert!(!mirror.join("a.tmp").exists() && !mirror.join("keep/b.tmp").exists());
}

#[test]
fn a_second_pass_waits_or_says_who_is_running() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    place.command("full-sync", &daemon).run().code(0);
    // Another pass that is running: somebody holds its lock.
    let files = fs::read_dir(place.dir.path().join("state/locks")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "pass")).unwrap();
    let lock = fs::File::open(&file).unwrap();
    lock.lock().unwrap();
    let output = place.command("full-sync", &daemon).run().code(11);
    assert!(output.stderr.contains("another pass is running"), "{output}");
    let waited = place.command("full-sync", &daemon).args(&["--lock-wait", "400ms"]).run().code(11);
    waited.stderr_has("it has not ended within 400ms");
    let waiting = place.command("full-sync", &daemon).args(&["--lock-wait", "1m"]).spawn();
    lock.unlock().unwrap();
    waiting.wait(SOON).code(0);
}

#[test]
fn json_is_one_object_per_line() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let output = place.command("full-sync", &daemon).arg("--json").run().code(0);
    let summary: serde_json::Value = serde_json::from_str(output.stdout.trim()).unwrap();
    assert_eq!((&summary["type"], &summary["exit"], &summary["created"]), (&"mirror".into(), &0.into(), &2.into()));
}

/// A chain of directories that gets longer than any path may be, with a file in each.
pub(crate) fn endless_chain(root: &Path, levels: usize) {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let name = "long".repeat(50);
    let mut dir = openat(CWD, root, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&dir, name.as_str(), Mode::from_bits_retain(0o755)).unwrap();
        dir = openat(&dir, name.as_str(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        openat(&dir, "file", OFlags::CREATE | OFlags::WRONLY, Mode::from_bits_retain(0o644)).unwrap();
    }
}

#[test]
fn a_mirror_inside_its_source_is_refused_whatever_links_lead_there() {
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    fs::create_dir(place.source().join("inside")).unwrap();
    symlink(place.source(), place.dir.path().join("link")).unwrap();
    let run = |from: &Path, to: &Path| Sersync::new(&["full-sync", "--from"]).arg(from).arg("--to").arg(to).run();
    let link = place.dir.path().join("link");
    for (from, to) in [(place.source(), link.join("inside/name")), (link.clone(), place.source().join("inside/name"))] {
        let output = run(&from, &to).code(4);
        assert!(output.stderr.contains("would mirror itself"), "{output}");
    }
    // The other way round: the source in the place of the mirror.
    fs::create_dir_all(place.dir.path().join("disk/name/src")).unwrap();
    fs::write(place.dir.path().join("disk/name/src/f"), "precious").unwrap();
    symlink(place.dir.path().join("disk"), place.dir.path().join("other")).unwrap();
    run(&place.dir.path().join("disk/name/src"), &place.dir.path().join("other/name")).code(4);
    assert_eq!(fs::read(place.dir.path().join("disk/name/src/f")).unwrap(), b"precious");
}

#[test]
fn what_is_excluded_stays_when_its_directory_is_deleted_in_the_source() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        for command in [&["full-sync"][..], &["watch", "--until-idle", "300ms"]] {
            let daemon = Rsyncd::builder().version(version).start();
            let place = Place::new();
            let module = daemon.url("name").rsplit('/').nth(1).unwrap().to_owned();
            let text = format!(
                "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[history]\nkeep-days = 0\n[full-sync]\nmax-delete = '100%'\n[targets.t]\nmodule = '{module}'\n\
                 hosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\nexclude = ['*.tmp']\n",
                daemon.password_file().display(),
                daemon.port(),
                place.source().display(),
            );
            let config = config(&place.dir, &text);
            fs::create_dir_all(place.source().join("d/sub")).unwrap();
            for file in ["d/sub/x", "stays"] {
                fs::write(place.source().join(file), "1").unwrap();
            }
            let run = || Sersync::new(command).arg("-c").arg(&config).run();
            run().code(0);
            let mirror = daemon.module_path().join("name");
            fs::write(mirror.join("d/sub/kept.tmp"), "only here").unwrap();
            fs::remove_dir_all(place.source().join("d")).unwrap();
            for _ in 0..2 {
                run().code(0);
            }
            assert_eq!(fs::read(mirror.join("d/sub/kept.tmp")).unwrap(), b"only here");
            assert!(!mirror.join("d/sub/x").exists());
        }
    }
}

#[test]
fn a_lost_state_directory_loses_no_version() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for version in 0..6 {
        fs::write(place.source().join("f"), version.to_string()).unwrap();
        place.command("full-sync", &daemon).run().code(0);
        fs::remove_dir_all(place.dir.path().join("state")).unwrap();
    }
    let kept: Vec<Vec<u8>> = history(&daemon).into_iter().map(|(_, content)| content).collect();
    assert_eq!(kept, ["0", "1", "2", "3", "4"].map(|version| version.as_bytes().to_vec()));
}

#[test]
fn what_is_excluded_stays_in_a_local_directory_too() {
    let place = Place::new();
    for dir in ["src/d", "target/name/d/sub"] {
        fs::create_dir_all(place.dir.path().join(dir)).unwrap();
    }
    for file in ["src/d/f", "src/keep", "target/name/d/own.tmp", "target/name/d/sub/own.tmp"] {
        fs::write(place.dir.path().join(file), "f").unwrap();
    }
    let path = |name: &str| place.dir.path().join(name);
    let text = format!(
        "[full-sync]\nmax-delete = '100%'\n[targets.t]\npath = '{}'\n\
         [sources.name]\npath = '{}'\ntargets = ['t']\nexclude = ['*.tmp']\n",
        path("target").display(),
        path("src").display()
    );
    let config = config(&place.dir, &text);
    let run = || Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&path("state")).run();
    run().code(0);
    assert!(path("target/name/d/f").exists());
    fs::remove_dir_all(path("src/d")).unwrap();
    run().code(0);
    assert!(!path("target/name/d/f").exists());
    assert!(path("target/name/d/own.tmp").exists() && path("target/name/d/sub/own.tmp").exists());
}
