//! `restore`: a file or a tree as it was. Trees are compared by type, content, mode, time of files, and link target.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::storm::workload::{Random, change_of_content};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::fixture;
use crate::support::sersync::{Output, Running, Sersync};
use crate::support::tree::wait_until_same;
use crate::support::wait_for;
use crate::watch::{LATER, mirror, quick};

/// What can be told of an entry afterwards: not the time of a directory, which changes with its content.
pub(crate) fn picture(root: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(root).min_depth(1).into_iter().map(Result::unwrap);
    let describe = |entry: walkdir::DirEntry| {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let mode = meta.mode();
        let text = if meta.is_dir() {
            format!("{mode:o}")
        } else if meta.is_symlink() {
            format!("{mode:o} {}", fs::read_link(path).unwrap().display())
        } else {
            format!("{mode:o} {}.{} {:?}", meta.mtime(), meta.mtime_nsec(), fs::read(path).unwrap())
        };
        (path.strip_prefix(root).unwrap().to_owned(), text)
    };
    entries.map(describe).collect()
}

/// Without empty directories: of one in whose place something else was put, nothing is known.
fn without_empty_directories(mut picture: BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    loop {
        let is_empty = |path: &PathBuf| !picture.keys().any(|other| other != path && other.starts_with(path));
        let directory = |(path, text): (&PathBuf, &String)| (text == "40755" && is_empty(path)).then(|| path.clone());
        let empty: Vec<PathBuf> = picture.iter().filter_map(directory).collect();
        if empty.is_empty() {
            return picture;
        }
        for path in empty {
            picture.remove(&path);
        }
    }
}

pub(crate) fn assert_same(expected: &BTreeMap<PathBuf, String>, found: &BTreeMap<PathBuf, String>, what: &str) {
    let differ = |(path, text): (&PathBuf, &String), other: &BTreeMap<PathBuf, String>| {
        (other.get(path) != Some(text)).then(|| format!("{}: {:.60}", path.display(), text))
    };
    let lost: Vec<_> = expected.iter().filter_map(|entry| differ(entry, found)).collect();
    let extra: Vec<_> = found.iter().filter_map(|entry| differ(entry, expected)).collect();
    assert!(lost.is_empty() && extra.is_empty(), "{what}\nexpected {lost:#?}\nfound {extra:#?}");
}

/// A source with one daemon, or a local directory as target.
pub(crate) struct Restoring {
    pub(crate) daemon: Rsyncd,
    pub(crate) place: Place,
    pub(crate) config: PathBuf,
}

impl Restoring {
    pub(crate) fn new(daemon: Rsyncd, more: &str) -> Restoring {
        let place = Place::new();
        let config = quick(&place, &[&daemon], more);
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("[rsync]", "[full-sync]\nmax-delete = '100%'\n[rsync]")).unwrap();
        Restoring { daemon, place, config }
    }

    pub(crate) fn simple() -> Restoring {
        Restoring::new(Rsyncd::builder().start(), "")
    }

    pub(crate) fn with_a_bucket_per_batch() -> Restoring {
        let it = Restoring::simple();
        let text = fs::read_to_string(&it.config).unwrap();
        fs::write(&it.config, format!("[history]\nresolution = '0s'\n{text}")).unwrap();
        it
    }

    pub(crate) fn watch(&self) -> Running {
        let running = Sersync::new(&["watch", "-v", "-c"]).arg(&self.config).state_dir(&self.state()).spawn();
        running.wait_for_log("caught up", LATER);
        running
    }

    /// The first bucket that is not known yet.
    pub(crate) fn new_bucket(&self, known: &[String]) -> String {
        let new = || self.buckets().into_iter().filter(|bucket| !known.contains(bucket)).min();
        wait_for("a bucket", LATER, || new().is_some());
        new().unwrap()
    }

    pub(crate) fn source(&self, path: &str) -> PathBuf {
        self.place.source().join(path)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.place.dir.path().join("state")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.source(path).parent().unwrap()).unwrap();
        fs::write(self.source(path), text).unwrap();
    }

    /// The name of the bucket that the next change goes to is greater than all of these.
    pub(crate) fn buckets(&self) -> Vec<String> {
        let journals = walkdir::WalkDir::new(self.state().join("journal")).min_depth(3).sort_by_file_name();
        let name = |entry: walkdir::DirEntry| {
            let bucket = entry.path().file_name().unwrap().to_string_lossy().into_owned();
            let day = entry.path().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            format!("{day}/{bucket}")
        };
        journals.into_iter().filter_map(Result::ok).map(name).collect()
    }

    /// A pass, and the bucket that it began.
    pub(crate) fn pass(&self) -> String {
        let before = self.buckets();
        Sersync::new(&["full-sync", "--allow-empty", "-c"]).arg(&self.config).state_dir(&self.state()).run().code(0);
        let new = self.buckets().into_iter().filter(|bucket| !before.contains(bucket)).min();
        new.expect("a pass begins a bucket")
    }

    pub(crate) fn restore(&self, args: &[&str]) -> Output {
        let command = Sersync::new(&["restore", "-vvv", "-c"]).arg(&self.config).state_dir(&self.state());
        command.arg("name").args(args).run()
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.place.dir.path().join("out")
    }

    /// The tree as it was when a bucket began.
    pub(crate) fn at(&self, bucket: &str) -> BTreeMap<PathBuf, String> {
        let out = self.out();
        self.restore(&[".", "--at", bucket, "--to", out.to_str().unwrap()]).code(0).stdout_has(bucket);
        let picture = picture(&out.join(self.place.source().file_name().unwrap()));
        fs::remove_dir_all(&out).unwrap();
        picture
    }
}

