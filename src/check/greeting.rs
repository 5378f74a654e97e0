//! The line with which a daemon greets, and what it says about its version. Pure: the bytes come from a remote host.

use crate::exit::Exit;
use crate::report::findings::{Finding, Grade};
use crate::report::text;

/// Of 3.4.0, and of packages of 3.2.7 that distributions have mended.
const MENDED: u32 = 32;
/// Of 3.1.0.
const USABLE: u32 = 31;

/// What the protocol of `@RSYNCD: 32.0 sha512 sha256` means.
#[must_use]
pub(super) fn protocol(greeting: &[u8]) -> Finding {
    let Some(number) = number(greeting) else {
        let shown = text::escaped(&greeting[..greeting.len().min(60)]);
        let found = format!("not an rsync daemon: it says \"{shown}\"");
        return Finding::with_remedy("protocol", Grade::Bad(Exit::Unreachable), found, "check the port in `hosts`");
    };
    let old = "update the package `rsync` on that host, to 3.4.1 or newer";
    match number {
        MENDED.. => Finding::ok(
            "protocol",
            format!("{number}: rsync 3.4 or newer, or a distribution's package that was mended"),
        ),
        USABLE => Finding::with_remedy(
            "protocol",
            Grade::Warning,
            "31: rsync 3.1 to 3.3, with holes that are known since 2025 (CVE-2024-12084 and others)",
            old,
        ),
        _ => Finding::with_remedy(
            "protocol",
            Grade::Warning,
            format!("{number}: rsync before 3.1, of 2013, with many known holes; it cannot delete by name"),
            old,
        ),
    }
}

fn number(greeting: &[u8]) -> Option<u32> {
    let words = str::from_utf8(greeting).ok()?.strip_prefix("@RSYNCD: ")?;
    words.split(['.', ' ', '\n', '\r']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn old_daemons_are_warned_of_and_others_are_none() {
        let grade = |greeting: &[u8]| protocol(greeting).grade;
        assert_eq!(grade(b"@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4\n"), Grade::Ok);
        assert_eq!(grade(b"@RSYNCD: 31.0\n"), Grade::Warning);
        assert_eq!(grade(b"@RSYNCD: 30\n"), Grade::Warning);
        for other in [&b""[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"@RSYNCD: x", b"\xff\x1b[2J"] {
            assert_eq!(grade(other), Grade::Bad(Exit::Unreachable));
        }
        assert!(!protocol(b"\x1b[2J").found.contains('\x1b'));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            let _ = protocol(&bytes);
        }
    }
}
