//! Figures for Prometheus: whatever happens, the files are valid, and tell what is so.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::mounts::Mount;
use crate::support::daemon::Rsyncd;
use crate::support::exposition::Samples;
use crate::support::sersync::{Running, Sersync};
use crate::support::{let_pass, skip, wait_for};
use crate::watch::{LATER, quick, watch};

/// A mirror with metrics.
pub(crate) struct Stand {
    place: Place,
    config: PathBuf,
}

impl Stand {
    pub(crate) fn new(daemons: &[&Rsyncd], more: &str) -> Stand {
        let place = Place::new();
        fs::write(place.source().join("f"), "four").unwrap();
        let dir = place.dir.path().join("prom");
        fs::create_dir(&dir).unwrap();
        let config = quick(&place, daemons, &format!("[metrics]\ntextfile-dir = '{}'\n{more}", dir.display()));
        Stand { place, config }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.dir.path().join("prom")
    }

    pub(crate) fn sersync(&self, command: &str) -> Sersync {
        Sersync::new(&[command, "-c"]).arg(&self.config).state_dir(&self.place.dir.path().join("state"))
    }

    fn watch(&self) -> Running {
        let running = watch(&self.place, &self.config).spawn();
        running.wait_for_log("caught up", LATER);
        running
    }

    /// All samples of all files, as `node_exporter` takes them together; nothing else may be there.
    #[track_caller]
    fn samples(&self) -> Samples {
        let mut samples = Samples::default();
        for entry in fs::read_dir(self.dir()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "prom") {
                // One that is just being written, and gone by now.
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            samples.read(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        }
        samples
    }

    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        self.samples().value(name, &[("source", "name")])
    }

    #[track_caller]
    fn is_in_state(&self, state: &str) -> bool {
        self.samples().value("sersync_watch_state", &[("state", state)]) > 0.0
    }

    /// What promtool has to say about all of it.
    fn assert_promtool_has_nothing_to_say(&self) {
        let Some(tool) = promtool() else { return };
        for entry in fs::read_dir(self.dir()).unwrap() {
            let mut child = Command::new(&tool)
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let text = fs::read(entry.unwrap().path()).unwrap();
            child.stdin.take().unwrap().write_all(&text).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // It does not like the names of the bash sersync. It ends with 3 for names, and with 1 for what is invalid.
            let is_well = said.lines().all(|line| line.starts_with("rsync_")) && output.status.code() != Some(1);
            assert!(is_well, "{said}{}", String::from_utf8_lossy(&text));
        }
    }
}

/// The tool of Prometheus; where it is not, the test says that it looks at less.
pub(crate) fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("SERSYNC_TEST_PROMTOOL")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/promtool"), PathBuf::from);
    if !path.is_file() {
        skip("there is no promtool; tests/fetch-promtool.sh fetches it");
        return None;
    }
    Some(path)
}

fn assert_between(low: f64, value: f64, high: f64) {
    assert!(low <= value && value <= high, "{low} <= {value} <= {high}");
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_failing_pass_does_not_lose_the_last_good_one() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let began = now() - 0.01;
    it.sersync("full-sync").run().code(0).silent();
    let success = it.value("sersync_last_success_timestamp_seconds");
    assert_between(began, success, now());
    assert_eq!(success.to_string(), it.value("sersync_last_run_timestamp_seconds").to_string());
    assert_between(2.0, it.value("sersync_last_run_files"), 2.0);
    assert_between(4.0, it.value("sersync_last_run_bytes"), 4.0);
    it.assert_promtool_has_nothing_to_say();
    daemon.stop();
    it.sersync("full-sync").run().code(10);
    assert_eq!(success.to_string(), it.value("sersync_last_success_timestamp_seconds").to_string());
    assert_between(success + 0.001, it.value("sersync_last_run_timestamp_seconds"), now());
    assert_between(10.0, it.value("sersync_last_run_exit_code"), 10.0);
    assert_between(1.0, it.value("sersync_last_run_errors"), 1.0);
    it.assert_promtool_has_nothing_to_say();
    // Anybody may read them, whatever the umask is.
    for entry in fs::read_dir(it.dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o7777, 0o644, "{entry:?}");
    }
}

#[test]
fn the_dashboards_of_the_bash_sersync_keep_working() {
    let (one, other) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let it = Stand::new(&[&one, &other], "legacy-names = true\n");
    it.sersync("full-sync").run().code(0);
    let samples = it.samples();
    for daemon in [one, other] {
        let endpoint = format!("127.0.0.1:{}/mod", daemon.port());
        let value = |name| samples.value(name, &[("dirname", "name"), ("endpoint", &endpoint)]);
        assert_between(0.0, value("rsync_status"), 0.0);
        assert_between(2.0, value("rsync_total_files_sum"), 2.0);
        assert_between(now() - 100.0, value("rsync_start_time"), now());
        let others = ["rsync_total_size_mb", "rsync_duration_time_sec"].map(value);
        assert!(others.iter().all(|value| value.fract() == 0.0), "{others:?}");
    }
    it.assert_promtool_has_nothing_to_say();
}

