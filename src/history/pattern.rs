//! Which paths of a history are looked for. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::exclude::{Excludes, Is};
use crate::exit::{Exit, Failure};

/// A path relative to the source, or a pattern for such paths, as `exclude` in the configuration takes them: without a
/// slash it is a name anywhere. With one it begins at the source, unlike there. What it says literally is always meant as well,
/// so that a name with a wildcard in it can be given as it is.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As it was given.
    text: OsString,
    /// It without what only says where it begins and ends.
    literal: PathBuf,
    /// Whether it begins at the source.
    anchored: bool,
    /// Whether only directories are meant, which means what is in them.
    directories: bool,
    /// What it matches as a pattern.
    globs: Excludes,
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// When it says nothing, or is a pattern that never matches anything and no path either.
    pub fn new(text: &OsStr) -> Result<Self, Failure> {
        let bytes = text.as_bytes();
        let bytes = bytes.strip_prefix(b"./").unwrap_or(bytes);
        let inner = bytes.strip_suffix(b"/").unwrap_or(bytes);
        if inner.is_empty() || inner == b"." {
            return Err(Failure::new(Exit::Usage, "the pattern says nothing; for everything write '*'"));
        }
        let directories = inner.len() < bytes.len();
        let anchored = (inner.contains(&b'/') && !inner.starts_with(b"**")) || bytes.len() < text.len();
        let literal = inner.strip_prefix(b"/").unwrap_or(inner);
        let mut glob = if anchored { b"/".to_vec() } else { Vec::new() };
        glob.extend_from_slice(literal);
        if directories {
            glob.push(b'/');
        }
        // What rsync would not take as a pattern may still be a name.
        let globs = str::from_utf8(&glob).ok().and_then(|glob| Excludes::new(&[glob]).ok()).unwrap_or_default();
        let literal = PathBuf::from(OsStr::from_bytes(literal));
        Ok(Pattern { text: text.to_owned(), literal, anchored, directories, globs })
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &Path {
        Path::new(&self.text)
    }

    /// Whether this path is meant, which is not that of a directory: by itself, or because of a directory that it is in.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.globs.excludes_within(path, Is::Other) || self.says(path)
    }

    /// Whether it is said literally.
    fn says(&self, path: &Path) -> bool {
        if self.anchored {
            return path.starts_with(&self.literal) && !(self.directories && path == self.literal);
        }
        let above = if self.directories { path.parent().unwrap_or(path) } else { path };
        above.iter().any(|name| name == self.literal)
    }

    /// A directory, or the path itself, beside which nothing is meant: as far as it is said without wildcards.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        if !self.anchored {
            return PathBuf::new();
        }
        let plain = |name: &&OsStr| !name.as_bytes().iter().any(|byte| b"*?[\\".contains(byte));
        self.literal.iter().take_while(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(OsStr::new(text)).unwrap()
    }

    #[test]
    fn paths_and_patterns() {
        let cases: [(&str, &[&str], &[&str]); 12] = [
            ("docs/a.txt", &["docs/a.txt", "docs/a.txt/below"], &["x/docs/a.txt", "docs/a.txt2", "docs"]),
            ("a.txt", &["a.txt", "x/y/a.txt", "x/a.txt/f"], &["ba.txt", "x/a.txt2"]),
            ("/a.txt", &["a.txt", "a.txt/f"], &["x/a.txt"]),
            ("./a.txt", &["a.txt"], &["x/a.txt"]),
            ("*.txt", &["a.txt", "x/a.txt", "x.txt/y"], &["a.txt2"]),
            ("docs/*.txt", &["docs/a.txt", "docs/a.txt/b"], &["docs/x/a.txt", "x/docs/a.txt"]),
            ("docs/**", &["docs/a", "docs/x/y"], &["docs", "docs2/a"]),
            ("**/docs/*.txt", &["docs/a.txt", "x/docs/a.txt"], &["docs/x/a.txt"]),
            ("docs/", &["docs/a", "x/docs/y/z"], &["docs", "x/docs"]),
            ("a[1].txt", &["a[1].txt", "x/a[1].txt", "a1.txt"], &["a2.txt"]),
            ("x/a[b", &["x/a[b", "x/a[b/c"], &["x/ab"]),
            ("*", &["a", "a/b", "new\nline"], &[]),
        ];
        for (text, matching, others) in cases {
            let pattern = pattern(text);
            for path in matching {
                assert!(pattern.matches(Path::new(path)), "{text} does not match {path}");
            }
            for path in others {
                assert!(!pattern.matches(Path::new(path)), "{text} matches {path}");
            }
        }
        for nothing in ["", "/", ".", "./"] {
            assert!(Pattern::new(OsStr::new(nothing)).is_err(), "{nothing}");
        }
    }

    #[test]
    fn only_what_is_said_without_wildcards_is_a_place() {
        let cases = [
            ("docs/a.txt", "docs/a.txt"),
            ("docs/x/*.txt", "docs/x"),
            ("a.txt", ""),
            ("/a.txt", "a.txt"),
            ("docs/", ""),
            ("/docs/", "docs"),
            ("**/a/b", ""),
            ("a?/b", ""),
            ("a\\b/*", ""),
        ];
        for (text, place) in cases {
            assert_eq!(pattern(text).place(), Path::new(place), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_matches_is_in_its_place(text in "[ab*?/\\[\\]\\\\]{1,8}", path in "[ab*]{1,2}(/[ab*\\[]{1,2}){0,3}") {
            if let Ok(pattern) = Pattern::new(OsStr::new(&text)) {
                let path = Path::new(&path);
                prop_assert!(!pattern.matches(path) || path.starts_with(pattern.place()));
            }
        }

        #[test]
        fn every_name_can_be_given_as_it_is(path in prop::collection::vec("[^/\0]{1,6}", 1..4)) {
            prop_assume!(path.iter().all(|name| name != "." && name != ".."));
            let path = path.join("/");
            prop_assert!(pattern(&format!("/{path}")).matches(Path::new(&path)), "{}", path);
        }
    }
}
