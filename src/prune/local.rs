//! Prunes histories on the backup server itself: in parallel, without following links or crossing file systems.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use chrono::Local;
use log::warn;
use rayon::prelude::*;
use rustix::fs::{AtFlags, fstatvfs, unlinkat};
use rustix::io::Errno;

use self::files::{Kind, Walk};
use super::report::Report;
use crate::bucket::HISTORY_DIR;
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::metrics::history::Disk;
use crate::pass::summary::Summary;
use crate::report::text;
use crate::retention::{self, Found, Plan, Policy, Unit};
use crate::rsync::outcome::Failing;
use crate::rsync::tally::Tally;

/// Trees may be as deep as paths are long, and each level takes a part of the stack.
const STACK: usize = 64 << 20;

/// What is wanted of every history.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The directory that has `history-backup`.
    pub root: &'a Path,
    /// How long it is kept.
    pub policy: Policy,
    /// How big it may be, in bytes.
    pub max_size: Option<u64>,
    /// Whether anything is changed.
    pub mode: Mode,
    /// Set when the work is to end.
    pub stop: &'a AtomicBool,
}

/// What is said of a name that no history can have.
fn no_source(name: &str) -> Failure {
    let name = text::escaped(name.as_bytes());
    let why = format!("no source can be called `{name}`; give the name of a directory in {HISTORY_DIR}");
    Failure::new(Exit::Usage, why)
}

/// Prunes the histories of these sources, or of all when none is named, in the order of their names.
///
/// # Errors
/// When there is no history at that place, or a name cannot be one.
pub fn run(names: &[String], terms: Terms<'_>) -> Result<Vec<Report>, Failure> {
    let place = terms.root.join(HISTORY_DIR);
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::Unreachable, format!("{}: {e}; --local takes the directory of a module", text::path(&place)))
    };
    let root = File::open(terms.root).map_err(|e| cannot(&e))?;
    let name = CString::new(HISTORY_DIR).map_err(|e| cannot(&e))?;
    let history = files::open_top(root.as_fd(), &name).map_err(|e| cannot(&e))?;
    let device = files::device(history.as_fd()).map_err(|e| cannot(&e))?;
    files::raise_limit();
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build();
    let pool = pool.map_err(|e| {
        Failure::new(Exit::Failed, format!("cannot start threads: {e}; see to the limits of this user"))
    })?;
    let mut sources = Vec::new();
    for given in names {
        let plain = !given.is_empty() && !given.contains('/') && !matches!(given.as_str(), "." | "..");
        let name = CString::new(given.as_str()).ok().filter(|_| plain);
        sources.push(name.ok_or_else(|| no_source(given))?);
    }
    if names.is_empty() {
        for (name, kind) in files::list(history.as_fd()).map_err(|e| cannot(&e))? {
            match kind {
                Kind::Directory => sources.push(name),
                Kind::Other => warn!("left alone, since it is no history: {}", shown(&place, &name)),
            }
        }
    }
    sources.sort();
    sources.dedup();
    Ok(sources.iter().map(|name| pool.install(|| Pruning::new(name, terms, device).run(history.as_fd()))).collect())
}

fn shown(place: &Path, name: &CStr) -> String {
    text::path(&place.join(OsStr::from_bytes(name.to_bytes())))
}

fn c_string(unit: impl std::fmt::Display) -> CString {
    // It holds digits and dashes only.
    CString::new(unit.to_string()).unwrap_or_default()
}

/// The work on the history of one source.
struct Pruning<'a> {
    name: &'a CStr,
    terms: Terms<'a>,
    walk: Walk<'a>,
}

impl<'a> Pruning<'a> {
    fn new(name: &'a CStr, terms: Terms<'a>, device: u64) -> Self {
        let walk = Walk { device, stop: terms.stop, deleted: AtomicU64::new(0), failing: Mutex::default() };
        Pruning { name, terms, walk }
    }

