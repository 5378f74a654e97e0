//! Other file systems that are mounted in a source and mirrored with it (`one-file-system = false`), for a pass.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use log::debug;

use super::look::reach;
use super::settle::Pass;
use super::{Terms, Unmounted};
use crate::executor::{Executor, Mode};
use crate::mounted::{self, Mounted, NOT_MOUNTED, is_mounted};
use crate::state::mounts;

/// What is said of a directory where something was unmounted by force while the pass was at work.
const UNMOUNTED: &str = "was unmounted during the pass, and what the mirror has of it may have been deleted for that; it \
                         is in the history";

/// What is mounted, and what is not any more.
#[derive(Default)]
pub(super) struct Mounts {
    /// As long as they are held, they cannot be unmounted in the ordinary way.
    held: Vec<Mounted>,
    pub(super) mounted: BTreeSet<PathBuf>,
    gone: BTreeSet<PathBuf>,
}

impl Mounts {
    /// Holds what is mounted, and notes it before anything of it is sent. What the mirror has where nothing is mounted any more is
    /// left alone from now on.
    ///
    /// # Errors
    /// When it cannot be found out what is mounted, or what was.
    pub(super) fn hold(executor: &mut Executor<'_>, terms: Terms<'_>) -> io::Result<Mounts> {
        let mirror = executor.mirror();
        let mut mounts = Mounts::default();
        if !mirror.source.one_file_system {
            let reach = reach(executor);
            for place in mounted::below(reach.root, reach.excludes)? {
                if let Some(held) = Mounted::hold(&reach.root.join(&place)) {
                    mounts.held.push(held);
                    mounts.mounted.insert(place);
                }
            }
            let known = terms.state.map(|state| mounts::known(state, mirror)).transpose()?.unwrap_or_default();
            if terms.unmounted == Unmounted::Stays {
                mounts.gone = known.difference(&mounts.mounted).cloned().collect();
            }
            if let Some(state) = terms.state.filter(|_| executor.mode() == Mode::Real)
                && let Err(e) = mounts::note(state, mirror, &mounts.mounted.union(&known).cloned().collect())
            {
                // The state directory has said it aloud.
                debug!(mirror:%; "{mirror}: what is mounted in the source cannot be remembered: {e}");
            }
        }
        executor.left_alone().clone_from(&mounts.gone);
        Ok(mounts)
    }

    /// Names what is left alone.
    pub(super) fn give_up_what_is_gone(&self, pass: &mut Pass<'_>) {
        for place in &self.gone {
            pass.given_up.left_alone.push(place.clone());
            pass.leave_alone(place.clone(), NOT_MOUNTED.to_owned());
        }
    }

    /// Names what was unmounted by force.
    pub(super) fn end(self, executor: &Executor<'_>, pass: &mut Pass<'_>) -> BTreeSet<PathBuf> {
        drop(self.held);
        for path in self.mounted.iter().filter(|path| is_mounted(&executor.root().join(path)) == Some(false)) {
            pass.given_up.paths.insert(path.clone(), UNMOUNTED.to_owned());
        }
        self.mounted
    }
}
