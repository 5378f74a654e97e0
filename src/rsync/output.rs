//! What rsync prints on stdout: one line per item, then the statistics. Pure. The bytes come from a remote host in part.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What rsync did to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was not there before.
    Create,
    /// Its content was sent.
    Update,
    /// Only its attributes changed.
    Attributes,
    /// It was deleted.
    Delete,
}

impl Change {
    /// The word in listings and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Change::Create => "create",
            Change::Update => "update",
            Change::Attributes => "attrs",
            Change::Delete => "delete",
        }
    }
}

/// One line of rsync's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An item that was or, in a dry run, would be changed.
    Item {
        /// What is done to it.
        change: Change,
        /// The size of a file whose content is sent, else 0.
        bytes: u64,
        /// Relative to the source root; directories keep their closing `/`.
        path: PathBuf,
    },
    /// `Total bytes sent`.
    BytesSent(u64),
    /// A directory that was to be deleted but has content; rsync calls that a success.
    NotDeleted(PathBuf),
    /// A directory of the source could not be read, so from here on rsync deletes nothing in this run.
    DeletionsSkipped,
    /// How far the run is, as `--info=progress2` prints it.
    Progress {
        /// The size of what was sent until now, unchanged parts of files included.
        bytes: u64,
        /// How many entries were compared until now; not known in the middle of a file.
        looked: Option<u64>,
    },
    /// Anything else.
    Other,
}

/// Reads one line as `--out-format=%i %l %n` and `--stats` print it.
#[must_use]
pub fn parse(line: &[u8]) -> Line {
    if let Some(sent) = line.strip_prefix(b"Total bytes sent: ") {
        return number(sent).map_or(Line::Other, Line::BytesSent);
    }
    if let Some(name) = line.strip_prefix(b"cannot delete non-empty directory: ") {
        return Line::NotDeleted(unescape(name));
    }
    if line == b"IO error encountered -- skipping file deletion" {
        return Line::DeletionsSkipped;
    }
    if matches!(line.first(), Some(b' ' | b'0'..=b'9')) {
        return progress(line).unwrap_or(Line::Other);
    }
    // "%i" is 11 characters for changes and 12 for "*deleting  ".
    let (change, rest) = match line {
        [b'*', b'd', b'e', b'l', b'e', b't', b'i', b'n', b'g', rest @ ..] => (Change::Delete, rest),
        [update @ (b'<' | b'>' | b'c' | b'h' | b'.'), kind @ (b'f' | b'd' | b'L' | b'D' | b'S'), rest @ ..]
            if rest.len() > 9 && rest[9] == b' ' =>
        {
            let change = match (update, kind, rest[0]) {
                (_, _, b'+') => Change::Create,
                // A file in the place of which a link was put ("h") is in the bucket, as one that was overwritten.
                (b'<' | b'>' | b'h', _, _) | (_, b'L' | b'D' | b'S', _) if *update != b'.' => Change::Update,
                _ => Change::Attributes,
            };
            (change, &rest[9..])
        }
        _ => return Line::Other,
    };
    let rest = rest.trim_ascii_start();
    let Some(space) = rest.iter().position(|b| *b == b' ') else { return Line::Other };
    let Some(size) = number(&rest[..space]) else { return Line::Other };
    let sent = matches!(line.first(), Some(b'<' | b'>'));
    Line::Item { change, bytes: if sent { size } else { 0 }, path: unescape(&rest[space + 1..]) }
}

/// Reads `     3000005  99%  476.84MB/s    0:00:00 (xfr#3, ir-chk=1049/1113)`; the brackets are missing in the middle of a
/// file. `ir-chk` stands for `to-chk` while the list of files is not complete. What is between does not matter here.
fn progress(line: &[u8]) -> Option<Line> {
    let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
    let bytes = words.next()?.parse().ok()?;
    words.next()?.strip_suffix('%')?.parse::<u64>().ok()?;
    words.next()?.strip_suffix("B/s")?;
    words.next()?;
    let looked = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(_), last) => {
            let check = last?.strip_suffix(')')?;
            let (left, all) =
                check.strip_prefix("to-chk=").or_else(|| check.strip_prefix("ir-chk="))?.split_once('/')?;
            Some(all.parse::<u64>().ok()?.checked_sub(left.parse().ok()?)?)
        }
    };
    words.next().is_none().then_some(Line::Progress { bytes, looked })
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.trim().parse().ok()
}

