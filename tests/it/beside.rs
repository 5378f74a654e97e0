//! A pass beside `watch`: neither undoes what the other does, and no version is lost between them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::content::{others_in_their_place, two_directories};
use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::sersync::{Running, Sersync};
use crate::support::tree::wait_until_same;
use crate::support::{SOON, fixture, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    beside_a_pass_files_are_sent_at_once_and_directories_when_it_is_over,
    beside_a_pass_files_are_sent_at_once_and_directories_when_it_is_over_with_debian_12,
    a_pass_begins_when_the_batch_that_is_being_sent_has_arrived,
    a_pass_leaves_the_unfinished_transfers_of_watch_alone,
    a_pass_beside_it_does_not_undo_what_it_sends,
    a_file_in_the_place_of_a_directory_beside_a_pass_loses_no_version,
    a_directory_in_the_place_of_a_file_beside_a_pass_loses_no_version,
    what_a_pass_changed_is_not_put_into_the_bucket_of_before,
    a_watch_that_waits_for_the_end_of_a_pass_sends_what_is_pending_before_it_ends,
    a_watch_that_a_pass_kept_from_comparing_says_so,
    a_pass_that_waits_for_watch_until_its_time_is_over_was_not_locked_out,
    another_directory_in_the_place_of_one_that_waited_for_the_end_of_a_pass_is_mirrored,
}

/// A watcher and a pass that takes its time, of one mirror.
struct Both {
    daemon: Rsyncd,
    place: Place,
    config: PathBuf,
}

impl Both {
    /// The source has a file that only a pass sends, for some seconds.
    fn new(version: Version) -> Both {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        let config = quick(&place, &[&daemon], "watch.exclude = ['*.slow']\n");
        let text = fs::read_to_string(&config).unwrap();
        let text = text.replace("[rsync]", "[full-sync]\nmax-delete = '100%'\n[rsync]\nbwlimit = '1M'");
        fs::write(&config, text).unwrap();
        Both { daemon, place, config }
    }

    fn source(&self, path: &str) -> PathBuf {
        self.place.source().join(path)
    }

    fn mirror(&self, path: &str) -> PathBuf {
        mirror(&self.daemon).join(path)
    }

    fn watch(&self) -> Running {
        let running = watch(&self.place, &self.config).spawn();
        running.wait_for_log("caught up", LATER);
        running
    }

    fn pass(&self) -> Running {
        let state = self.place.dir.path().join("state");
        Sersync::new(&["full-sync", "-vv", "--lock-wait", "30s", "-c"]).arg(&self.config).state_dir(&state).spawn()
    }

    /// A pass that is at work on a file for some seconds more.
    fn slow_pass(&self) -> Running {
        fs::write(self.source("zz.slow"), fixture::bytes(5 << 20)).unwrap();
        let pass = self.pass();
        wait_for("the slow file to be on its way", SOON, || has_temporary(&mirror(&self.daemon), "zz.slow"));
        pass
    }

    /// Whether the pass has not even sent its slow file.
    fn pass_is_at_work(&self) -> bool {
        !self.mirror("zz.slow").exists()
    }

    fn end(&self, running: Running) {
        wait_until_same(&self.place.source(), &mirror(&self.daemon), LATER);
        running.terminate().signal(Signal::TERM);
    }

    fn assert_kept(&self, versions: &[(&str, &str)]) {
        let history = history(&self.daemon);
        for (path, content) in versions {
            let version = ((*path).to_owned(), content.as_bytes().to_vec());
            let paths: Vec<&String> = history.iter().map(|(path, _)| path).collect();
            assert!(history.contains(&version), "{path} `{content}` is not in the history: {paths:?}");
        }
    }
}

/// Whether rsync has an unfinished file of this name in a directory.
fn has_temporary(dir: &Path, name: &str) -> bool {
    let start = format!(".{name}.");
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with(&start))
}

