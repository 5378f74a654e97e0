//! What a finished rsync run means. Pure: decided from the exit code **and** stderr, because neither is enough alone.
//!
//! Exit 5 stands for six different things, and the daemon's own words are the only way to tell them apart; see the
//! EXIT VALUES of rsync(1), `errcode.h` and what 3.2.7 and 3.5.0 print.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::output::unescape;
use crate::exit::Exit;
use crate::mirror::{Endpoint, Mirror};
use crate::report::text;

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is on the endpoint.
    Done,
    /// Some paths were not transferred or not deleted.
    Partial(Failing),
    /// It may work later without anybody doing anything; no session was begun.
    Transient(Trouble),
    /// The daemon has no connection free.
    Busy(Trouble),
    /// Like [`Outcome::Transient`], but a session had begun, and the daemon may go on working on what it has received. Before that is over
    /// nothing may be sent: see [`SETTLE`].
    Aborted(Trouble),
    /// It will not work until somebody does something.
    Permanent(Trouble),
    /// The receiver breaks on `--delete-missing-args`; nothing was done. True of rsync 3.4.3 and of distributions'
    /// packages that took over its hardening.
    NoMissingArgs,
    /// It deleted as much as it might and left the rest; everything else is done.
    Limited,
    /// It was stopped because this process is ending.
    Stopped,
}

impl Outcome {
    /// Whether a session with the endpoint may have been cut off, so that it has to be left alone for [`SETTLE`].
    #[must_use]
    pub fn cut_off(&self) -> bool {
        matches!(self, Outcome::Aborted(_) | Outcome::Stopped)
    }
}

/// What is said of a path that was there when it was looked at and gone when rsync came to it: no failure, but it has to be
/// looked at again.
pub const VANISHED: &str = "vanished while it was being sent";

/// How long to leave an endpoint alone after a session was cut off. The daemon's receiver works through what is in its
/// socket before it sees the end: it can still put an older version of a file in its place, and removing its temporary
/// file changes the time of a directory.
pub const SETTLE: Duration = Duration::from_secs(3);

/// Why a job failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The exit code that tells it best.
    pub exit: Exit,
    /// One line: what happened and what to do.
    pub why: String,
}

/// The paths of a job that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failing {
    /// Each path, relative to the source root, with rsync's words about it.
    pub paths: BTreeMap<PathBuf, String>,
    /// What rsync said that could not be put down to a path within the source; the whole job has to be tried again.
    pub unattributed: Vec<String>,
    /// Directories of the source that could not be read. They are among the paths.
    pub unreadable: Vec<PathBuf>,
    /// Directories of the source that must not be touched on the mirror for now. They are among the paths.
    pub left_alone: Vec<PathBuf>,
    /// Because of the unreadable ones rsync deleted nothing any more, anywhere in the job.
    pub deletions_skipped: bool,
}

impl Failing {
    /// How many are known of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len() + self.unattributed.len()
    }

    /// Whether none is known of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds those of another job.
    pub fn extend(&mut self, other: Failing) {
        self.paths.extend(other.paths);
        self.unattributed.extend(other.unattributed);
        self.unreadable.extend(other.unreadable);
        self.left_alone.extend(other.left_alone);
        self.deletions_skipped |= other.deletions_skipped;
    }
}

/// What rsync left behind when it ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Its exit code; none when a signal killed it.
    pub code: Option<i32>,
    /// The lines of its stderr.
    pub errors: &'a [Vec<u8>],
    /// Directories that it says it could not delete, which it does not count as an error.
    pub not_deleted: &'a [PathBuf],
    /// Whether it said that it stopped deleting.
    pub deletions_skipped: bool,
}

/// Why a path failed that the daemon neither takes nor shows nor deletes.
pub const HIDDEN: &str = "the daemon refuses it: see `exclude` and `filter` in its rsyncd.conf";

/// What it means when rsync counts a session as a success that was none: a daemon may end it before it begins
/// (`@RSYNCD: EXIT`), and then the figures with which each run ends are missing.
#[must_use]
pub fn unanswered() -> Outcome {
    let why = "the daemon ended the session before anything was done".to_owned();
    Outcome::Transient(Trouble { exit: Exit::Unreachable, why })
}

