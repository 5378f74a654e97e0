//! `status` says what every mirror is doing, by what the other commands have written down.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::full_sync::{Place, as_nobody};
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Output, Running, Sersync};
use crate::support::wait_for;
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