fn what_is_sent_while_a_pass_runs(version: Version) {
    if !version.is_here() {
        return;
    }
    let both = Both::new(version);
    for (path, text) in
        [("d/edited", "1"), ("d/deleted", "2"), ("gone/inside", "3"), ("dir/inside", "4"), ("file", "5")]
    {
        fs::create_dir_all(both.source(path).parent().unwrap()).unwrap();
        fs::write(both.source(path), text).unwrap();
    }
    let running = both.watch();
    let pass = both.slow_pass();
    fs::write(both.source("d/edited"), "edited").unwrap();
    fs::write(both.source("d/new"), "new").unwrap();
    fs::remove_file(both.source("d/deleted")).unwrap();
    fs::rename(both.source("gone"), both.source("came")).unwrap();
    fs::remove_dir_all(both.source("dir")).unwrap();
    fs::write(both.source("dir"), "a file now").unwrap();
    fs::remove_file(both.source("file")).unwrap();
    fs::create_dir(both.source("file")).unwrap();
    fs::write(both.source("file/inside"), "in a directory now").unwrap();
    let is = |path: &str, text: &str| fs::read(both.mirror(path)).is_ok_and(|content| content == text.as_bytes());
    wait_for("files to be mirrored beside the pass", SOON, || is("d/edited", "edited") && is("d/new", "new"));
    assert!(both.pass_is_at_work(), "the pass was over too soon for this test");
    fs::write(both.source("d/edited"), "edited again").unwrap();
    wait_for("the next change as well", SOON, || is("d/edited", "edited again"));
    assert!(both.pass_is_at_work(), "the pass was over too soon for this test");
    // Nothing has made room for anything so far.
    assert!(is("dir/inside", "4") && is("file", "5") && is("gone/inside", "3") && is("d/deleted", "2"));
    let output = pass.wait(LATER);
    assert!(matches!(output.code, Some(0 | 3)), "{output}");
    both.end(running);
    both.assert_kept(&[
        ("d/edited", "1"),
        ("d/edited", "edited"),
        ("d/deleted", "2"),
        ("gone/inside", "3"),
        ("dir/inside", "4"),
        ("file", "5"),
    ]);
}

fn beside_a_pass_files_are_sent_at_once_and_directories_when_it_is_over() {
    what_is_sent_while_a_pass_runs(Version::Installed);
}

fn beside_a_pass_files_are_sent_at_once_and_directories_when_it_is_over_with_debian_12() {
    what_is_sent_while_a_pass_runs(Version::Debian12);
}

fn a_pass_begins_when_the_batch_that_is_being_sent_has_arrived() {
    let both = Both::new(Version::Installed);
    fs::write(both.source("f"), "f").unwrap();
    let running = both.watch();
    let outside = both.place.dir.path().join("large");
    fs::write(&outside, fixture::bytes(4 << 20)).unwrap();
    fs::rename(&outside, both.source("large")).unwrap();
    wait_for("the large file to be on its way", SOON, || has_temporary(&both.mirror(""), "large"));
    let output = both.pass().wait(LATER).code(0).stderr_has("waiting until watch has sent");
    assert!(!output.stderr.contains("create large"), "{output}");
    both.end(running);
}

fn a_pass_leaves_the_unfinished_transfers_of_watch_alone() {
    let both = Both::new(Version::Installed);
    // What the pass has to look at last.
    fs::create_dir(both.source("zzz")).unwrap();
    fs::write(both.source("zzz/large"), "so far").unwrap();
    let running = both.watch();
    let pass = both.slow_pass();
    fs::write(both.source("zzz/large"), fixture::bytes(7 << 20)).unwrap();
    wait_for("the large file to be on its way", SOON, || has_temporary(&both.mirror("zzz"), "large"));
    // The pass looks into the directory now, and finds something small in the place of the large file.
    let outside = both.place.dir.path().join("small");
    fs::write(&outside, "small").unwrap();
    fs::rename(&outside, both.source("zzz/large")).unwrap();
    let output = pass.wait(LATER);
    assert!(matches!(output.code, Some(0 | 3)), "{output}");
    assert!(!output.stderr.contains("delete zzz/.large."), "{output}");
    both.end(running);
    let history = history(&both.daemon);
    assert!(!history.iter().any(|(path, _)| path.contains(".large.")), "{history:?}");
    both.assert_kept(&[("zzz/large", "so far")]);
}

