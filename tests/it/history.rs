//! `history list` and `history find` against real daemons and in a local directory: all that is there is told, exactly, and
//! nothing is changed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::full_sync::Place;
use crate::support::daemon::{Builder, Rsyncd, Version};
use crate::support::fixture;
use crate::support::golden::assert_golden;
use crate::support::sersync::{Output, Sersync, config};
use crate::support::tree::snapshot;
use crate::support::{is_root, skip};

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fixture::mtime(path, 1_600_000_000, 0);
}

/// A history with both layouts, hostile names in each, and names that are no buckets.
fn history(module: &Path) {
    let name = module.join("history-backup/name");
    for (n, unit) in ["2020-01-02/100000", "2020-01-02/110000-1", "2020-01-03", "2020-01-04/235959"].iter().enumerate()
    {
        let unit = name.join(unit);
        write(&unit.join("docs/a.txt"), &"x".repeat(n + 1));
        write(&unit.join("docs/sub/a.txt"), "sub");
        write(&unit.join("a.txt"), "top");
        symlink("../a.txt", unit.join("docs/link.txt")).unwrap();
        fs::create_dir_all(unit.join("docs/empty.txt")).unwrap();
        fixture::hostile_tree(&unit.join("hostile"));
    }
    // A name in a bucket may look like that of a bucket or a day.
    write(&name.join("2020-01-04/235959/2020-01-05/100000/f"), "deep");
    write(&name.join("2020-01-03/2020-01-05/100000/f"), "deep");
    fs::create_dir_all(name.join("2020-01-06")).unwrap();
    // What is no bucket.
    write(&name.join("2020-01-04/notes/docs/a.txt"), "foreign");
    write(&name.join("2020-01-04/a.txt"), "foreign");
    write(&name.join("2020-01-04/080000"), "foreign");
    write(&name.join("lost+found/docs/a.txt"), "foreign");
    write(&name.join("new\nline"), "foreign");
    symlink("2020-01-04", name.join("2020-01-07")).unwrap();
    write(&module.join("history-backup/name2/2020-01-02/100000/docs/a.txt"), "another");
    write(&module.join("name/docs/a.txt"), "present");
}

const UNITS: [&str; 5] = ["2020-01-02/100000", "2020-01-02/110000-1", "2020-01-03", "2020-01-04/235959", "2020-01-06"];

fn daemons() -> impl Iterator<Item = Builder> {
    let versions = Version::ALL.into_iter().filter(|version| version.is_here());
    let chroot = [false, true].into_iter().filter(|chroot| !chroot || is_root());
    versions
        .flat_map(move |version| chroot.clone().map(move |chroot| Rsyncd::builder().version(version).chroot(chroot)))
}

/// `sersync history ARGS` for the daemon's mirror `name`.
fn over(place: &Place, daemon: &Rsyncd, args: &[&str]) -> Sersync {
    let command = Sersync::new(&["history"]).args(args).arg("--from").arg(place.source()).arg("--to");
    command.arg(daemon.url("name")).arg("--password-file").arg(daemon.password_file())
}

fn objects(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The name exactly.
fn path_of(object: &Value) -> PathBuf {
    let Some(digits) = object["path_hex"].as_str() else { return object["path"].as_str().unwrap().into() };
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    OsString::from_vec((0..digits.len()).step_by(2).map(byte).collect()).into()
}

/// Bucket, path and size of what was found, in the order in which it was listed.
fn versions(output: &Output) -> Vec<(String, PathBuf, u64)> {
    let version = |v: &Value| (v["bucket"].as_str().unwrap().to_owned(), path_of(v), v["size"].as_u64().unwrap());
    objects(output).iter().map(version).collect()
}

/// Everything in the units that is no directory and passes, by path and then by unit.
fn there(module: &Path, passes: impl Fn(&Path) -> bool) -> Vec<(String, PathBuf, u64)> {
    let mut all = Vec::new();
    for unit in UNITS {
        let root = module.join("history-backup/name").join(unit);
        for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap) {
            let path = entry.path().strip_prefix(&root).unwrap();
            if !entry.file_type().is_dir() && passes(path) {
                all.push((unit.to_owned(), path.to_owned(), entry.metadata().unwrap().len()));
            }
        }
    }
    all.sort_by(|a, b| (a.1.as_os_str(), &a.0).cmp(&(b.1.as_os_str(), &b.0)));
    all
}

