//! The locks of a mirror: one for passes, one for watches, and the turn. The kernel drops them when the process ends.
//!
//! A pass has the turn from its beginning to its end, a watch for each batch. So neither begins in the middle of the
//! other's work. While a pass has it, a watch sends only what cannot get in its way. A pass takes its own lock first:
//! a watch that sees it does not take the turn any more, so that the pass need not wait for more than one batch.

mod file;

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use log::warn;

use self::file::{ENDED, acquire, acquire_named, begin, crashed, is_at, note, open_lock, open_named, write_note};
use super::StateDir;
use crate::config::settings::Source;
use crate::config::units::Span;
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;

const DIRECTORY: &str = "locks";

/// Who competes for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// full-sync and everything else that goes over whole trees.
    Pass,
    /// watch.
    Watch,
    /// Whoever may change anything in the mirror.
    Turn,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Pass => "pass",
            Kind::Watch => "watch",
            Kind::Turn => "turn",
        })
    }
}

/// A held lock. The kernel releases it when this is dropped, or the process ends in whatever way.
///
/// Never remove the file: a lock on a removed file excludes nobody.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    after_crash: bool,
    serial: Option<u64>,
}

/// For so long somebody who writes a note is waited for.
const LONGEST_NOTE: Duration = Duration::from_secs(5);

impl Lock {
    /// Takes the lock of `mirror`, waiting up to `wait`, or until `give_up` says so.
    ///
    /// # Errors
    /// [`Exit::Locked`] with who holds it, or why the file cannot be used.
    pub fn take(
        state: &StateDir,
        mirror: &Mirror,
        kind: Kind,
        wait: Duration,
        give_up: impl Fn() -> bool,
    ) -> Result<Lock, Failure> {
        let failed = |e: io::Error| Failure::new(Exit::Failed, format!("{mirror}: {e}"));
        let (mut file, path, taken) = acquire_named(state, &name(mirror, kind), wait, give_up).map_err(failed)?;
        if !taken {
            let what = match kind {
                Kind::Pass => "another pass is running, or a watch that compares everything first",
                Kind::Watch => "another watch is running",
                Kind::Turn => "somebody else is changing it",
            };
            return Err(locked(&mirror.to_string(), what, wait, &mut file));
        }
        let other = match kind {
            Kind::Pass => Some(Kind::Watch),
            Kind::Watch => Some(Kind::Pass),
            Kind::Turn => None,
        };
        let other = other.map(|other| left_by_crash(state, mirror, other)).transpose().map_err(failed)?;
        let after_crash = crashed(&mut file) || other.unwrap_or_default();
        let serial = begin(state, &mut file, &path);
        Ok(Lock { file, path, after_crash, serial })
    }

    /// Takes the lock that a pass over a source with hooks holds from the first hook to the last: the hooks of another run
    /// could take the source away under this one. It waits as [`Lock::take`] does.
    ///
    /// # Errors
    /// [`Exit::Locked`] with who holds it, or why the file cannot be used.
    pub fn take_for_hooks(
        state: &StateDir,
        source: &Source,
        wait: Duration,
        give_up: impl Fn() -> bool,
    ) -> Result<Lock, Failure> {
        let name = format!("source `{}`", source.name);
        let failed = |e: io::Error| Failure::new(Exit::Failed, format!("{name}: {e}"));
        // Such a name is one of a file, and no mirror's, which has an `@`.
        let file_name = format!("{}.hooks", source.name);
        let (mut file, path, taken) = acquire_named(state, &file_name, wait, give_up).map_err(failed)?;
        if !taken {
            return Err(locked(&name, "another pass with hooks is running", wait, &mut file));
        }
        let serial = begin(state, &mut file, &path);
        Ok(Lock { file, path, after_crash: false, serial })
    }

    /// Whether the one before, of either kind, was killed or left rsync sessions behind: the daemon may still be working
    /// on what it had received from them.
    #[must_use]
    pub fn after_crash(&self) -> bool {
        self.after_crash
    }

    /// How often it had been taken when it was taken for this: who finds a number that is not the one after its own knows
    /// that others had the lock in between. Nothing when that could not be noted.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.serial
    }

    /// Whether its file is still the one that others find. When somebody has removed that, this lock excludes nobody.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Notes that nothing was left behind.
    pub fn end(mut self) {
        let serial = self.serial.unwrap_or_default();
        // Without the note the next run waits a little longer than it has to.
        let _ = write_note(&mut self.file, &format!("{ENDED}, no. {serial}\n"));
    }
}

fn locked(name: &str, what: &str, waited: Duration, file: &mut File) -> Failure {
    let note = note(file);
    let holder = note.split(", ").next().unwrap_or_default().trim();
    let advice = match waited {
        Duration::ZERO => "wait for it with --lock-wait 5m".to_owned(),
        waited => format!("it has not ended within {}", Span(waited)),
    };
    let message = format!("{name}: {what} ({holder}); {advice}");
    Failure::new(Exit::Locked, message)
}

/// Whether nobody holds this lock and the last one to do so did not end in order.
fn left_by_crash(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<bool> {
    let left = unless_held(state, mirror, kind, |file| file.is_some_and(crashed))?;
    Ok(left.unwrap_or_default())
}

/// Whether somebody holds this lock now.
///
/// # Errors
/// Those of opening the lock file.
pub fn is_held(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<bool> {
    Ok(unless_held(state, mirror, kind, |_| ())?.is_none())
}

/// Whether a watch of this mirror is or may be running. When it cannot be told, there is one: who leaves a file alone or keeps a
/// bucket for the sake of nobody does less harm.
#[must_use]
pub fn may_be_watched(state: &StateDir, mirror: &Mirror) -> bool {
    is_held(state, mirror, Kind::Watch).unwrap_or_else(|e| {
        warn!(mirror:%; "{mirror}: cannot tell whether a watch is running: {e}");
        true
    })
}

/// Does something while nobody holds this lock, and nobody can take it; nothing when somebody does. It gets the lock file, if
/// that was ever made, and must not take long.
///
/// # Errors
/// Those of opening the lock file.
pub fn unless_held<T>(
    state: &StateDir,
    mirror: &Mirror,
    kind: Kind,
    work: impl FnOnce(Option<&mut File>) -> T,
) -> io::Result<Option<T>> {
    let Some(dir) = state.existing_dir(DIRECTORY)? else { return Ok(Some(work(None))) };
    let mut file = match open_lock(&dir.join(name(mirror, kind)), OpenOptions::new().read(true)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(work(None))),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(work(Some(&mut file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Keeps others from adding to what is noted of a mirror, as long as the value lives. Nobody does so for long, and who was
/// stopped in the middle of it does not stop others.
pub(super) fn briefly(state: &StateDir, mirror: &Mirror) -> io::Result<Option<File>> {
    let (file, _) = open_named(state, &format!("{}.notes", mirror.id()))?;
    let taken = acquire(&file, LONGEST_NOTE, || false)?;
    Ok(taken.then_some(file))
}

fn name(mirror: &Mirror, kind: Kind) -> String {
    format!("{}.{kind}", mirror.id())
}
