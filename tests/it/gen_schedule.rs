//! `gen-schedule`: what it writes, and that cron's and systemd's own readers understand it as it is meant.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{NaiveDate, TimeZone, Utc};
use croner::Cron;
use tempfile::TempDir;

use crate::support::golden::{assert_golden, normalise, without_sums};
use crate::support::sersync::{Output, Sersync, config};
use crate::support::skip;

/// A source with a name that has to be quoted everywhere.
const SOURCES: &str = "[sources.file-backup]\npath = '/data/file'\ntargets = ['t']\n[sources.'db+数据']\npath = '/data/db'\n\
                       targets = ['t']\n";

fn place(every: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let targets = "[targets.t]\nmodule = 'm'\nhosts = ['h']\n";
    config(&dir, &format!("[full-sync]\nevery = '{every}'\ntimeout = '6h'\n{targets}{SOURCES}"));
    dir
}

fn run(dir: &TempDir, args: &[&str]) -> Output {
    let sersync = Sersync::new(&["gen-schedule", "--seed", "host", "--program", "/usr/bin/sersync"]);
    // The directory for state that the tests have would stand in what is written.
    sersync.env("STATE_DIRECTORY", "").arg("-c").arg(dir.path().join("sersync.toml")).args(args).run()
}

fn plain(dir: &TempDir, text: &str) -> String {
    let text = normalise(text, &[(dir.path().to_str().unwrap(), "DIR")]);
    without_sums(&text)
}

/// The lines of a crontab, each as its fields and its command.
fn lines(crontab: &str) -> Vec<(String, String)> {
    let lines = crontab.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.map(|line| {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        (words[..5].join(" "), words[5].to_owned())
    });
    split.collect()
}

#[test]
fn crontab_lines_and_units_are_as_agreed() {
    let dir = place("3d");
    let cron = run(&dir, &["--cron"]).code(0).stdout;
    let units = run(&dir, &["--systemd"]).code(0).stdout;
    assert_golden("schedule-cron.txt", &plain(&dir, &cron));
    assert_golden("schedule-systemd.txt", &plain(&dir, &units));
    assert_eq!(cron, run(&dir, &["--cron"]).code(0).stdout, "the same every time");
    assert_ne!(cron, again(&dir), "and another one elsewhere");
}

/// A parser of crontab lines that others use: how often each line comes true in a week.
#[test]
fn a_cron_parser_understands_every_interval() {
    let begin = Utc.from_utc_datetime(&NaiveDate::from_ymd_opt(2026, 11, 1).unwrap().and_hms_opt(0, 0, 0).unwrap());
    for (every, times) in
        [("3d", 7), ("1d", 7), ("12h", 14), ("90m", 336), ("10m", 1008), ("7d", 7), ("36h", 14), ("1m", 10_080)]
    {
        let dir = place(every);
        let cron = run(&dir, &["--cron"]).code(0).stdout;
        let lines = lines(&cron);
        assert_eq!(lines.len(), 4, "{cron}");
        for (fields, command) in &lines {
            let pattern: Cron = fields.parse().unwrap_or_else(|error| panic!("{fields}: {error}"));
            let count = pattern
                .iter_after(begin - chrono::TimeDelta::seconds(1))
                .take_while(|time| (*time - begin).num_days() < 7)
                .count();
            let expected = match command {
                command if command.contains("full-sync") => times,
                command if command.contains("prune-history") => 7,
                _ => 1,
            };
            assert_eq!(count, expected, "{every}: {fields} {command}");
        }
        // A pass is asked for at an age at which the last one is sure to be old enough.
        let needs_age = !["1d", "12h", "10m", "1m"].contains(&every);
        assert_eq!(cron.contains("--if-older-than"), needs_age, "{every}: {cron}");
    }
}

/// The shell that cron starts, with cron's own reading of the percent sign: each command is the words that are meant.
#[test]
fn the_shell_reads_each_command_as_it_is_meant() {
    let dir = tempfile::Builder::new().prefix("it's a \"$dir\" 50% ").tempdir().unwrap();
    let text = format!("[targets.t]\nmodule = 'm'\nhosts = ['h']\n{SOURCES}");
    let file = config(&dir, &text);
    let cron = run(&dir, &["--cron"]).code(0).stdout;
    for (_, command) in lines(&cron) {
        // cron ends the command at a percent sign, and takes the backslash away before one.
        assert!(!command.replace("\\%", "").contains('%'), "{command}");
        let line = command.replace("\\%", "%").replace("/usr/bin/sersync", "printf '%s\\n'");
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let mut words = words.lines();
        assert_eq!((words.next(), words.next()), (Some("-c"), file.to_str()), "{command}");
    }
}

