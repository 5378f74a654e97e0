//! Brings back a file or a tree as it was: finds out what it was like, fetches each entry from where it is now, and puts
//! the whole in its place at once.

pub mod place;
pub mod plan;
pub mod when;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta};
use log::{debug, trace};

use self::place::Staging;
use self::plan::{Entry, Origin, Step};
use self::when::When;
use crate::exit::{Exit, Failure};
use crate::history::bucket::Bucket;
use crate::history::retention::Unit;
use crate::mirror::Mirror;
use crate::report::summary::Summary;
use crate::report::text;
use crate::rsync::children::{Children, Ends, NotRun};
use crate::rsync::outcome::{self, Ending, Outcome};
use crate::rsync::retrieval::SenderCheck;
use crate::rsync::{argv, listing, probe, retrieval};
use crate::state::StateDir;
use crate::state::journal::{self, Page};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The file or directory, relative to the source; everything when it is empty.
    pub path: &'a Path,
    /// As it was at this moment.
    pub at: When,
    /// For so long a bucket is in use at most, as far as nothing else is known of it.
    pub resolution: TimeDelta,
    /// Where the journals are.
    pub state: &'a StateDir,
}

/// A file or a tree as it was.
#[derive(Debug)]
pub struct Found {
    /// As it was at this moment.
    pub moment: When,
    /// Its entries, relative to the source.
    pub entries: BTreeMap<PathBuf, Entry>,
}

impl Found {
    /// How many entries are no directories, and how many are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let directories = self.entries.values().filter(|entry| entry.directory).count();
        (self.entries.len() - directories, directories)
    }
}

/// Finds out what was there.
///
/// # Errors
/// That it was not there, or why that cannot be known.
pub fn find(mirror: &Mirror, children: &Children, terms: Terms<'_>) -> Result<Found, Failure> {
    let concerns = |path: &Path| path.starts_with(terms.path) || terms.path.starts_with(path);
    if !retrieval::is_possible(mirror) {
        return Err(Failure::new(Exit::Unreachable, format!("{mirror}: the target directory does not exist")));
    }
    let mut now = BTreeMap::new();
    list(mirror, children, retrieval::mirror_listing(mirror, terms.path), |entry| {
        if entry.path != Path::new(".") && entry.path.starts_with(terms.path) {
            now.insert(entry.path.clone(), entry.is_directory());
        }
    })?;
    let mut steps: BTreeMap<Unit, (Step, Option<NaiveDateTime>)> = BTreeMap::new();
    let pages = journal::read(terms.state, mirror, concerns);
    for Page { bucket, until, created, removed } in
        pages.map_err(|e| Failure::new(Exit::Failed, format!("{mirror}: the journals cannot be read: {e}")))?
    {
        let until = DateTime::<Local>::from(until).naive_local();
        steps.insert(Unit::Bucket(bucket), (Step { created, removed, ..Step::default() }, Some(until)));
    }
    let mut divided = BTreeSet::new();
    list(mirror, children, retrieval::versions_listing(mirror, terms.path), |entry| {
        if let Some(bucket) = entry.path.to_str().and_then(|text| text.parse::<Bucket>().ok()) {
            divided.insert(bucket.start.date());
        }
        if let Some((unit, path)) = divide(&entry.path).filter(|(_, path)| concerns(path)) {
            steps.entry(unit).or_default().0.versions.insert(path.to_owned(), entry.is_directory());
        }
    })?;
    // In a day with buckets, what is beside them is not ours.
    steps.retain(|unit, _| matches!(unit, Unit::Bucket(_)) || !divided.contains(&unit.day()));
    let mut undone: Vec<(Unit, Step)> = Vec::new();
    let mut moment = terms.at;
    for (unit, (step, until)) in steps {
        let undoes = match terms.at {
            When::Begin(bucket) => unit >= Unit::Bucket(bucket) || unit.start() > bucket.start,
            When::Time(time) => time <= ended(unit, until, terms.resolution),
        };
        if undoes {
            undone.push((unit, step));
        }
    }
    undone.sort_by_key(|(unit, _)| (unit.start(), *unit));
    // Of what happened within a bucket it is not known when.
    if let (Some((unit, _)), When::Time(time)) = (undone.first(), terms.at)
        && unit.start() < time
    {
        moment = match unit {
            Unit::Bucket(bucket) => When::Begin(*bucket),
            Unit::Day(_) => When::Time(unit.start()),
        };
    }
    debug!("{mirror}: {} to be undone, to {moment}", text::count(undone.len(), "bucket"));
    let mut entries = plan::before(now, &undone);
    entries.retain(|path, _| path.starts_with(terms.path));
    if entries.is_empty() && (!terms.path.as_os_str().is_empty() || undone.is_empty()) {
        let what = text::path(terms.path);
        return Err(Failure::new(Exit::Failed, format!("{mirror}: {what} was not there at {moment}")));
    }
    Ok(Found { moment, entries })
}