#[test]
fn a_watch_and_a_pass_beside_it_do_not_overwrite_one_another() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let running = it.watch();
    wait_for("it is live", LATER, || it.is_in_state("live"));
    assert_between(0.0, it.value("sersync_behind_since_timestamp_seconds"), 0.0);
    let batches = it.value("sersync_watch_batches_total");
    fs::write(it.place.source().join("g"), "12345").unwrap();
    wait_for("a batch", LATER, || it.value("sersync_watch_batches_total") > batches);
    wait_for("all has arrived", LATER, || it.value("sersync_pending_paths") == 0.0);
    let bytes = it.value("sersync_watch_bytes_total");
    assert!(bytes >= 5.0, "{bytes}");
    it.sersync("full-sync").run().code(0);
    assert_between(0.0, it.value("sersync_last_run_exit_code"), 0.0);
    let again = it.value("sersync_watch_bytes_total");
    assert!(again >= bytes && it.is_in_state("live"), "{again}");
    it.assert_promtool_has_nothing_to_say();
    running.terminate().signal(Signal::TERM);
    assert!(it.is_in_state("ended"));
}

#[test]
fn a_watch_that_is_killed_leaves_whole_files_and_the_last_success() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    it.sersync("full-sync").run().code(0);
    let success = it.value("sersync_last_success_timestamp_seconds");
    for round in 0..5 {
        let running = it.watch();
        fs::write(it.place.source().join(format!("f{round}")), "more").unwrap();
        running.kill();
        assert!(it.value("sersync_last_success_timestamp_seconds") >= success);
        assert!(it.samples().names().contains("sersync_watch_state"));
        it.sersync("status").run();
    }
    it.assert_promtool_has_nothing_to_say();
    // What one has left that was killed in the middle of writing is removed when it is old.
    for (name, age) in [(".sersync_old.new", 7200), (".sersync_young.new", 60), ("other.new", 7200)] {
        let file = fs::File::create(it.dir().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    it.sersync("full-sync").run().code(0);
    let left = [".sersync_old.new", ".sersync_young.new", "other.new"].map(|name| it.dir().join(name).exists());
    assert_eq!(left, [false, true, true]);
    it.sersync("status").run().code(0).stdout_has("not running");
    assert!(it.value("sersync_last_success_timestamp_seconds") > success);
}

#[test]
fn how_long_something_has_not_arrived_is_told_by_the_time_of_the_first_change() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let running = it.watch();
    wait_for("it is live", LATER, || it.is_in_state("live"));
    // Idle for a while: that is not being behind.
    let_pass(Duration::from_secs(2));
    daemon.stop();
    let changed = now();
    fs::write(it.place.source().join("f"), "more").unwrap();
    wait_for("it is backing off", LATER, || it.is_in_state("backing-off"));
    let behind = it.value("sersync_behind_since_timestamp_seconds");
    assert_between(changed - 0.1, behind, now());
    assert!(it.value("sersync_pending_paths") > 0.0 && it.value("sersync_watch_errors_total") > 0.0);
    let output = it.sersync("status").arg("--json").run();
    let mirror: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(mirror["lag_seconds"].as_f64().unwrap() <= now() - changed + 0.1, "{output}");
    daemon.start();
    wait_for("all has arrived", LATER, || it.is_in_state("live") && it.value("sersync_pending_paths") == 0.0);
    assert_between(0.0, it.value("sersync_behind_since_timestamp_seconds"), 0.0);
    drop(running);
}

#[test]
fn a_guard_that_refuses_is_a_state() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let running = it.watch();
    wait_for("it is live", LATER, || it.is_in_state("live"));
    fs::remove_file(it.place.source().join("f")).unwrap();
    wait_for("it is refused", LATER, || it.is_in_state("refused"));
    drop(running);
    it.sersync("full-sync").run().code(4);
    assert_between(4.0, it.value("sersync_last_run_exit_code"), 4.0);
}