#[test]
fn files_are_written_once_and_those_of_others_stay() {
    let dir = place("1d");
    let out = dir.path().join("out");
    let args = |more: &[&'static str]| -> Vec<String> {
        let mut args = vec!["--systemd".to_owned(), "--out".to_owned(), out.to_str().unwrap().to_owned()];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    let run = |more: &[&'static str]| {
        let args = args(more);
        run(&dir, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let first = run(&[]).code(0);
    assert_golden("schedule-out.txt", &plain(&dir, &first.stdout));
    assert_eq!(run(&["--diff"]).code(0).stdout, "");
    assert!(!run(&[]).code(0).stdout.contains("written "));
    let timer = out.join("sersync-verify.timer");
    let edited = fs::read_to_string(&timer).unwrap().replace("Sun", "Mon");
    fs::write(&timer, &edited).unwrap();
    run(&[]).code(4).stderr_has("sersync-verify.timer was written or edited by somebody else");
    assert_eq!(fs::read_to_string(&timer).unwrap(), edited);
    let diff = run(&["--diff"]).code(0).stdout;
    assert!(diff.contains("-OnCalendar=Mon") && diff.contains("+OnCalendar=Sun"), "{diff}");
    run(&["--force"]).code(0);
    assert!(fs::read_to_string(&timer).unwrap().contains("OnCalendar=Sun"));
    // A crontab has the field of the user, as files in /etc/cron.d have.
    let cron = dir.path().join("cron.d");
    self::run(&dir, &["--cron", "--out", cron.to_str().unwrap()]).code(0);
    assert!(fs::read_to_string(cron.join("sersync")).unwrap().contains(" * * * root /usr/bin/sersync "));
}

#[test]
fn systemd_finds_no_fault() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        skip("there is no systemd-analyze");
        return;
    }
    for every in ["3d", "6h", "90m", "1m"] {
        let dir = place(every);
        let out = dir.path().join("units");
        // The program has to be there.
        let program = env!("CARGO_BIN_EXE_sersync");
        let sersync = Sersync::new(&["gen-schedule", "--systemd", "--user", "root", "--program", program, "--out"]);
        sersync.arg(&out).arg("-c").arg(dir.path().join("sersync.toml")).run().code(0);
        let mut units: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        units.sort();
        assert_eq!(units.len(), 8, "{units:?}");
        let output = analyze(&["verify", "--man=no", "--recursive-errors=no"], &units);
        assert!(output.is_empty(), "{output}");
        for unit in units.iter().filter(|unit| unit.extension().is_some_and(|kind| kind == "timer")) {
            let text = fs::read_to_string(unit).unwrap();
            let calendar = text.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap();
            let output = analyze(&["calendar", calendar], &[""; 0]);
            assert!(output.contains("Next elapse"), "{calendar}: {output}");
        }
    }
}

/// What systemd says, both streams, after it has succeeded.
fn analyze(args: &[&str], units: &[impl AsRef<Path>]) -> String {
    let units = units.iter().map(AsRef::as_ref);
    let output = Command::new("systemd-analyze").args(args).args(units).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "systemd-analyze {args:?}: {said}");
    said
}

/// The state of the one who asks is the state of what is scheduled, as its configuration is.
#[test]
fn the_directory_for_state_is_taken_over() {
    let dir = place("1d");
    let sersync = Sersync::new(&["gen-schedule", "--cron", "-c"]).arg(dir.path().join("sersync.toml"));
    sersync
        .env("STATE_DIRECTORY", "/var/lib/mine:/other")
        .run()
        .code(0)
        .stdout_has("--state-dir /var/lib/mine full-sync");
}

#[test]
fn the_schedule_of_something_else_stays_unless_forced() {
    for form in ["--cron", "--systemd"] {
        let (dir, other) = (place("1d"), place("1d"));
        let out = dir.path().join("out");
        let args = |more: &[&'static str]| [&[form, "--out", out.to_str().unwrap()], more].concat().join("\n");
        let run = |dir: &TempDir, more: &[&'static str]| run(dir, &args(more).lines().collect::<Vec<_>>());
        run(&dir, &[]).code(0);
        run(&dir, &[]).code(0).stdout_has("unchanged");
        run(&other, &[]).code(4).stderr_has("is a schedule of something else, and nothing is changed");
        run(&dir, &["file-backup"]).code(4).stderr_has("sources: all.");
        run(&dir, &[]).code(0).stdout_has("unchanged");
        run(&other, &["--force"]).code(0).stdout_has("written");
    }
}

#[test]
fn a_program_has_its_whole_path() {
    let dir = place("1d");
    let sersync = Sersync::new(&["gen-schedule", "--cron", "--program", "sersync", "-c"]);
    sersync.arg(dir.path().join("sersync.toml")).run().code(2).stderr_has("write its whole path");
}

#[test]
fn a_program_that_systemd_cannot_start_is_refused() {
    let dir = place("1d");
    for path in ["/opt/it's/sersync", "/opt/a\"b/sersync", "/opt/a\\b/sersync", "/opt/$a/sersync"] {
        let of = |form| {
            let sersync = Sersync::new(&["gen-schedule", form, "--program", path, "-c"]);
            sersync.arg(dir.path().join("sersync.toml")).run()
        };
        of("--systemd").code(2).stderr_has("put it elsewhere, and say where by --program");
        of("--cron").code(0);
    }
}

/// cron ignores a file as a whole that has the number of a user in the place of the name.
#[test]
fn cron_gets_the_name_of_a_user() {
    let dir = place("1d");
    run(&dir, &["--cron", "--user", "0"]).code(0).stdout_has(" * * * root /usr/bin/sersync ");
    run(&dir, &["--cron", "--user", "4123456789"]).code(2).stderr_has("cron knows users by name only");
    run(&dir, &["--systemd", "--user", "0"]).code(0).stdout_has("\nUser=0\n");
}

#[test]
fn one_form_has_to_be_chosen() {
    let dir = place("1d");
    run(&dir, &[]).code(2).stderr_has("--cron");
    run(&dir, &["--cron", "--systemd"]).code(2);
    run(&dir, &["--cron", "nope"]).code(2).stderr_has("known are");
}

/// The lines of another host.
fn again(dir: &TempDir) -> String {
    let sersync = Sersync::new(&["gen-schedule", "--cron", "--seed", "other host", "--program", "/usr/bin/sersync"]);
    sersync.arg("-c").arg(dir.path().join("sersync.toml")).run().code(0).stdout
}