fn a_pass_beside_it_does_not_undo_what_it_sends() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for number in 0..3000 {
        let dir = place.source().join(format!("{}/{}", number % 30, number % 11));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), "x").unwrap();
    }
    let config = quick(&place, &[&daemon], "");
    let running = watch(&place, &config).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    for round in 0..6 {
        let pass = Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&place.dir.path().join("state")).spawn();
        for number in 0..40 {
            fs::write(place.source().join(format!("{}/new{round}-{number}", number % 30)), "new").unwrap();
            let old = place.source().join(format!("{}/{}", number % 30, (round + number) % 11));
            let _ = fs::rename(&old, old.with_extension(round.to_string()));
        }
        let code = pass.wait(LATER).code;
        assert!(code == Some(0) || code == Some(3), "{code:?}");
    }
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn a_file_in_the_place_of_a_directory_beside_a_pass_loses_no_version() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::create_dir(place.source().join("x")).unwrap();
    for number in 0..60 {
        let dir = if number < 20 { "x" } else { "" };
        fs::write(place.source().join(dir).join(number.to_string()), number.to_string()).unwrap();
    }
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[rsync]", "[full-sync]\nmax-delete = '100%'\n[rsync]\nbwlimit = '1M'")).unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    let outside = place.dir.path().join("x");
    fs::write(&outside, fixture::bytes(3 << 20)).unwrap();
    let pass = {
        fs::rename(place.source().join("x"), place.dir.path().join("x.old")).unwrap();
        fs::rename(&outside, place.source().join("x")).unwrap();
        Sersync::new(&["full-sync", "--lock-wait", "30s", "-c"])
            .arg(&config)
            .state_dir(&place.dir.path().join("state"))
            .spawn()
    };
    let temporary = || {
        let names = fs::read_dir(mirror(&daemon)).unwrap().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with(".x."))
    };
    wait_for("the large file to be on its way", SOON, temporary);
    fs::write(&outside, "a newer, small one").unwrap();
    fs::rename(&outside, place.source().join("x")).unwrap();
    pass.wait(LATER).code(0);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
    let history = history(&daemon);
    for number in 0..20 {
        let version = (format!("x/{number}"), number.to_string().into_bytes());
        assert!(history.contains(&version), "{version:?} is not in the history");
    }
}

fn a_directory_in_the_place_of_a_file_beside_a_pass_loses_no_version() {
    let both = Both::new(Version::Installed);
    let names: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    for name in &names {
        fs::write(both.source(name), name).unwrap();
    }
    let running = both.watch();
    // Stopped, it hears of all this when the pass has begun.
    running.signal(Signal::STOP);
    for name in &names {
        fs::remove_file(both.source(name)).unwrap();
        fs::create_dir(both.source(name)).unwrap();
        fs::write(both.source(name).join("inside"), fixture::bytes(200 << 10)).unwrap();
    }
    let pass = both.pass();
    wait_for("the pass to be at work", SOON, || has_temporary(&both.mirror("n0"), "inside"));
    running.signal(Signal::CONT);
    for name in &names {
        let (new, inside) = (both.place.dir.path().join("new"), both.source(name).join("inside"));
        fs::write(&new, "a newer, small one").unwrap();
        fs::rename(&new, &inside).unwrap();
    }
    let output = pass.wait(LATER);
    assert!(matches!(output.code, Some(0 | 3)), "{output}");
    both.end(running);
    both.assert_kept(&names.iter().map(|name| (name.as_str(), name.as_str())).collect::<Vec<_>>());
}

