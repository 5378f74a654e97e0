//! Patterns against paths, as rsync was seen to decide; `tests/it/excludes.rs` asks rsync itself.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn one(pattern: &str) -> Excludes {
    Excludes::new(&[pattern]).unwrap()
}

fn reason(pattern: &str) -> Reason {
    Excludes::new(&[pattern]).unwrap_err().reason
}

/// Pattern, what it leaves out by itself, what it does not. A trailing slash marks a directory.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    // Without a slash: the last name, at any depth.
    ("foo", &["foo", "foo/", "a/foo", "a/b/foo"], &["foo2", "a/foo/b", "xfoo"]),
    ("*.tmp", &["a.tmp", ".tmp", "d/a.tmp", "a.b.tmp"], &["a.tmp.x", "atmp", "a.tmp/x"]),
    ("*.", &["a.", "a.b."], &["a.b"]),
    ("?", &["a", "x/b"], &["ab", ""]),
    // With slashes: anchored, or the end of the path.
    ("/foo", &["foo"], &["a/foo"]),
    ("a/b", &["a/b", "x/a/b"], &["xa/b", "a/b/c", "b"]),
    ("a/*", &["a/b", "x/a/c"], &["a", "a/b/c"]),
    ("/a/*/c", &["a/b/c"], &["a/c", "a/b/b/c", "x/a/b/c"]),
    // Directories only.
    ("foo/", &["foo/", "a/foo/"], &["foo", "a/foo"]),
    ("/a/b/", &["a/b/"], &["a/b", "x/a/b/"]),
    ("**/", &["a/", "a/b/"], &["a", "a/b"]),
    // Two stars cross slashes, also within a name.
    ("**", &["a", "a/b"], &[]),
    ("foo**bar", &["foobar", "foo/bar", "foo1/x/2bar", "x/foo/bar"], &["xfoobar", "foo/barx"]),
    ("/foo**bar", &["foobar", "foo/x/bar"], &["x/foobar"]),
    ("a**b**c", &["abc", "a/b/c", "ax/xbx/xc", "x/abc"], &["a/c", "xabc"]),
    ("**b", &["b", "ab", "x/ab"], &["bc"]),
    ("**/b", &["b", "x/b", "x/y/b"], &["ab"]),
    ("/**/b", &["x/b", "x/y/b"], &["b", "ab"]),
    ("a/**/b", &["a/x/b", "a/x/y/b", "x/a/x/b"], &["a/b"]),
    ("a/**", &["a/b", "a/b/c", "x/a/b"], &["a/", "a"]),
    ("a/***", &["a/", "a/b", "a/b/c", "x/a/"], &["a", "ba/"]),
    ("/a/***", &["a/", "a/b"], &["x/a/", "a"]),
    ("**/a/***", &["a/", "x/a/", "x/a/b"], &["a", "xa/"]),
    ("a***", &["a", "ab", "a/b"], &["b"]),
    ("/***", &["a", "a/b"], &[]),
    // Classes.
    ("[ab]", &["a", "b"], &["c", "ab"]),
    ("[!ab]", &["c", "x/c"], &["a", "b", "x/a"]),
    ("[^a-c]x", &["dx"], &["bx"]),
    ("x[!a]y", &["xby"], &["xay", "x/y"]),
    ("/a[^/]b", &["axb"], &["a/b"]),
    ("a[^/]b", &[], &["axb", "x/axb", "a/b"]),
    ("**a[^/]b", &["axb", "x/axb"], &["a/b"]),
    ("[]a]", &["]", "a"], &["b"]),
    ("[!]a]", &["b"], &["]", "a"]),
    ("[]-a]", &["]", "^", "a"], &["-", "b"]),
    ("[a-]", &["a", "-"], &["b"]),
    ("[a\\-c]", &["a", "-", "c"], &["b"]),
    ("[\\!^]", &["!", "^"], &["a"]),
    ("[\\]]", &["]"], &["\\"]),
    ("[[:digit:]x-z]", &["1", "y"], &["a", "-"]),
    ("[![:alpha:]]", &["1", "-"], &["a"]),
    ("[[:space:]]", &["\u{b}", "\n", " "], &["a"]),
    ("[[:]", &["[", ":"], &["a"]),
    ("[c-a]", &["c"], &["a", "b"]),
    // Escapes count only next to wildcards.
    ("a\\b", &["a\\b"], &["ab"]),
    ("a\\b*", &["ab", "abc"], &["a\\b"]),
    ("\\*", &["*"], &["a", "\\"]),
    ("a\\*b", &["a*b"], &["axb", "a\\*b"]),
    ("a\\", &["a\\"], &["a"]),
    ("\\/a*", &[], &["a", "x/a"]),
    // What globs would read differently.
    ("{a,b}", &["{a,b}"], &["a", "b"]),
    ("{a,b}*", &["{a,b}", "{a,b}c"], &["a"]),
    ("*,*", &["x,y"], &["x"]),
    ("a]", &["a]"], &["a"]),
    // Names are bytes, and some are hostile.
    ("*", &["a\nb", "x/a\nb"], &[]),
    ("a?b", &["a\nb"], &["aéb"]),
    ("a??b", &["aéb"], &[]),
    ("é", &["é", "x/é"], &["e"]),
    ("\\é*", &["éa"], &[]),
    (" a", &[" a"], &["a"]),
    ("-a", &["-a"], &["a"]),
    ("!a", &["!a"], &["a"]),
    ("#a", &["#a"], &[]),
    // What never matches.
    ("/", &[], &["a", "a/"]),
    ("//a", &[], &["a", "x/a"]),
    ("a//", &[], &["a", "a/"]),
    ("**//", &[], &["a", "a/", "a/b/"]),
    ("a//b", &[], &["a/b"]),
];