#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(found: &[T], expected: &[T]) {
    let first = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at));
    if let Some(at) = first {
        panic!("number {at}: {:?} was found, and {:?} is there", found.get(at), expected.get(at));
    }
}

/// Which paths are looked for.
type Passes<'a> = &'a dyn Fn(&Path) -> bool;

/// Lists and finds everything in all ways.
#[track_caller]
fn tells_all(module: &Path, command: impl Fn(&[&str]) -> Sersync) {
    history(module);
    let before = snapshot(module);
    let foreign =
        ["2020-01-04/080000", "2020-01-04/a.txt", "2020-01-04/notes", "2020-01-07", "lost+found", "new\\nline"];
    for args in [&["list", "--json"][..], &["list", "--json", "--size"]] {
        let output = command(args).run().code(0);
        for name in foreign {
            assert!(output.stderr.contains(&format!(": no bucket: {name}\n")), "{name}: {output}");
        }
        assert_eq!(output.stderr.lines().count(), foreign.len(), "{output}");
        let buckets = objects(&output);
        assert_same(&buckets.iter().map(|b| b["path"].as_str().unwrap()).collect::<Vec<_>>(), &UNITS);
        for bucket in buckets.iter().filter(|_| args.len() > 2) {
            let all = there(module, |_| true).into_iter().filter(|(unit, ..)| bucket["path"] == unit.as_str());
            let sizes: Vec<u64> = all.map(|(.., size)| size).collect();
            let expected = (sizes.len().into(), sizes.iter().sum::<u64>().into());
            assert_eq!((bucket["files"].clone(), bucket["bytes"].clone()), expected, "{bucket}");
        }
    }
    let ends = |path: &Path, end: &str| path.as_os_str().as_bytes().ends_with(end.as_bytes());
    let docs_txt = |path: &Path| path.parent() == Some(Path::new("docs")) && ends(path, ".txt");
    let cases: [(&str, Passes<'_>); 10] = [
        ("**", &|_| true),
        ("docs/a.txt", &|path| path == Path::new("docs/a.txt")),
        ("a.txt", &|path| path.file_name() == Some(OsStr::new("a.txt"))),
        ("/a.txt", &|path| path == Path::new("a.txt")),
        ("docs", &|path| path.starts_with("docs")),
        ("/docs/sub/", &|path| path.starts_with("docs/sub")),
        ("docs/*.txt", &docs_txt),
        ("docs/**.txt", &|path| path.starts_with("docs") && ends(path, ".txt")),
        ("**/sub/*", &|path| path.starts_with("docs/sub")),
        ("2020-01-05", &|path| path.starts_with("2020-01-05")),
    ];
    for (pattern, passes) in cases {
        let output = command(&["find", pattern, "--json"]).run().code(0);
        let unlisted = format!(": {} names in no bucket were not looked into; ", foreign.len());
        assert!(output.stderr.contains(&unlisted) && output.stderr.lines().count() == 1, "{output}");
        let expected = there(module, passes);
        assert!(!expected.is_empty(), "{pattern}");
        assert_same(&versions(&output), &expected);
    }
    assert!(before == snapshot(module), "something was changed");
}

#[test]
fn all_that_a_daemon_has_is_told() {
    for daemon in daemons() {
        let (daemon, place) = (daemon.read_only(true).start(), Place::new());
        tells_all(&daemon.module_path(), |args| over(&place, &daemon, args));
    }
}

#[test]
fn all_that_a_local_target_has_is_told() {
    let place = Place::new();
    let target = place.dir.path().join("disk");
    let command = |args: &[&str]| {
        let command = Sersync::new(&["history"]).args(args).arg("--from").arg(place.source());
        command.arg("--to").arg(target.join("name"))
    };
    command(&["list"]).run().code(10).stderr_has("is it mounted?");
    fs::create_dir(&target).unwrap();
    command(&["list"]).run().code(0).stderr_has("the history is empty");
    tells_all(&target, command);
}

#[test]
fn every_name_can_be_looked_for_as_it_is() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let (daemon, place) = (Rsyncd::builder().version(version).start(), Place::new());
        let unit = daemon.module_path().join("history-backup/name/2020-01-02/100000");
        fixture::hostile_tree(&unit.join("ho[s]t*ile"));
        fixture::hostile_tree(&unit.join("plain"));
        let names = fixture::hostile_names().into_iter();
        let odd = |name: &OsString| name.as_bytes().iter().any(|b| b"*?[]\\\n\xff".contains(b));
        for name in names.filter(odd) {
            for below in ["plain", "ho[s]t*ile/directories", "plain/links"] {
                let path = Path::new(below).join(&name);
                let output = over(&place, &daemon, &["find", "--json"]).arg(&path).run().code(0);
                let found: BTreeSet<PathBuf> = versions(&output).into_iter().map(|(_, path, _)| path).collect();
                let path = if below.ends_with("directories") { path.join(&name) } else { path };
                assert!(found.contains(&path), "{}: {output}", path.display());
            }
        }
    }
}