fn what_a_pass_changed_is_not_put_into_the_bucket_of_before() {
    let both = Both::new(Version::Installed);
    fs::create_dir(both.source("f")).unwrap();
    fs::write(both.source("f/edited"), "1").unwrap();
    fs::write(both.source("f/touched"), "touched").unwrap();
    let text = fs::read_to_string(&both.config).unwrap();
    // Long enough for what waits for the pass to be sent before what is heard after it.
    let text = text.replace("delay = '50ms'\nmax-delay = '1s'", "delay = '2s'\nmax-delay = '9s'");
    fs::write(&both.config, text).unwrap();
    let running = both.watch();
    fs::write(both.source("f/edited"), "edited").unwrap();
    wait_until_same(&both.place.source(), &mirror(&both.daemon), LATER);
    // This holds a pass up that watch takes for running.
    let locks = fs::read_dir(both.place.dir.path().join("state/locks")).unwrap();
    let lock = locks.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "pass"));
    let lock = fs::File::open(lock.unwrap()).unwrap();
    lock.lock().unwrap();
    fs::set_permissions(both.source("f/touched"), fs::Permissions::from_mode(0o600)).unwrap();
    running.wait_for_log("beside a pass", LATER);
    // Until the pass is over, watch hears nothing more.
    running.signal(Signal::STOP);
    drop(lock);
    let outside = both.place.dir.path().join("outside");
    fs::rename(both.source("f"), &outside).unwrap();
    fs::write(both.source("f"), "a file for a moment").unwrap();
    both.pass().wait(LATER).code(0);
    assert!(both.mirror("f").is_file());
    fs::remove_file(both.source("f")).unwrap();
    fs::rename(&outside, both.source("f")).unwrap();
    running.signal(Signal::CONT);
    both.end(running);
    both.assert_kept(&[("f/edited", "1"), ("f/edited", "edited"), ("f", "a file for a moment")]);
}

fn a_watch_that_waits_for_the_end_of_a_pass_sends_what_is_pending_before_it_ends() {
    let both = Both::new(Version::Installed);
    fs::write(both.source("f"), "f").unwrap();
    let pass = both.slow_pass();
    let running = watch(&both.place, &both.config).spawn();
    running.wait_for_log("waiting for its end", SOON);
    fs::write(both.source("g"), "g").unwrap();
    running.signal(Signal::TERM);
    running.wait(LATER).signal(Signal::TERM);
    pass.wait(LATER).code(0);
    wait_until_same(&both.place.source(), &mirror(&both.daemon), SOON);
}

fn a_watch_that_a_pass_kept_from_comparing_says_so() {
    let both = Both::new(Version::Installed);
    fs::write(both.source("f"), "f").unwrap();
    let pass = both.slow_pass();
    let command = watch(&both.place, &both.config).args(&["--for", "100ms", "--drain-timeout", "0s"]);
    command.run().code(3).stderr_has("since a pass was running");
    pass.wait(LATER).code(0);
}

fn a_pass_that_waits_for_watch_until_its_time_is_over_was_not_locked_out() {
    let both = Both::new(Version::Installed);
    fs::write(both.source("f"), "f").unwrap();
    let text = fs::read_to_string(&both.config).unwrap();
    let running = both.watch();
    let outside = both.place.dir.path().join("large");
    fs::write(&outside, fixture::bytes(5 << 20)).unwrap();
    fs::rename(&outside, both.source("large")).unwrap();
    wait_for("the large file to be on its way", SOON, || has_temporary(&both.mirror(""), "large"));
    fs::write(&both.config, text.replace("[full-sync]", "[full-sync]\ntimeout = '1s'")).unwrap();
    let output = both.pass().wait(LATER).code(3).stderr_has("stopped while it was waiting until watch has sent");
    assert!(!output.stderr.contains("--lock-wait"), "{output}");
    both.end(running);
}

fn another_directory_in_the_place_of_one_that_waited_for_the_end_of_a_pass_is_mirrored() {
    let both = Both::new(Version::Installed);
    let (source, aside) = (both.place.source(), both.place.dir.path().join("aside"));
    two_directories(&source);
    let running = both.watch();
    let pass = both.slow_pass();
    others_in_their_place(&source, &aside, || {
        // What was removed before it is known by then.
        fs::write(both.source("marker"), "").unwrap();
        wait_for("the marker", SOON, || both.mirror("marker").exists());
    });
    assert!(both.pass_is_at_work(), "the pass was over too soon for this test");
    pass.wait(LATER);
    both.end(running);
}
