//! Words of command lines that somebody pastes into a shell. Pure.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::text::escaped;

/// What a shell reads as one word, and as this one. What would spoil a terminal is written as bash and its kin escape it.
#[must_use]
pub fn word(bytes: &[u8]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:@,+%".contains(c);
    let safe = str::from_utf8(bytes).ok().filter(|text| escaped(bytes) == *text);
    match safe {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', "'\\''")),
        None => {
            let mut word = String::from("$'");
            for byte in bytes {
                let _ = match byte {
                    b'\'' | b'\\' => write!(word, "\\{}", char::from(*byte)),
                    b' '..=b'~' => write!(word, "{}", char::from(*byte)),
                    // Always three digits, so that one that follows is no part of it.
                    _ => write!(word, "\\{byte:03o}"),
                };
            }
            word + "'"
        }
    }
}

/// A path as one word.
#[must_use]
pub fn path(path: &Path) -> String {
    word(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_plain_word_stays_as_it_is() {
        assert_eq!(word(b"/etc/rsyncd.conf"), "/etc/rsyncd.conf");
        assert_eq!(word("/数据/a".as_bytes()), "/数据/a");
    }

    #[test]
    fn a_shell_reads_what_was_meant() {
        for bytes in
            [&b""[..], b"a b", b"it's", b"$(id)`id`\"*?~;#", b"a\n\x1b1'\\", b"\xff\xfe0", "\u{202e}".as_bytes()]
        {
            let script = format!("printf %s {}", word(bytes));
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, bytes, "{script}");
        }
    }
}
