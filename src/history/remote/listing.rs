//! What a history has, as its endpoint lists it: one rsync run for each question. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Remote, Vanished, permanent};
use crate::bucket::HISTORY_DIR;
use crate::exit::Exit;
use crate::mirror::Endpoint;
use crate::report::text;
use crate::retention::{self, Found, Unit};
use crate::rsync::listing::{self, Entry};
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::probe;
use crate::rsync::retrieval::{self, Depth};

/// What was listed.
#[derive(Debug)]
pub struct Listing<A> {
    /// Every bucket, and every day without buckets, the oldest first, with what was made of its entries.
    pub units: Vec<(Unit, A)>,
    /// The names that are neither, nor in one.
    pub foreign: BTreeSet<PathBuf>,
    /// What could not be listed. A day that could not be read is there as one without buckets.
    pub failing: Failing,
}

impl<A> Listing<A> {
    /// Whether all of it is known.
    #[must_use]
    pub fn outcome(&mut self) -> Outcome {
        if self.failing.is_empty() { Outcome::Done } else { Outcome::Partial(std::mem::take(&mut self.failing)) }
    }
}

impl Remote<'_> {
    /// The days, and what is directly in them.
    ///
    /// # Errors
    /// When it cannot be told, not even in part: of a list that is not complete nothing can be concluded, since a day that
    /// could not be read looks empty.
    pub fn buckets(&mut self) -> Result<Vec<Found>, Outcome> {
        let (found, failing) = self.walk(Depth::Buckets, Vec::new, |found, below, entry| {
            found.push(Found { path: below.to_owned(), directory: entry.is_directory() });
        })?;
        if failing.is_empty() {
            return Ok(found);
        }
        let words = failing.unattributed.into_iter().chain(failing.paths.into_values()).next();
        Err(permanent(Exit::Failed, format!("the history cannot be listed: {}", words.unwrap_or_default())))
    }

    /// Lists what is at `path` in every bucket, and below it; with the empty path all that there is. The endpoint may list
    /// more than that.
    ///
    /// For each entry `on_entry` is called with what it has made so far of the unit that the entry is in, that unit, the path
    /// there, and the entry. Only what it keeps is kept. It can be asked about entries of a day that turns out to have buckets
    /// as well; what it made of those is dropped.
    ///
    /// # Errors
    /// Why nothing could be listed.
    pub fn list<A: Default>(
        &mut self,
        path: &Path,
        mut on_entry: impl FnMut(&mut A, Unit, &Path, &Entry),
    ) -> Result<Listing<A>, Outcome> {
        type Made<A> = (Vec<Found>, BTreeMap<Unit, A>);
        let begin = || (Vec::new(), BTreeMap::new());
        let ((found, mut made), failing) =
            self.walk(Depth::Below(path), begin, |(found, made): &mut Made<A>, below, entry| {
                if below.components().nth(2).is_none() {
                    found.push(Found { path: below.to_owned(), directory: entry.is_directory() });
                }
                if let Some((unit, inside)) = retention::place(below) {
                    on_entry(made.entry(unit).or_default(), unit, inside, entry);
                }
            })?;
        let (units, foreign) = retention::units(&found);
        let units = units.into_iter().map(|unit| (unit, made.remove(&unit).unwrap_or_default())).collect();
        Ok(Listing { units, foreign, failing })
    }

    /// Goes through a listing, from its beginning again when the daemon was busy.
    fn walk<A>(
        &mut self,
        depth: Depth<'_>,
        begin: impl Fn() -> A,
        mut on_entry: impl FnMut(&mut A, &Path, &Entry),
    ) -> Result<(A, Failing), Outcome> {
        let (mut made, mut is_directory) = (begin(), true);
        if !self.is_there()? {
            return Ok((made, Failing::default()));
        }
        let name = Path::new(&self.mirror.source.name);
        let outcome = self.session(|remote| {
            (made, is_directory) = (begin(), true);
            let command = retrieval::history_listing(remote.mirror, depth);
            let on_line = |line: &[u8]| {
                let Some(entry) = listing::parse(line) else { return };
                match entry.path.strip_prefix(name) {
                    Ok(below) if below.as_os_str().is_empty() => is_directory = entry.is_directory(),
                    Ok(below) => on_entry(&mut made, below, &entry),
                    Err(_) => {}
                }
            };
            // Who asks which buckets there are has to know all of them.
            let vanished = if matches!(depth, Depth::Below(_)) { Vanished::Fine } else { Vanished::Failed };
            remote.run(command, on_line, vanished)
        });
        match outcome {
            // A link may lead anywhere, also to what is no history.
            Outcome::Done | Outcome::Partial(_) if !is_directory => {
                let why = format!("{HISTORY_DIR}/{} is no directory itself: it is not looked into", text::path(name));
                Err(permanent(Exit::Refused, why))
            }
            Outcome::Done => Ok((made, Failing::default())),
            Outcome::Partial(failing) => Ok((made, failing)),
            outcome => Err(outcome),
        }
    }

    /// Whether a local target has any history; of a daemon the listing tells.
    fn is_there(&self) -> Result<bool, Outcome> {
        let Endpoint::Directory(root) = &self.mirror.endpoint else { return Ok(true) };
        if let Some(trouble) = probe::target_missing(&self.mirror.endpoint) {
            return Err(Outcome::Permanent(trouble));
        }
        Ok(root.join(HISTORY_DIR).is_dir())
    }
}
