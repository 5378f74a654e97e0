//! `config import`: what the configurations of other programs come to, that the result is valid and works, and that nothing in
//! them is ever run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::daemon::Rsyncd;
use crate::support::fixture;
use crate::support::golden::assert_golden;
use crate::support::sersync::{Output, Sersync};
use crate::support::tree::assert_same;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}

fn import(file: &Path) -> Output {
    Sersync::new(&["config", "import"]).arg(file).run()
}

/// The import of an example, compared with what was agreed, and checked by `config check`.
fn agreed(name: &str) -> String {
    let directory = example("");
    let output = Sersync::new(&["config", "import", name]).current_dir(&directory).run().code(0);
    assert_golden(&format!("import-{name}.toml"), &output.stdout);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sersync.toml");
    fs::write(&file, &output.stdout).unwrap();
    Sersync::new(&["config", "check", "-c"]).arg(&file).run().code(0);
    output.stdout
}

#[test]
fn the_bash_sersync_of_both_generations() {
    agreed("first.conf");
    let later = agreed("later.conf");
    assert!(later.contains("skip files that changed without growing"), "{later}");
    assert!(!Path::new("/tmp/this-must-never-exist").exists());
}

#[test]
fn the_cpp_sersync() {
    agreed("confxml.xml");
}

#[test]
fn lsyncd() {
    agreed("lsyncd.lua");
}

/// Whoever imports on another host than that of the original is told what is missing, and has a valid configuration.
#[test]
fn a_password_file_that_is_not_there_is_a_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("the password");
    let text = fs::read_to_string(example("first.conf")).unwrap();
    let old = dir.path().join("sersync.conf");
    fs::write(
        &old,
        text.replace("/etc/rsync.passwd", password.to_str().unwrap())
            .replace("rsync_passwd_file=", "rsync_passwd_file='")
            .replace("the password", "the password'"),
    )
    .unwrap();
    let output = import(&old).code(0);
    let step = format!("install -D -m 600 /dev/null '{}'", password.display());
    output.clone().stderr_has(&step);
    let config = dir.path().join("sersync.toml");
    fs::write(&config, output.stdout).unwrap();
    Sersync::new(&["config", "check", "-c"]).arg(&config).run().code(0).stderr_has(&step).stdout_has("valid: ");
    Sersync::new(&["full-sync", "-c"]).arg(&config).run().code(78).stderr_has("password-file");
    // One that is there and wrong is still a mistake, of which the import tells already.
    fs::write(&password, "x\n").unwrap();
    import(&old).code(0).stderr_has("is accessible by others").stderr_has("chmod 600 '");
    Sersync::new(&["config", "check", "-c"]).arg(&config).run().code(78).stderr_has("is accessible by others");
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    let valid = Sersync::new(&["config", "check", "-c"]).arg(&config).run().code(0);
    assert_eq!((valid.stderr.as_str(), import(&old).code(0).stderr.as_str()), ("", ""));
}

#[test]
fn a_pipe_or_device_is_refused_instead_of_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for file in [pipe.as_path(), Path::new("/dev/zero"), dir.path()] {
        import(file).code(1).stderr_has("it is no regular file");
    }
}

#[test]
fn what_bash_would_do_only_perhaps_is_kept_as_a_comment_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sersync.conf");
    let text = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1')\nif [ -d /data/b ]; then\n  listen_dir+=('b=/data/b')\n  \
                rsyncd_mod=('m=/data/a,/data/b')\nfi\ncat <<EOF\nrsyncd_ip=('m=6.6.6.6')\nEOF\n";
    fs::write(&file, text).unwrap();
    let written = import(&file).code(0).stdout;
    let comments = written.lines().filter(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n");
    for line in [
        "Lines 4 to 7 are one command, or are not reached; none was executed: if [ -d /data/b ]; then",
        "Line 5 is a part of that, and is not taken over: listen_dir+=('b=/data/b')",
        "Line 9 is a part of that, and is not taken over: rsyncd_ip=('m=6.6.6.6')",
    ] {
        assert!(comments.replace("\n# ", " ").contains(line), "{line}: {written}");
    }
    let settings: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!settings.iter().any(|line| line.contains("/data/b") || line.contains("6.6.6.6")), "{settings:?}");
}

#[test]
fn a_rule_that_is_also_found_in_the_path_of_the_source_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sersync.conf");
    let text = "listen_dir=('a=/data/logs')\nrsyncd_mod=('m=/data/logs')\nrsyncd_ip=('m=10.0.0.1')\n\
                exclude_file_rule=('/data/logs=logs|tmp')\n";
    fs::write(&file, text).unwrap();
    let written = import(&file).code(0).stdout;
    let comments = written.replace("\n# ", " ");
    assert!(comments.contains("exclude_file_rule: /data/logs=logs|tmp"), "{written}");
    assert!(comments.contains("it also matches the path of the source itself"), "{written}");
    assert!(!written.lines().any(|line| line.starts_with("watch.exclude") || line.starts_with("exclude")), "{written}");
}