#[test]
fn an_empty_history_and_a_missing_version_are_told() {
    for daemon in daemons() {
        let (daemon, place) = (daemon.start(), Place::new());
        let said = "no version of `a\\nb` is in the history";
        for step in ["", "history-backup", "history-backup/name"] {
            fs::create_dir_all(daemon.module_path().join(step)).unwrap();
            for args in [&["list"][..], &["list", "--size"], &["list", "--json"]] {
                let output = over(&place, &daemon, args).run().code(0).stderr_has("the history is empty");
                assert_eq!(output.stdout, "");
            }
            for args in [&["find", "a\nb"][..], &["find", "a\nb", "--json"]] {
                let output = over(&place, &daemon, args).run().code(0).stderr_has(said);
                assert_eq!(output.stdout, "");
            }
        }
        history(&daemon.module_path());
        over(&place, &daemon, &["find", "a\nb"]).run().code(0).stderr_has(said);
    }
}

#[test]
fn what_cannot_be_reached_or_read_is_told_apart() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let mut daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        let run = |daemon: &Rsyncd, code, why: &str| {
            for args in [&["list"][..], &["list", "--size"], &["find", "f"]] {
                over(&place, daemon, args).run().code(code).stderr_has(why);
            }
        };
        fs::create_dir_all(daemon.module_path().join("elsewhere/2020-01-02/100000")).unwrap();
        fs::create_dir(daemon.module_path().join("history-backup")).unwrap();
        symlink("../elsewhere", daemon.module_path().join("history-backup/name")).unwrap();
        run(&daemon, 4, "is no directory itself");
        let password = fs::read(daemon.password_file()).unwrap();
        fs::write(daemon.password_file(), "wrong\n").unwrap();
        run(&daemon, 12, "refused the user or the password");
        fs::write(daemon.password_file(), password).unwrap();
        daemon.stop();
        run(&daemon, 10, "cannot be reached");
    }
    for nothing in ["", "/", "."] {
        Sersync::new(&["history", "find", "name", nothing]).run().code(2).stderr_has("the pattern says nothing");
    }
    Sersync::new(&["history", "find", "name"]).run().code(2);
}