/// Random changes with a pass after some of them each: each state comes back.
fn every_state_comes_back(daemon: Rsyncd, seed: u64) {
    println!("seed {seed}");
    let it = Restoring::new(daemon, "");
    let outside = it.place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut random = Random::new(seed);
    let mut states = Vec::new();
    for _ in 0..9 {
        for _ in 0..60 {
            change_of_content(&mut random, &it.place.source(), &outside);
        }
        states.push((it.pass(), picture(&it.place.source())));
    }
    for (next, (_, state)) in states.iter().skip(1).map(|(bucket, _)| bucket).zip(&states) {
        let (state, found) = (state.clone(), it.at(next));
        let (state, found) = (without_empty_directories(state), without_empty_directories(found));
        assert_same(&state, &found, &format!("seed {seed}, before {next}"));
    }
    assert_same(&BTreeMap::new(), &it.at(&states[0].0), "before anything was mirrored");
}

#[test]
fn every_state_of_a_random_history_comes_back() {
    let seed = std::env::var("SERSYNC_STORM_SEED").ok().map_or(20_261_125, |text| text.parse().unwrap());
    every_state_comes_back(Rsyncd::builder().start(), seed);
}

#[test]
fn every_state_of_a_random_history_comes_back_without_chroot() {
    every_state_comes_back(Rsyncd::builder().chroot(false).start(), 7);
}

#[test]
fn every_state_of_a_random_history_comes_back_with_debian_12() {
    if Version::Debian12.is_here() {
        every_state_comes_back(Rsyncd::builder().version(Version::Debian12).start(), 8);
    }
}

#[test]
fn every_state_of_a_random_history_under_watch_comes_back() {
    let seed = std::env::var("SERSYNC_STORM_SEED").ok().map_or(20_261_126, |text| text.parse().unwrap());
    println!("seed {seed}");
    let it = Restoring::with_a_bucket_per_batch();
    let outside = it.place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // A source that is emptied is not mirrored.
    it.write("stays", "stays");
    let running = it.watch();
    let mut random = Random::new(seed);
    let mut states = Vec::new();
    for _ in 0..8 {
        let (before, known) = (picture(&it.place.source()), it.buckets());
        it.write("changes", &format!("always {}", states.len()));
        for _ in 0..40 {
            change_of_content(&mut random, &it.place.source(), &outside);
        }
        wait_until_same(&it.place.source(), &mirror(&it.daemon), LATER);
        states.push((it.new_bucket(&known), before));
    }
    running.terminate().signal(Signal::TERM);
    for (bucket, before) in states {
        let (before, found) = (without_empty_directories(before), without_empty_directories(it.at(&bucket)));
        assert_same(&before, &found, &format!("seed {seed}, before {bucket}"));
    }
}

#[test]
fn every_batch_of_a_watch_can_be_undone() {
    let it = Restoring::with_a_bucket_per_batch();
    it.write("d/kept", "kept");
    fs::create_dir(it.source("d/empty")).unwrap();
    // A source that is emptied is not mirrored.
    it.write("stays", "stays");
    let running = it.watch();
    let mut states = Vec::new();
    let changes: [&dyn Fn(); 6] = [
        &|| it.write("d/a", "1"),
        &|| it.write("d/a", "second"),
        &|| fs::rename(it.source("d"), it.source("e")).unwrap(),
        &|| it.write("e/b", "new"),
        &|| fs::remove_dir_all(it.source("e")).unwrap(),
        &|| it.write("e", "a file now"),
    ];
    for change in changes {
        let (before, known) = (picture(&it.place.source()), it.buckets());
        change();
        wait_until_same(&it.place.source(), &mirror(&it.daemon), LATER);
        states.push((it.new_bucket(&known), before));
    }
    running.terminate().signal(Signal::TERM);
    for (bucket, before) in &states {
        assert_same(before, &it.at(bucket), bucket);
    }
}

