//! How paths become patterns that match them and nothing else. Pure: a name is bytes, and none of them may mean more than itself.
//!
//! A backslash only escapes in a pattern that has a wildcard (rsync(1), PATTERN MATCHING RULES); in all others it is a plain
//! character.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// A rule that is longer is dropped by rsync (4,095 bytes).
const LONGEST_RULE: usize = 4000;

/// The exclude pattern that matches exactly this path, and so all that is in it when it is a directory.
#[must_use]
pub fn pattern_for(path: &Path) -> OsString {
    pattern_below(path, "")
}

/// The exclude pattern that matches exactly this directory of the source, and so all that is in it.
#[must_use]
pub fn pattern_for_directory(dir: &Path) -> OsString {
    let mut pattern = pattern_for(dir);
    pattern.push("/");
    pattern
}

/// The exclude pattern that matches what has such a name in exactly this directory; the name may have wildcards.
#[must_use]
pub fn pattern_for_names_in(dir: &Path, name: &str) -> OsString {
    let mut pattern = vec![b'/'];
    // It has a wildcard, so that a backslash escapes in all of it.
    push_escaped(&mut pattern, dir.as_os_str().as_bytes());
    if pattern.len() > 1 {
        pattern.push(b'/');
    }
    pattern.extend_from_slice(name.as_bytes());
    OsString::from_vec(pattern)
}

/// The pattern for what is `below` a path, which may have wildcards; with nothing below for the path itself.
pub(in crate::rsync) fn pattern_below(path: &Path, below: &str) -> OsString {
    let path = path.as_os_str().as_bytes();
    let has_wildcard = below.contains('*') || path.iter().any(|byte| b"*?[".contains(byte));
    let mut pattern = vec![b'/'];
    if has_wildcard {
        push_escaped(&mut pattern, path);
    } else {
        pattern.extend_from_slice(path);
    }
    pattern.extend_from_slice(below.as_bytes());
    OsString::from_vec(pattern)
}

/// The patterns for each directory on the way from a unit, which has wildcards, to a path in it, for itself, and for everything
/// below.
pub(in crate::rsync) fn rules_down_to(unit: &str, path: &Path) -> Vec<OsString> {
    let mut rules = Vec::new();
    let mut pattern = unit.as_bytes().to_vec();
    for name in path {
        let mut longer = pattern.clone();
        longer.push(b'/');
        push_escaped(&mut longer, name.as_bytes());
        if longer.len() > LONGEST_RULE {
            // More is listed then than was asked for, and never less.
            break;
        }
        pattern = longer;
        rules.push(OsString::from_vec(pattern.clone()));
    }
    pattern.extend_from_slice(b"/**");
    rules.push(OsString::from_vec(pattern));
    rules
}

/// Adds a name to a pattern that has a wildcard.
fn push_escaped(pattern: &mut Vec<u8>, name: &[u8]) {
    for byte in name {
        if b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn rules_lead_to_a_path_and_to_what_is_below_it() {
        let rules = |path: &[u8]| rules_down_to("/n/*", Path::new(OsStr::from_bytes(path)));
        assert_eq!(rules(b""), ["/n/*/**"]);
        assert_eq!(rules(b"a[1]/b\\c"), ["/n/*/a\\[1]", "/n/*/a\\[1]/b\\\\c", "/n/*/a\\[1]/b\\\\c/**"]);
        let long = rules(&[&[b'x'; 255][..], b"/"].concat().repeat(20));
        assert!(long.iter().all(|rule| rule.len() < 4096));
        assert!(long.last().is_some_and(|rule| rule.as_bytes().ends_with(b"x/**")));
    }
}
