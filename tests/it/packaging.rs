//! The units and the crontab of the packages, as systemd's and cron's own readers see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use croner::Cron;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::Sersync;
use crate::support::skip;
use crate::watch::{mirror, quick};

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

/// A mail for a run in which all went well would soon not be read any more.
#[test]
fn the_crontab_mirrors_and_is_silent() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("file"), "content").unwrap();
    let file = quick(&place, &[&daemon], "");
    let state = place.dir.path().join("state");
    let crontab = crontab();
    for line in jobs(&crontab) {
        let (_, command) = line.split_once("/usr/bin/sersync ").unwrap();
        let command = command.replace("\\%", "%").replace("--for 5m", "--for 1s");
        let line = format!("exec {} {command}", env!("CARGO_BIN_EXE_sersync"));
        let sersync = Sersync::of("sh", &["-c", &line]).env("SERSYNC_CONFIG", &file).state_dir(&state);
        let output = sersync.run().code(0);
        assert_eq!((&*output.stdout, &*output.stderr), ("", ""), "{line}");
        assert_eq!(fs::read_to_string(mirror(&daemon).join("file")).unwrap(), "content");
    }
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
}
