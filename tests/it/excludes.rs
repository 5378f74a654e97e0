//! The exclude patterns against rsync itself: random lists of patterns over random small trees, and for each list the
//! entries that rsync would transfer must be those that are not excluded here.
//!
//! The cases are the same in every run. `SERSYNC_EXCLUDES_SEED` chooses others and `SERSYNC_EXCLUDES_TREES` more.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sersync::exclude::{Excludes, Is, PatternError, Reason};

/// With these numbers there are 300 runs of rsync, each some tens of milliseconds long.
const TREES: u64 = 6;
const LISTS_PER_TREE: usize = 50;
/// An rsync run is mostly waiting for its own processes, so more of them than there are cores run at a time.
const PARALLEL: usize = 8;

/// Names that look alike, mean something to patterns, globs or rsync's output, or are not text. The first ones are
/// drawn more often, so that patterns find them.
const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"ab",
    b"ba",
    b"a.tmp",
    b"a[b",
    b"a\\b",
    b"{a}",
    b"x,y",
    b"a b",
    b"a\nb",
    b"\xff",
    b"a\xffb",
    "é".as_bytes(),
    b"*",
    b"a*b",
    b"]",
    b"-",
    b"!",
    b"^a",
    b"\\#012",
    b"\\",
    b"\t",
    b"\x7f",
    b"AB",
    b"1",
];

const WILDCARDS: &[&str] =
    &["*", "*", "*", "*", "**", "**", "**", "***", "?", "?", "?", "/", "/", "/", "/", "**/", "/**", "/***"];

const PLAIN: &[&str] = &[
    "a", "a", "a", "b", "b", "ab", ".tmp", "{a}", "{", ",", " ", "é", "\n", "\\", "\\*", "\\?", "\\[", "\\\\", "\\a",
    "\\/", "]", "[", "-", "!", "#", ".",
];

const CLASSES: &[&str] = &[
    "[ab]",
    "[!a]",
    "[^/]",
    "[^ab]",
    "[a-z]",
    "[/a]",
    "[!]a]",
    "[]a-]",
    "[a-\\]]",
    "[\\!-a]",
    "[*]",
    "[**]",
    "[?\\\\]",
    "[[:a]",
    "[b-a-c]",
    "[[:no:]]",
    "[[:alpha:]]",
    "[![:alpha:]_]",
    "[[:upper:]]",
    "[[:punct:]]",
    "[[:cntrl:]]",
    "[[:space:]]",
];

/// A small generator of random numbers (splitmix64): the same seed gives the same cases everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % limit
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

fn piece(random: &mut Random) -> &'static str {
    match random.below(5) {
        0 | 1 => random.pick(WILDCARDS),
        2 | 3 => random.pick(PLAIN),
        _ => random.pick(CLASSES),
    }
}

#[derive(Debug, Clone)]
struct Entry {
    path: PathBuf,
    is_dir: bool,
}

/// Fills a directory with random entries and returns them: files, directories, and links to directories.
fn grow(random: &mut Random, root: &Path, below: &Path, depth: usize, entries: &mut Vec<Entry>) {
    let mut names = BTreeSet::new();
    for _ in 0..3 + random.below(5) {
        let among = if random.one_in(2) { 5 } else { NAMES.len() };
        names.insert(random.pick(&NAMES[..among]));
    }
    for name in names {
        if entries.len() >= 80 {
            return;
        }
        let path = below.join(OsStr::from_bytes(name));
        let is_dir = depth < 4 && !random.one_in(3);
        entries.push(Entry { path: path.clone(), is_dir });
        if is_dir {
            std::fs::create_dir(root.join(&path)).unwrap();
            grow(random, root, &path, depth + 1, entries);
        } else if random.one_in(5) {
            std::os::unix::fs::symlink(".", root.join(&path)).unwrap();
        } else {
            std::fs::write(root.join(&path), "").unwrap();
        }
    }
}

fn random_pattern(random: &mut Random, entries: &[Entry]) -> String {
    let mut pattern = if random.one_in(2) { String::new() } else { blurred_path(random, entries) };
    if pattern.is_empty() || random.one_in(4) {
        if random.one_in(3) {
            pattern.insert(0, '/');
        }
        for _ in 0..=random.below(4) {
            pattern.push_str(piece(random));
        }
    }
    if random.one_in(5) {
        pattern.push_str(random.pick(&["/", "/", "*", "**", "***", "/**", "/***", "//"]));
    }
    pattern
}

