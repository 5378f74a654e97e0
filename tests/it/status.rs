//! `status` says what every mirror is doing, by what the other commands have written down.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::full_sync::{Place, as_nobody};
use crate::mounts::Mount;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Output, Running, Sersync};
use crate::support::{is_root, let_pass, skip, wait_for};
use crate::watch::{LATER, quick, watch};

struct Stand {
    place: Place,
    config: PathBuf,
}

impl Stand {
    fn new(daemons: &[&Rsyncd]) -> Stand {
        let place = Place::new();
        fs::write(place.source().join("f"), "f").unwrap();
        let config = quick(&place, daemons, "");
        Stand { place, config }
    }

    fn run(&self, args: &[&str]) -> Output {
        Sersync::new(args).arg("-c").arg(&self.config).state_dir(&self.place.dir.path().join("state")).run()
    }

    fn watch(&self) -> Running {
        let running = watch(&self.place, &self.config).spawn();
        running.wait_for_log("caught up", LATER);
        running
    }

    /// The objects of all mirrors.
    fn mirrors(&self) -> Vec<Value> {
        self.run(&["status", "--json"]).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn wait_for_state(&self, state: &str) {
        wait_for(state, LATER, || self.mirrors().iter().any(|mirror| mirror["state"] == state));
    }
}

#[test]
fn what_was_never_mirrored_is_not_well_and_what_was_is() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let nothing = format!("Nothing is written down in {}", it.place.dir.path().join("state").display());
    let output = it.run(&["status"]).code(3).stdout_has("not running").stdout_has("it was never mirrored completely");
    output.stdout_has(&nothing);
    it.run(&["full-sync"]).code(0);
    let output = it.run(&["status"]).code(0).stdout_has("2 paths and 1 B sent");
    assert!(!output.stdout.contains("behind"), "{output}");
    let mirrors = it.mirrors();
    let [mirror] = &mirrors[..] else { panic!("{mirrors:?}") };
    assert_eq!((&mirror["well"], &mirror["last_full_pass"]["exit"]), (&Value::Bool(true), &Value::from(0)));
    assert_eq!(mirror["last_full_pass"]["reached"], "everything");
}

#[test]
fn a_watch_is_live_and_what_is_killed_is_not_running() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let running = it.watch();
    it.wait_for_state("live");
    wait_for("all is well", LATER, || it.run(&["status"]).code == Some(0));
    assert_eq!(it.mirrors()[0]["lag_seconds"], 0);
    running.kill();
    assert_eq!(it.mirrors()[0]["state"], "not running");
    it.run(&["status"]).code(0).stdout_has("not running");
}

#[test]
fn an_endpoint_that_fails_is_told_apart_from_one_that_does_not() {
    let (alive, mut dead) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let it = Stand::new(&[&alive, &dead]);
    let running = it.watch();
    wait_for("both are live", LATER, || it.mirrors().iter().all(|mirror| mirror["state"] == "live"));
    dead.stop();
    fs::write(it.place.source().join("f"), "more").unwrap();
    it.wait_for_state("backing off");
    let output = it.run(&["status", "--max-lag", "1s"]);
    assert!(output.stdout.contains("ago: the daemon cannot be reached"), "{output}");
    let states = |state: &str| it.mirrors().iter().filter(|mirror| mirror["state"] == state).count();
    assert_eq!((states("live"), states("backing off")), (1, 1));
    wait_for("it is late", LATER, || it.run(&["status", "--max-lag", "1s"]).code == Some(3));
    dead.start();
    wait_for("all is well", LATER, || it.run(&["status"]).code == Some(0));
    drop(running);
}

#[test]
fn what_fails_is_named_and_cannot_reach_the_terminal() {
    let daemon = Rsyncd::builder().extra("exclude = *refused*").start();
    let it = Stand::new(&[&daemon]);
    let running = it.watch();
    fs::write(it.place.source().join("\u{1b}[31mrefused\n"), "").unwrap();
    wait_for("the failure", LATER, || it.mirrors()[0]["failing"] == 1);
    let output = it.run(&["status", "--failing"]).code(3).stdout_has("1 path failed");
    assert!(output.stdout.contains("failing: \\u{1b}[31mrefused\\n: the daemon refuses it"), "{output}");
    fs::remove_file(it.place.source().join("\u{1b}[31mrefused\n")).unwrap();
    wait_for("all is well", LATER, || it.run(&["status"]).code == Some(0));
    drop(running);
}

