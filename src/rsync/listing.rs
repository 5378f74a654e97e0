//! What `rsync --list-only` prints: one line for each entry. Pure. All of it comes from a remote host, names included.

use std::path::{Component, Path, PathBuf};

use chrono::NaiveDateTime;

use super::output::unescape;

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed last, to the second, in the local time of this host; nothing when the line is no date.
    pub modified: Option<NaiveDateTime>,
    /// Relative to the directory that was asked for, which is `.` itself.
    pub path: PathBuf,
}

/// What an entry is. Links are never followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory itself, and not a link to one.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Special,
}

impl Entry {
    /// Whether it is a directory itself.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// Reads `drwxr-xr-x          4,096 2026/11/25 09:09:05 name`, without the targets of links, as rsync prints it without `-l`; none when the line is something else, such as the words
/// with which a daemon greets. The name comes last and is the only part that may hold a space, at its beginning too.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Entry> {
    let (mode, rest) = word(line)?;
    let (size, rest) = word(rest.trim_ascii_start())?;
    let (date, rest) = word(rest)?;
    let (time, name) = word(rest)?;
    let digits = |text: &[u8], others: &[u8]| {
        !text.is_empty() && text.iter().all(|byte| byte.is_ascii_digit() || others.contains(byte))
    };
    let kind = match mode.first()? {
        b'd' => Kind::Directory,
        b'-' => Kind::File,
        b'l' => Kind::Link,
        b'c' | b'b' | b's' | b'p' => Kind::Special,
        _ => return None,
    };
    let is_entry = mode.len() == 10 && digits(size, b",.") && !name.is_empty();
    (is_entry && digits(date, b"/-") && digits(time, b":"))
        .then(|| {
            let size = size.iter().filter(|byte| byte.is_ascii_digit());
            let size = size.fold(0_u64, |sum, byte| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
            let moment = [date, b" ", time].concat();
            let modified = str::from_utf8(&moment)
                .ok()
                .and_then(|text| NaiveDateTime::parse_from_str(text, "%Y/%m/%d %H:%M:%S").ok());
            Entry { kind, size, modified, path: unescape(name) }
        })
        .filter(|entry| stays_within(&entry.path))
}

/// Whether a path is one below the directory that was asked for. No honest endpoint lists another one.
fn stays_within(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

/// What stands before the first space, and what after it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    Some((&line[..space], &line[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_real_listings() {
        let cases = [
            ("drwxr-xr-x          4,096 2026/11/25 09:09:05 .", Some((true, "."))),
            ("drwxr-xr-x           4096 2026/11/25 09:09:05 n/2026-01-01/100000", Some((true, "n/2026-01-01/100000"))),
            ("lrwxrwxrwx              4 2026/11/25 09:09:05 2026-02-02", Some((false, "2026-02-02"))),
            ("-rw-r--r-- 12345678901234567 2026/11/25 09:09:05  two  spaces ", Some((false, " two  spaces "))),
            ("drwxr-xr-x          4,096 2026/11/25 09:09:05 odd\\#012name", Some((true, "odd\nname"))),
            ("drwxr-xr-x          4,096 2026/11/25 09:09:05 ", None),
            ("welcome to 1 host, 2 disks and 3 cats", None),
            ("-rw-r--r--              4 2026/11/25 09:09:05 n/2026-01-01/100000/../../../../etc/shadow", None),
            ("-rw-r--r--              4 2026/11/25 09:09:05 /etc/shadow", None),
            ("-rw-r--r--              4 2026/11/25 09:09:05 ..", None),
            ("drwxr-xr-x", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let found = parse(line.as_bytes()).map(|entry| (entry.is_directory(), entry.path));
            assert_eq!(found, expected.map(|(directory, path)| (directory, path.into())), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_name_is_taken_for_another(name in "[ -~]{1,30}") {
            let line = format!("drwxr-xr-x          4,096 2026/11/25 09:09:05 {}", name.replace('\\', "\\#134"));
            let expected = Some(PathBuf::from(name)).filter(|name| stays_within(name));
            prop_assert_eq!(parse(line.as_bytes()).map(|entry| entry.path), expected);
        }
    }
}
