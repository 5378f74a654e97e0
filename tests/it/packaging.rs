//! The units and the crontab of the packages, as systemd's and cron's own readers see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use croner::Cron;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::Sersync;
use crate::support::{skip, wait_for};
use crate::watch::{LATER, mirror, quick};

/// `systemd-analyze security` gives 100 for no protection at all; 3.0 is 30.
const MOST_EXPOSED: &str = "30";

fn units(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut units: Vec<_> = files.filter(|path| path.extension().is_some_and(|found| found == kind)).collect();
    units.sort();
    units
}

fn crontab() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/cron/sersync")).unwrap()
}

/// The lines of a crontab that start something: watch, full-sync, prune-history and verify.
fn jobs(crontab: &str) -> Vec<&str> {
    let jobs: Vec<&str> = crontab.lines().filter(|line| line.contains(" root /")).collect();
    assert_eq!(jobs.len(), 4, "{crontab}");
    jobs
}

/// What systemd-analyze prints; it has to succeed.
fn analyze(args: &[&str], units: &[PathBuf]) -> Option<String> {
    let output = Command::new("systemd-analyze").args(args).args(units).env("SYSTEMD_COLORS", "0").output();
    let Ok(output) = output else {
        skip("there is no systemd-analyze");
        return None;
    };
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert!(output.status.success(), "{args:?}: {printed}");
    Some(printed)
}

