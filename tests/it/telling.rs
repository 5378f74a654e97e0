//! The operator's programs that are told how the mirrors do.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::hooks::runs;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::Sersync;
use crate::support::{SOON, let_pass, wait_for};
use crate::watch::{LATER, quick, watch};

struct Stand {
    place: Place,
    config: PathBuf,
}

impl Stand {
    /// Each hook adds the variables that it sees to a file of its name, as a line.
    fn new(daemon: &Rsyncd, more: &str) -> Stand {
        let place = Place::new();
        fs::write(place.source().join("f"), "").unwrap();
        let dir = place.dir.path();
        let hook = |name: &str| {
            let script = format!("echo $(env | grep ^SERSYNC_ | sort) >>{}/{name}; echo said by {name}", dir.display());
            format!("{name} = ['/bin/sh', '-c', '{script}']\n")
        };
        let hooks = ["on-failure", "on-recovery", "heartbeat"].map(hook).concat();
        let config = quick(&place, &[daemon], &format!("[notify]\n{hooks}{more}"));
        Stand { place, config }
    }

    fn full_sync(&self) -> Sersync {
        Sersync::new(&["full-sync", "-v", "-c"]).arg(&self.config).state_dir(&self.place.dir.path().join("state"))
    }

    fn told(&self, hook: &str) -> Vec<String> {
        let text = fs::read_to_string(self.place.dir.path().join(hook)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn counts(&self) -> [usize; 3] {
        ["on-failure", "on-recovery", "heartbeat"].map(|hook| self.told(hook).len())
    }
}

#[test]
fn passes_tell_that_they_fail_that_they_work_again_and_each_time_that_they_work() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&daemon, "");
    it.full_sync().run().code(0).stderr_has("heartbeat: said by heartbeat");
    assert_eq!(it.counts(), [0, 0, 1]);
    daemon.stop();
    // It is told once in an hour.
    (0..3).for_each(|_| drop(it.full_sync().run().code(10)));
    assert_eq!(it.counts(), [1, 0, 1]);
    let told = it.told("on-failure").remove(0);
    let mirror = format!("name@127.0.0.1:{}/mod", daemon.port());
    for variable in [
        "SERSYNC_EVENT=on-failure",
        "SERSYNC_COMMAND=full-sync",
        "SERSYNC_SOURCE=name",
        &format!("SERSYNC_PATH={}", it.place.source().display()),
        &format!("SERSYNC_MIRROR={mirror} "),
        &format!("SERSYNC_ENDPOINT=127.0.0.1:{}/mod", daemon.port()),
        "SERSYNC_ERROR=the daemon cannot be reached",
        "SERSYNC_EXIT=10",
        "SERSYNC_FAILURES=1",
        "SERSYNC_SINCE=20",
    ] {
        assert!(told.contains(variable), "{variable}: {told}");
    }
    daemon.start();
    it.full_sync().run().code(0);
    assert_eq!(it.counts(), [1, 1, 2]);
    assert!(it.told("on-recovery")[0].contains("SERSYNC_FAILURES=3"), "{:?}", it.told("on-recovery"));
    it.full_sync().arg("--dry-run").run().code(0);
    it.full_sync().run().code(0);
    assert_eq!(it.counts(), [1, 1, 3]);
}

#[test]
fn an_after_hook_that_fails_is_a_failure() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&daemon, "[full-sync]\nafter = ['/bin/false']\n");
    it.full_sync().run().code(3);
    assert_eq!(it.counts(), [1, 0, 0]);
    assert!(it.told("on-failure")[0].contains("the `after` hook /bin/false"), "{:?}", it.told("on-failure"));
}

#[test]
fn what_is_refused_between_two_hooks_is_one_failure() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&daemon, "[full-sync]\nbefore = ['/bin/true']\nafter = ['/bin/true']\n");
    it.full_sync().run().code(0);
    fs::remove_file(it.place.source().join("f")).unwrap();
    it.full_sync().run().code(4);
    assert_eq!(it.counts(), [1, 0, 1]);
    fs::write(it.place.source().join("f"), "").unwrap();
    it.full_sync().run().code(0);
    assert_eq!(it.counts(), [1, 1, 2]);
    assert!(it.told("on-recovery")[0].contains("SERSYNC_FAILURES=1"), "{:?}", it.told("on-recovery"));
}

#[test]
fn a_watch_tells_that_it_fails_that_it_works_again_and_from_time_to_time_that_it_is_well() {
    let mut daemon = Rsyncd::builder().start();
    let it = Stand::new(&daemon, "heartbeat-every = '1s'\n");
    let running = watch(&it.place, &it.config).spawn();
    wait_for("heartbeats while nothing happens", LATER, || it.counts()[2] >= 3);
    daemon.stop();
    fs::write(it.place.source().join("g"), "").unwrap();
    wait_for("the failure", LATER, || it.counts()[0] == 1);
    assert!(it.told("on-failure")[0].contains("SERSYNC_COMMAND=watch"));
    let beats = it.counts()[2];
    let_pass(Duration::from_secs(2));
    assert!(it.counts()[2] <= beats + 1, "what fails has no heartbeat");
    // Who takes over from a watch that was killed knows what was told.
    running.kill();
    let running = watch(&it.place, &it.config).spawn();
    running.wait_for_log("trying again in", LATER);
    daemon.start();
    wait_for("the recovery", LATER, || it.counts()[1] == 1);
    assert_eq!(it.counts()[0], 1);
    // As often as it was tried, by both.
    let told = it.told("on-recovery").remove(0);
    let times = told.split("SERSYNC_FAILURES=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    assert!((1..20).contains(&times.parse::<u32>().unwrap()), "{told}");
    running.terminate().signal(Signal::TERM);
}

#[test]
fn a_hook_that_hangs_delays_no_mirroring_and_is_ended_with_all_that_it_started() {
    let daemon = Rsyncd::builder().start();
    let it = Stand::new(&daemon, "");
    let dir = it.place.dir.path();
    let script = format!("echo $$ >{0}/pid; sleep 600 & echo $! >{0}/pid2; wait", dir.display());
    let hooks = format!("[notify]\ntimeout = '2s'\nheartbeat = ['/bin/sh', '-c', '{script}']\n");
    let config = quick(&it.place, &[&daemon], &hooks);
    let running = watch(&it.place, &config).spawn();
    let process = |name: &str| {
        let text = fs::read_to_string(dir.join(name)).unwrap_or_default();
        text.trim().parse().ok().and_then(rustix::process::Pid::from_raw)
    };
    wait_for("the hook", LATER, || process("pid2").is_some());
    let [first, second] = ["pid", "pid2"].map(|name| process(name).unwrap());
    fs::write(it.place.source().join("g"), "").unwrap();
    let mirrored = daemon.module_path().join("name/g");
    wait_for("the file", LATER, || mirrored.exists());
    running.wait_for_log("took longer than `timeout` in `[notify]` (2s)", LATER);
    wait_for("both processes are gone", SOON, || !runs(first) && !runs(second));
    running.terminate().signal(Signal::TERM);
}
