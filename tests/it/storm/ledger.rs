//! The book of versions: what was where in the source, what of it was on the mirror at a quiet moment, and whether each such
//! version is still there or in the history, exactly once.
//!
//! A version is a file (or symbolic link) with its path, content and time. It *arrives* when a change brings it to its path.
//! One that arrived once, and was seen on the mirror, must be there or in the history once. One that left its path and came
//! back (renamed there and back, exchanged twice) may be in the history once for each stay. So the rule is, for each version:
//! as many copies as stays that were seen to end, and no more copies than arrivals. Three exceptions are argued where they are
//! made: [`Ledger::beside_a_pass`], [`Counting::AtLeast`] and [`made_anew`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sersync::report::text;

/// A file or symbolic link at some time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    content: u64,
    mtime: (i64, i64),
    is_link: bool,
}

/// How many copies there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// As many as the rule says.
    Exactly,
    /// rsync keeps a replaced file by a second name in the history, and then puts the new one in its place. A receiver that
    /// is killed between the two leaves both; the next attempt, to a new bucket, keeps the file once more. And what was being
    /// renamed on the mirror when a run was cut off is made anew by the next one. Nothing is lost by either.
    AtLeast,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    root: PathBuf,
    now: BTreeMap<PathBuf, Version>,
    arrivals: BTreeMap<(PathBuf, Version), usize>,
    /// What was on the mirror at the last quiet moment.
    quiet: BTreeMap<PathBuf, Version>,
    /// When that was.
    quiet_at: String,
    /// The stays of each version on the mirror that were seen to end: when it was there last, and when not any more.
    ended: BTreeMap<(PathBuf, Version), Vec<String>>,
    /// What arrived since the last quiet moment.
    fresh: BTreeSet<(PathBuf, Version)>,
    beside: BTreeSet<(PathBuf, Version)>,
    pass_is_running: bool,
    /// A pass was running since the last quiet moment.
    pass_was_running: bool,
}

impl Ledger {
    /// The book of a source that is empty.
    pub(super) fn new(root: &Path) -> Self {
        Ledger { root: root.to_owned(), ..Ledger::default() }
    }

    /// Looks at what a change may have touched.
    pub(super) fn look(&mut self, touched: &[PathBuf]) {
        for path in touched {
            let Ok(path) = path.strip_prefix(&self.root) else { continue };
            let below = self.now.range(path.to_owned()..).take_while(|(known, _)| known.starts_with(path));
            let below: Vec<PathBuf> = below.map(|(known, _)| known.clone()).collect();
            let mut before: BTreeMap<PathBuf, Version> = BTreeMap::new();
            for known in below {
                before.extend(self.now.remove_entry(&known));
            }
            for (path, version) in versions(&self.root, path) {
                if before.get(&path) != Some(&version) {
                    let key = (path.clone(), version.clone());
                    if self.pass_is_running {
                        self.beside.insert(key.clone());
                    }
                    self.fresh.insert(key.clone());
                    *self.arrivals.entry(key).or_default() += 1;
                }
                self.now.insert(path, version);
            }
        }
    }

    /// What arrives while a pass runs, or has not been sent when it begins, may be sent by the watch, then replaced by the pass,
    /// which had not seen it on the mirror or has an older list of files, and sent once more after the pass. So it may be in the
    /// history once although it is on the mirror as well.
    ///
    /// For the same reason what both replace in the same moment may be in the history twice: each of them has made a second
    /// name of the old file in its own bucket before one of them put the new one in its place.
    ///
    /// And a symbolic link that a file takes the place of at that time may be missing in the history: the pass moves it there,
    /// the watch puts the file in its place, and when the pass does the same, what it keeps of that replaces the link (README,
    /// limits).
    pub(super) fn beside_a_pass(&mut self, running: bool) {
        self.pass_is_running = running;
        self.pass_was_running = true;
        self.beside.extend(std::mem::take(&mut self.fresh));
    }

    /// The mirror is equal to the source.
    pub(super) fn quiet(&mut self) {
        let last = std::mem::replace(&mut self.quiet, self.now.clone());
        let now = chrono::Local::now().format("%H:%M:%S%.3f").to_string();
        for (path, version) in last {
            let may_be_lost = version.is_link && self.pass_was_running;
            // With another time alone it is mirrored, and is no version: what is compared by content just gets the time.
            let has_same_content = |now: &Version| (now.content, now.is_link) == (version.content, version.is_link);
            let stays = self.quiet.get(&path).is_some_and(has_same_content);
            if self.pass_was_running && self.quiet.get(&path) != Some(&version) {
                self.beside.insert((path.clone(), version.clone()));
            }
            if !stays && !may_be_lost {
                self.ended.entry((path, version)).or_default().push(format!("{} to {now}", self.quiet_at));
            }
        }
        self.quiet_at = now;
        self.pass_was_running = self.pass_is_running;
        self.fresh.clear();
    }