#[test]
fn what_was_pruned_is_not_taken_for_what_never_was() {
    let it = Restoring::with_a_bucket_per_batch();
    it.write("f", "first");
    it.write("gone", "gone");
    it.pass();
    it.write("f", "second version");
    fs::remove_file(it.source("gone")).unwrap();
    let second = it.pass();
    it.write("f", "the third version");
    let third = it.pass();
    it.write("other", "of another file");
    let fourth = it.pass();
    let out = it.out();
    let to = out.to_str().unwrap();
    it.restore(&["gone", "--at", &second, "--to", to]).code(0);
    // On the server somebody makes room.
    fs::remove_dir_all(it.daemon.module_path().join("history-backup/name").join(&second)).unwrap();
    it.restore(&["gone", "--at", "1h ago"]).code(1).stderr_has(&format!("not there at {} (begin", time_of(&third)));
    it.restore(&["f", "--at", &second]).code(1).stderr_has("there is no such bucket, or not any more");
    it.restore(&["f", "--at", "1h ago", "--to", to]).code(0).stdout_has(&third);
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "second version");
    // A bucket in which nothing was replaced is only in the journal.
    it.restore(&["other", "--at", &fourth]).code(1).stderr_has("other was not there");
    let prune = Sersync::new(&["prune-history", "--keep-days", "0", "-c"]).arg(&it.config);
    prune.state_dir(&it.state()).run().code(0);
    fs::remove_file(out.join("f")).unwrap();
    it.restore(&["f", "--at", "1h ago", "--to", to]).code(0).stdout_has(&fourth);
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "the third version");
    fs::remove_dir_all(it.state().join("journal")).unwrap();
    it.restore(&["f", "--at", "1h ago"]).code(1).stderr_has("the history does not reach back to then");
}

/// `2026-11-20/140000` as messages have it.
pub(crate) fn time_of(bucket: &str) -> String {
    let time = &bucket[11..17];
    format!("{} {}:{}:{}", &bucket[..10], &time[..2], &time[2..4], &time[4..])
}

#[test]
fn what_is_new_and_not_known_here_is_said() {
    let it = Restoring::simple();
    it.write("f", "first");
    it.pass();
    it.write("f", "second version");
    it.write("new", "new");
    let bucket = it.pass();
    fs::remove_dir_all(it.state().join("journal")).unwrap();
    let out = it.out();
    let output = it.restore(&[".", "--at", &bucket, "--to", out.to_str().unwrap()]).code(0);
    output.stderr_has("which paths were new is not known here for 1 bucket");
}

#[test]
fn times_lead_to_the_bucket_that_covers_them() {
    let it = Restoring::simple();
    it.write("f", "first");
    it.pass();
    it.write("f", "second version");
    it.pass();
    // Nothing has changed since.
    let out = it.out();
    let to = out.to_str().unwrap();
    it.restore(&["f", "--to", to]).code(0);
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "second version");
    it.restore(&["f", "--at", "1d ago", "--to", to]).code(1).stderr_has("f was not there at");
    it.restore(&["f", "--at", "soon"]).code(2).stderr_has("is not understood");
    it.restore(&["f", "--at", "2099-01-01"]).code(2).stderr_has("in the future");
    it.restore(&["../f"]).code(2).stderr_has("not inside the source");
    it.restore(&["f", "--target", "elsewhere"]).code(2).stderr_has("is no target of `name`; there are: 127.0.0.1");
    it.restore(&["f", "--target", "127.0.0.1", "--json", "-n"]).code(0).stdout_has("\"type\":\"restored\"");
    it.restore(&[".", "--in-place", "--force"]).code(2).stderr_has("cannot be restored in place");
}

#[test]
fn the_layout_of_the_original_is_understood() {
    let it = Restoring::simple();
    it.write("d/f", "now");
    it.pass();
    let old = it.daemon.module_path().join("history-backup/name/2020-02-03/d");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("f"), "old").unwrap();
    fs::write(old.join("gone"), "gone").unwrap();
    // The journal of the pass says that d/f is new; on another host nothing is known of that.
    fs::remove_dir_all(it.state().join("journal")).unwrap();
    let out = it.out();
    it.restore(&["d", "--at", "2020-02-03", "--to", out.to_str().unwrap()]).code(0).stdout_has("2 files");
    assert_eq!(fs::read_to_string(out.join("d/f")).unwrap(), "old");
    assert_eq!(fs::read_to_string(out.join("d/gone")).unwrap(), "gone");
}