#[test]
fn systemd_finds_no_fault_in_the_units_of_the_packages() {
    let dir = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for unit in [units("service"), units("timer")].concat() {
        // The program has to be there.
        let text = fs::read_to_string(&unit).unwrap().replace("/usr/bin/sersync", env!("CARGO_BIN_EXE_sersync"));
        let copy = dir.path().join(unit.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        copies.push(copy);
    }
    assert_eq!(copies.len(), 8, "{copies:?}");
    let printed = analyze(&["verify", "--man=no", "--recursive-errors=no"], &copies);
    assert_eq!(printed.unwrap_or_default(), "");
}

#[test]
fn no_unit_is_more_exposed_than_it_has_to_be() {
    for unit in units("service") {
        let args = ["security", "--no-pager", "--offline=yes", "--threshold", MOST_EXPOSED];
        let Some(printed) = analyze(&args, &[unit]) else { return };
        assert!(printed.contains("Overall exposure level"), "{printed}");
    }
}

#[test]
fn every_unit_has_the_same_sandbox() {
    let sandbox = |unit: &PathBuf| {
        let text = fs::read_to_string(unit).unwrap();
        let (_, rest) = text.split_once("\n# The sandbox.").unwrap_or_else(|| panic!("{}: no sandbox", unit.display()));
        rest.split("\n[").next().unwrap().trim_end().to_owned()
    };
    let all = units("service");
    for unit in &all {
        assert_eq!(sandbox(unit), sandbox(&all[0]), "{}", unit.display());
    }
}

/// The commands of units and of the crontab are ones that the program understands.
#[test]
fn every_command_of_the_packages_is_understood() {
    let crontab = crontab();
    let mut commands = Vec::new();
    for unit in units("service") {
        let text = fs::read_to_string(unit).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/sersync ")).unwrap();
        commands.push(line.replace("%i", "one").replace("%%", "%"));
    }
    for line in jobs(&crontab) {
        let (_, command) = line.split_once("/usr/bin/sersync ").unwrap();
        commands.push(command.replace("\\%", "%"));
    }
    assert_eq!(commands.len(), 9, "{commands:?}");
    for command in commands {
        // A configuration that is not there is told from a command line that is not understood.
        let mut sersync = Command::new(env!("CARGO_BIN_EXE_sersync"));
        let output = sersync.args(command.split_whitespace()).args(["-c", "/nowhere"]).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn cron_understands_the_crontab() {
    let crontab = crontab();
    assert!(crontab.ends_with('\n'), "cron ignores a last line without its end");
    assert!(crontab.contains("\nSHELL=/bin/sh\n"), "another shell would read the commands in another way");
    for line in jobs(&crontab) {
        let words: Vec<&str> = line.splitn(7, ' ').collect();
        let _: Cron = words[..5].join(" ").parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(words[5], "root", "{line}");
        assert!(!line.replace("\\%", "").contains('%'), "cron ends a command at a percent sign: {line}");
    }
}

/// A host with a source of one file, on which cron runs the lines of the crontab.
struct CronHost {
    daemon: Rsyncd,
    place: Place,
    config: PathBuf,
}

impl CronHost {
    fn new() -> CronHost {
        let daemon = Rsyncd::builder().start();
        let place = Place::new();
        fs::write(place.source().join("file"), "content").unwrap();
        let config = quick(&place, &[&daemon], "");
        CronHost { daemon, place, config }
    }

    fn state(&self) -> PathBuf {
        self.place.dir.path().join("state")
    }

    /// A line, as a shell runs it, but with this time in the place of its own.
    fn sersync(&self, line: &str, time: &str) -> Sersync {
        let (_, command) = line.split_once("/usr/bin/sersync ").unwrap();
        let command = command.replace("\\%", "%").replace("--for 5m", time);
        let line = format!("exec {} {command}", env!("CARGO_BIN_EXE_sersync"));
        Sersync::of("sh", &["-c", &line]).env("SERSYNC_CONFIG", &self.config).state_dir(&self.state())
    }

    fn has_mirrored(&self, content: &str) -> bool {
        fs::read_to_string(mirror(&self.daemon).join("file")).is_ok_and(|is| is == content)
    }
}

/// A mail for a run in which all went well would soon not be read any more.
#[test]
fn the_crontab_mirrors_and_is_silent() {
    let cron = CronHost::new();
    let crontab = crontab();
    for line in jobs(&crontab) {
        let output = cron.sersync(line, "--for 1s").run().code(0);
        assert_eq!((&*output.stdout, &*output.stderr), ("", ""), "{line}");
        assert!(cron.has_mirrored("content"), "{line}");
    }
}

/// The next run begins while the one before it still sends what is pending, and that is nothing to mail about.
#[test]
fn a_run_of_the_crontab_waits_for_the_one_before_it_without_a_word() {
    let cron = CronHost::new();
    let crontab = crontab();
    let watch = |time: &str| cron.sersync(jobs(&crontab)[0], time).spawn();
    let first = watch("--for 1h");
    wait_for("it mirrors", LATER, || cron.has_mirrored("content"));
    let second = watch("--for 1s");
    let locks = cron.state().join("locks");
    let open_files = format!("/proc/{}/fd", second.id());
    wait_for("the next one waits for the lock", LATER, || {
        let files = fs::read_dir(&open_files).unwrap().flatten();
        files.flat_map(|file| fs::read_link(file.path())).any(|path| path.starts_with(&locks))
    });
    fs::write(cron.place.source().join("file"), "changed").unwrap();
    first.terminate();
    let output = second.wait(LATER).code(0);
    assert_eq!((&*output.stdout, &*output.stderr), ("", ""));
    assert!(cron.has_mirrored("changed"));
}

/// The others are only mirrored by it, so that it must not be stopped by one that mirrors less.
#[test]
fn an_instance_gives_way_to_the_unit_that_mirrors_all_sources() {
    let text = |name: &str| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
        fs::read_to_string(dir.join(name)).unwrap()
    };
    let (all, instance) = (text("sersync-watch.service"), text("sersync-watch@.service"));
    let wants = "/etc/systemd/system/multi-user.target.wants/sersync-watch.service";
    assert!(all.contains("\nWantedBy=multi-user.target\n"), "{wants} is not what `systemctl enable` makes");
    assert!(instance.contains(&format!("\nAssertPathExists=!{wants}\n")), "{instance}");
    assert!(!(all + &instance).contains("\nConflicts="));
}

#[test]
fn make_install_puts_units_where_systemd_looks_and_names_the_program_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut make = Command::new("make");
    make.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-s", "install", "PREFIX=/usr/local"]);
    make.arg(format!("DESTDIR={}", dir.path().display())).arg(concat!("PROGRAM=", env!("CARGO_BIN_EXE_sersync")));
    let output = make.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let local = dir.path().join("usr/local");
    assert!(local.join("bin/sersync").is_file());
    for unit in [units("service"), units("timer")].concat() {
        let text = fs::read_to_string(local.join("lib/systemd/system").join(unit.file_name().unwrap())).unwrap();
        assert!(!text.contains("=/usr/bin/sersync"), "{text}");
    }
    let crontab = fs::read_to_string(local.join("share/doc/sersync/examples/cron.d/sersync")).unwrap();
    assert!(jobs(&crontab).iter().all(|line| line.contains(" root /usr/local/bin/sersync ")), "{crontab}");
}