#[test]
fn what_cannot_be_written_is_said_once_and_counted_and_stops_nothing() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    fs::remove_dir(it.dir()).unwrap();
    let said = "warning: metrics cannot be written to `textfile-dir` in [metrics]";
    let output = it.sersync("full-sync").run().code(0).stderr_has(said);
    assert!(output.stderr.lines().count() == 1 && !output.stderr.contains(".new"), "{output}");
    let running = it.watch();
    for number in 0..3 {
        fs::write(it.place.source().join(format!("f{number}")), "more").unwrap();
        let mirrored = daemon.module_path().join(format!("name/f{number}"));
        wait_for("the file", LATER, || mirrored.exists());
    }
    wait_for("status", LATER, || it.sersync("status").run().stdout.contains("metrics could not be written"));
    fs::create_dir(it.dir()).unwrap();
    fs::write(it.place.source().join("f4"), "more").unwrap();
    running.wait_for_log("metrics are written again after", LATER);
    wait_for("the count", LATER, || it.value("sersync_metrics_write_errors_total") >= 3.0);
    let output = running.terminate();
    assert_eq!(output.stderr.matches("metrics cannot be written").count(), 1, "{output}");
}

#[test]
fn names_of_endpoints_break_out_of_nothing() {
    let it = Stand::new(&[&Rsyncd::builder().start()], "");
    let name = "evil\"} 1\n\\x{b=\"\u{1b}[31m\u{202e}";
    let target = it.place.dir.path().join(name);
    fs::create_dir(&target).unwrap();
    let text = format!(
        "[metrics]\ntextfile-dir = '{}'\nlegacy-names = true\n[targets.t]\npath = {}\n[sources.name]\npath = '{}'\n\
         targets = ['t']\n",
        it.dir().display(),
        serde_json::to_string(target.to_str().unwrap()).unwrap(),
        it.place.source().display()
    );
    fs::write(&it.config, text).unwrap();
    it.sersync("full-sync").run().code(0);
    it.sersync("prune-history").run().code(0);
    let running = it.watch();
    wait_for("it is live", LATER, || it.is_in_state("live"));
    running.kill();
    let endpoint = format!("{}/evil\"}} 1\\n\\x{{b=\"\\u{{1b}}[31m\\u{{202e}}", it.place.dir.path().display());
    let samples = it.samples();
    assert_between(0.0, samples.value("sersync_last_run_exit_code", &[("endpoint", &endpoint)]), 0.0);
    it.assert_promtool_has_nothing_to_say();
}

#[test]
fn pruning_tells_what_is_left_of_the_history() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "[history]\nkeep-days = 3\nmax-size = '1G'\n");
    // Buckets are named by whole seconds.
    let began = now().floor();
    let value = |endpoint: &str, name| it.samples().value(name, &[("source", "name"), ("endpoint", endpoint)]);
    let remote = format!("127.0.0.1:{}/mod", daemon.port());
    let pass_and_prune = || {
        it.sersync("full-sync").run().code(0);
        it.sersync("prune-history").run().code(0);
    };
    pass_and_prune();
    // What is nothing does not begin at any time.
    let nothing =
        ["sersync_history_buckets", "sersync_history_oldest_timestamp_seconds"].map(|name| value(&remote, name));
    assert!(nothing.iter().all(|value| *value == 0.0), "{nothing:?}");
    fs::write(it.place.source().join("f"), "other").unwrap();
    pass_and_prune();
    assert_between(1.0, value(&remote, "sersync_history_buckets"), 1.0);
    assert_between(0.0, value(&remote, "sersync_last_prune_exit_code"), 0.0);
    let oldest = value(&remote, "sersync_history_oldest_timestamp_seconds");
    assert_between(began, oldest, now());
    it.sersync("prune-history").arg("--local").arg(daemon.module_path()).run().code(0);
    let here = daemon.module_path().display().to_string();
    assert_between(oldest, value(&here, "sersync_history_oldest_timestamp_seconds"), oldest);
    assert_between(3.0, value(&here, "sersync_history_bytes"), f64::from(1 << 16));
    assert_between(f64::from(1 << 30), value(&here, "sersync_history_limit_bytes"), 1.1e9);
    assert!(value(&here, "sersync_history_free_bytes") < value(&here, "sersync_history_disk_bytes"));
    it.sersync("prune-history").arg("--dry-run").run().code(0);
    it.assert_promtool_has_nothing_to_say();
}

#[test]
fn under_a_watchdog_it_says_again_and_again_that_it_is_alive() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let socket = it.place.dir.path().join("notify");
    let _manager = UnixDatagram::bind(&socket).unwrap();
    let running = watch(&it.place, &it.config).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000").spawn();
    running.wait_for_log("caught up", LATER);
    let alive = || it.value("sersync_watch_alive_timestamp_seconds");
    let first = alive();
    wait_for("a sign of life", LATER, || alive() > first);
    running.terminate().signal(Signal::TERM);
    assert_between(0.0, alive(), 0.0);
}