/// Undoes rsync's `\#ooo`. It writes a backslash that could be mistaken for one as `\#134`, so this is exact.
#[must_use]
pub fn unescape(name: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        if let [b'\\', b'#', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = rest {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(change: Change, bytes: u64, path: &str) -> Line {
        Line::Item { change, bytes, path: path.into() }
    }

    #[test]
    fn lines_of_a_real_run() {
        let cases = [
            ("<f+++++++++ 2 x", item(Change::Create, 2, "x")),
            ("<f.st...... 7 a b", item(Change::Update, 7, "a b")),
            (">f..t...... 7 x", item(Change::Update, 7, "x")),
            ("cd+++++++++ 4096 a/", item(Change::Create, 0, "a/")),
            (".d..t...... 4096 ./", item(Change::Attributes, 0, "./")),
            (".f...p..... 3 x", item(Change::Attributes, 0, "x")),
            ("cLc.t...... 4 link", item(Change::Update, 0, "link")),
            (".L..t...... 4 link", item(Change::Attributes, 0, "link")),
            ("hf+++++++++ 9 second name", item(Change::Create, 0, "second name")),
            ("hf......... 9 second name", item(Change::Update, 0, "second name")),
            ("cS+++++++++ 0 fifo", item(Change::Create, 0, "fifo")),
            ("*deleting   0 a/b/f", item(Change::Delete, 0, "a/b/f")),
            ("*deleting   0  two spaces", item(Change::Delete, 0, " two spaces")),
            ("<f+++++++++ 1 new\\#012line", item(Change::Create, 1, "new\nline")),
            ("<f+++++++++ 1 \\#134#012", item(Change::Create, 1, "\\#012")),
            ("Total bytes sent: 261", Line::BytesSent(261)),
            ("Number of files: 6 (reg: 2, dir: 4)", Line::Other),
            ("cannot delete non-empty directory: d2", Line::NotDeleted("d2".into())),
            ("IO error encountered -- skipping file deletion", Line::DeletionsSkipped),
            ("created directory n", Line::Other),
            ("sent 261 bytes  received 104 bytes  730.00 bytes/sec", Line::Other),
            ("", Line::Other),
            ("              0   0%    0.00kB/s    0:00:00  ", Line::Progress { bytes: 0, looked: None }),
            (
                "        3000005  99%  476.84MB/s    0:00:00 (xfr#3, ir-chk=1049/1113)",
                Line::Progress { bytes: 3_000_005, looked: Some(64) },
            ),
            (
                "1234567890123456 100%    0.00kB/s ??:??:?? (xfr#0, to-chk=0/1863) ",
                Line::Progress { bytes: 1_234_567_890_123_456, looked: Some(1863) },
            ),
            ("  1   0%    0.00kB/s    0:00:00 (xfr#3, ir-chk=2/1)", Line::Other),
            ("  1   0%    0.00kB/s    0:00:00 (xfr#3, ir-chk=-2/1)", Line::Other),
            ("  1   0%    0.00kB/s    0:00:00 (xfr#3, ir-chk=1/99999999999999999999)", Line::Other),
            ("  1   0%    0.00kB/s    0:00:00 (xfr#3,", Line::Other),
            ("  1   0%    0.00kB/s    0:00:00 (xfr#3, to-chk=1/2) more", Line::Other),
            ("  1   0%    0.00kB/s", Line::Other),
            ("  1   0%", Line::Other),
            (" welcome to 1 host", Line::Other),
            ("99 bottles", Line::Other),
            ("   ", Line::Other),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&line);
        }
    }
}