/// The end of an existing path, or all of it, with parts of the names replaced by pieces of patterns.
fn blurred_path(random: &mut Random, entries: &[Entry]) -> String {
    let path = entries[random.below(entries.len())].path.to_string_lossy().into_owned();
    let names: Vec<&str> = path.split('/').collect();
    let from = random.below(names.len() + 1);
    let mut pattern = String::new();
    if from == names.len() {
        pattern.push('/');
    }
    let names = &names[from % names.len()..];
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            pattern.push('/');
        }
        match random.below(4) {
            0 => pattern.push_str(random.pick(WILDCARDS)),
            1 => {
                for c in name.chars() {
                    match random.below(3) {
                        0 => pattern.push_str(piece(random)),
                        1 => pattern.extend(['\\', c]),
                        _ => pattern.push(c),
                    }
                }
            }
            _ => pattern.push_str(name),
        }
    }
    pattern
}

/// What rsync would transfer to an empty directory: paths relative to the root, without slashes at the end.
fn kept_by_rsync(root: &Path, empty: &Path, patterns: &[String]) -> BTreeSet<PathBuf> {
    let output = Command::new("rsync")
        .args(["-rln8", "--out-format=%n"])
        .args(patterns.iter().map(|pattern| format!("--exclude={pattern}")))
        .arg("./")
        .arg(empty)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{patterns:?}: {output:?}");
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| PathBuf::from(OsStr::from_bytes(&unescape(line.strip_suffix(b"/").unwrap_or(line)))))
        .filter(|path| path != Path::new("."))
        .collect()
}

/// Takes back what rsync does to control characters in names: `\#012`.
fn unescape(mut line: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    while let Some((byte, rest)) = line.split_first() {
        line = rest;
        if let [b'#', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest
            && *byte == b'\\'
        {
            name.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            line = after;
        } else {
            name.push(*byte);
        }
    }
    name
}

/// Compares one list of patterns; returns how many entries it left out.
fn compare(root: &Path, empty: &Path, entries: &[Entry], patterns: &[String]) -> usize {
    let kept: BTreeSet<PathBuf> = match Excludes::new(patterns) {
        Ok(excludes) => entries
            .iter()
            .filter(|e| !excludes.excludes_within(&e.path, Is::directory_if(e.is_dir)))
            .map(|e| e.path.clone())
            .collect(),
        // These are refused because they match nothing, so that has to be true.
        Err(PatternError {
            pattern,
            reason: Reason::UnclosedClass | Reason::UnknownClass(_) | Reason::DanglingEscape,
            ..
        }) => {
            let kept = kept_by_rsync(root, empty, slice::from_ref(&pattern));
            assert_eq!(kept.len(), entries.len(), "rsync does match something with {pattern:?}");
            return 0;
        }
        Err(PatternError { reason: Reason::NotAscii(_) | Reason::Rule | Reason::ClearsList, .. }) => return 0,
        Err(error) => panic!("{error}"),
    };
    let by_rsync = kept_by_rsync(root, empty, patterns);
    let ours: Vec<_> = kept.difference(&by_rsync).collect();
    let theirs: Vec<_> = by_rsync.difference(&kept).collect();
    assert!(
        ours.is_empty() && theirs.is_empty(),
        "patterns {patterns:?}\nonly rsync leaves out {ours:?}\nonly we leave out {theirs:?}\nin the tree {entries:?}"
    );
    entries.len() - kept.len()
}

fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn the_same_entries_are_left_out_as_by_rsync() {
    let first = number_from_env("SERSYNC_EXCLUDES_SEED", 1);
    let trees = number_from_env("SERSYNC_EXCLUDES_TREES", TREES);
    let (mut lists_that_exclude, mut excluded, mut pairs) = (0, 0, 0);
    for seed in first..first + trees {
        println!("seed {seed}");
        let scratch = tempfile::tempdir().unwrap();
        let (root, empty) = (scratch.path().join("tree"), scratch.path().join("empty"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&empty).unwrap();
        let mut random = Random(seed);
        let mut entries = Vec::new();
        grow(&mut random, &root, Path::new(""), 0, &mut entries);
        let lists: Vec<Vec<String>> = (0..LISTS_PER_TREE)
            .map(|_| {
                let length = if random.one_in(4) { 2 + random.below(2) } else { 1 };
                (0..length).map(|_| random_pattern(&mut random, &entries)).collect()
            })
            .collect();
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut counts = Vec::new();
            while let Some(patterns) = lists.get(next.fetch_add(1, Ordering::Relaxed)) {
                counts.push(compare(&root, &empty, &entries, patterns));
            }
            counts
        };
        let counts: Vec<usize> = thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        lists_that_exclude += counts.iter().filter(|n| **n > 0).count();
        excluded += counts.iter().sum::<usize>();
        pairs += entries.len() * lists.len();
    }
    println!("{pairs} pairs of list and path, {excluded} left out, {lists_that_exclude} lists left something out");
    // If the random patterns found nothing, equality would prove nothing.
    assert!(lists_that_exclude * 4 > usize::try_from(trees).unwrap() * LISTS_PER_TREE);
}
