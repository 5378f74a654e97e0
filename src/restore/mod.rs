//! Brings back a file or a tree as it was: finds out what it was like, fetches each entry from where it is now, and puts
//! the whole in its place at once.

mod pinned;
pub mod place;
pub mod plan;
pub mod timeline;
pub mod when;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{Local, TimeDelta};
use log::debug;

use self::place::Staging;
use self::plan::{Entry, Origin, Step};
use self::timeline::{Stretch, Undoing};
use self::when::When;
use crate::bucket::Bucket;
use crate::exit::{Exit, Failure};
use crate::history::remote::Remote;
use crate::mirror::Mirror;
use crate::pass::summary::Summary;
use crate::report::text;
use crate::retention::{self, Unit};
use crate::rsync::children::Children;
use crate::rsync::outcome::Outcome;
use crate::rsync::retrieval::SenderCheck;
use crate::rsync::tally::Tally;
use crate::rsync::{listing, retrieval};
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

impl Terms<'_> {
    /// Whether a path is what is wanted, in it, or above it.
    fn concern(&self, path: &Path) -> bool {
        path.starts_with(self.path) || self.path.starts_with(path)
    }
}

/// A file or a tree as it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// As it was at this moment.
    pub moment: When,
    /// Of how many buckets it is not known which paths were new in them.
    pub without_journal: usize,
    /// The buckets of which the journal is damaged.
    pub damaged: Vec<Bucket>,
    /// How many names in the history are in no bucket, and so were not looked into.
    pub unlisted: usize,
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

/// When something in the history is in the future, it was written in another time zone, and no time means what it says.
fn check_clock(mirror: &Mirror, units: impl Iterator<Item = Unit>) -> Result<(), Failure> {
    let now = Local::now();
    let newest = units.max_by_key(|unit| unit.start());
    match newest.map(|unit| (unit, -unit.age(&now))) {
        Some((unit, by)) if by > TimeDelta::zero() => {
            Err(Failure::new(Exit::Refused, format!("{mirror}: {}", retention::Ahead { unit, by })))
        }
        _ => Ok(()),
    }
}

/// Finds out what was there.
///
/// # Errors
/// That it was not there, or why that cannot be known.
pub fn find(mirror: &Mirror, children: &Children, terms: Terms<'_>) -> Result<Found, Failure> {
    let mut remote = Remote::new(mirror, children);
    // The mirror before its history: what is replaced in between is found there.
    let now = on_the_mirror(mirror, &mut remote, terms.path)?;
    let mut listed = remote
        .list(terms.path, |versions: &mut BTreeMap<PathBuf, bool>, _, path, entry| {
            if !path.as_os_str().is_empty() && terms.concern(path) {
                versions.insert(path.to_owned(), entry.is_directory());
            }
        })
        .map_err(|outcome| failure(mirror, outcome))?;
    let outcome = listed.outcome();
    settled(mirror, outcome)?;
    let unlisted = listed.foreign.len();
    let stretch = |(unit, versions)| {
        let step = Step { versions, ..Step::default() };
        (unit, Stretch { unit, until: None, lost: false, step })
    };
    let mut stretches: BTreeMap<Unit, Stretch> = listed.units.into_iter().map(stretch).collect();
    if let When::Time(_) = terms.at {
        check_clock(mirror, stretches.keys().copied())?;
    }
    let damaged = add_journals(mirror, terms, &mut stretches)
        .map_err(|e| Failure::new(Exit::Failed, format!("{mirror}: the journals cannot be read: {e}")))?;
    let (all, resolution) = (stretches.into_values().collect(), terms.resolution);
    let Undoing { steps: undone, without_journal, moment } = timeline::undone(all, terms.at, resolution, &Local)
        .map_err(|why| Failure::new(Exit::Failed, format!("{mirror}: {}: {why}", terms.at)))?;
    debug!(mirror:%; "{mirror}: {} to be undone, to {moment}", text::count(undone.len(), "bucket"));
    let mut entries = plan::before(now, &undone);
    entries.retain(|path, _| path.starts_with(terms.path));
    if entries.is_empty() && (!terms.path.as_os_str().is_empty() || undone.is_empty()) {
        let what = text::path(terms.path);
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "{mirror}: {what} was not there at {moment}; `sersync history find` names the versions that there are"
            ),
        ));
    }
    Ok(Found { moment, without_journal, damaged, unlisted, entries })
}

