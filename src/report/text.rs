//! Text that is safe to print: names and remote messages are hostile bytes.

use std::fmt::Write as _;
use std::path::Path;

/// Bytes as one line of text: control, bidirectional and other invisible characters are escaped, and so is what is not
/// UTF-8. Nothing is cut.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || is_deceptive(c) {
                let _ = write!(text, "{}", c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A path as [`escaped`] text; the empty one is the root of a source, `.`.
#[must_use]
pub fn path(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    escaped(path.as_os_str().as_bytes())
}

/// Characters that reorder or hide what stands around them on a terminal.
pub(super) fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A number of bytes for people: `812 B`, `4.2 MiB`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 path`, `2 paths`, `2 directories`, `2 batches`.
#[must_use]
pub fn count(number: usize, word: &str) -> String {
    match (number, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (_, None) if word.ends_with("ch") => format!("{number} {word}es"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {word}s"),
    }
}

/// That something cannot be done with a file, as in "PATH cannot be read"; the reason comes after it.
#[must_use]
pub fn cannot_be(done: &str, path: &Path) -> String {
    format!("{} cannot be {done}", self::path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_unescaped() {
        assert_eq!(escaped(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(escaped("数据 \u{202e}txt".as_bytes()), "数据 \\u{202e}txt");
        assert_eq!(escaped(b"\xff\xfe"), "\\xff\\xfe");
        assert_eq!([path(Path::new("")), path(Path::new("a\n"))], [".", "a\\n"]);
    }

    #[test]
    fn counts_for_people() {
        assert_eq!(
            [count(1, "directory"), count(2, "directory"), count(0, "path"), count(2, "batch")],
            ["1 directory", "2 directories", "0 paths", "2 batches"]
        );
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(5_000_000)], ["0 B", "1023 B", "1.0 KiB", "4.8 MiB"]);
    }
}
