//! What an end means: who ended it, its exit code and the words on stderr together. Pure: a table, whose rows are looked at from
//! the top.

use super::failing::failing;
use super::{Cause, Ending, Outcome, Trouble, contains};
use crate::config::units::Span;
use crate::exit::Exit::{self, Authentication, Failed, Unreachable};
use crate::mirror::Mirror;
use crate::report::text;
use crate::rsync::children::{EndedBy, NotRun, describe};

/// What became of a job, the exit code that tells it, and what to say beside rsync's own words.
type Meaning = (fn(Trouble) -> Outcome, Exit, &'static str);

const STANDSTILL: &str = "nothing came or went for twice the `timeout`, so rsync was killed: the daemon does not answer, or \
                          something in the source cannot be opened, like a fifo in the place of a file";
/// What is said of an rsync that cannot be started.
pub const CANNOT_BE_RUN: &str = "rsync cannot be run";
const UNHEARD: &str = "the daemon ended the session before anything was done";
const NAME_REFUSED: &str = "the daemon refuses the name of the mirror: see `exclude` and `filter` in its rsyncd.conf";
const REFUSED_OPTION: &str =
    "the daemon refuses an option that is needed: see `refuse options` and `exclude` in its rsyncd.conf";

/// Decides what it means.
///
/// Two callers take an end for more than it says here, when it ended by itself: for a history that is listed,
/// [`says_absent`](Ending::says_absent) is a success, since where nothing was ever replaced there is none, and so is
/// [`says_vanished`](Ending::says_vanished), since what is pruned meanwhile may or may not be listed, as if it had been asked
/// sooner or later (`history/remote.rs`); for who asks whether there is a mirror, [`says_absent`](Ending::says_absent) is the
/// answer (`rsync/probe.rs`).
#[must_use]
pub fn classify(mirror: &Mirror, ending: Ending<'_>) -> Outcome {
    let says = |words: &str| ending.errors.iter().any(|line| contains(line, words.as_bytes()));
    let cause = ending.status.code().map_or(Cause::Other, |code| cause(code, says));
    let trouble = |exit, hint: &str| Trouble { cause, ..Trouble::new(exit, why(hint, ending.errors)) };
    match (ending.by, ending.status.code()) {
        (EndedBy::Stop, _) => Outcome::Stopped,
        (EndedBy::Standstill, _) => Outcome::Aborted(Trouble::new(Unreachable, STANDSTILL.to_owned())),
        // The exit code is 0 when a daemon is the receiver, and 25 only when it is a local process.
        (EndedBy::Itself, Some(25)) => Outcome::Limited,
        (EndedBy::Itself, _)
            if ending.errors.iter().any(|line| line.starts_with(b"Deletions stopped due to --max-delete limit")) =>
        {
            Outcome::Limited
        }
        (EndedBy::Itself, Some(0)) if !ending.heard_out => {
            Outcome::Transient(Trouble::new(Unreachable, UNHEARD.to_owned()))
        }
        (EndedBy::Itself, Some(0)) if ending.not_deleted.is_empty() => Outcome::Done,
        (EndedBy::Itself, Some(0 | 23 | 24)) => Outcome::Partial(failing(mirror, ending)),
        (EndedBy::Itself, Some(code)) => match refusal(code, says).or_else(|| cut_off(code, says)) {
            Some((outcome, exit, hint)) => outcome(trouble(exit, hint)),
            // Not one that is known to come up, so it may not come up again.
            None => Outcome::Aborted(trouble(Failed, &format!("rsync {}", describe(ending.status)))),
        },
        (EndedBy::Itself, None) => Outcome::Aborted(trouble(Failed, &format!("rsync {}", describe(ending.status)))),
    }
}

/// Decides what it means that there is no end to judge.
#[must_use]
pub fn not_run(why: NotRun) -> Outcome {
    match why {
        NotRun::Closed => Outcome::Stopped,
        NotRun::Limit(limit) => {
            let time = Span(limit.time);
            let why =
                format!("it was not done within {time}, or said far more than it had to: is that an rsync daemon?");
            Outcome::Permanent(Trouble::new(Unreachable, why))
        }
        // Mostly there are too many processes for the moment, or there is too little memory.
        NotRun::Start(e) => Outcome::Transient(Trouble::new(Failed, format!("{CANNOT_BE_RUN}: {e}"))),
        NotRun::Read(e) => Outcome::Aborted(Trouble::new(Failed, format!("rsync cannot be listened to: {e}"))),
    }
}

impl Ending<'_> {
    /// Whether a daemon has nothing in the place that was to be listed, as 3.2.7 and 3.5.0 say it.
    #[must_use]
    pub fn says_absent(&self) -> bool {
        let says = |line: &Vec<u8>| {
            line.starts_with(b"rsync: [sender] change_dir ")
                && line.ends_with(b" failed: No such file or directory (2)")
        };
        self.by == EndedBy::Itself && self.status.code() == Some(23) && self.errors.iter().any(says)
    }

    /// Whether nothing else was wrong than that something went while it was being listed.
    #[must_use]
    pub fn says_vanished(&self) -> bool {
        self.by == EndedBy::Itself && self.status.code() == Some(24)
    }
}