#[test]
fn what_could_be_read_is_told_beside_what_could_not() {
    if !is_root() {
        return skip("only root can serve as somebody else");
    }
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).extra("uid = 65534").extra("gid = 65534").start();
        let place = Place::new();
        let name = daemon.module_path().join("history-backup/name");
        write(&name.join("2020-01-02/100000/open/f"), "1");
        write(&name.join("2020-01-02/100000/closed/f"), "1");
        fixture::mode(&name.join("2020-01-02/100000/closed"), 0o700);
        let output = over(&place, &daemon, &["find", "f", "--json"]).run().code(3).stderr_has("Permission denied");
        assert_eq!(versions(&output), [("2020-01-02/100000".to_owned(), "open/f".into(), 1)]);
        let output = over(&place, &daemon, &["list", "--size", "--json"]).run().code(3).stderr_has("Permission denied");
        assert_eq!(objects(&output)[0]["files"], 1);
        // Where the unreadable is not asked for, nothing is missing.
        over(&place, &daemon, &["find", "open/f"]).run().code(0);
        over(&place, &daemon, &["list"]).run().code(0);
        // A history that cannot be read is not called empty.
        fixture::mode(&name, 0o700);
        for (args, code) in [(&["list"][..], 1), (&["list", "--size"], 3), (&["find", "f"], 3)] {
            let output = over(&place, &daemon, args).run().code(code).stderr_has("Permission denied");
            assert!(!output.stderr.contains("is empty") && !output.stderr.contains("no version of"), "{output}");
        }
    }
}

#[test]
fn one_of_two_mirrors_still_answers() {
    let (one, mut other, place) = (Rsyncd::builder().start(), Rsyncd::builder().start(), Place::new());
    for daemon in [&one, &other] {
        write(&daemon.module_path().join("history-backup/name/2020-01-02/100000/f"), "1");
    }
    let both = |args: &[&str]| over(&place, &one, args).arg("--to").arg(other.url("name")).run();
    assert_eq!(versions(&both(&["find", "f", "--json"]).code(0)).len(), 2);
    other.stop();
    let both = |args: &[&str]| over(&place, &one, args).arg("--to").arg(other.url("name")).run();
    assert_eq!(versions(&both(&["find", "f", "--json"]).code(3).stderr_has("cannot be reached")).len(), 1);
    let none = both(&["find", "g"]).code(3);
    assert!(!none.stderr.contains("no version of"), "{none}");
}

#[test]
fn a_busy_daemon_is_asked_again() {
    let (daemon, place) = (Rsyncd::builder().max_connections(1).start(), Place::new());
    write(&daemon.module_path().join("history-backup/name/2020-01-02/100000/f"), "1");
    let find = || over(&place, &daemon, &["find", "f", "--json"]).spawn();
    let runs = [find(), find(), find()];
    for run in runs {
        assert_eq!(versions(&run.wait(crate::support::SOON * 4).code(0)).len(), 1);
    }
}

#[test]
fn thousands_of_buckets_are_searched_in_one_run() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let name = daemon.module_path().join("history-backup/name");
    for number in 1..=2000 {
        let bucket = format!("2020-01-{:02}/{:06}-{number}", 1 + number % 20, 100_000 + number % 60);
        for file in ["docs/a.txt", "docs/b.txt", "other/c/d", "other/e"] {
            write(&name.join(&bucket).join(file), "1");
        }
    }
    for (pattern, expected) in [("docs/a.txt", 2000), ("a.txt", 2000), ("docs", 4000)] {
        let begun = std::time::Instant::now();
        let output = over(&place, &daemon, &["find", pattern, "--json", "-vvv"]).run().code(0);
        let took = begun.elapsed();
        assert!(took < std::time::Duration::from_secs(3), "{pattern}: {took:?}");
        assert_eq!(output.stdout.lines().count(), expected);
        assert_eq!(output.stderr.matches("--list-only").count(), 1, "{}", output.stderr);
    }
}

