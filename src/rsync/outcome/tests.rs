//! What rsync 3.2.7 and 3.5.0 were seen to print, and what it must be taken for.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::settings::{Attributes, Host, Jobs, Rsync, Source};

fn mirror(endpoint: Endpoint) -> Mirror {
    let source = Source {
        name: "n".into(),
        path: "/tmp/p/src".into(),
        targets: vec![],
        exclude: vec![],
        watch_exclude: vec![],
        marker: None,
        one_file_system: true,
    };
    let rsync = Rsync {
        user: None,
        password_file: None,
        timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        bwlimit: None,
        jobs: Jobs::Auto,
        attributes: Attributes::default(),
        extra_args: vec![],
    };
    Mirror { source: Arc::new(source), endpoint, rsync: Arc::new(rsync), excludes: Arc::default() }
}

fn daemon() -> Mirror {
    mirror(Endpoint::Daemon { host: Host { name: "h".into(), port: 873 }, module: "m".into() })
}

fn outcome_of(mirror: &Mirror, code: i32, stderr: &str) -> Outcome {
    let errors: Vec<Vec<u8>> = stderr.lines().map(|l| l.as_bytes().to_vec()).collect();
    classify(mirror, Ending { code: Some(code), errors: &errors, not_deleted: &[], deletions_skipped: false })
}

/// The class and exit code in short.
fn class(outcome: &Outcome) -> (&'static str, Exit) {
    match outcome {
        Outcome::Done => ("done", Exit::Done),
        Outcome::Partial(_) => ("partial", Exit::Partial),
        Outcome::Transient(t) => ("transient", t.exit),
        Outcome::Busy(t) => ("busy", t.exit),
        Outcome::Aborted(t) => ("aborted", t.exit),
        Outcome::Permanent(t) => ("permanent", t.exit),
        Outcome::NoMissingArgs => ("no missing args", Exit::Done),
        Outcome::Limited => ("limited", Exit::Refused),
        Outcome::Stopped => ("stopped", Exit::Done),
    }
}

#[test]
fn failures_of_whole_jobs() {
    let cases = [
        (5, "@ERROR: auth failed on module auth", ("permanent", Exit::Authentication)),
        (5, "@ERROR: access denied to x from host (1.2.3.4)", ("permanent", Exit::Authentication)),
        (5, "@ERROR: Unknown module 'zzz'", ("permanent", Exit::Unreachable)),
        (5, "@ERROR: chdir failed", ("permanent", Exit::Unreachable)),
        (5, "@ERROR: max connections (1) reached -- try again later", ("busy", Exit::Unreachable)),
        (5, "@ERROR: failed to open lock file", ("transient", Exit::Unreachable)),
        (5, "rsync: did not see server greeting", ("transient", Exit::Unreachable)),
        (5, "@ERROR: invalid uid x", ("permanent", Exit::Failed)),
        (1, "ERROR: module is read only\nrsync error: syntax or usage error (code 1)", ("permanent", Exit::Failed)),
        (2, "invalid file mode 00 for z [Receiver]", ("no missing args", Exit::Done)),
        (2, "ABORTING due to invalid path from sender: a/b", ("no missing args", Exit::Done)),
        (2, "rsync error: protocol incompatibility (code 2)", ("permanent", Exit::Failed)),
        (4, "rsync: The server is configured to refuse --delete", ("permanent", Exit::Failed)),
        (
            10,
            "rsync: [sender] failed to connect to 127.0.0.1 (127.0.0.1): Connection refused (111)",
            ("transient", Exit::Unreachable),
        ),
        (
            11,
            "rsync: [receiver] write failed on \"/n/x\" (in m): No space left on device (28)",
            ("aborted", Exit::Failed),
        ),
        (
            11,
            "rsync: [Receiver] mkdir \"/tmp/p/nodir/x\" failed: No such file or directory (2)",
            ("permanent", Exit::Unreachable),
        ),
        (
            12,
            "rsync: connection unexpectedly closed (0 bytes received so far) [sender]",
            ("aborted", Exit::Unreachable),
        ),
        (30, "", ("aborted", Exit::Unreachable)),
        (35, "", ("transient", Exit::Unreachable)),
        (99, "", ("aborted", Exit::Failed)),
        (0, "", ("done", Exit::Done)),
    ];
    for (code, stderr, expected) in cases {
        assert_eq!(class(&outcome_of(&daemon(), code, stderr)), expected, "{code} {stderr}");
    }
}

#[test]
fn a_daemon_that_lets_nobody_in_is_not_said_to_refuse_an_option() {
    let outcome = outcome_of(&daemon(), 4, "pre-xfer exec returned failure (256)");
    let Outcome::Permanent(trouble) = outcome else { panic!("{outcome:?}") };
    assert!(trouble.why.contains("see `pre-xfer exec`"), "{trouble:?}");
}

