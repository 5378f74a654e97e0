//! The locks: two per mirror, one for passes and one for watchers. The kernel drops them when the process ends.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use chrono::Local;

use super::StateDir;
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;

/// Who competes for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// full-sync and everything else that goes over whole trees.
    Pass,
    /// watch.
    Watch,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Pass => "pass",
            Kind::Watch => "watch",
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
}

/// What the file says after an orderly end.
const ENDED: &str = "ended\n";

/// Even without `--lock-wait` a lock is tried for this long, because [`is_held`] takes it for a moment.
const LEAST_WAIT: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(20);

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
        let deadline = Instant::now() + wait.max(LEAST_WAIT);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline && !give_up() => thread::sleep(RETRY),
                Err(TryLockError::WouldBlock) => {
                    let holder = note(&mut file);
                    let what = match kind {
                        Kind::Pass => "another pass is running",
                        Kind::Watch => "another watch is running",
                    };
                    let hint = "wait for it with --lock-wait 5m";
                    return Err(Failure::new(Exit::Locked, format!("{mirror}: {what} ({}); {hint}", holder.trim())));
                }
            }
        }
        let other = if kind == Kind::Pass { Kind::Watch } else { Kind::Pass };
        let after_crash = crashed(&mut file) || left_by_crash(state, mirror, other).map_err(failed)?;
        let text = format!("process {} since {}\n", std::process::id(), Local::now().format("%Y-%m-%d %H:%M:%S"));
        write_note(&mut file, &text).map_err(failed)?;
        Ok(Lock { file, after_crash })
    }

    /// Whether the one before, of either kind, was killed or left rsync sessions behind: the daemon may still be working
    /// on what it had received from them.
    #[must_use]
    pub fn after_crash(&self) -> bool {
        self.after_crash
    }

    /// Notes that nothing was left behind.
    pub fn end(mut self) {
        // Without the note the next run waits a little longer than it has to.
        let _ = write_note(&mut self.file, ENDED);
    }
}

fn note(file: &mut File) -> String {
    let mut text = String::new();
    // What the file says is a courtesy: without it a message is shorter.
    let _ = file.rewind().and_then(|()| Read::by_ref(file).take(200).read_to_string(&mut text));
    text
}

fn write_note(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

fn crashed(file: &mut File) -> bool {
    !matches!(note(file).as_str(), "" | ENDED)
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

fn open(state: &StateDir, mirror: &Mirror, kind: Kind) -> io::Result<File> {
    let path: PathBuf = state.dir("locks")?.join(format!("{}.{kind}", mirror.id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    file.map_err(|e| io::Error::new(e.kind(), format!("lock file {}: {e}", path.display())))
}