#[test]
fn a_guard_that_refuses_and_a_pass_that_failed_are_told() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let running = it.watch();
    fs::rename(it.place.source().join("f"), it.place.dir.path().join("f")).unwrap();
    it.wait_for_state("refused");
    it.run(&["status"]).code(3).stdout_has("a safety guard refuses it").stdout_has("is empty");
    fs::rename(it.place.dir.path().join("f"), it.place.source().join("f")).unwrap();
    it.wait_for_state("live");
    running.kill();
    daemon.stop();
    it.run(&["full-sync"]).code(10);
    it.run(&["status"]).code(3).stdout_has("the last pass failed").stdout_has("the daemon cannot be reached");
    daemon.start();
    it.run(&["full-sync"]).code(0);
    it.run(&["status"]).code(0);
}

#[test]
fn a_source_that_is_gone_is_not_well_until_it_is_back() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let running = it.watch();
    it.wait_for_state("live");
    let elsewhere = it.place.dir.path().join("elsewhere");
    fs::rename(it.place.source(), &elsewhere).unwrap();
    it.wait_for_state("refused");
    it.run(&["status"]).code(3).stdout_has("is gone or was replaced; waiting for it");
    fs::rename(&elsewhere, it.place.source()).unwrap();
    it.wait_for_state("live");
    it.run(&["status"]).code(0);
    running.terminate();
}

#[test]
fn what_is_damaged_is_said_and_the_rest_is_shown() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    it.run(&["full-sync"]).code(0);
    let files = walkdir::WalkDir::new(it.place.dir.path().join("state/status")).min_depth(1).into_iter();
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().into_path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::write(&files[0], "{\"last\": 7}").unwrap();
    it.run(&["status"]).code(3).stdout_has("not running").stdout_has(files[0].to_str().unwrap());
    // The next pass writes it anew.
    it.run(&["full-sync"]).code(0);
    it.run(&["status"]).code(0);
}

#[test]
fn what_failed_in_a_pass_is_listed_until_a_pass_has_looked_again() {
    let daemon = Rsyncd::builder().extra("exclude = *refused*").start();
    let it = Stand::new(&[&daemon]);
    for number in 0..3 {
        fs::write(it.place.source().join(format!("refused {number}")), "").unwrap();
    }
    it.run(&["full-sync"]).code(3);
    let output = it.run(&["status", "--failing"]).code(3).stdout_has("3 paths failed");
    for number in 0..3 {
        assert!(output.stdout.contains(&format!("failing: refused {number}: the daemon refuses it")), "{output}");
    }
    assert!(!it.run(&["status"]).stdout.contains("failing: "));
    let paths = it.mirrors()[0]["failing_paths"].as_array().unwrap().clone();
    assert_eq!(paths.iter().map(|it| it["path"].as_str().unwrap()).collect::<Vec<_>>().len(), 3, "{paths:?}");
    // A watch that ends with them has them too.
    let output = watch(&it.place, &it.config).args(&["--until-idle", "100ms"]).limit(LATER).run().code(3);
    assert!(output.stderr.contains("3 paths failing"), "{output}");
    it.run(&["status", "--failing"]).code(3).stdout_has("failing: refused 2: the daemon refuses it");
    for number in 0..3 {
        fs::remove_file(it.place.source().join(format!("refused {number}"))).unwrap();
    }
    it.run(&["full-sync"]).code(0);
    assert!(!it.run(&["status", "--failing"]).code(0).stdout.contains("failing: "));
}