#[test]
fn patterns_leave_out_what_rsync_leaves_out() {
    for (pattern, matching, other) in TABLE {
        let excludes = one(pattern);
        let matched = |path: &str| {
            excludes.excludes_entry(Path::new(path.trim_end_matches('/')), Is::directory_if(path.ends_with('/')))
        };
        for path in *matching {
            assert!(matched(path), "{pattern:?} does not match {path:?}");
        }
        for path in *other {
            assert!(!matched(path), "{pattern:?} matches {path:?}");
        }
    }
}

#[test]
fn a_directory_takes_its_content_with_it() {
    let excludes = Excludes::new(&["/a/b/", "*.o"]).unwrap();
    for (path, is_dir, excluded) in [
        ("a/b", true, true),
        ("a/b", false, false),
        ("a/b/c/d", false, true),
        ("x/a/b/c", false, false),
        ("x.o/y/z", true, true),
        ("", true, false),
    ] {
        assert_eq!(excludes.excludes_within(Path::new(path), Is::directory_if(is_dir)), excluded, "{path:?}");
    }
    assert!(!excludes.excludes_entry(Path::new("a/b/c"), Is::Other));
}

#[test]
fn names_that_are_not_utf_8_are_matched_byte_by_byte() {
    let path = Path::new(OsStr::from_bytes(b"d/a\xffb"));
    for (pattern, expected) in
        [("a?b", true), ("a??b", false), ("a[!x]b", true), ("a[x]b", false), ("a*", true), ("a[[:print:]]b", false)]
    {
        assert_eq!(one(pattern).excludes_entry(path, Is::Other), expected, "{pattern}");
    }
}

#[test]
fn an_empty_list_leaves_nothing_out() {
    let excludes = Excludes::new::<&str>(&[]).unwrap();
    assert!(excludes.is_empty());
    assert!(!excludes.excludes_within(Path::new("a/b"), Is::Directory));
    assert!(Excludes::default().is_empty());
    assert!(!one("a").is_empty());
    assert!(!one("a/").is_empty());
}