    /// How many versions were seen on the mirror.
    pub(super) fn seen(&self) -> usize {
        self.quiet.len() + self.ended.len()
    }

    /// What is wrong with the history, after a last quiet moment.
    pub(super) fn wrong(&self, module: &Path, counting: Counting, log: &str) -> Vec<String> {
        let anew = made_anew(log);
        // The buckets in which each version is.
        let mut kept: BTreeMap<(PathBuf, Version), Vec<PathBuf>> = BTreeMap::new();
        let history = module.join("history-backup/name");
        for (path, version) in versions(&history, Path::new("")) {
            let (bucket, path) = (path.iter().take(2).collect(), path.iter().skip(2).collect());
            kept.entry((path, version)).or_default().push(bucket);
        }
        let mut wrong = Vec::new();
        // Whatever time it has there: what was renamed on the mirror shares the time with the version in the history until its
        // content changes (README, limits).
        let mut ended: BTreeMap<(&PathBuf, u64), Vec<&String>> = BTreeMap::new();
        for ((path, version), stays) in &self.ended {
            ended.entry((path, version.content)).or_default().extend(stays);
        }
        let mut there: BTreeMap<(&PathBuf, u64), Vec<&PathBuf>> = BTreeMap::new();
        for ((path, version), buckets) in &kept {
            there.entry((path, version.content)).or_default().extend(buckets);
        }
        for (key, stays) in ended {
            let buckets = there.get(&key).cloned().unwrap_or_default();
            if buckets.len() < stays.len() {
                wrong.push(format!("{}: in {buckets:?}, but it was there {stays:?}", text::path(key.0)));
            }
        }
        let current = self.quiet.iter().map(|(path, version)| (path.clone(), version.clone()));
        let seen: BTreeSet<(PathBuf, Version)> = self.ended.keys().cloned().chain(current).collect();
        for key in seen {
            let here = usize::from(self.quiet.get(&key.0) == Some(&key.1));
            let buckets = kept.get(&key).cloned().unwrap_or_default();
            let most = self.arrivals.get(&key).copied().unwrap_or_default()
                + usize::from(self.beside.contains(&key))
                + anew.get(&text::path(&key.0)).copied().unwrap_or_default();
            if counting == Counting::Exactly && buckets.len() + here > most {
                wrong.push(format!(
                    "{}: in {buckets:?}, on the mirror: {here}, but it came {most} times",
                    text::path(&key.0)
                ));
            }
        }
        wrong
    }
}

/// How often each path was sent anew although it was there. That is done after a batch that put something that was renamed in
/// its new place and then failed in part: what the mirror has under the old name may be the same file then, and whatever
/// changes its mode would change the other. What was sent anew is in the history once more.
fn made_anew(log: &str) -> BTreeMap<String, usize> {
    let mut anew = BTreeMap::new();
    let mut at_it = false;
    for line in log.lines() {
        let Some((_, said)) = line.split_once("/mod: ") else { continue };
        if said.starts_with("rsync ") {
            at_it = said.contains(" --ignore-times ");
        } else if let Some(path) = said.strip_prefix("update ").filter(|_| at_it) {
            *anew.entry(path.to_owned()).or_default() += 1;
        }
    }
    anew
}

/// The files and symbolic links at and below a path, by their paths below the root.
fn versions(root: &Path, path: &Path) -> Vec<(PathBuf, Version)> {
    let start = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    // Otherwise a link that leads nowhere would be an error where it is the start.
    let entries = walkdir::WalkDir::new(start).follow_root_links(false).into_iter().filter_map(Result::ok);
    let version = |entry: walkdir::DirEntry| {
        let kind = entry.file_type();
        let mut hasher = DefaultHasher::new();
        if kind.is_symlink() {
            hasher.write(b"link ");
            hasher.write(fs::read_link(entry.path()).ok()?.as_os_str().as_bytes());
        } else if kind.is_file() {
            hasher.write(&fs::read(entry.path()).ok()?);
        } else {
            return None;
        }
        let meta = entry.metadata().ok()?;
        let mtime = (meta.mtime(), meta.mtime_nsec());
        let version = Version { content: hasher.finish(), mtime, is_link: kind.is_symlink() };
        Some((entry.path().strip_prefix(root).ok()?.to_owned(), version))
    };
    entries.filter_map(version).collect()
}