#[test]
fn what_is_written_down_and_says_nothing_is_not_well() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let of = |dir: &str, ending: &str| {
        let files = walkdir::WalkDir::new(it.place.dir.path().join("state").join(dir)).into_iter();
        let mut paths = files.map(|entry| entry.unwrap().into_path());
        paths.find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
    };
    watch(&it.place, &it.config).args(&["--until-idle", "100ms"]).limit(LATER).run().code(0);
    it.run(&["full-sync"]).code(0);
    it.run(&["status"]).code(0);
    for (dir, ending) in [("status", ".passes"), ("status", ".watch"), ("mirrors", ".json")] {
        let file = of(dir, ending);
        let whole = fs::read(&file).unwrap();
        for foreign in [&b""[..], b"{}", b"[1]", b"\xff\x1b[31m", b"{\"last\":null,\"good\":null,\"full\":null}"] {
            fs::write(&file, foreign).unwrap();
            let output = it.run(&["status"]).code(3);
            let lines: Vec<&str> = output.stdout.lines().filter(|line| line.contains(file.to_str().unwrap())).collect();
            assert!(lines.len() == 1 && !output.stdout.contains('\u{1b}'), "{foreign:?}: {output}");
            assert!(output.stderr.is_empty(), "{output}");
            assert_eq!(it.mirrors()[0]["well"], Value::Bool(false));
        }
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        it.run(&["status"]).code(3).stdout_has("is a symbolic link; remove it");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        it.run(&["status"]).code(3).stdout_has(file.to_str().unwrap());
        fs::remove_dir(&file).unwrap();
        fs::write(&file, whole).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
            it.run(&["status"]).code(3).stdout_has("belongs to user 12345, not to this user (0); remove it");
            std::os::unix::fs::chown(&file, Some(0), None).unwrap();
        }
        it.run(&["status"]).code(0);
    }
    fs::write(of("status", ".passes"), "").unwrap();
    it.run(&["status"]).code(3).stdout_has("is empty, as after a power cut; the next run writes it anew, or remove it");
    it.run(&["full-sync"]).code(0);
    it.run(&["status"]).code(0);
}

/// How often a text is in the log.
fn said(running: &Running, text: &str) -> usize {
    running.stderr_so_far().matches(text).count()
}

#[test]
fn a_state_directory_that_is_removed_under_a_watch_is_made_again() {
    let (one, other) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let it = Stand::new(&[&one, &other]);
    let state = it.place.dir.path().join("state");
    let running = it.watch();
    let are_live = || it.mirrors().iter().all(|mirror| mirror["state"] == "live" && mirror["well"] == true);
    wait_for("both are live", LATER, are_live);
    for round in 1..=2 {
        fs::remove_dir_all(&state).unwrap();
        // Also without any change it is noticed.
        running_says(&running, "is there again", 2 * round);
        wait_for("both are live", LATER, are_live);
        it.run(&["status"]).code(0);
        if round == 1 {
            assert_eq!(said(&running, "was removed under this watch"), 1, "{}", running.stderr_so_far());
        }
        // Nobody else begins beside it.
        watch(&it.place, &it.config).run().code(11).stderr_has("another watch is running");
        let name = format!("g{round}");
        fs::write(it.place.source().join(&name), "more").unwrap();
        for daemon in [&one, &other] {
            wait_for("the file", LATER, || daemon.module_path().join("name").join(&name).exists());
        }
        it.run(&["full-sync"]).code(0);
    }
    running.terminate().signal(Signal::TERM);
    assert_eq!(it.mirrors()[0]["state"], "not running");
}

#[track_caller]
fn running_says(running: &Running, text: &str, times: usize) {
    wait_for(text, LATER, || said(running, text) >= times);
}

#[test]
fn an_idle_watch_writes_nothing_down() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let running = it.watch();
    it.wait_for_state("live");
    let written = || {
        let files = walkdir::WalkDir::new(it.place.dir.path().join("state")).into_iter().map(Result::unwrap);
        let files = files.filter(|entry| entry.file_type().is_file());
        files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap())).collect::<Vec<_>>()
    };
    // Longer than between two looks at the state directory.
    wait_for("quiet", LATER, || {
        let before = written();
        let_pass(Duration::from_secs(12));
        written() == before
    });
    drop(running);
}

#[test]
fn where_no_state_directory_can_be_made_a_watch_goes_on() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let dir = it.place.dir.path().join("above");
    let state = dir.join("state");
    fs::create_dir(&dir).unwrap();
    let running = watch(&it.place, &it.config).arg("--state-dir").arg(&state).spawn();
    running.wait_for_log("caught up", LATER);
    fs::remove_dir_all(&dir).unwrap();
    // In the place of the directory there is something else.
    fs::write(&dir, "").unwrap();
    for number in 0..5 {
        let name = format!("g{number}");
        fs::write(it.place.source().join(&name), "more").unwrap();
        wait_for("the file", LATER, || daemon.module_path().join("name").join(&name).exists());
    }
    assert_eq!(said(&running, "cannot be written"), 1, "{}", running.stderr_so_far());
    fs::remove_file(&dir).unwrap();
    running_says(&running, "is there again", 1);
    let status = || Sersync::new(&["status", "-c"]).arg(&it.config).arg("--state-dir").arg(&state).run();
    wait_for("all is well", LATER, || status().code == Some(0));
    status().stdout_has("live");
    assert!(said(&running, "was removed under this watch") > 0, "{}", running.stderr_so_far());
    running.terminate().signal(Signal::TERM);
}