/// What the mirror has there now, and whether each is a directory.
fn on_the_mirror(mirror: &Mirror, remote: &mut Remote<'_>, path: &Path) -> Result<BTreeMap<PathBuf, bool>, Failure> {
    let mut now = BTreeMap::new();
    let outcome = remote.session(|remote| {
        now.clear();
        remote.rsync(retrieval::mirror_listing(mirror, path), |line| {
            let Some(entry) = listing::parse(line) else { return };
            if entry.path != Path::new(".") && entry.path.starts_with(path) {
                now.insert(entry.path.clone(), entry.is_directory());
            }
        })
    });
    settled(mirror, outcome).map(|()| now)
}

/// Adds what the journals know of the buckets. Returns those of which the journal is damaged.
fn add_journals(mirror: &Mirror, terms: Terms<'_>, stretches: &mut BTreeMap<Unit, Stretch>) -> io::Result<Vec<Bucket>> {
    let mut damaged = Vec::new();
    for Page { bucket, until, has_versions, created, removed, damaged: is_damaged, emptied } in
        journal::read(terms.state, mirror, |path| terms.concern(path))?
    {
        let unit = Unit::Bucket(bucket);
        // Whoever puts something into a bucket notes that.
        let is_torn = !has_versions && !emptied && stretches.contains_key(&unit);
        damaged.extend((is_damaged || is_torn).then_some(bucket));
        let known = Stretch { unit, until: None, lost: has_versions, step: Step::default() };
        let stretch = stretches.entry(unit).or_insert(known);
        stretch.until = Some(until.into());
        stretch.lost |= emptied;
        (stretch.step.created, stretch.step.removed) = (created, removed);
    }
    Ok(damaged)
}

/// Fetches all entries into a directory. What cannot be had is named in the error.
///
/// # Errors
/// Those of the endpoint and of writing here.
pub fn fetch(mirror: &Mirror, children: &Children, found: &Found, staging: &Staging) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(Exit::Failed, place::cannot_write(staging.path(), &e));
    let mut origins: BTreeMap<Origin, Vec<&Path>> = BTreeMap::new();
    for (path, entry) in &found.entries {
        origins.entry(entry.origin).or_default().push(path);
    }
    for directory in origins.remove(&Origin::Nowhere).into_iter().flatten() {
        std::fs::create_dir_all(staging.path().join(directory)).map_err(failed)?;
    }
    // The mirror comes last: with its files come the attributes of their directories.
    for (origin, paths) in origins.into_iter().rev() {
        // What an endpoint sends for the path of a directory is not to lead the next run out of here.
        if let Some(link) = staging.in_the_way_of(paths.iter().copied()) {
            return Err(uncalled(mirror, &link));
        }
        let mut list = staging.file().map_err(failed)?;
        let unit = match origin {
            Origin::Bucket(unit) => Some(unit),
            Origin::Mirror | Origin::Nowhere => None,
        };
        let text = retrieval::list(mirror, unit, paths.into_iter());
        list.write_all(&text).map_err(failed)?;
        // Its own check of what it is sent takes such names for patterns (3.5.0: "rejecting unrequested file-list name").
        let check = if text.contains(&b'\\') { SenderCheck::Ours } else { SenderCheck::Also };
        let outcome = Remote::new(mirror, children)
            .session(|remote| remote.rsync(retrieval::fetch(mirror, list.path(), staging.path(), check), |_| ()));
        settled(mirror, outcome)?;
    }
    if let Some(path) = staging.uncalled_for(&found.entries) {
        return Err(uncalled(mirror, &path));
    }
    let missing: Vec<&PathBuf> = found.entries.keys().filter(|path| !staging.has(path)).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => {
            let number = text::count(missing.len(), "path");
            let first = text::path(first);
            Err(Failure::new(
                Exit::Partial,
                format!("{mirror}: {number} could not be fetched, {first} first, so nothing is restored; try again"),
            ))
        }
    }
}

fn uncalled(mirror: &Mirror, path: &Path) -> Failure {
    let why = format!("{mirror}: the endpoint sent what it was not asked for: {}", text::path(path));
    Failure::new(Exit::Failed, why)
}

fn settled(mirror: &Mirror, outcome: Outcome) -> Result<(), Failure> {
    if outcome == Outcome::Done { Ok(()) } else { Err(failure(mirror, outcome)) }
}

fn failure(mirror: &Mirror, outcome: Outcome) -> Failure {
    let Summary { exit, why, failing, .. } = Summary::new(mirror, outcome, Tally::default(), Duration::ZERO);
    let paths = failing.paths.iter().map(|(path, why)| format!("{}: {why}", text::path(path)));
    let why = why.into_iter().chain(failing.unattributed).chain(paths).next().unwrap_or_default();
    Failure::new(exit, format!("{mirror}: {why}"))
}
