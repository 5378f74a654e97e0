//! What log lines look like to their different readers.

use std::fs;
use std::os::unix::fs::MetadataExt;

use std::process::Command;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::sersync::Sersync;
use crate::support::{skip, wait_for};
use crate::watch::{LATER, quick, watch};

/// What a failing command writes to a stderr that is a file, with `$JOURNAL_STREAM` naming that file or another one.
fn stderr_in_a_file(journal_is_the_file: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stderr");
    fs::write(&file, "").unwrap();
    let meta = fs::metadata(&file).unwrap();
    let inode = if journal_is_the_file { meta.ino() } else { meta.ino() + 1 };
    Sersync::of("sh", &["-c", "exec \"$0\" -c /nonexistent config check 2>\"$1\""])
        .arg(env!("CARGO_BIN_EXE_sersync"))
        .arg(&file)
        .env("JOURNAL_STREAM", format!("{}:{inode}", meta.dev()))
        .run()
        .code(78);
    fs::read_to_string(file).unwrap()
}

#[test]
fn the_journal_gets_priorities_and_others_get_words() {
    assert!(stderr_in_a_file(true).starts_with("<3>/nonexistent: "), "{}", stderr_in_a_file(true));
    // A child of a service whose output was redirected inherits the variable.
    assert!(stderr_in_a_file(false).starts_with("error: /nonexistent: "), "{}", stderr_in_a_file(false));
}

#[test]
fn a_flush_of_a_large_batch_does_not_flood_the_log() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("f"), "").unwrap();
    let log = place.dir.path().join("log");
    let running = watch(&place, &config).args(&["-v", "--log-file"]).arg(&log).spawn();
    let read = || fs::read_to_string(&log).unwrap_or_default();
    wait_for("the first comparison", LATER, || read().contains("caught up"));
    // All at once, so that they are one batch however slow it is to make them.
    let many = place.dir.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..3_000 {
        fs::write(many.join(number.to_string()), "").unwrap();
    }
    fs::rename(&many, place.source().join("many")).unwrap();
    let all_there = || daemon.module_path().join("name/many/2999").exists();
    wait_for("all of them", LATER, || all_there() && read().contains("more paths"));
    let output = running.terminate();
    assert!(output.stderr.is_empty(), "{output}");
    let text = read();
    let (mut shown, mut longest, mut hidden) = (0, 0, 0);
    for line in text.lines() {
        shown = if line.contains(": create many") { shown + 1 } else { 0 };
        longest = longest.max(shown);
        let more =
            line.split_once("... and ").and_then(|(_, rest)| rest.strip_suffix(" more paths; -vvv shows all of them"));
        hidden += more.map_or(0, |more| more.parse::<usize>().unwrap());
    }
    assert!(longest <= 1_000 && hidden > 0, "{longest} {hidden}");
    let all = text.lines().filter(|line| line.contains(" many")).count() + hidden;
    assert!(all >= 3_000, "{all}");
}

#[test]
fn as_json_every_message_is_an_object_and_a_batch_has_its_figures() {
    let (place, mut daemon) = (Place::new(), Rsyncd::builder().start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("f"), "four").unwrap();
    let running = watch(&place, &config).args(&["--log-format", "json"]).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("\u{1b}\"g"), "12345").unwrap();
    running.wait_for_log("\"cause\":\"changes\"", LATER);
    daemon.stop();
    fs::write(place.source().join("h"), "").unwrap();
    running.wait_for_log("trying again in", LATER);
    daemon.start();
    running.wait_for_log("works again", LATER);
    let output = running.terminate();
    let objects: Vec<serde_json::Value> =
        output.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let batch = objects.iter().find(|object| object["cause"] == "changes").unwrap();
    let mirror = format!("name@127.0.0.1:{}/mod", daemon.port());
    assert_eq!((&batch["mirror"], &batch["level"]), (&mirror.as_str().into(), &"info".into()));
    assert!(batch["paths"].as_u64() >= Some(1) && batch["seconds"].as_f64() > Some(0.0), "{batch}");
    let failure = objects.iter().find(|object| object["level"] == "error").unwrap();
    assert_eq!(failure["mirror"], mirror.as_str());
}

#[test]
fn a_daemon_that_stays_away_is_one_line() {
    let (place, mut daemon) = (Place::new(), Rsyncd::builder().start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("f"), "").unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up", LATER);
    daemon.stop();
    fs::write(place.source().join("g"), "").unwrap();
    let state = place.dir.path().join("state");
    let errors = || {
        let output = Sersync::new(&["status", "--json", "-c"]).arg(&config).state_dir(&state).run();
        let mirror: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        mirror["since_start"]["errors"].as_u64().unwrap()
    };
    wait_for("a few attempts", LATER, || errors() >= 3);
    daemon.start();
    running.wait_for_log("works again after", LATER);
    let output = running.terminate();
    assert_eq!(output.stderr.matches("cannot be reached").count(), 1, "{output}");
}