#[test]
fn every_hostile_name_comes_back() {
    let it = Restoring::simple();
    fixture::hostile_tree(&it.place.source());
    it.pass();
    let before = picture(&it.place.source());
    for entry in fs::read_dir(it.place.source()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    let bucket = it.pass();
    assert_same(&before, &it.at(&bucket), "all of it");
    let out = it.out();
    for name in fixture::hostile_names() {
        let command = Sersync::new(&["restore", "-c"]).arg(&it.config).state_dir(&it.state()).arg("name");
        let path = Path::new(".").join(&name);
        command.arg(path).args(&["--at", &bucket, "--to", out.to_str().unwrap()]).run().code(0);
        assert!(fs::symlink_metadata(out.join(&name)).is_ok(), "{}", name.display());
    }
}

#[test]
fn a_rename_is_undone_as_a_whole_by_the_bucket_that_is_listed() {
    let it = Restoring::simple();
    it.write("big/f", "data");
    it.write("kept", "k");
    let running = it.watch();
    let before = picture(&it.place.source());
    fs::rename(it.source("big"), it.source("renamed")).unwrap();
    wait_until_same(&it.place.source(), &mirror(&it.daemon), LATER);
    running.terminate().signal(Signal::TERM);
    let days = it.daemon.module_path().join("history-backup/name");
    let buckets = walkdir::WalkDir::new(&days).min_depth(2).max_depth(2).into_iter().map(Result::unwrap);
    let buckets: Vec<String> =
        buckets.map(|entry| entry.path().strip_prefix(&days).unwrap().display().to_string()).collect();
    let [bucket] = &buckets[..] else { panic!("{buckets:?}") };
    assert_same(&before, &it.at(bucket), "before the rename");
}

#[test]
fn a_bucket_that_was_emptied_is_no_moment() {
    let it = Restoring::with_a_bucket_per_batch();
    for text in ["v1", "v2 ", "v3  "] {
        it.write("x", text);
        it.pass();
    }
    let last = it.buckets().last().unwrap().clone();
    let day = it.daemon.module_path().join("history-backup/name").join(&last[..10]);
    fs::create_dir(day.join("notes")).unwrap();
    let state = it.state();
    Sersync::new(&["prune-history", "--keep-days", "0", "-c"]).arg(&it.config).state_dir(&state).run().code(0);
    it.restore(&["x", "--at", &last]).code(1).stderr_has("there is no such bucket, or not any more");
    it.restore(&["x", "--at", &last[..10]]).code(1).stderr_has("does not reach back");
}

#[test]
fn a_history_that_is_in_the_future_is_not_read_by_the_wrong_clock() {
    let it = Restoring::simple();
    it.write("x", "old");
    let pass = |zone: &str| {
        let command = Sersync::new(&["full-sync", "-c"]).arg(&it.config).state_dir(&it.state());
        command.env("TZ", zone).run().code(0)
    };
    pass("XXX-8");
    it.write("x", "new one");
    pass("XXX-8");
    let time = chrono::Utc::now().to_rfc3339();
    // Times are told to the second.
    wait_for("the next second", LATER, || chrono::Utc::now().to_rfc3339()[..19] != time[..19]);
    it.write("x", "the third");
    pass("XXX-8");
    let restore = |zone: &str| {
        let command = Sersync::new(&["restore", "-c"]).arg(&it.config).state_dir(&it.state()).args(&["name", "x"]);
        command.args(&["--at", &time, "--to"]).arg(it.out()).env("TZ", zone).run()
    };
    restore("XXX0").code(4).stderr_has("does TZ name the time zone of the host that wrote it?");
    restore("XXX-8").code(0);
    assert_eq!(fs::read_to_string(it.out().join("x")).unwrap(), "new one");
}

#[test]
fn what_is_in_no_bucket_is_said_and_a_journal_without_a_word_is_damaged() {
    let it = Restoring::simple();
    it.write("x", "old");
    it.pass();
    it.write("x", "new one");
    it.write("y", "new");
    let bucket = it.pass();
    let history = it.daemon.module_path().join("history-backup/name");
    // What the original kept on the day of the change.
    fs::write(history.join(&bucket[..10]).join("gone"), "by bash").unwrap();
    it.restore(&["x", "--at", &bucket]).code(0).stderr_has("1 name in the history, in no bucket, were not looked into");
    let find = Sersync::new(&["history", "find", "name", "gone", "-c"]).arg(&it.config).state_dir(&it.state()).run();
    find.code(0).stderr_has("1 name in no bucket were not looked into");
    let journals = walkdir::WalkDir::new(it.state().join("journal")).into_iter().map(Result::unwrap);
    let journal = journals.filter(|entry| entry.path().ends_with(&bucket)).last().unwrap().into_path();
    fs::write(&journal, "").unwrap();
    let out = it.out();
    it.restore(&["x", "--at", &bucket, "--to", out.to_str().unwrap()]).code(0).stderr_has("is damaged");
    fs::remove_file(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    let out = out.join("again");
    it.restore(&["x", "--at", &bucket, "--to", out.to_str().unwrap()]).code(0).stderr_has("is damaged");
}