#[test]
fn tables_for_people() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let module = daemon.module_path();
    for name in ["documents", "pictures"] {
        let name = module.join("history-backup").join(name);
        write(&name.join("2020-01-02/100000/docs/report.txt"), &"x".repeat(5000));
        write(&name.join("2020-01-02/110000-12/docs/report.txt"), "short");
        write(&name.join("2020-01-02/110000-12/\u{1b}[31m\nreport.txt"), "odd");
        write(&name.join("2020-01-03/report.txt"), "the original's");
        symlink("report.txt", name.join("2020-01-02/110000-12/docs/a link")).unwrap();
        fixture::mtime(&name.join("2020-01-02/110000-12/docs/a link"), 1_500_000_000, 0);
    }
    write(&module.join("history-backup/pictures/2020-01-02/odd/f"), "");
    let mut text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n",
        daemon.password_file().display(),
        daemon.port(),
    );
    for name in ["documents", "music", "pictures"] {
        let path = place.source().join(name);
        fs::create_dir(&path).unwrap();
        writeln!(text, "[sources.{name}]\npath = '{}'\ntargets = ['t']", path.display()).unwrap();
    }
    let config = config(&place.dir, &text);
    let mut said = String::new();
    for args in [
        &["list"][..],
        &["list", "--size"],
        &["list", "documents", "--size"],
        &["find", "documents", "*report.txt"],
        &["find", "documents", "docs/"],
        &["find", "documents", "docs/other"],
    ] {
        let output = Sersync::new(&["history"]).args(args).arg("-c").arg(&config).env("TZ", "UTC").run().code(0);
        writeln!(said, "$ sersync history {}\n{}{}", args.join(" "), output.stdout, output.stderr).unwrap();
    }
    let port = daemon.port().to_string();
    // As wide as any port, and any age within the next twenty years.
    let said = said.replace(&port, &"P".repeat(port.len())).lines().map(without_age).collect::<String>();
    assert_golden("history.txt", &said);
}

/// The line with N for the digits of an age.
fn without_age(line: &str) -> String {
    let Some((before, after)) = line.split_once(" days") else { return line.to_owned() + "\n" };
    let start = before.rfind(' ').map_or(0, |space| space + 1);
    format!("{}{} days{after}\n", &before[..start], "N".repeat(before.len() - start))
}

/// A zone whose clock was set back from summer to winter time, by an hour, ten minutes ago.
fn zone_set_back() -> String {
    let end = chrono::Utc::now() + chrono::TimeDelta::minutes(50);
    // In summer time, which is an hour ahead of UTC. The year's last rule is far away from its first.
    let (day, time) = (end.format("%-j").to_string(), end.format("%H:%M:%S"));
    let day: u32 = day.parse().unwrap();
    let begin = if day > 180 { 10 } else { 300 };
    format!("WIN0SUM-1,{begin}/0,{}/{time}", day - 1)
}

#[test]
fn in_the_hour_that_comes_twice_the_history_is_not_in_the_future() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    let before = chrono::Utc::now() + chrono::TimeDelta::minutes(30);
    // Half an hour ago by summer time.
    let bucket = before.format("%Y-%m-%d/%H%M%S").to_string();
    write(&daemon.module_path().join("history-backup/name").join(&bucket).join("f"), "f");
    let zone = zone_set_back();
    let run = |args: &[&str]| {
        let command = Sersync::new(args).arg("--from").arg(place.source()).arg("--to").arg(daemon.url("name"));
        command.arg("--password-file").arg(daemon.password_file()).env("TZ", &zone).run().code(0)
    };
    let list = run(&["history", "list"]);
    let age = list.stdout.lines().find(|line| line.contains(&bucket)).unwrap();
    assert!(age.contains("29 minutes") || age.contains("30 minutes"), "{zone}: {age}");
    let prune = run(&["prune-history", "-n", "-v"]);
    assert!(prune.stdout.contains("expires in 7 days"), "{}", prune.stdout);
}