#[test]
fn a_log_file_is_rotated_by_logrotate_without_telling_anybody() {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if Command::new("logrotate").arg("--version").env("PATH", path).output().is_err() {
        return skip("there is no logrotate");
    }
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("f"), "").unwrap();
    let logs = place.dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let log = logs.join("watch.log");
    let running = watch(&place, &config).arg("--log-file").arg(&log).spawn();
    let read = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default();
    wait_for("the first comparison", LATER, || read(&log).contains("caught up"));
    let snippet = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/logrotate/sersync");
    let snippet = read(snippet.as_ref()).replace("/var/log/sersync", logs.to_str().unwrap());
    let file = place.dir.path().join("logrotate.conf");
    fs::write(&file, snippet).unwrap();
    for round in 0..3 {
        let mut logrotate = Command::new("logrotate");
        logrotate.arg("--force").arg("--state").arg(place.dir.path().join("rotated")).arg(&file).env("PATH", path);
        let output = logrotate.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!log.exists());
        fs::write(place.source().join(format!("f{round}")), "").unwrap();
        wait_for("a line in the new file", LATER, || read(&log).contains("created"));
    }
    running.terminate();
    assert!(read(&logs.join("watch.log.1")).contains("1 created"));
    assert!(logs.join("watch.log.3.gz").exists());
    // What is not to be trusted is not written to, and nothing is begun.
    std::os::unix::fs::symlink(&log, logs.join("link")).unwrap();
    let refused = "link: is a symbolic link; name the file itself";
    let again = Sersync::new(&["full-sync", "-c"]).arg(&config).arg("--log-file").arg(logs.join("link"));
    again.run().code(1).stderr_has(refused);
}

#[test]
fn a_path_that_keeps_failing_is_one_line() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().extra("exclude = *refused*").start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("refused"), "").unwrap();
    let running = watch(&place, &config).spawn();
    let state = place.dir.path().join("state");
    let retries = || {
        let output = Sersync::new(&["status", "--json", "-c"]).arg(&config).state_dir(&state).run();
        let mirror: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        mirror["since_start"]["retries"].as_u64().unwrap_or_default()
    };
    wait_for("a few attempts", LATER, || retries() >= 3);
    let output = running.terminate();
    assert_eq!(output.stderr.matches("refused: the daemon refuses it").count(), 1, "{output}");
}

/// The objects of a log.
fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn a_pass_has_its_result_in_the_log_and_its_messages_the_fields_of_those_of_a_watch() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().extra("exclude = *refused*").start());
    let config = quick(&place, &[&daemon], "");
    let hostile = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"not\xffutf8");
    fs::write(place.source().join("f"), "four").unwrap();
    fs::write(place.source().join(hostile), "").unwrap();
    let run = |args: &[&str]| {
        let state = place.dir.path().join("state");
        Sersync::new(args).arg("-c").arg(&config).state_dir(&state).run()
    };
    let mirror = format!("name@127.0.0.1:{}/mod", daemon.port());
    let log = place.dir.path().join("log");
    let name = log.to_str().unwrap().to_owned();
    run(&["full-sync", "-v", "--log-file", &name]).code(0).silent();
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains(&format!("{mirror}: 3 created, 0 updated, 0 deleted")), "{text}");
    fs::remove_file(&log).unwrap();
    for refused in ["refused 1", "refused 2"] {
        fs::write(place.source().join(refused), "").unwrap();
    }
    fs::write(place.source().join("f"), "other").unwrap();
    fs::remove_file(place.source().join(hostile)).unwrap();
    run(&["full-sync", "-vv", "--log-file", &name, "--log-format", "json"]).code(3);
    let all = objects(&fs::read_to_string(&log).unwrap());
    assert!(all.iter().all(|object| object["mirror"] == mirror.as_str()), "{all:?}");
    let of_path =
        |path: &str| all.iter().find(|object| object["path"] == path).unwrap_or_else(|| panic!("{path}: {all:?}"));
    assert_eq!((&of_path("f")["change"], &of_path("f")["level"]), (&"update".into(), &"debug".into()));
    assert_eq!(of_path("not\\xffutf8")["path_hex"], "6e6f74ff75746638");
    assert_eq!(of_path("refused 1")["level"], "error");
    let result = all.iter().find(|object| object["cause"] == "full-sync").unwrap();
    for (field, value) in [("paths", 3), ("bytes", 5), ("exit", 3), ("failing", 2)] {
        assert!(result[field].as_u64() >= Some(value), "{field}: {result}");
    }
    assert!(result["seconds"].as_f64() > Some(0.0) && result["sent"].as_u64() > Some(0), "{result}");
    // Without a file, programs read it on standard error, and people still have the list of --json on standard output.
    let output = run(&["full-sync", "-v", "--log-format", "json", "--json"]).code(3);
    assert!(objects(&output.stderr).iter().any(|object| object["cause"] == "full-sync"), "{output}");
    assert_eq!(objects(&output.stdout).len(), 1);
    // The other commands do the same.
    fs::remove_file(place.source().join("refused 1")).unwrap();
    fs::remove_file(place.source().join("refused 2")).unwrap();
    run(&["full-sync"]).code(0);
    for command in ["verify", "prune-history"] {
        let output = run(&[command, "-v", "--log-format", "json"]);
        let cause = |object: &serde_json::Value| object["cause"] == command && object["mirror"] == mirror.as_str();
        assert!(objects(&output.stderr).iter().any(cause) && output.stdout.is_empty(), "{output}");
    }
}