/// Decides what it means.
#[must_use]
pub fn classify(mirror: &Mirror, ending: Ending<'_>) -> Outcome {
    let says = |words: &str| ending.errors.iter().any(|line| contains(line, words.as_bytes()));
    let trouble = |exit: Exit, hint: &str| {
        let said = main_line(ending.errors);
        let why = match (hint.is_empty(), said.is_empty()) {
            (true, true) => "rsync failed without a word".to_owned(),
            (true, false) => said,
            (false, true) => hint.to_owned(),
            (false, false) => format!("{hint} ({said})"),
        };
        Trouble { exit, why }
    };
    let transient = |exit, hint| Outcome::Transient(trouble(exit, hint));
    let aborted = |exit, hint| Outcome::Aborted(trouble(exit, hint));
    let permanent = |exit, hint| Outcome::Permanent(trouble(exit, hint));
    match ending.code {
        Some(0) if ending.not_deleted.is_empty() => Outcome::Done,
        Some(0 | 23 | 24) => Outcome::Partial(failing(mirror, ending)),
        Some(1) if says("module is read only") => {
            permanent(Exit::Failed, "the module is read only: set `read only = no` for it in rsyncd.conf")
        }
        Some(1) if says("module is write only") => permanent(
            Exit::Failed,
            "the module is write only, so nothing can be looked at or fetched: set `write only = no` for it in rsyncd.conf",
        ),
        // Receivers before 3.1 do not know the option at all.
        Some(1) if says("delete-missing-args: unknown option") => Outcome::NoMissingArgs,
        Some(2) if says("invalid file mode") || says("invalid path from sender") => Outcome::NoMissingArgs,
        Some(_) if says("configured to refuse") => permanent(
            Exit::Failed,
            "the daemon refuses an option that is needed: see `refuse options` and `exclude` in its rsyncd.conf",
        ),
        Some(3) => permanent(Exit::Unreachable, "a directory is missing"),
        Some(4) if says("pre-xfer exec returned failure") => permanent(
            Exit::Failed,
            "the daemon's own check refuses the session: see `pre-xfer exec` in its rsyncd.conf",
        ),
        Some(4) => permanent(
            Exit::Failed,
            "the daemon refuses an option that is needed: see `refuse options` and `exclude` in its rsyncd.conf",
        ),
        Some(5) if says("auth failed") => permanent(
            Exit::Authentication,
            "the daemon refused the user or the password: check `user`, `password-file` and the daemon's `auth users` and `secrets file`",
        ),
        Some(5) if says("access denied") => {
            permanent(Exit::Authentication, "the daemon denies this host: check `hosts allow` in its rsyncd.conf")
        }
        Some(5) if says("Unknown module") => {
            permanent(Exit::Unreachable, "the daemon has no such module, or hides it from this host")
        }
        Some(5) if says("max connections") => Outcome::Busy(trouble(
            Exit::Unreachable,
            "the daemon is busy: raise `max connections` in its rsyncd.conf if this is usual",
        )),
        Some(5) if says("chdir failed") || says("chroot failed") => {
            permanent(Exit::Unreachable, "the module's directory is missing on the daemon's host; is it mounted there?")
        }
        Some(5) if says("@ERROR") && !says("lock file") => permanent(Exit::Failed, "the daemon refuses the session"),
        Some(5 | 10) => transient(Exit::Unreachable, "the daemon cannot be reached"),
        Some(35) => transient(Exit::Unreachable, "the daemon did not answer within `connect-timeout`"),
        Some(30) => aborted(Exit::Unreachable, "the connection stalled for longer than `timeout`"),
        Some(12 | 14 | 20) => aborted(Exit::Unreachable, "the connection was lost"),
        Some(11) if says("No space left") || says("Disk quota exceeded") => {
            aborted(Exit::Failed, "no space is left on the receiving side")
        }
        Some(11) if says("mkdir") && says("No such file or directory") => {
            permanent(Exit::Unreachable, "the target's directory is missing")
        }
        Some(11) => aborted(Exit::Failed, "reading or writing files failed"),
        // A command line or a protocol that one of the two does not understand.
        Some(1 | 2) => permanent(Exit::Failed, ""),
        // Not one that is known to come up, so it may not come up again.
        Some(code) => aborted(Exit::Failed, &format!("rsync ended with {code}")),
        None => aborted(Exit::Failed, "rsync was killed by a signal"),
    }
}

/// The line of stderr that says most: the daemon's error if there is one, else the first that is not about the exit code.
fn main_line(errors: &[Vec<u8>]) -> String {
    /// Remote words are not names: they may be cut.
    const LONGEST: usize = 300;
    let told = |line: &&Vec<u8>| !line.starts_with(b"rsync error:") && !line.is_empty();
    let line = errors.iter().find(|line| contains(line, b"@ERROR")).or_else(|| errors.iter().find(told));
    let line = line.or(errors.first()).map_or(&[][..], Vec::as_slice);
    text::escaped(&line[..line.len().min(LONGEST)])
}