#[test]
fn what_cannot_be_understood_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    for (text, line) in [
        ("<head>", "f:1:1: the root node was opened but never closed"),
        (
            "",
            "f: there is nothing to mirror: no `listen_dir` with a module in `rsyncd_mod` and an address in `rsyncd_ip`",
        ),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><head>&b;</head>", "f:1:1: XML with DTD detected"),
        (
            "settings {}\n",
            "f: there is nothing to mirror: no `sync{default.rsync, source=..., target=...}` that is literal and goes to an rsync daemon",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = Sersync::new(&["config", "import", "f"]).current_dir(dir.path()).run().code(78);
        assert_eq!(output.stderr, format!("error: {line}\n"));
    }
    import(&dir.path().join("gone")).code(1).stderr_has("cannot be read");
    fs::write(&file, vec![b'x'; 300_000]).unwrap();
    import(&file).code(1).stderr_has("are too much for a configuration");
    Sersync::new(&["config", "import", "f", "--format", "x"]).run().code(2).stderr_has("bash, xml, lsyncd");
}

/// The example of the original's documentation, with real directories and a real daemon in the place of its own.
#[test]
fn an_imported_configuration_mirrors() {
    let daemon = Rsyncd::builder().module("backup1").module("backup2").auth("rsync", "Ki13W@yYZvbJ").start();
    let dir = tempfile::tempdir().unwrap();
    let port = daemon.port();
    for source in ["file", "db", "img"] {
        fixture::small_tree(&dir.path().join(source));
    }
    let password = dir.path().join("rsync.passwd");
    fs::write(&password, "Ki13W@yYZvbJ\n").unwrap();
    fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(example("first.conf")).unwrap();
    let text = text.replace("/data/", &format!("{}/", dir.path().display()));
    let text = text.replace("/etc/rsync.passwd", password.to_str().unwrap());
    let text = text.replace("127.0.0.1,192.168.0.163", &format!("127.0.0.1:{port}"));
    let text = text.replace("=127.0.0.1'", &format!("=127.0.0.1:{port}'"));
    let file = dir.path().join("sersync.conf");
    fs::write(&file, text).unwrap();
    let written = import(&file).code(0).stdout;
    let config = dir.path().join("sersync.toml");
    fs::write(&config, written).unwrap();
    Sersync::new(&["config", "check", "-c"]).arg(&config).run().code(0);
    Sersync::new(&["full-sync", "-c"]).arg(&config).run().code(0);
    for (source, mirror) in
        [("file", "backup1/file-backup"), ("db", "backup1/db-backup"), ("img", "backup2/img-backup")]
    {
        let (module, name) = mirror.split_once('/').unwrap();
        assert_same(&dir.path().join(source), &daemon.path_of(module).join(name));
    }
}

#[test]
fn the_example_is_printed_and_has_every_key() {
    let output = Sersync::new(&["config", "example"]).env("SERSYNC_CONFIG", "/nonexistent").run().code(0);
    assert_eq!(output.stdout, sersync::config::EXAMPLE);
    // What `config show` prints has every key there is; the example has to have the same ones.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sersync.toml");
    fs::write(&file, &output.stdout).unwrap();
    let shown = Sersync::new(&["config", "show", "-c"]).arg(&file).run().code(0).stdout;
    let paths = |text: &str| {
        let value: toml::Table = text.parse().unwrap();
        let mut paths = Vec::new();
        collect(&toml::Value::Table(value), &mut String::new(), &mut paths);
        paths
    };
    let (written, known) = (paths(&output.stdout), paths(&shown));
    // Overrides of a target are those of [rsync] again, and are shown for each.
    let missing: Vec<&String> =
        known.iter().filter(|path| !written.contains(path) && !path.contains(".rsync.")).collect();
    // A second source or target need not show everything again.
    let shown_elsewhere = ["targets.usb."];
    let missing: Vec<_> =
        missing.iter().filter(|path| !shown_elsewhere.iter().any(|part| path.starts_with(part))).collect();
    assert!(missing.is_empty(), "the example does not show {missing:?}");
    assert!(written.iter().all(|path| known.contains(path)), "{written:?}");
}

fn collect(value: &toml::Value, path: &mut String, paths: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let mut path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &mut path, paths);
            }
        }
        _ => paths.push(path.clone()),
    }
}

/// Where the example does not name another default, its value is the default.
#[test]
fn what_the_example_shows_is_the_default_unless_it_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sersync.toml");
    let minimal = "[targets.t]\nmodule = 'm'\nhosts = ['h']\n[sources.s]\npath = '/s'\ntargets = ['t']\n";
    fs::write(&file, minimal).unwrap();
    let shown = Sersync::new(&["config", "show", "-c"]).arg(&file).run().code(0).stdout;
    let shown: toml::Table = shown.parse().unwrap();
    let example: toml::Table = sersync::config::EXAMPLE.parse().unwrap();
    let mut compared = 0;
    for section in ["rsync", "watch", "full-sync", "history", "metrics"] {
        for (key, value) in example[section].as_table().unwrap() {
            let start = format!("{key} = ");
            let line = sersync::config::EXAMPLE.lines().find(|line| line.starts_with(&start)).unwrap();
            if !line.contains("# default: ") {
                assert_eq!(Some(value), shown[section].get(key), "{line}");
                compared += 1;
            }
        }
    }
    assert!(compared > 15, "{compared}");
}