#[test]
fn the_line_of_a_batch_has_its_cause_and_its_size() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    let config = quick(&place, &[&daemon], "");
    fs::write(place.source().join("f"), "four").unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("caught up: 2 created, 0 updated, 0 deleted, 4 B in files, ", LATER);
    fs::write(place.source().join("g"), vec![b'x'; 2048]).unwrap();
    running.wait_for_log(": changed: ", LATER);
    let output = running.terminate();
    let line = output.stderr.lines().find(|line| line.contains(": changed: ")).unwrap();
    let mirror = format!("name@127.0.0.1:{}/mod: changed: ", daemon.port());
    assert!(
        line.contains(&mirror)
            && line.contains("iB in files, ")
            && line.contains("iB sent in ")
            && line.ends_with(" s"),
        "{line}"
    );
}

#[test]
fn no_name_that_somebody_chose_reaches_a_terminal_or_begins_a_line() {
    let place = Place::new();
    let dir = place.dir.path();
    let (source, target) = (dir.join("so\u{1b}[31m\nurce"), dir.join("tar\u{1b}]0;x\u{7}\nget"));
    fs::create_dir(&source).unwrap();
    let quoted = |path: &std::path::Path| serde_json::to_string(path.to_str().unwrap()).unwrap();
    let (config, log) = (dir.join("sersync.toml"), dir.join("log"));
    let text = format!(
        "[watch]\ndelay = '50ms'\n[targets.t]\npath = {}\n[sources.name]\npath = {}\ntargets = ['t']\n",
        quoted(&target),
        quoted(&source)
    );
    fs::write(&config, text).unwrap();
    let state = dir.join("state\u{1b}[2J\n");
    let run = |args: &[&str]| {
        let output = Sersync::new(args).arg("-c").arg(&config).arg("--state-dir").arg(&state).limit(LATER).run();
        for text in [&output.stdout, &output.stderr, &fs::read_to_string(&log).unwrap_or_default()] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{output}");
            let is_whole = |line: &str| !line.starts_with("urce") && !line.starts_with("get") && !line.is_empty();
            assert!(text.lines().all(is_whole), "{output}");
        }
        output
    };
    let name = log.to_str().unwrap();
    let commands: [&[&str]; 9] = [
        &["full-sync", "-vv"],
        &["full-sync", "-vv", "--log-file", name],
        &["full-sync", "--dry-run"],
        &["watch", "-vvv", "--until-idle", "100ms"],
        &["verify", "-v"],
        &["prune-history", "-v"],
        &["history", "list"],
        &["status", "--failing"],
        &["check-target"],
    ];
    // Without a source, without a target, and with both.
    for command in commands {
        run(command);
    }
    fs::write(source.join("f"), "").unwrap();
    for command in commands {
        run(command);
    }
    fs::create_dir(&target).unwrap();
    for command in commands {
        run(command);
    }
    run(&["full-sync"]).code(0);
    run(&["status"]).code(0);
    run(&["full-sync", "no\u{1b}[31m\nsuch"]).code(2);
    fs::remove_dir_all(&source).unwrap();
    for command in commands {
        run(command);
    }
    for command in ["config", "restore"] {
        let args: &[&str] = if command == "config" { &["config", "check"] } else { &["restore", "name", "f"] };
        run(args);
    }
}
