//! The locks of a mirror: one for passes, one for watchers, and the turn. The kernel drops them when the process ends.
//!
//! A pass has the turn from its beginning to its end, a watcher for each batch. So neither begins in the middle of the
//! other's work. While a pass has it, a watcher sends only what cannot get in its way. A pass takes its own lock first:
//! a watcher that sees it does not take the turn any more, so that the pass need not wait for more than one batch.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use chrono::Local;

use super::StateDir;
use crate::config::settings::Source;
use crate::config::units::Span;
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;

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
    after_crash: bool,
    serial: u64,
}

/// What the file says after an orderly end, before the number of the holder.
const ENDED: &str = "ended";

/// Even without `--lock-wait` a lock is tried for this long, because [`is_held`] takes it for a moment.
const LEAST_WAIT: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(20);
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
        let mut file = open(state, mirror, kind).map_err(failed)?;
        if !acquire(&file, wait, give_up).map_err(failed)? {
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
        let serial = begin(&mut file).map_err(failed)?;
        Ok(Lock { file, after_crash, serial })
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
        let mut file = open_named(state, &format!("{}.hooks", source.name)).map_err(failed)?;
        if !acquire(&file, wait, give_up).map_err(failed)? {
            return Err(locked(&name, "another pass with hooks is running", wait, &mut file));
        }
        let serial = begin(&mut file).map_err(failed)?;
        Ok(Lock { file, after_crash: false, serial })
    }

    /// Whether the one before, of either kind, was killed or left rsync sessions behind: the daemon may still be working
    /// on what it had received from them.
    #[must_use]
    pub fn after_crash(&self) -> bool {
        self.after_crash
    }

    /// How often it had been taken when it was taken for this: who finds a number that is not the one after its own knows
    /// that others had the lock in between.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Notes that nothing was left behind.
    pub fn end(mut self) {
        // Without the note the next run waits a little longer than it has to.
        let _ = write_note(&mut self.file, &format!("{ENDED}, no. {}\n", self.serial));
    }
}

/// Tries to get the lock for some time; false when somebody else has it.
fn acquire(file: &File, wait: Duration, give_up: impl Fn() -> bool) -> io::Result<bool> {
    let deadline = Instant::now() + wait.max(LEAST_WAIT);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline && !give_up() => thread::sleep(RETRY),
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
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

/// Notes who holds the lock, and returns the number that this has.
fn begin(file: &mut File) -> io::Result<u64> {
    let serial =
        note(file).rsplit(' ').next().and_then(|last| last.trim().parse().ok()).unwrap_or(0_u64).wrapping_add(1);
    let since = Local::now().format("%Y-%m-%d %H:%M:%S");
    let holder = format!("process {} since {since}, no. {serial}\n", std::process::id());
    write_note(file, &holder).map_err(|e| unnoted(&e))?;
    Ok(serial)
}

fn note(file: &mut File) -> String {
    let mut text = String::new();
    // What the file says is a courtesy: without it a message is shorter.
    let _ = file.rewind().and_then(|()| Read::by_ref(file).take(200).read_to_string(&mut text));
    text
}

/// In this order: who is killed in between leaves something that still tells that there was somebody.
fn write_note(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// A full disk under the state directory is not one of the mirror.
fn unnoted(e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("a lock file in the state directory cannot be written: {e}"))
}

fn crashed(file: &mut File) -> bool {
    let note = note(file);
    !note.is_empty() && !note.starts_with(ENDED)
}

/// Whether nobody holds this lock and the last one to do so did not end in order.
fn left_by_crash(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<bool> {
    Ok(!is_held(state, mirror, kind)? && crashed(&mut open(state, mirror, kind)?))
}

/// Whether somebody holds this lock now.
///
/// # Errors
/// Those of opening the lock file.
pub fn is_held(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<bool> {
    let file = open(state, mirror, kind)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Keeps others from adding to what is noted of a mirror, as long as the value lives. Nobody does so for long, and who was
/// stopped in the middle of it does not stop others.
pub(super) fn briefly(state: &StateDir, mirror: &Mirror) -> io::Result<Option<File>> {
    let file = open_named(state, &format!("{}.notes", mirror.id()))?;
    let taken = acquire(&file, LONGEST_NOTE, || false)?;
    Ok(taken.then_some(file))
}

fn open(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<File> {
    open_named(state, &format!("{}.{kind}", mirror.id()))
}

fn open_named(state: &StateDir, name: &str) -> io::Result<File> {
    let path: PathBuf = state.dir("locks")?.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options
        .open(&path)
        .and_then(|file| if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is no file")) });
    file.map_err(|e| io::Error::new(e.kind(), format!("lock file {}: {e}", path.display())))
}