fn failing(mirror: &Mirror, ending: Ending<'_>) -> Failing {
    let mut failing = Failing { deletions_skipped: ending.deletions_skipped, ..Failing::default() };
    for dir in ending.not_deleted {
        failing.paths.insert(dir.clone(), "cannot delete non-empty directory".to_owned());
    }
    for line in ending.errors {
        let vanished = between(line, b"file has vanished: \"", b"\"");
        if let Some(path) = vanished.and_then(|path| within_source(mirror, path, line)) {
            failing.paths.entry(path).or_insert_with(|| VANISHED.to_owned());
            continue;
        }
        if line.starts_with(b"ERROR: daemon refused to ")
            && let Some(path) = between(line, b"\"", b"\"").and_then(|path| within_source(mirror, path, line))
        {
            failing.paths.entry(path).or_insert_with(|| HIDDEN.to_owned());
            continue;
        }
        // The rest of rsync's own lines are summaries of those that begin with "rsync: ".
        if !line.starts_with(b"rsync: ") {
            continue;
        }
        let missing = contains(line, b"No such file or directory (2)") || contains(line, b"Not a directory (20)");
        let gone = contains(line, b"[sender] link_stat") && missing;
        let words = if gone { VANISHED.to_owned() } else { words_of(line) };
        match concerned(mirror, line) {
            Some(path) => {
                if contains(line, b"opendir") || contains(line, b"readdir") {
                    failing.unreadable.push(path.clone());
                }
                failing.paths.entry(path).or_insert(words);
            }
            None => failing.unattributed.push(words),
        }
    }
    if failing.is_empty() {
        failing.unattributed.push(format!("rsync exited with {}, naming no path", ending.code.unwrap_or_default()));
    }
    failing
}

/// The path that a line is about, if there is no doubt: a name may hold anything, also what looks like more of the line.
/// A path that was misread would be tried again in the place of the one that failed, and found to be well.
fn concerned(mirror: &Mirror, line: &[u8]) -> Option<PathBuf> {
    let Some(open) = find(line, b"\"") else {
        return between(line, b"(", b") failed").and_then(|path| within_source(mirror, path, line));
    };
    let rest = &line[open + 1..];
    let ends: Vec<usize> = (0..rest.len()).filter(|at| ends_a_name(&rest[*at..])).collect();
    let first = |end: usize| within_source(mirror, &rest[..end], line);
    match ends[..] {
        [end] => first(end),
        // `symlink "/NAME/l" (in MODULE) -> "TARGET" failed: WHY`, and hard links likewise.
        [from, _] if line[..open].ends_with(b"link ") => first(from),
        // `rename "/NAME/.f.XXXXXX" (in MODULE) -> "f": WHY`: a transfer that could not be put in its place.
        [from, to] => {
            let (one, between) = (without_temporary_name(&first(from)?)?, &rest[from..to]);
            let two = &between[find(between, b" -> \"")? + 5..];
            (line[..open].ends_with(b"rename ") && one == unescape(two)).then_some(one)
        }
        _ => None,
    }
}

/// Whether this is a quote that closes a name, by what comes after it in rsync's messages.
fn ends_a_name(text: &[u8]) -> bool {
    [&b"\" (in "[..], b"\" failed", b"\": ", b"\" -> ", b"\" => "].iter().any(|end| text.starts_with(end))
}

fn words_of(line: &[u8]) -> String {
    text::escaped(line.strip_prefix(b"rsync: ").unwrap_or(line))
}

/// What stands between the first `open` and the last `close` after it.
fn between<'a>(line: &'a [u8], open: &[u8], close: &[u8]) -> Option<&'a [u8]> {
    let start = find(line, open)? + open.len();
    let rest = &line[start..];
    let end = rest.windows(close.len()).rposition(|w| w == close)?;
    Some(&rest[..end])
}

/// The path within the source that rsync means: its sender names files below the source root, a daemon below the module
/// root, a local receiver below the target directory, and deletions are named relative to the destination.
fn within_source(mirror: &Mirror, named: &[u8], line: &[u8]) -> Option<PathBuf> {
    let path = unescape(named);
    let relative = if path.is_relative() {
        path
    } else if let Ok(below) = path.strip_prefix(&mirror.source.path)
        && !contains(line, b"\" (in ")
    {
        below.to_owned()
    } else {
        let root = match &mirror.endpoint {
            Endpoint::Daemon { .. } => Path::new("/").join(&mirror.source.name),
            Endpoint::Directory(root) => root.join(&mirror.source.name),
        };
        path.strip_prefix(root).ok()?.to_owned()
    };
    if contains(line, b"mkstemp") { without_temporary_name(&relative) } else { Some(relative) }
}

/// rsync writes to `.NAME.XXXXXX` and renames it to NAME.
fn without_temporary_name(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes();
    let original = name.strip_prefix(b".")?.get(..name.len().checked_sub(8)?)?;
    // A long name is shortened to make room for the suffix, so it does not tell the original.
    (!original.is_empty() && name.len() < 255).then(|| path.with_file_name(std::ffi::OsStr::from_bytes(original)))
}

fn contains(line: &[u8], words: &[u8]) -> bool {
    find(line, words).is_some()
}

fn find(line: &[u8], words: &[u8]) -> Option<usize> {
    line.windows(words.len()).position(|window| window == words)
}

#[cfg(test)]
mod tests;