#[test]
fn success_that_left_a_directory_is_not_success() {
    let left = [PathBuf::from("d2")];
    let outcome =
        classify(&daemon(), Ending { code: Some(0), errors: &[], not_deleted: &left, deletions_skipped: false });
    let Outcome::Partial(failing) = outcome else { panic!("{outcome:?}") };
    assert!(failing.paths.contains_key(Path::new("d2")));
}

#[test]
fn failing_paths_are_named_relative_to_the_source() {
    let stderr = "rsync: [sender] send_files failed to open \"/tmp/p/src/x\": Permission denied (13)\n\
        rsync: [sender] opendir \"/tmp/p/src/a/b\" failed: Permission denied (13)\n\
        rsync: [receiver] mkstemp \"/n/a/.g.RE68xc\" (in m) failed: Permission denied (13)\n\
        rsync: [generator] failed to set times on \"/n/t\" (in m): Operation not permitted (1)\n\
        rsync: [generator] delete_file: unlink(a/b/f) failed: Permission denied (13)\n\
        file has vanished: \"/tmp/p/src/odd \\#012\"name\"\n\
        rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)";
    let Outcome::Partial(failing) = outcome_of(&daemon(), 23, stderr) else { panic!() };
    let paths: Vec<&str> = failing.paths.keys().map(|p| p.to_str().unwrap()).collect();
    assert_eq!(paths, ["a/b", "a/b/f", "a/g", "odd \n\"name", "t", "x"]);
    assert_eq!(failing.unattributed, [""; 0]);
    assert_eq!(failing.unreadable, [Path::new("a/b")]);
}

#[test]
fn a_local_target_names_its_own_paths() {
    let mirror = mirror(Endpoint::Directory("/mnt/usb".into()));
    let stderr = "rsync: [receiver] mkstemp \"/mnt/usb/n/a/.g.RE68xc\" failed: Permission denied (13)";
    let Outcome::Partial(failing) = outcome_of(&mirror, 23, stderr) else { panic!() };
    assert_eq!(failing.paths.keys().collect::<Vec<_>>(), [Path::new("a/g")]);
}

#[test]
fn what_names_no_path_makes_the_whole_job_suspect() {
    let Outcome::Partial(failing) = outcome_of(&daemon(), 23, "") else { panic!() };
    assert_eq!((failing.paths.len(), failing.unattributed.len()), (0, 1));
}

proptest! {
    #[test]
    fn hostile_words_never_panic(code in 0..40, lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let _ = classify(&daemon(), Ending { code: Some(code), errors: &lines, not_deleted: &[], deletions_skipped: false });
    }

    #[test]
    fn remote_words_reach_no_terminal_unescaped(words in prop::collection::vec(any::<u8>(), 1..80)) {
        let mut line = b"rsync: ".to_vec();
        line.extend(words);
        for code in [10, 23] {
            match classify(&daemon(), Ending { code: Some(code), errors: &[line.clone()], not_deleted: &[], deletions_skipped: false }) {
                Outcome::Transient(trouble) => prop_assert!(!trouble.why.contains(char::is_control)),
                Outcome::Partial(failing) => {
                    let mut all = failing.paths.values().chain(&failing.unattributed);
                    prop_assert!(all.all(|words| !words.contains(char::is_control)));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

#[test]
fn what_the_daemon_refuses_is_named() {
    let outcome =
        outcome_of(&daemon(), 23, "ERROR: daemon refused to receive file \"d/f1\"\nrsync error: some files (code 23)");
    let Outcome::Partial(failing) = outcome else { panic!("{outcome:?}") };
    assert!(failing.paths[Path::new("d/f1")].contains("rsyncd.conf"), "{failing:?}");
}

#[test]
fn of_lines_with_two_names_the_one_that_failed_is_taken_or_none() {
    let named = |line: &str| {
        let Outcome::Partial(failing) = outcome_of(&daemon(), 23, line) else { panic!("{line}") };
        failing.paths.into_keys().next()
    };
    let expected = |path: &str| Some(PathBuf::from(path));
    for (line, path) in [
        (
            r#"rsync: [receiver] rename "/n/t1/.f.072izF" (in m) -> "t1/f": Operation not permitted (1)"#,
            expected("t1/f"),
        ),
        (r#"rsync: [receiver] rename "/n/t1/.f.072izF" (in m) -> "t1/g": Operation not permitted (1)"#, None),
        (r#"rsync: [generator] symlink "/n/l" (in m) -> "else/where" failed: File exists (17)"#, expected("l")),
        // Names that look like more of the line.
        (r#"rsync: [receiver] mkstemp "/n/.a" (in m).RE68xc" (in m) failed: Permission denied (13)"#, None),
        (r#"rsync: [sender] send_files failed to open "/tmp/p/src/a"b": Permission denied (13)"#, expected("a\"b")),
        (r#"rsync: [sender] send_files failed to open "/tmp/p/src/a" -> "b": Permission denied (13)"#, None),
    ] {
        assert_eq!(named(line), path, "{line}");
    }
}
