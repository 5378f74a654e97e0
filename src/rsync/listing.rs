//! What `rsync --list-only` prints: one line for each entry. Pure. All of it comes from a remote host, names included.

use std::path::PathBuf;

use super::output::unescape;

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is a directory itself, and not a link to one.
    pub directory: bool,
    /// Relative to the directory that was asked for, which is `.` itself.
    pub path: PathBuf,
}

/// Reads `drwxr-xr-x          4,096 2026/11/25 09:09:05 name`; none when the line is something else, such as the words
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
    let kind = *mode.first()?;
    let is_entry = mode.len() == 10 && b"-dlcbsp".contains(&kind) && digits(size, b",.") && !name.is_empty();
    (is_entry && digits(date, b"/-") && digits(time, b":"))
        .then(|| Entry { directory: kind == b'd', path: unescape(name) })
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
            ("drwxr-xr-x", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(directory, path)| Entry { directory, path: path.into() });
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
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
            prop_assert_eq!(parse(line.as_bytes()), Some(Entry { directory: true, path: name.into() }));
        }
    }
}
