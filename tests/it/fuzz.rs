//! Everything that parses foreign bytes, with bytes at random and with real samples (`tests/corpus/`) that are damaged: it
//! ends, quickly, without a panic, and what comes out is no larger than what went in allows.
//!
//! `SERSYNC_FUZZ_CASES=200000 cargo test --release --test it fuzz::` runs longer. Event buffers and journals are not public;
//! they have the like beside them (`src/events/fanotify/records.rs`, `src/state/journal.rs`).

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use sersync::bucket::Bucket;
use sersync::config::import::import;
use sersync::mirror::Mirror;
use sersync::retention::{self, Found, Policy};
use sersync::rsync::children::{EndedBy, Finished};
use sersync::rsync::{listing, outcome, output};
use sersync::state::condition::Condition;
use sersync::state::notices::Notices;
use sersync::state::passes::Passes;
use sersync::tree::known::Directories;

/// No sample takes a thousandth of that, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(10);

/// What is done to a sample.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Signs that mean something are more likely to be noticed.
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(b"\0\n\r\"'\\{}[]()<>=#$;,:/.-+* \x1b\xff".to_vec())];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), prop::collection::vec(byte(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Remove(from, to)),
        (any::<Index>(), any::<Index>(), 1_usize..50).prop_map(|(from, to, times)| Damage::Repeat(from, to, times)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let place = |index: &Index| index.index(bytes.len() + 1);
        let range = |a: &Index, b: &Index| place(a).min(place(b))..place(a).max(place(b));
        match damage {
            Damage::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Set(..) => {}
            Damage::Insert(at, more) => drop(bytes.splice(place(at)..place(at), more.iter().copied())),
            Damage::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Damage::Repeat(from, to, times) => {
                let range = range(from, to);
                let piece: Vec<u8> = bytes[range.clone()].iter().take(200).copied().collect();
                drop(bytes.splice(range.start..range.start, piece.repeat(*times)));
            }
            Damage::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// Hands a parser bytes at random, and the damaged samples of a directory of the corpus.
fn fuzz(corpus: &str, parse: impl Fn(&[u8])) {
    let cases = std::env::var("SERSYNC_FUZZ_CASES").map_or(400, |cases| cases.parse().unwrap());
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(corpus);
    let mut samples: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    samples.sort();
    let samples: Vec<Vec<u8>> = samples.iter().map(|path| fs::read(path).unwrap()).collect();
    for sample in &samples {
        parse(sample);
    }
    let bytes = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        4 => (prop::sample::select(samples), prop::collection::vec(damage(), 1..6))
            .prop_map(|(sample, damages)| damaged(sample, &damages)),
    ];
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let result = TestRunner::new(config).run(&bytes, |bytes| {
        let begun = Instant::now();
        parse(&bytes);
        prop_assert!(begun.elapsed() < LONGEST, "{:?} for {} bytes", begun.elapsed(), bytes.len());
        Ok(())
    });
    if let Err(why) = result {
        panic!("{corpus}: {why}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Parses each line.
fn lines(parse: impl Fn(&[u8])) -> impl Fn(&[u8]) {
    move |bytes| bytes.split(|byte| *byte == b'\n').for_each(&parse)
}

#[test]
fn configurations() {
    fuzz("config", |bytes| {
        // Each fault is named once, whatever else is wrong.
        if let Err(error) = sersync::config::parse(&text(bytes), "f") {
            assert!(error.to_string().len() < 2_000 + 200 * bytes.len());
        }
    });
}

/// What is imported is a configuration, and of about the size of what it comes from.
fn imports(format: &str) {
    let of = format.parse().unwrap();
    fuzz(format, |bytes| {
        let made = import(&text(bytes), "f", of);
        assert!(!made.is_ok_and(|made| made.len() > 10_000 + 2_000 * bytes.len()));
    });
}

#[test]
fn configurations_of_the_bash_sersync() {
    imports("bash");
}

#[test]
fn configurations_of_the_cpp_sersync() {
    imports("xml");
}

#[test]
fn configurations_of_lsyncd() {
    imports("lsyncd");
}

#[test]
fn what_rsync_prints() {
    fuzz(
        "output",
        lines(|line| {
            if let output::Line::Item { path, .. } = output::parse(line) {
                assert!(path.as_os_str().len() <= line.len());
            }
        }),
    );
}

#[test]
fn what_rsync_complains_of() {
    let text = "[targets.t]\nmodule = 'm'\nhosts = ['h']\n[sources.name]\npath = '/src'\ntargets = ['t']\n";
    let settings = sersync::config::parse(text, "f").unwrap();
    let mirrors = Mirror::select(&settings, &[]).unwrap();
    let mirror = mirrors.first().unwrap();
    fuzz("stderr", |bytes| {
        let errors: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        for code in [0, 1, 2, 3, 5, 10, 11, 12, 23, 24, 25, 30] {
            let (by, status) = (EndedBy::Itself, ExitStatus::from_raw(code << 8));
            let finished = Finished { status, errors: errors.clone(), errors_dropped: 0, by };
            let ending = outcome::Ending::of(&finished, true);
            let _ = outcome::classify(mirror, ending);
            let _ = outcome::blocked(mirror, ending);
            let _ = (ending.says_absent(), ending.says_vanished());
        }
    });
}

#[test]
fn listings() {
    fuzz(
        "listing",
        lines(|line| {
            if let Some(entry) = listing::parse(line) {
                assert!(entry.path.as_os_str().len() <= line.len() && entry.path.is_relative());
                assert!(!entry.path.components().any(|part| part == std::path::Component::ParentDir));
            }
        }),
    );
}

#[test]
fn names_of_buckets() {
    fuzz("bucket", |bytes| {
        let text = text(bytes);
        let found: Vec<Found> =
            text.lines().map(|line| Found { path: line.into(), directory: line.len() % 3 != 0 }).collect();
        for line in text.lines() {
            // A name that is one is written in one way only.
            if let Ok(bucket) = line.parse::<Bucket>() {
                assert_eq!(bucket.to_string(), line);
            }
        }
        let policy = Policy { keep_days: 7, resolution: Duration::from_secs(60), in_use: false };
        if let Ok(plan) = retention::plan(&found, policy, &chrono::Local::now()) {
            assert!(plan.removed().count() <= found.len());
        }
    });
}

#[test]
fn state_files() {
    fuzz("note", |bytes| {
        let _ = serde_json::from_slice::<Condition>(bytes);
        let _ = serde_json::from_slice::<Passes>(bytes);
        let _ = serde_json::from_slice::<Notices>(bytes);
    });
    fuzz("directories", |bytes| {
        if let Some(directories) = Directories::from_bytes(bytes) {
            assert_eq!(directories.as_bytes(), bytes);
        }
    });
}
