//! The second look: what is not found again in it was in motion.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::info;

use super::differences::{Bounds, Difference, Differences};
use super::{Pace, Verification, spread};
use crate::config::settings::Jobs;
use crate::dirty::{DirtySet, Mark};
use crate::meter::Stage;
use crate::mutex::{into_inner, lock};
use crate::plan;
use crate::report::text;
use crate::rsync::argv::Compare;
use crate::rsync::outcome::Outcome;
use crate::rsync::output::Change;
use crate::rsync::probe;
use crate::scope::{Listed, Scope};
use crate::tree::Reach;

/// How often what differs is looked at again, at most.
const LOOKS: u32 = 3;
/// Fewer paths than this are one job.
const FEW: usize = 1_000;

/// Where something is that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// In the source, at least.
    Source,
    /// On the mirror and not in the source.
    MirrorOnly,
}

impl Side {
    fn of(only_the_mirror_has_it: bool) -> Side {
        if only_the_mirror_has_it { Side::MirrorOnly } else { Side::Source }
    }
}

impl Verification<'_> {
    /// Looks again at what differs, until that gets no less and nothing of it has changed lately.
    pub(super) fn look_again(&mut self, mut found: Differences, pace: Pace) -> Result<Differences, Outcome> {
        for look in 0..LOOKS {
            if found.kept() == 0 {
                break;
            }
            self.begin(Stage::Again);
            let (before, wait) = (found.kept(), pace.wait * 2_u32.pow(look));
            info!(
                mirror:% = self.mirror;
                "{}: looking again at {} in {:.1} s",
                self.mirror,
                text::count(before, "difference"),
                wait.as_secs_f64()
            );
            self.children.pause(wait);
            if self.children.is_closed() {
                return Err(Outcome::Stopped);
            }
            let again = self.once_more(&found)?;
            found = found.found_again(&again);
            if found.kept() == before && !self.is_recent(&found, pace.recent) {
                break;
            }
        }
        Ok(found)
    }

    /// Compares just the paths that differ. Those that only the mirror has are seen by a listing of the directory where
    /// they should be; that is no reason to read the content of all others in it.
    fn once_more(&mut self, found: &Differences) -> Result<Differences, Outcome> {
        let again = Mutex::new(found.none_of_them());
        let note = |change: Change, path: &Path| {
            if found.has(path) {
                lock(&again).note(path, change.into());
            }
        };
        if self.mirror.rsync.attributes.hard_links {
            // A path that is compared by itself has no links to others.
            self.compare(Compare::Content, vec![Scope::Tree(vec![PathBuf::new()])], 1, &note)?;
            return Ok(into_inner(again));
        }
        for (compare, side) in [(Compare::Content, Side::Source), (Compare::Quick, Side::MirrorOnly)] {
            let concerned = found.iter().filter(|(_, difference)| Side::of(*difference == Difference::Extra) == side);
            let paths: Vec<&Path> = concerned.map(|(path, _)| path).collect();
            let (clients, scopes) = (self.clients_for(paths.len()), self.scopes(&paths, side));
            self.compare(compare, spread_all(scopes, clients), clients, &|change, path| {
                if Side::of(change == Change::Delete) == side {
                    note(change, path);
                }
            })?;
        }
        Ok(into_inner(again))
    }

    /// The scopes that look again at these paths.
    fn scopes(&self, paths: &[&Path], side: Side) -> Vec<Scope> {
        // Room for the directories on the way to them, so that it need not fold.
        let mut dirty = DirtySet::new(Bounds::DEFAULT.paths * 4);
        for path in paths {
            if side == Side::MirrorOnly {
                dirty.mark(path.parent().unwrap_or(Path::new("")), Mark::Shallow);
            } else {
                dirty.mark(path, Mark::Path);
            }
        }
        let plan = plan::plan(Reach::of(self.mirror, &self.mirror.excludes), &dirty);
        let without_missing = |scope| match scope {
            // The directory where it should be is gone as well, so the one above it tells.
            Scope::Listed(listed) if side == Side::MirrorOnly => Scope::Listed(listed.without_missing()),
            // It is gone in the source by now: whatever the mirror has, the difference of before is none any more.
            Scope::Listed(listed) => Scope::Listed(Listed { missing: Vec::new(), ..listed }),
            tree @ Scope::Tree(_) => tree,
        };
        plan.scopes.into_iter().map(without_missing).collect()
    }

    fn clients_for(&self, paths: usize) -> usize {
        match self.mirror.rsync.jobs {
            Jobs::Fixed(jobs) => jobs,
            Jobs::Auto if paths < FEW => 1,
            Jobs::Auto => probe::clients_for(self.mirror),
        }
    }

    /// Whether any of the paths changed in the source within this time, and so may still be on its way.
    fn is_recent(&self, found: &Differences, time: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = i64::try_from(now.saturating_sub(time).as_secs()).unwrap_or(i64::MAX);
        found.iter().any(|(path, _)| changed(&self.mirror.source.path, path).is_some_and(|ctime| ctime >= since))
    }
}

/// When a path changed, or, when it is not there, the directory where it should be: that it was deleted changes that one.
fn changed(root: &Path, path: &Path) -> Option<i64> {
    path.ancestors().find_map(|path| fs::symlink_metadata(root.join(path)).ok()).map(|meta| meta.ctime())
}

/// Divides lists among rsync clients that run at the same time.
fn spread_all(scopes: Vec<Scope>, clients: usize) -> Vec<Scope> {
    let spread_one = |scope| match scope {
        Scope::Listed(listed) => spread(listed, clients),
        tree @ Scope::Tree(_) => vec![tree],
    };
    scopes.into_iter().flat_map(spread_one).collect()
}
