//! What bad input gets, from both commands: one clear line, the documented exit code, and nothing is changed anywhere.
//! The golden file is the specification.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::golden::{assert_golden, normalise};
use crate::support::sersync::Sersync;
use crate::support::tree::{Snapshot, assert_same, snapshot};

/// A place with a good configuration, which each case spoils in its own way.
struct Setting {
    dir: TempDir,
    daemon: Rsyncd,
    config: String,
}

impl Setting {
    fn new(daemon: Rsyncd) -> Setting {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        fs::write(dir.path().join("src/file"), "content").unwrap();
        fs::create_dir(dir.path().join("disk")).unwrap();
        fs::copy(daemon.password_file(), dir.path().join("password")).unwrap();
        fs::set_permissions(dir.path().join("password"), PermissionsExt::from_mode(0o600)).unwrap();
        let url = daemon.url("name");
        let module = url.rsplit('/').nth(1).unwrap();
        let config = format!(
            "[rsync]\nuser = \"tester\"\npassword-file = \"DIR/password\"\n\n\
             [targets.t]\nmodule = \"{module}\"\nhosts = [\"127.0.0.1:{}\"]\n\n\
             [sources.name]\npath = \"DIR/src\"\ntargets = [\"t\"]\n",
            daemon.port()
        );
        Setting { dir, daemon, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_config(&self, text: &str) {
        fs::write(self.path("sersync.toml"), text.replace("DIR", self.dir.path().to_str().unwrap())).unwrap();
    }

    /// Everything that must not change: the daemon's module, the local target, the source.
    fn state(&self) -> [Snapshot; 3] {
        [self.daemon.module_path(), self.path("disk"), self.path("src")]
            .map(|path| if path.is_dir() { snapshot(&path) } else { Snapshot::new() })
    }

    /// Runs both commands and adds what they say to the report.
    fn run(&self, report: &mut String, title: &str, prepare: impl Fn(Sersync) -> Sersync) {
        let before = self.state();
        writeln!(report, "## {title}").unwrap();
        let mut last = String::new();
        for command in ["full-sync", "watch"] {
            let sersync = Sersync::new(&[command, "-c"]).arg(self.path("sersync.toml")).current_dir(self.dir.path());
            let bound: &[&str] = if command == "watch" { &["--for", "300ms", "--drain-timeout", "10s"] } else { &[] };
            let output = prepare(sersync).args(bound).run();
            let port = self.daemon.port().to_string();
            let said = normalise(
                &(output.stdout.clone() + &output.stderr),
                &[(self.dir.path().to_str().unwrap(), "DIR"), (&port, "PORT")],
            );
            // A watcher's log lines begin with the time, and may end with a wait that is left to chance in part. How
            // often it tried depends on the machine.
            let mut said: Vec<&str> = said.lines().map(|line| without_wait(without_time(line))).collect();
            said.dedup();
            let said: String = said.into_iter().map(|line| line.to_owned() + "\n").collect();
            let this = format!("exit {}\n{said}", output.code.unwrap());
            if this == last {
                writeln!(report, "{command}: the same").unwrap();
            } else {
                write!(report, "{command}: {this}").unwrap();
            }
            last = this;
        }
        report.push('\n');
        assert_eq!(self.state(), before, "{title}: something was changed");
    }
}

fn without_time(line: &str) -> &str {
    let is_time = line.get(..20).is_some_and(|head| head.bytes().all(|b| b.is_ascii_digit() || b"-: ".contains(&b)));
    if is_time { &line[20..] } else { line }
}

fn without_wait(line: &str) -> &str {
    line.split(" (trying again in ").next().unwrap()
}

/// A PATH with nothing in it, or with an rsync that is only a version number.
fn path_with(dir: &Path, version: Option<&str>) -> OsString {
    let bin = dir.join(version.map_or("empty-bin".to_owned(), |version| format!("bin-{version}")));
    fs::create_dir_all(&bin).unwrap();
    if let Some(version) = version {
        let script = format!("#!/bin/sh\necho 'rsync  version {version}  protocol version 30'\n");
        fs::write(bin.join("rsync"), script).unwrap();
        fs::set_permissions(bin.join("rsync"), PermissionsExt::from_mode(0o755)).unwrap();
    }
    bin.into_os_string()
}

#[test]
fn one_clear_line_each_and_nothing_is_changed() {
    let setting = Setting::new(Rsyncd::builder().start());
    let good = setting.config.clone();
    let mut report = String::new();
    let same = |sersync: Sersync| sersync;
    let mut case = |title: &str, text: &str| {
        setting.write_config(text);
        setting.run(&mut report, title, same);
    };

    case("unknown key", &(good.clone() + "[watch]\ndelai = \"1s\"\n"));
    case("unknown key in a source", &(good.clone() + "exlude = [\"*.tmp\"]\n"));
    case("wrong type", &good.replace("[rsync]\n", "[rsync]\ntimeout = 180\n"));
    case("not TOML", "[rsync\n");
    case("duplicate alias", &(good.clone() + "\n[sources.name]\npath = \"DIR/other\"\ntargets = [\"t\"]\n"));
    case("alias that is no path component", &good.replace("[sources.name]", "[sources.\"a/b\"]"));
    case("alias that climbs out", &good.replace("[sources.name]", "[sources.\"..\"]"));
    case("alias that is the history", &good.replace("[sources.name]", "[sources.history-backup]"));
    case("relative source path", &good.replace("DIR/src", "src"));
    case(
        "two sources inside one another on one target",
        &(good.clone() + "\n[sources.inner]\npath = \"DIR/src/sub\"\ntargets = [\"t\"]\n"),
    );
    case("unknown target", &good.replace("targets = [\"t\"]", "targets = [\"tt\"]"));
    case(
        "a target inside its source",
        &good
            .replace("module = \"mod\"\n", "")
            .replacen("hosts = [", "#", 1)
            .replace("[targets.t]", "[targets.t]\npath = \"DIR/src/copy\""),
    );
    case("an option that would lose data", &good.replace("[rsync]\n", "[rsync]\nextra-args = [\"--append-verify\"]\n"));
    case("password file missing", &good.replace("DIR/password", "DIR/no-password"));
    fs::set_permissions(setting.path("password"), PermissionsExt::from_mode(0o644)).unwrap();
    case("password file readable for everybody", &good);
    fs::set_permissions(setting.path("password"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(setting.path("empty"), "").unwrap();
    fs::set_permissions(setting.path("empty"), PermissionsExt::from_mode(0o600)).unwrap();
    case("password file empty", &good.replace("DIR/password", "DIR/empty"));
    case("source missing", &good.replace("DIR/src", "DIR/gone"));
    fs::create_dir(setting.path("hollow")).unwrap();
    case("source empty", &good.replace("DIR/src", "DIR/hollow"));
    case("source is a file", &good.replace("DIR/src", "DIR/src/file"));
    case("marker missing", &(good.clone() + "marker = \".sersync-source\"\n"));
    fs::write(setting.path("wrong"), "not the password\n").unwrap();
    fs::set_permissions(setting.path("wrong"), PermissionsExt::from_mode(0o600)).unwrap();
    case("wrong password", &good.replace("DIR/password", "DIR/wrong"));
    case("unknown module", &good.replace("module = \"mod\"", "module = \"nothing\""));
    case(
        "target directory missing",
        &good
            .replace("module = \"mod\"\n", "")
            .replacen("hosts = [", "#", 1)
            .replace("[targets.t]", "[targets.t]\npath = \"DIR/unmounted\""),
    );
    around_the_configuration(&setting, &good, &mut report);
    assert_golden("bad-input.txt", &report);
}

/// What is wrong elsewhere than in the configuration.
fn around_the_configuration(setting: &Setting, good: &str, report: &mut String) {
    fs::remove_file(setting.path("sersync.toml")).unwrap();
    setting.run(report, "configuration missing", |sersync| sersync);
    setting.write_config(good);
    setting.run(report, "unknown source", |sersync| sersync.arg("nmae"));
    setting.run(report, "rsync not installed", |sersync| sersync.env("PATH", path_with(setting.dir.path(), None)));
    for version in ["3.0.9", "2.6.9"] {
        setting.run(report, &format!("rsync {version}"), |sersync| {
            sersync.env("PATH", path_with(setting.dir.path(), Some(version)))
        });
    }
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let setting = Setting::new(Rsyncd::builder().start());
    let mut report = String::new();
    // A directory cannot be read as a file by anybody, not even by root.
    fs::create_dir(setting.path("sersync.toml")).unwrap();
    setting.run(&mut report, "configuration unreadable", |sersync| sersync);
    assert_golden("bad-input-unreadable.txt", &report);
}

#[test]
fn a_module_that_is_read_only() {
    let setting = Setting::new(Rsyncd::builder().read_only(true).start());
    let mut report = String::new();
    setting.write_config(&setting.config);
    setting.run(&mut report, "read-only module", |sersync| sersync);
    assert_golden("bad-input-read-only.txt", &report);
}

#[test]
fn a_target_that_is_down() {
    let mut setting = Setting::new(Rsyncd::builder().start());
    setting.daemon.stop();
    setting.write_config(&setting.config);
    let mut report = String::new();
    setting.run(&mut report, "target down", |sersync| sersync);
    assert_golden("bad-input-target-down.txt", &report);
}

#[test]
fn command_lines_that_make_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    let mut report = String::new();
    for arguments in [
        "full-sync --from src",
        "full-sync --to /mnt/x",
        "full-sync name --from src --to /mnt/x",
        "full-sync --from src --from src --to /mnt/x",
        "full-sync --from src --to rsync://h/module",
        "full-sync --from src --to rsync://user:secret@h/module/name",
        "full-sync --from src --to rsync://h/module/../name",
        "full-sync --from src --to h::module/name",
        "full-sync --lock-wait 5",
        "full-sync --nonsense",
        "watch --for ever",
        "watch --for 0s",
        "watch --batches 0",
        "config",
        "fullsync",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = Sersync::new(&words).current_dir(dir.path()).run();
        let said = normalise(&(output.stdout.clone() + &output.stderr), &[(dir.path().to_str().unwrap(), "DIR")]);
        writeln!(report, "$ sersync {arguments}\nexit {}\n{said}", output.code.unwrap()).unwrap();
        assert!(!output.stderr.contains("secret"), "a password on the command line is not repeated");
    }
    assert_golden("usage-errors.txt", &report);
}

#[test]
fn targets_whose_names_differ_only_in_bytes_that_are_no_text_are_two_mirrors() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let targets =
        [b"t\xfe", b"t\xff"].map(|name| place.dir.path().join(std::ffi::OsStr::from_bytes(name)).join("name"));
    for target in &targets {
        fs::create_dir(target.parent().unwrap()).unwrap();
        let pass = Sersync::new(&["full-sync", "--if-older-than", "12h", "--from"]).arg(place.source());
        pass.args(&["--to"]).arg(target).state_dir(&place.dir.path().join("state")).run().code(0);
        assert_same(&place.source(), target);
    }
}
