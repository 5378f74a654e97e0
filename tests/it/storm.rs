//! A seeded storm of random changes while `watch` runs, with passes beside it: at quiet moments and at the end source and
//! mirror are equal, entry by entry, and every version that was on the mirror at a quiet moment is still there or in the
//! history.
//!
//! `SERSYNC_STORM_SEED` replays a storm, `SERSYNC_STORM_SECONDS` makes it longer.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::{Rsyncd, Version};
use crate::support::events::for_each_source;
use crate::support::holds_within;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::diff;

for_each_source! {
    a_storm_ends_in_equal_trees,
    a_storm_ends_in_equal_trees_with_debian_12,
}

/// A small generator of numbers that is the same everywhere (`SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    /// A path of one to four names out of few, so that they meet often.
    fn path(&mut self, root: &Path) -> PathBuf {
        const NAMES: [&str; 8] = ["a", "b", "c", "d", "#e#", "f\ng", "-h", "i[1]*"];
        let depth = 1 + self.below(4);
        (0..depth).fold(root.to_owned(), |path, _| path.join(NAMES[self.below(NAMES.len())]))
    }
}

/// One random change. Most of what can go wrong (nothing there, not empty, wrong type) is part of the storm.
fn change(random: &mut Random, root: &Path, outside: &Path) {
    let kind = random.below(20);
    change_one(random, kind, root, outside);
}

/// One random change, but none that is only about attributes.
pub(crate) fn change_of_content(random: &mut Random, root: &Path, outside: &Path) {
    let kind = random.below(18);
    change_one(random, kind + 2 * usize::from(kind >= 16), root, outside);
}

fn change_one(random: &mut Random, kind: usize, root: &Path, outside: &Path) {
    let (one, two) = (random.path(root), random.path(root));
    let size = random.below(9000);
    // No two versions are the same, so that each can be looked for later.
    let unique = format!("{} ", random.below(usize::MAX >> 1)).into_bytes();
    let _ = match kind {
        0..4 => fs::create_dir_all(one.parent().unwrap())
            .and_then(|()| fs::write(&one, [unique.as_slice(), &vec![b'x'; size]].concat())),
        4 => File::options().append(true).open(&one).and_then(|mut file| file.write_all(&unique)),
        5 => File::options().write(true).open(&one).and_then(|file| file.set_len(size as u64 / 3)),
        6 => File::options().write(true).open(&one).and_then(|file| file.write_at(&unique, 0).map(drop)),
        7 => fs::create_dir_all(&one),
        8 => fs::remove_file(&one),
        9 => fs::remove_dir(&one),
        10 => fs::remove_dir_all(&one),
        11..14 => fs::rename(&one, &two),
        14 => symlink(size.to_string(), &one),
        // No second names: what is changed through one is not seen under the others (README, limits).
        15 => fs::copy(&one, &two).map(drop),
        16 => fs::set_permissions(&one, PermissionsExt::from_mode(0o700 | u32::try_from(size).unwrap() & 0o077)),
        17 => {
            let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + size as u64, 5);
            File::open(&one).and_then(|file| file.set_times(FileTimes::new().set_modified(time)))
        }
        18 => fs::rename(&one, outside.join(size.to_string())),
        _ => {
            let here = rustix::fs::CWD;
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(here, &one, here, &two, flags).map_err(Into::into)
        }
    };
}

/// The contents of all files below a directory, and where each is.
fn contents(root: &Path) -> BTreeMap<Vec<u8>, PathBuf> {
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    files.map(|entry| (fs::read(entry.path()).unwrap(), entry.into_path())).collect()
}

/// Enough of a log to see what was done last to the paths that differ.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(400)..].join("\n")
}

fn storm(version: Version, seed_offset: u64) {
    if !version.is_here() {
        return;
    }
    let from_env = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = from_env("SERSYNC_STORM_SEED").unwrap_or(20_261_123 + seed_offset);
    let seconds = from_env("SERSYNC_STORM_SECONDS").unwrap_or(8);
    println!("seed {seed}, {seconds} s");
    let mut random = Random::new(seed);
    let daemon = Rsyncd::builder().version(version).start();
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let url = daemon.url("name");
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[watch]\ndelay = '20ms'\nmax-delay = '200ms'\nmax-pending = 60\nrename-min-size = '0B'\n\
         [targets.t]\nmodule = '{}'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        daemon.password_file().display(),
        url.rsplit('/').nth(1).unwrap(),
        daemon.port(),
        place.source().display(),
    );
    let config = config(&place.dir, &text);
    let state = place.dir.path().join("state");
    fs::write(place.source().join("first"), "1").unwrap();
    let watch = Sersync::new(&["watch", "-vvv", "-c"]).arg(&config).state_dir(&state).spawn();
    let end = Instant::now() + Duration::from_secs(seconds);
    let same = || {
        let mirror = daemon.module_path().join("name");
        let same = holds_within(Duration::from_secs(30), || diff(&place.source(), &mirror).is_empty());
        assert!(
            same,
            "{}\nthe log ends with:\n{}",
            diff(&place.source(), &mirror).join("\n"),
            last_lines(&watch.stderr_so_far())
        );
    };
    let module = daemon.module_path();
    // What was on the mirror at some time, which must not be lost.
    let mut versions = BTreeMap::new();
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        let pass = (round % 4 == 0).then(|| {
            Sersync::new(&["full-sync", "--allow-empty", "--force-delete", "-c"]).arg(&config).state_dir(&state).spawn()
        });
        for _ in 0..200 {
            change(&mut random, &place.source(), &outside);
        }
        if let Some(pass) = pass {
            let output = pass.wait(Duration::from_secs(60));
            assert!(matches!(output.code, Some(0 | 3 | 11)), "{output}");
        }
        if round % 3 == 0 {
            same();
            versions.extend(contents(&module.join("name")));
        }
    }
    same();
    let output = watch.terminate();
    assert_eq!(output.signal, Some(Signal::TERM.as_raw()), "{output}");
    assert!(!output.stderr.contains("from the history"), "{}", last_lines(&output.stderr));
    let placed = output.stderr.lines().filter(|line| line.contains("placed what was renamed")).count();
    println!("{placed} renames were placed");
    let kept = contents(&module);
    let total = versions.len();
    versions.retain(|content, _| !kept.contains_key(content));
    let lost: Vec<&PathBuf> = versions.values().collect();
    assert!(lost.is_empty(), "{} of {total} versions are lost: {lost:?}\n{}", lost.len(), last_lines(&output.stderr));
}

fn a_storm_ends_in_equal_trees() {
    storm(Version::Installed, 0);
}

fn a_storm_ends_in_equal_trees_with_debian_12() {
    storm(Version::Debian12, 1);
}