#[test]
fn a_watch_that_is_killed_is_told_by_its_sign_of_life_and_corrected_by_the_next_pass() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let alive = || it.value("sersync_watch_alive_timestamp_seconds");
    for command in ["full-sync", "prune-history"] {
        let began = now() - 0.01;
        let running = it.watch();
        wait_for("it is live", LATER, || it.is_in_state("live"));
        let at = alive();
        assert_between(began, at, now());
        running.kill();
        // Who only looks, changes nothing.
        it.sersync("status").run().stdout_has("not running");
        assert!(it.is_in_state("live"));
        it.sersync(command).run().code(0);
        assert!(it.is_in_state("killed") && !it.is_in_state("live"));
        assert_eq!(alive().to_string(), at.to_string());
        it.assert_promtool_has_nothing_to_say();
    }
    let running = it.watch();
    wait_for("it is live", LATER, || it.is_in_state("live") && !it.is_in_state("killed"));
    // Beside a watch, a pass has nothing to correct.
    it.sersync("full-sync").run().code(0);
    assert!(it.is_in_state("live"));
    running.terminate().signal(Signal::TERM);
    assert_between(0.0, alive(), 0.0);
    it.sersync("full-sync").run().code(0);
    assert!(it.is_in_state("ended"));
}

#[test]
fn a_full_disk_leaves_the_files_as_they_were() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let Some(mounted) = Mount::tmpfs_with(&it.dir(), "size=64k") else { return };
    it.sersync("full-sync").run().code(0).silent();
    let success = it.value("sersync_last_success_timestamp_seconds");
    let mut filler = fs::File::create(it.dir().join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    it.sersync("full-sync").run().code(0).stderr_has("No space left on device");
    assert_eq!(success.to_string(), it.value("sersync_last_success_timestamp_seconds").to_string());
    assert_eq!(fs::read_dir(it.dir()).unwrap().count(), 2, "something was left behind");
    drop((filler, mounted));
}

#[test]
fn what_it_writes_inside_the_source_does_not_keep_it_busy() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    let inside = it.place.source().join("a [dir]");
    fs::create_dir(&inside).unwrap();
    let text = fs::read_to_string(&it.config).unwrap().replace(it.dir().to_str().unwrap(), inside.to_str().unwrap());
    fs::write(&it.config, text).unwrap();
    let log = inside.join("a log");
    let run = |args: &[&str]| {
        let watch = it.sersync("watch").args(&["-v", "--log-file"]).arg(&log);
        watch.args(args).limit(LATER).run().code(0)
    };
    run(&["--until-idle", "300ms"]);
    fs::write(it.place.source().join("f"), "other").unwrap();
    fs::write(inside.join("sersync"), "is mirrored").unwrap();
    run(&["--until-idle", "300ms"]);
    assert!(
        fs::read_dir(&inside).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|it| it == "prom"))
    );
    let mirrored = daemon.module_path().join("name/a [dir]/sersync");
    assert_eq!(fs::read_to_string(mirrored).unwrap(), "is mirrored");
}

#[test]
fn a_watch_that_is_refused_in_the_beginning_is_refused_and_told() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "[notify]\non-failure = ['/bin/sh', '-c', 'echo $SERSYNC_EXIT >DIR/told']\n");
    let dir = it.place.dir.path().to_str().unwrap();
    let text = fs::read_to_string(&it.config).unwrap().replace("DIR", dir);
    fs::write(&it.config, text).unwrap();
    fs::remove_file(it.place.source().join("f")).unwrap();
    it.sersync("watch").run().code(4);
    assert!(it.is_in_state("refused"));
    assert_eq!(fs::read_to_string(it.place.dir.path().join("told")).unwrap(), "4\n");
    it.assert_promtool_has_nothing_to_say();
}

#[test]
fn a_pass_that_is_killed_loses_nothing_of_what_was_known() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&[&daemon], "");
    it.sersync("full-sync").run().code(0);
    let before = it.samples();
    for number in 0..500 {
        fs::write(it.place.source().join(format!("new{number}")), "new").unwrap();
    }
    let running = it.sersync("full-sync").arg("-vvv").spawn();
    running.wait_for_log(" -lptgoD", LATER);
    running.kill();
    let after = it.samples();
    let values = ["sersync_last_success_timestamp_seconds", "sersync_last_run_exit_code"];
    let text = |samples: &Samples| values.map(|name| samples.value(name, &[]).to_string());
    assert_eq!(text(&after), text(&before));
    it.sersync("status").run().code(0).stdout_has("not running");
    it.sersync("full-sync").run().code(0);
    assert!(it.value("sersync_last_success_timestamp_seconds") > before.value(values[0], &[]));
}