/// Why there was no session: nothing was done, and mostly nothing will be before somebody does something.
fn refusal(code: i32, says: impl Fn(&str) -> bool) -> Option<Meaning> {
    let permanent = |exit, hint| -> Meaning { (Outcome::Permanent, exit, hint) };
    Some(match code {
        1 if says("module is read only") => {
            permanent(Failed, "the module is read only: set `read only = no` for it in rsyncd.conf")
        }
        1 if says("module is write only") => permanent(
            Failed,
            "the module is write only, so nothing can be looked at or fetched: set `write only = no` for it in rsyncd.conf",
        ),
        // Receivers before 3.1 do not know the option at all.
        1 if says("delete-missing-args: unknown option") => (|_| Outcome::NoMissingArgs, Failed, ""),
        2 if says("invalid file mode") || says("invalid path from sender") => (|_| Outcome::NoMissingArgs, Failed, ""),
        _ if says("configured to refuse") => permanent(Failed, REFUSED_OPTION),
        3 if cause(code, &says) == Cause::NameRefused => permanent(Unreachable, NAME_REFUSED),
        3 => permanent(
            Unreachable,
            "a directory is missing on the receiving side, or closed: make it there, or let rsync enter it",
        ),
        4 if says("pre-xfer exec returned failure") => {
            permanent(Failed, "the daemon's own check refuses the session: see `pre-xfer exec` in its rsyncd.conf")
        }
        4 => permanent(Failed, REFUSED_OPTION),
        5 if says("auth failed") => permanent(
            Authentication,
            "the daemon refused the user or the password: check `user`, `password-file` and the daemon's `auth users` and `secrets file`",
        ),
        5 if cause(code, &says) == Cause::HostDenied => {
            permanent(Authentication, "the daemon denies this host: check `hosts allow` in its rsyncd.conf")
        }
        5 if says("Unknown module") => permanent(
            Unreachable,
            "the daemon has no such module, or hides it from this host: check `module` here, and [MODULE] in its rsyncd.conf",
        ),
        5 if says("max connections") => (
            Outcome::Busy,
            Unreachable,
            "the daemon is busy: raise `max connections` in its rsyncd.conf if this is usual",
        ),
        5 if says("chdir failed") || says("chroot failed") => {
            permanent(Unreachable, "the module's directory is missing on the daemon's host; is it mounted there?")
        }
        5 if says("@ERROR") && !says("lock file") => permanent(Failed, "the daemon refuses the session"),
        5 | 10 => (Outcome::Transient, Unreachable, "the daemon cannot be reached"),
        35 => (Outcome::Transient, Unreachable, "the daemon did not answer within `connect-timeout`"),
        // A command line or a protocol that one of the two does not understand. It is also 2 when a session that had begun breaks
        // off because something is not as it was said to be, which a source that changes meanwhile can bring about.
        1 => permanent(Failed, ""),
        2 if says("protocol version mismatch") || says("is your shell clean") => permanent(Failed, ""),
        _ => return None,
    })
}

/// What is behind a failure, where somebody goes by it.
fn cause(code: i32, says: impl Fn(&str) -> bool) -> Cause {
    match code {
        _ if says("daemon has excluded destination") => Cause::NameRefused,
        5 if says("access denied") && !says("auth failed") => Cause::HostDenied,
        _ => Cause::Other,
    }
}

/// Why a session ended before its time: the daemon may go on working on what it has received.
fn cut_off(code: i32, says: impl Fn(&str) -> bool) -> Option<Meaning> {
    let aborted = |exit, hint| -> Meaning { (Outcome::Aborted, exit, hint) };
    Some(match code {
        30 => aborted(Unreachable, "the connection stalled for longer than `timeout`"),
        12 | 14 | 20 => aborted(Unreachable, "the connection was lost"),
        11 if says("No space left") || says("Disk quota exceeded") => aborted(
            Failed,
            "no space is left on the receiving side: make room there, or prune more of the history by `sersync prune-history`",
        ),
        11 if says("mkdir") && says("No such file or directory") => {
            (Outcome::Permanent, Unreachable, "the target's directory is missing: make it, or mount it")
        }
        11 => aborted(Failed, "reading or writing files failed"),
        _ => return None,
    })
}

/// Our words with rsync's in brackets.
fn why(hint: &str, errors: &[Vec<u8>]) -> String {
    let said = main_line(errors);
    match (hint.is_empty(), said.is_empty()) {
        (true, true) => "rsync failed without a word".to_owned(),
        (true, false) => said,
        (false, true) => hint.to_owned(),
        (false, false) => format!("{hint} ({said})"),
    }
}

/// The line of stderr that says most: the daemon's error if there is one, else the first that is not about the exit code, nor about
/// a file that is gone, which ends nothing.
fn main_line(errors: &[Vec<u8>]) -> String {
    /// Remote words are not names: they may be cut.
    const LONGEST: usize = 300;
    let told = |line: &&Vec<u8>| !line.starts_with(b"rsync error:") && !line.is_empty();
    let counts = |line: &&Vec<u8>| told(line) && !contains(line, b" has vanished: ");
    let line = errors.iter().find(|line| contains(line, b"@ERROR")).or_else(|| errors.iter().find(counts));
    let line = line.or_else(|| errors.iter().find(told));
    let line = line.or(errors.first()).map_or(&[][..], Vec::as_slice);
    text::escaped(&line[..line.len().min(LONGEST)])
}
