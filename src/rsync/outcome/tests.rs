//! What rsync 3.2.7 and 3.5.0 were seen to print, and what it must be taken for.

mod paths;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::mirror::{Endpoint, Mirror};
use crate::rsync::children::{Limit, NotRun};
use crate::rsync::fixture::{daemon, mirror};

/// That of a run that ended by itself and was heard out.
fn ending(code: i32, errors: &[Vec<u8>]) -> Ending<'_> {
    let status = ExitStatus::from_raw(code << 8);
    Ending { by: EndedBy::Itself, status, heard_out: true, errors, not_deleted: &[], deletions_skipped: false }
}

fn lines(stderr: &str) -> Vec<Vec<u8>> {
    stderr.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn outcome_of(mirror: &Mirror, code: i32, stderr: &str) -> Outcome {
    classify(mirror, ending(code, &lines(stderr)))
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
        (2, "protocol version mismatch -- is your shell clean?", ("permanent", Exit::Failed)),
        (2, "file has vanished: \"/a\"\nrsync error: protocol incompatibility (code 2)", ("aborted", Exit::Failed)),
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
        (25, "", ("limited", Exit::Refused)),
        (0, "Deletions stopped due to --max-delete limit (3 skipped)", ("limited", Exit::Refused)),
        (23, "rsync: x\nDeletions stopped due to --max-delete limit (3 skipped)", ("limited", Exit::Refused)),
        (23, "rsync: \"Deletions stopped due to --max-delete limit\"", ("partial", Exit::Partial)),
        (99, "", ("aborted", Exit::Failed)),
        (0, "", ("done", Exit::Done)),
    ];
    for (code, stderr, expected) in cases {
        assert_eq!(class(&outcome_of(&daemon(), code, stderr)), expected, "{code} {stderr}");
    }
}

#[test]
fn who_or_what_ended_a_run_says_more_than_its_exit_code() {
    let (killed, no_words) = (ExitStatus::from_raw(9), lines(""));
    let limited = lines("Deletions stopped due to --max-delete limit (3 skipped)");
    let aborted = ("aborted", Exit::Unreachable);
    let done = ending(0, &no_words);
    let failed = ending(23, &limited);
    let cases = [
        (Ending { by: EndedBy::Stop, status: killed, ..done }, ("stopped", Exit::Done)),
        (Ending { by: EndedBy::Stop, ..failed }, ("stopped", Exit::Done)),
        (Ending { by: EndedBy::Standstill, status: killed, ..done }, aborted),
        // It was on the way to its end when it was found to stand still.
        (Ending { by: EndedBy::Standstill, ..failed }, aborted),
        (Ending { by: EndedBy::Standstill, ..done }, aborted),
        (Ending { status: killed, ..done }, ("aborted", Exit::Failed)),
        // `@RSYNCD: EXIT` instead of a session.
        (Ending { heard_out: false, ..done }, ("transient", Exit::Unreachable)),
        (Ending { heard_out: false, errors: &limited, ..done }, ("limited", Exit::Refused)),
        (Ending { heard_out: false, ..ending(23, &no_words) }, ("partial", Exit::Partial)),
        (done, ("done", Exit::Done)),
    ];
    for (ending, expected) in cases {
        assert_eq!(class(&classify(&daemon(), ending)), expected, "{ending:?}");
    }
}

#[test]
fn what_was_not_run_to_its_end_may_have_begun_a_session() {
    let error = || std::io::Error::from_raw_os_error(11);
    let limit = Limit { time: Duration::from_secs(3), bytes: 1 };
    for (why, expected) in [
        (NotRun::Closed, ("stopped", Exit::Done)),
        (NotRun::Limit(limit), ("permanent", Exit::Unreachable)),
        (NotRun::Start(error()), ("transient", Exit::Failed)),
        (NotRun::Read(error()), ("aborted", Exit::Failed)),
    ] {
        let shown = format!("{why:?}");
        assert_eq!(class(&not_run(why)), expected, "{shown}");
    }
}

#[test]
fn only_the_one_answer_means_that_there_is_none() {
    let absent = lines("rsync: [sender] change_dir \"nonex\" (in m) failed: No such file or directory (2)");
    assert!(ending(23, &absent).says_absent());
    for ending in [ending(3, &absent), Ending { by: EndedBy::Stop, ..ending(23, &absent) }] {
        assert!(!ending.says_absent(), "{ending:?}");
    }
    for other in [
        "rsync: [sender] change_dir \"x\" (in m) failed: Permission denied (13)",
        "@ERROR: chdir failed",
        "rsync error: some files/attrs were not transferred (see previous errors) (code 23)",
    ] {
        assert!(!ending(23, &lines(other)).says_absent(), "{other}");
    }
    assert!(ending(24, &absent).says_vanished() && !ending(23, &absent).says_vanished());
    assert!(!Ending { by: EndedBy::Stop, ..ending(24, &absent) }.says_vanished());
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
    let outcome = classify(&daemon(), Ending { not_deleted: &left, ..ending(0, &[]) });
    let Outcome::Partial(failing) = outcome else { panic!("{outcome:?}") };
    assert!(failing.paths.contains_key(Path::new("d2")));
}

proptest! {
    #[test]
    fn hostile_words_never_panic(code in 0..40, lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let _ = blocked(&daemon(), ending(11, &lines));
        let _ = classify(&daemon(), ending(code, &lines));
    }

    #[test]
    fn remote_words_reach_no_terminal_unescaped(words in prop::collection::vec(any::<u8>(), 1..80)) {
        let mut line = b"rsync: ".to_vec();
        line.extend(words);
        for code in [10, 23] {
            match classify(&daemon(), ending(code, std::slice::from_ref(&line))) {
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
