//! Which paths failed, as rsync's lines on stderr name them. Pure: the bytes come from a remote host in part, and a name may
//! hold anything.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::{Blocked, Ending, Failing, HIDDEN, VANISHED, contains, find};
use crate::mirror::Mirror;
use crate::report::text;
use crate::rsync::argv::mirror_there;
use crate::rsync::children::describe;
use crate::rsync::output::unescape;

/// The paths of a run that did the rest, with rsync's words about each.
pub(super) fn failing(mirror: &Mirror, ending: Ending<'_>) -> Failing {
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
        failing.unattributed.push(format!("rsync {}, naming no path", describe(ending.status)));
    }
    failing
}

/// The path because of which a receiver ended with 11: it could not write it, so it took nothing that comes after it. The words
/// are looked for at the beginning of the line only, where no name can stand.
#[must_use]
pub fn blocked(mirror: &Mirror, ending: Ending<'_>) -> Option<Blocked> {
    if ending.status.code() != Some(11) {
        return None;
    }
    let (line, path) = ending.errors.iter().find_map(|line| {
        let said = line.strip_prefix(b"rsync: ")?;
        // Before 3.2 it did not say who speaks.
        let said = said.strip_prefix(b"[receiver] ").unwrap_or(said);
        let names_it = said.starts_with(b"write failed on \"") || said.starts_with(b"close failed on \"");
        let path = names_it.then(|| concerned(mirror, line)).flatten()?;
        Some((line, path))
    })?;
    let mut names = path.components().peekable();
    let is_within = names.peek().is_some() && names.all(|name| matches!(name, Component::Normal(_)));
    is_within.then(|| Blocked { path, why: words_of(line) })
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
        path.strip_prefix(mirror_there(mirror)).ok()?.to_owned()
    };
    let before_the_name = line.split(|byte| *byte == b'"').next().unwrap_or_default();
    if contains(before_the_name, b"mkstemp") { without_temporary_name(&relative) } else { Some(relative) }
}

/// rsync writes to `.NAME.XXXXXX` and renames it to NAME.
fn without_temporary_name(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes();
    let original = name.strip_prefix(b".")?.get(..name.len().checked_sub(8)?)?;
    // A long name is shortened to make room for the suffix, so it does not tell the original.
    (!original.is_empty() && name.len() < 255).then(|| path.with_file_name(OsStr::from_bytes(original)))
}