#[test]
fn a_full_disk_under_the_state_stops_no_mirroring_and_spoils_nothing() {
    if !is_root() {
        return skip("only root mounts file systems");
    }
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let state = it.place.dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let Some(mounted) = Mount::tmpfs_with(&state, "size=128k,mode=0700") else { return };
    it.run(&["full-sync"]).code(0).silent();
    let running = it.watch();
    it.wait_for_state("live");
    let mut filler = fs::File::create(state.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    let before = it.mirrors();
    for number in 0..5 {
        // Both versions go into the history.
        for content in ["one", "other"] {
            fs::write(it.place.source().join(format!("g{number}")), content).unwrap();
            let mirrored = daemon.module_path().join(format!("name/g{number}"));
            wait_for("the file", LATER, || fs::read_to_string(&mirrored).is_ok_and(|now| now == content));
        }
    }
    let cannot = "cannot be written: ";
    assert_eq!(said(&running, cannot), 1, "{}", running.stderr_so_far());
    assert!(running.stderr_so_far().contains("No space left on device"));
    fs::write(it.place.source().join("by a pass"), "").unwrap();
    let output = it.run(&["full-sync"]).code(0);
    assert_eq!(output.stderr.matches(cannot).count(), 1, "{output}");
    assert!(daemon.module_path().join("name/by a pass").exists());
    // What was there is whole.
    let after = it.mirrors();
    assert_eq!(after[0]["last_good_pass"], before[0]["last_good_pass"]);
    it.run(&["status"]).code(0).stdout_has("live");
    drop(filler);
    fs::remove_file(state.join("filler")).unwrap();
    running.wait_for_log("is written again", LATER);
    wait_for("what was done", LATER, || it.mirrors()[0]["since_start"]["updated"].as_u64() >= Some(5));
    it.run(&["full-sync"]).code(0).silent();
    assert_ne!(it.mirrors()[0]["last_good_pass"], before[0]["last_good_pass"]);
    running.terminate().signal(Signal::TERM);
    drop(mounted);
}

#[test]
fn how_far_it_may_be_behind_has_to_be_a_time() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    for nonsense in ["", "15", "-1m", "1 minute", "m", "0s", "99999999999999999999d", "1m\u{1b}[31m"] {
        let output = it.run(&["status", &format!("--max-lag={nonsense}")]).code(2);
        assert!(output.stderr.contains("--max-lag") && !output.stderr.contains('\u{1b}'), "{output}");
    }
}

#[test]
fn what_is_shown_again_and_again_ends_when_it_is_told_to() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    it.run(&["full-sync"]).code(0);
    let show = || {
        Sersync::new(&["status", "--watch", "-c"])
            .arg(&it.config)
            .state_dir(&it.place.dir.path().join("state"))
            .on_terminal(100, 24)
            .spawn()
    };
    for key in ["q", "Q", "\u{3}"] {
        let shown = show();
        wait_for("the table", LATER, || shown.stdout_so_far().contains("not running"));
        shown.type_in(key);
        shown.wait(LATER);
    }
}

#[test]
fn the_state_is_where_the_environment_says() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon]);
    let [first, second, home] = ["first", "second", "home"].map(|name| it.place.dir.path().join(name));
    let both = format!("{}:{}", first.display(), second.display());
    Sersync::new(&["full-sync", "-c"]).arg(&it.config).env("STATE_DIRECTORY", &both).run().code(0);
    assert!(first.join("status").is_dir() && !second.exists());
    Sersync::new(&["status", "-c"]).arg(&it.config).env("STATE_DIRECTORY", &both).run().code(0);
    Sersync::new(&["status", "-c"]).arg(&it.config).arg("--state-dir").arg(&second).run().code(3);
    // Who is not root has it at home.
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let run = as_nobody(&it.place, &daemon, "full-sync").env("STATE_DIRECTORY", "");
    let _ = run.env("XDG_STATE_HOME", &home).run();
    assert!(home.join("sersync/locks").is_dir());
}