    fn run(self, history: BorrowedFd<'_>) -> Report {
        let begun = Instant::now();
        let mirror = format!("{}@{}", text::escaped(self.name.to_bytes()), text::path(self.terms.root));
        let source = match self.walk.open(history, self.name) {
            Ok(source) => source,
            Err(e) => {
                let exit = if e == Errno::NOENT { Exit::Unreachable } else { Exit::Refused };
                let why = format!("{}: {}", shown(&self.terms.root.join(HISTORY_DIR), self.name), files::words(e));
                return Report::not_begun(mirror, &Failure::new(exit, why));
            }
        };
        let (plan, sizes) = match self.plan(source.as_fd()) {
            Ok(planned) => planned,
            Err(failure) => return Report::not_begun(mirror, &failure),
        };
        let removed = match self.terms.mode {
            Mode::Real => self.remove(source.as_fd(), &plan),
            Mode::DryRun => BTreeSet::new(),
        };
        let left = |sizes: BTreeMap<Unit, u64>| {
            sizes.iter().filter(|(unit, _)| !removed.contains(unit)).map(|(_, size)| size).sum()
        };
        let disk = Disk {
            used: sizes.map(left),
            limit: self.terms.max_size,
            free_and_all: fstatvfs(source.as_fd())
                .ok()
                .map(|it| (it.f_bavail * it.f_frsize, it.f_blocks * it.f_frsize)),
        };
        let tally = Tally { deleted: self.walk.deleted.into_inner(), ..Tally::default() };
        let failing = self.walk.failing.into_inner().unwrap_or_default();
        let stopped = self.terms.stop.load(std::sync::atomic::Ordering::Relaxed);
        let exit = if failing.is_empty() && !stopped { Exit::Done } else { Exit::Partial };
        let why = stopped.then(|| "stopped before it was done".to_owned());
        let failing = Failing { paths: failing, ..Failing::default() };
        let summary = Summary { mirror, exit, why, failing, tally, took: begun.elapsed(), reached: None };
        Report::local(summary, plan, removed, self.terms.mode, disk)
    }

    /// What is to be done, and how big each part of the history is, where that has to be known.
    fn plan(&self, source: BorrowedFd<'_>) -> Result<(Plan, Option<BTreeMap<Unit, u64>>), Failure> {
        let cannot = |e| Failure::new(Exit::Failed, format!("the history cannot be listed: {}", files::words(e)));
        let mut found = Vec::new();
        for (name, kind) in files::list(source).map_err(cannot)? {
            let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
            let mut directory = kind == Kind::Directory;
            if directory && retention::is_day(&path) {
                match self.walk.open(source, &name) {
                    Ok(day) => {
                        for (below, kind) in files::list(day.as_fd()).map_err(cannot)? {
                            let path = path.join(OsStr::from_bytes(below.to_bytes()));
                            found.push(Found { path, directory: kind == Kind::Directory });
                        }
                    }
                    // What is mounted there is not ours.
                    Err(Errno::XDEV) => directory = false,
                    Err(e) => return Err(cannot(e)),
                }
            }
            found.push(Found { path, directory });
        }
        let plan = retention::plan(&found, self.terms.policy, &Local::now());
        let mut plan = plan.map_err(|ahead| Failure::new(Exit::Refused, ahead.to_string()))?;
        let sizes = self.terms.max_size.map(|most| {
            let links = Mutex::default();
            let units: Vec<Unit> = plan.decisions.iter().map(|(unit, _)| *unit).collect();
            let size = |unit: &Unit| (*unit, self.within(source, *unit, |dir, name| self.walk.size(dir, name, &links)));
            let sizes: BTreeMap<Unit, u64> = units.par_iter().map(size).collect();
            plan.limit(most, |unit| sizes.get(&unit).copied().unwrap_or_default());
            sizes
        });
        Ok((plan, sizes))
    }

    /// Does something with a unit, given the open directory that it is in and its name there.
    fn within<T: Default>(&self, source: BorrowedFd<'_>, unit: Unit, work: impl Fn(BorrowedFd<'_>, &CStr) -> T) -> T {
        match unit {
            Unit::Day(_) => work(source, &c_string(unit)),
            Unit::Bucket(bucket) => match self.walk.open(source, &c_string(Unit::Day(unit.day()))) {
                Ok(day) => work(day.as_fd(), &c_string(bucket.name())),
                Err(e) => {
                    self.walk.fail(Path::new(&unit.to_string()), e);
                    T::default()
                }
            },
        }
    }

    /// Removes what is planned, and tells what is gone.
    fn remove(&self, source: BorrowedFd<'_>, plan: &Plan) -> BTreeSet<Unit> {
        let units: Vec<Unit> = plan.removed().collect();
        let gone = units.into_par_iter().filter(|unit| {
            let path = PathBuf::from(unit.to_string());
            self.within(source, *unit, |dir, name| self.walk.remove(dir, name, &path))
        });
        let gone: BTreeSet<Unit> = gone.collect();
        plan.emptied().collect::<Vec<_>>().into_par_iter().for_each(|bucket| {
            let path = PathBuf::from(bucket.to_string());
            self.within(source, Unit::Bucket(bucket), |dir, name| self.walk.clear(dir, name, &path));
        });
        for (day, _) in plan.days().into_iter().filter(|(_, emptied)| *emptied) {
            // Something that came in meanwhile keeps it, and it is no failure when it is gone.
            let _ = unlinkat(source, c_string(Unit::Day(day)), AtFlags::REMOVEDIR);
        }
        gone
    }
}
