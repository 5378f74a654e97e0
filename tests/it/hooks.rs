//! The operator's programs before and after the pass of a source.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, test_kill_process};

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::assert_same;
use crate::support::{SOON, fixture, wait_for};

/// A place with room for scripts, with a daemon.
struct Stage {
    place: Place,
    daemon: Rsyncd,
}

impl Stage {
    fn new() -> Stage {
        let stage = Stage { place: Place::new(), daemon: Rsyncd::builder().start() };
        fixture::small_tree(&stage.place.source());
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.dir.path().join(name)
    }

    fn mirror(&self) -> PathBuf {
        self.daemon.module_path().join("name")
    }

    /// A hook as the configuration has it. `@` in the script stands for the directory of the test. The shell is named, for
    /// a file that was just written cannot be executed while a process that another test starts has it open.
    fn hook(&self, name: &str, script: &str) -> String {
        let path = self.path(name);
        let script = script.replace('@', self.place.dir.path().to_str().unwrap());
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        format!("{name} = ['/bin/sh', '{}', 'an argument']\n", path.display())
    }

    fn configured(&self, full_sync: &str, more: &str) -> PathBuf {
        let text = format!(
            "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[full-sync]\n{full_sync}\n\
             [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n{more}",
            self.daemon.password_file().display(),
            self.daemon.port(),
            self.place.source().display(),
        );
        config(&self.place.dir, &text)
    }