#[test]
fn what_rsync_would_not_take_as_a_pattern_is_refused() {
    let unknown = |name: &str| Reason::UnknownClass(name.to_owned());
    for (pattern, expected) in [
        ("", Reason::Empty),
        ("a\0", Reason::Nul),
        ("- a", Reason::Rule),
        ("+ a", Reason::Rule),
        ("- ", Reason::Rule),
        ("!", Reason::ClearsList),
        ("a[b", Reason::UnclosedClass),
        ("[]", Reason::UnclosedClass),
        ("[!]", Reason::UnclosedClass),
        ("[a\\", Reason::UnclosedClass),
        ("[a-\\", Reason::UnclosedClass),
        ("[[:alpha:", Reason::UnclosedClass),
        ("[[:foo:]]", unknown("foo")),
        ("[[::]]", unknown("")),
        ("[[:Alpha:]]", unknown("Alpha")),
        ("[aé]", Reason::NotAscii('é')),
        ("[a-é]", Reason::NotAscii('é')),
        ("*\\", Reason::DanglingEscape),
        ("*\\/", Reason::DanglingEscape),
    ] {
        assert_eq!(reason(pattern), expected, "{pattern:?}");
    }
    assert_eq!(reason(&"*".repeat(4096)), Reason::TooLong);
}

#[test]
fn the_error_names_the_pattern() {
    let error = Excludes::new(&["a", "b[", ""]).unwrap_err();
    assert_eq!((error.index, error.pattern.as_str()), (1, "b["));
    let text =
        "exclude pattern \"b[\": a \"[\" is not closed, and rsync would match nothing; for a literal one write \"\\[\"";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_ways_out_that_the_errors_name_work() {
    for (pattern, name) in [("[-] a", "- a"), ("[\\!]", "!"), ("a\\[b", "a[b"), ("*\\\\", "a\\")] {
        assert!(one(pattern).excludes_entry(Path::new(name), Is::Other), "{pattern:?}");
    }
}

#[test]
fn the_longest_patterns_compile() {
    for piece in ["?", "*a", "**a", "[!a]", "[[:alnum:]]", "é", "/", "a"] {
        let pattern = piece.repeat(MAX_PATTERN / piece.len());
        assert!(Excludes::new(&[&pattern]).is_ok(), "{piece}");
    }
}

/// The stars of rsync, done by trying everything. `pattern` has no classes, no escapes and no trailing slash.
fn stars_match(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|n| stars_match(rest, &text[n..])),
        [b'*', rest @ ..] => {
            (0..=text.len()).take_while(|n| !text[..*n].contains(&b'/')).any(|n| stars_match(rest, &text[n..]))
        }
        [b'?', rest @ ..] => text.first().is_some_and(|b| *b != b'/') && stars_match(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && stars_match(rest, &text[1..]),
    }
}

proptest! {
    /// At the root there is nothing but stars to get right.
    #[test]
    fn stars_are_translated_exactly(
        pattern in "([ab]|\\*|\\*\\*|/|\\?){0,7}[ab*]",
        path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
    ) {
        let matched = one(&format!("/{pattern}")).excludes_entry(Path::new(&path), Is::Other);
        prop_assert_eq!(matched, stars_match(pattern.as_bytes(), path.as_bytes()));
    }

    /// With a backslash in front of every character and a wildcard behind it, a pattern is just a name.
    #[test]
    fn every_name_can_be_escaped(name in "[^/\0]{1,12}", other in "[^/\0]{1,12}") {
        let pattern: String = name.chars().flat_map(|c| ['\\', c]).collect();
        let excludes = one(&format!("{pattern}*"));
        prop_assert!(excludes.excludes_entry(Path::new(&name), Is::Other));
        prop_assert_eq!(excludes.excludes_entry(Path::new(&other), Is::Other), other.starts_with(&name));
    }

    /// Whatever is written in a configuration, there is an answer, and a path is left out when one of the entries
    /// on the way to it is.
    #[test]
    fn any_text_is_refused_or_matches(
        patterns in prop::collection::vec("[a*?/\\[\\]!^\\\\:{},. -]{0,8}|\\PC{0,8}", 0..4),
        names in prop::collection::vec(prop::collection::vec(1_u8.., 1..4), 1..4),
    ) {
        let name = |bytes: Vec<u8>| {
            OsString::from_vec(bytes.into_iter().map(|b| if b == b'/' { b'_' } else { b }).collect())
        };
        let path: PathBuf = names.into_iter().map(name).collect();
        if let Ok(excludes) = Excludes::new(&patterns) {
            let above = path.ancestors().skip(1).any(|dir| excludes.excludes_entry(dir, Is::Directory));
            prop_assert_eq!(excludes.excludes_within(&path, Is::Other), above || excludes.excludes_entry(&path, Is::Other));
        }
    }
}