/// The last moment at which something may have gone into a unit.
fn ended(unit: Unit, until: Option<NaiveDateTime>, resolution: TimeDelta) -> NaiveDateTime {
    let start = unit.start();
    match (unit, until) {
        (Unit::Day(_), _) => start + TimeDelta::days(1) - TimeDelta::seconds(1),
        (Unit::Bucket(_), Some(until)) => until.max(start),
        (Unit::Bucket(_), None) => start.checked_add_signed(resolution).unwrap_or(start),
    }
}

/// The unit in which a path in the history is, and the path within. In the original's layout there is no bucket in a day.
fn divide(path: &Path) -> Option<(Unit, &Path)> {
    let mut components = path.components();
    let day = components.next()?.as_os_str().to_str()?;
    let in_day = components.as_path();
    if let Some(name) = components.next().and_then(|name| name.as_os_str().to_str())
        && let Ok(bucket) = format!("{day}/{name}").parse()
    {
        return Some((Unit::Bucket(bucket), components.as_path())).filter(|(_, path)| !path.as_os_str().is_empty());
    }
    let date = chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    (!in_day.as_os_str().is_empty()).then_some((Unit::Day(date), in_day))
}

/// Fetches all entries into a directory. What cannot be had is named in the error.
///
/// # Errors
/// Those of the endpoint and of writing here.
pub fn fetch(mirror: &Mirror, children: &Children, found: &Found, staging: &Staging) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(Exit::Failed, format!("{}: {e}", staging.path().display()));
    let mut origins: BTreeMap<Origin, Vec<&Path>> = BTreeMap::new();
    for (path, entry) in &found.entries {
        origins.entry(entry.origin).or_default().push(path);
    }
    for directory in origins.remove(&Origin::Nowhere).into_iter().flatten() {
        std::fs::create_dir_all(staging.path().join(directory)).map_err(failed)?;
    }
    // The mirror comes last: with its files come the attributes of their directories.
    for (origin, paths) in origins.into_iter().rev() {
        let mut list = tempfile::NamedTempFile::new().map_err(failed)?;
        let unit = match origin {
            Origin::Bucket(unit) => Some(unit),
            Origin::Mirror | Origin::Nowhere => None,
        };
        let text = retrieval::list(mirror, unit, paths.into_iter());
        list.write_all(&text).map_err(failed)?;
        // Its own check of what it is sent takes such names for patterns (3.5.0: "rejecting unrequested file-list name").
        let check = if text.contains(&b'\\') { SenderCheck::Ours } else { SenderCheck::Also };
        let command = retrieval::fetch(mirror, list.path(), staging.path(), check);
        let outcome = rsync(mirror, children, command, |_| ());
        settled(mirror, outcome)?;
    }
    if let Some(uncalled) = staging.uncalled_for(&found.entries) {
        let why = format!("{mirror}: the endpoint sent what it was not asked for: {}", text::path(&uncalled));
        return Err(Failure::new(Exit::Failed, why));
    }
    let missing: Vec<&PathBuf> = found.entries.keys().filter(|path| !staging.has(path)).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => {
            let number = text::count(missing.len(), "path");
            let first = text::path(first);
            Err(Failure::new(Exit::Partial, format!("{mirror}: {number} could not be fetched, {first} first")))
        }
    }
}

fn list(
    mirror: &Mirror,
    children: &Children,
    command: Command,
    mut on_entry: impl FnMut(&listing::Entry),
) -> Result<(), Failure> {
    let outcome = rsync(mirror, children, command, |line| {
        if let Some(entry) = listing::parse(line) {
            on_entry(&entry);
        }
    });
    settled(mirror, outcome)
}

fn settled(mirror: &Mirror, outcome: Outcome) -> Result<(), Failure> {
    let summary = Summary::new(mirror, outcome, crate::executor::Tally::default(), std::time::Duration::ZERO);
    if summary.exit == Exit::Done {
        return Ok(());
    }
    let failing = summary.failing;
    let first = failing.unattributed.into_iter().chain(failing.paths.into_iter().map(|(path, why)| {
        let path = text::path(&path);
        format!("{path}: {why}")
    }));
    let why = summary.why.into_iter().chain(first).next().unwrap_or_default();
    Err(Failure::new(summary.exit, format!("{mirror}: {why}")))
}

fn rsync(mirror: &Mirror, children: &Children, mut command: Command, on_line: impl FnMut(&[u8])) -> Outcome {
    trace!("{mirror}: {}", argv::as_text(&command));
    let finished = match children.run(&mut command, Ends::Newline, on_line) {
        Ok(finished) => finished,
        Err(NotRun::Closed) => return Outcome::Stopped,
        Err(NotRun::Io(e)) => {
            let why = format!("rsync cannot be run: {e}");
            return Outcome::Permanent(outcome::Trouble { exit: Exit::Failed, why });
        }
    };
    if children.is_closed() {
        return Outcome::Stopped;
    }
    for line in &finished.errors {
        debug!("{mirror}: {}", text::escaped(line));
    }
    // Where nothing was ever mirrored or replaced there is nothing to be listed.
    let (code, errors) = (finished.status.code(), finished.errors.as_slice());
    if code == Some(23) && errors.iter().any(|line| probe::says_absent(line)) {
        return Outcome::Done;
    }
    outcome::classify(mirror, Ending { code, errors, not_deleted: &[], deletions_skipped: false })
}