    fn run(&self, config: &Path) -> Sersync {
        Sersync::new(&["full-sync", "-c"]).arg(config).state_dir(&self.path("state"))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The process whose number a script has written to a file; the line end tells that it is complete.
    fn process(&self, name: &str) -> Pid {
        wait_for(name, SOON, || self.read(name).ends_with('\n'));
        Pid::from_raw(self.read(name).trim().parse().unwrap()).unwrap()
    }
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub(crate) fn runs(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    test_kill_process(process).is_ok() && state.is_some_and(|state| !matches!(state, "Z" | "X"))
}

#[test]
fn before_prepares_the_source_and_after_sees_the_result() {
    let stage = Stage::new();
    let before = stage.hook(
        "before",
        "[ ! -e @/log ] || exit 1\n[ ! -e \"$SERSYNC_PATH/dump\" ] || exit 2\necho dump >\"$SERSYNC_PATH/dump\"\n\
         { pwd; echo \"$1\"; env; } >@/log; cat",
    );
    let mirror = stage.mirror();
    let after = stage.hook("after", &format!("cat '{}/dump' >@/seen; env >@/log.after", mirror.display()));
    let config = stage.configured(&(before + &after), "");
    stage.run(&config).env("SECRET", "x").env("TZ", "UTC").run().code(0).silent();
    assert_same(&stage.place.source(), &mirror);
    assert_eq!(stage.read("seen"), "dump\n", "it was on the mirror when `after` ran");
    let log = stage.read("log");
    assert!(log.starts_with("/\nan argument\n"), "{log}");
    let source = stage.place.source();
    for line in ["SERSYNC_SOURCE=name", &format!("SERSYNC_PATH={}", source.display()), "TZ=UTC"] {
        assert!(log.lines().any(|l| l == line), "no {line} in {log}");
    }
    assert!(log.contains("\nPATH=") && log.contains("\nHOME="), "{log}");
    assert!(!log.contains("SECRET") && !log.contains("SERSYNC_EXIT") && !log.contains("STATE_DIRECTORY"), "{log}");
    assert!(stage.read("log.after").contains("SERSYNC_EXIT=0\n"));
}

#[test]
fn a_failing_before_stops_its_source_only() {
    let stage = Stage::new();
    let before =
        stage.hook("before", "[ \"$SERSYNC_SOURCE\" = name ] || exit 0\nseq 1 30\necho 'no database' >&2\nexit 7");
    let after = stage.hook("after", "echo \"$SERSYNC_SOURCE $SERSYNC_EXIT\" >>@/after.log");
    fs::create_dir(stage.path("other")).unwrap();
    fs::write(stage.path("other/f"), "f").unwrap();
    let other = format!("[sources.other]\npath = '{}'\ntargets = ['t']\n", stage.path("other").display());
    let output = stage.run(&stage.configured(&(before + &after), &other)).run().code(3);
    assert!(!stage.mirror().exists(), "nothing is changed on the mirror");
    assert_same(&stage.path("other"), &stage.daemon.module_path().join("other"));
    assert_eq!(stage.read("after.log"), "other 0\n", "`after` is not run where `before` failed");
    for text in [
        "error: name@127.0.0.1:",
        "the `before` hook /bin/sh of source `name` exited with 7; the source was not mirrored",
        "error: source `name`: before: no database\n",
    ] {
        assert!(output.stderr.contains(text), "no {text:?} in {output}");
    }
    let told = output.stderr.lines().filter(|line| line.contains("before: ") && !line.contains("hook")).count();
    assert_eq!(told, 20, "the last lines only: {output}");
}

#[test]
fn a_before_that_cannot_be_started_is_named() {
    let stage = Stage::new();
    let config = stage.configured("before = ['/nowhere/dump-db']", "");
    stage
        .run(&config)
        .run()
        .code(3)
        .stderr_has("the `before` hook /nowhere/dump-db of source `name` cannot be started");
    assert!(!stage.mirror().exists());
}

#[test]
fn a_failing_after_is_a_partial_result() {
    let stage = Stage::new();
    let config = stage.configured(&stage.hook("after", "kill -9 $$"), "");
    stage.run(&config).run().code(3).stderr_has("the `after` hook /bin/sh of source `name` was killed by signal 9");
    assert_same(&stage.place.source(), &stage.mirror());
}

#[test]
fn a_source_that_its_before_did_not_mount_is_refused_and_after_cleans_up() {
    let stage = Stage::new();
    let hooks = stage.hook("before", "rm -r \"$SERSYNC_PATH\"") + &stage.hook("after", "echo $SERSYNC_EXIT >@/exit");
    stage.run(&stage.configured(&hooks, "")).run().code(10).stderr_has("does not exist");
    assert_eq!(stage.read("exit"), "10\n");
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
    let stage = Stage::new();
    // It answers SIGTERM with nothing, and so does what it has started.
    let script =
        "trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$ >@/grandchild; while :; do sleep 1; done\" & wait; sleep 1000";
    let config = stage.configured(&(stage.hook("before", script) + "hook-timeout = '3s'"), "");
    let output = stage.run(&config).run().code(3);
    assert!(output.stderr.contains("it took longer than `hook-timeout` (3s)"), "{output}");
    let grandchild = stage.process("grandchild");
    wait_for("the grandchild has ended", SOON, || !runs(grandchild));
}

#[test]
fn a_signal_ends_the_hook_and_then_the_program() {
    let stage = Stage::new();
    let script = "sh -c 'echo $$ >@/grandchild; exec sleep 1000' & wait";
    let config = stage.configured(&(stage.hook("before", script) + &stage.hook("after", "echo >@/after.log")), "");
    let running = stage.run(&config).spawn();
    let grandchild = stage.process("grandchild");
    let output = running.terminate().signal(Signal::TERM);
    assert!(output.stderr.contains("of source `name` was ended"), "{output}");
    wait_for("the grandchild has ended", SOON, || !runs(grandchild));
    assert!(!stage.mirror().exists() && !stage.path("after.log").exists());
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let stage = Stage::new();
    let script = "trap 'echo >@/told' TERM; echo $$ >@/hook; while :; do sleep 1; done";
    let running = stage.run(&stage.configured(&stage.hook("before", script), "")).spawn();
    let hook = stage.process("hook");
    running.signal(Signal::TERM);
    wait_for("the hook is told", SOON, || stage.path("told").exists());
    running.terminate().signal(Signal::TERM);
    wait_for("the hook has ended", SOON, || !runs(hook));
}

#[test]
fn a_hook_does_not_outlive_a_program_that_is_killed() {
    let stage = Stage::new();
    let running = stage.run(&stage.configured(&stage.hook("before", "echo $$ >@/hook; exec sleep 1000"), "")).spawn();
    let hook = stage.process("hook");
    running.kill();
    wait_for("the hook has ended", SOON, || !runs(hook));
}

#[test]
fn what_a_hook_prints_cannot_fool_a_terminal() {
    let stage = Stage::new();
    let script = "printf '\\033[2Jfine\\377\\n'; printf 'no line end'; head -c 100000 /dev/zero | tr '\\0' x >&2";
    let config = stage.configured(&stage.hook("before", script), "");
    let output = stage.run(&config).arg("-v").run().code(0);
    for line in ["source `name`: before: \\u{1b}[2Jfine\\xff\n", "source `name`: before: no line end\n"] {
        assert!(output.stderr.contains(line), "no {line:?} in {output}");
    }
    let longest = output.stderr.lines().map(str::len).max().unwrap();
    assert!(longest < 5000, "a line of {longest} bytes");
}

#[test]
fn who_keeps_the_output_open_is_not_waited_for() {
    let stage = Stage::new();
    let script = "sh -c 'echo $$ >@/left; exec sleep 1000' & while [ ! -s @/left ]; do :; done";
    stage.run(&stage.configured(&stage.hook("before", script), "")).run().code(0).silent();
    let left = stage.process("left");
    assert!(runs(left), "it may be a service that was started on purpose");
    rustix::process::kill_process(left, Signal::KILL).unwrap();
}

#[test]
fn a_dry_run_and_watch_run_no_hooks() {
    let stage = Stage::new();
    let hooks = stage.hook("before", "echo >>@/hook.log; exit 1") + &stage.hook("after", "echo >>@/hook.log");
    let config = stage.configured(&hooks, "");
    stage.run(&config).args(&["--dry-run", "-v"]).run().code(0).stderr_has("hooks of [full-sync] are not run");
    Sersync::new(&["watch", "--until-idle", "100ms", "-c"]).arg(&config).state_dir(&stage.path("state")).run().code(0);
    assert_same(&stage.place.source(), &stage.mirror());
    assert!(!stage.path("hook.log").exists());
}

#[test]
fn the_hooks_of_two_runs_do_not_mix() {
    let stage = Stage::new();
    let script = "echo $$ >>@/begun\n[ -e @/first ] || { echo >@/first; while [ ! -e @/go ]; do sleep 0.05; done; }";
    let config = stage.configured(&stage.hook("before", script), "");
    let running = stage.run(&config).spawn();
    wait_for("the first is in its hook", SOON, || stage.path("first").exists());
    stage.run(&config).run().code(11).stderr_has("another pass with hooks is running");
    assert_eq!(stage.read("begun").lines().count(), 1);
    let waiting = stage.run(&config).args(&["--lock-wait", "1m"]).spawn();
    fs::write(stage.path("go"), "").unwrap();
    running.wait(SOON).code(0);
    waiting.wait(SOON).code(0);
    assert_eq!(stage.read("begun").lines().count(), 2);
}

#[test]
fn other_sources_do_not_wait_for_a_hook() {
    let stage = Stage::new();
    let other = stage.daemon.module_path().join("other/f");
    // It ends when the other source is mirrored, and never without it.
    let script =
        format!("[ \"$SERSYNC_SOURCE\" != name ] || while [ ! -e '{}' ]; do sleep 0.05; done", other.display());
    fs::create_dir(stage.path("other")).unwrap();
    fs::write(stage.path("other/f"), "f").unwrap();
    let more = format!("[sources.other]\npath = '{}'\ntargets = ['t']\n", stage.path("other").display());
    let config = stage.configured(&stage.hook("before", &script), &more);
    stage.run(&config).limit(Duration::from_secs(60)).run().code(0);
    assert_same(&stage.place.source(), &stage.mirror());
}

#[test]
fn a_pass_that_takes_too_long_still_cleans_up() {
    let stage = Stage::new();
    let hooks = stage.hook("before", "[ \"$SERSYNC_SOURCE\" = name ] || exec sleep 1000")
        + &stage.hook("after", "echo $SERSYNC_SOURCE >>@/after.log")
        + "timeout = '6s'";
    fs::create_dir(stage.path("other")).unwrap();
    fs::write(stage.path("other/f"), "f").unwrap();
    // So slow that it is not done in time.
    fs::write(stage.place.source().join("large"), vec![b'x'; 20 << 20]).unwrap();
    let more = format!(
        "[sources.other]\npath = '{}'\ntargets = ['t']\n[targets.t.rsync]\nbwlimit = '1M'\n",
        stage.path("other").display()
    );
    let output = stage.run(&stage.configured(&hooks, &more)).run().code(3);
    assert!(output.stderr.contains("takes longer than `timeout`"), "{output}");
    assert!(output.stderr.contains("of source `other` was ended, because the pass is"), "{output}");
    assert_eq!(stage.read("after.log"), "name\n");
}
