//! The files of locks: how one is opened and locked, and what it says of who has the lock or had it last.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Local;

use super::DIRECTORY;
use crate::report::text;
use crate::state::StateDir;
use crate::state::files::open_regular;
use crate::state::trouble::Size;

/// What the file says after an orderly end, before the number of the holder.
pub(super) const ENDED: &str = "ended";

/// Even without `--lock-wait` a lock is tried for this long, because [`is_held`](super::is_held) takes it for a moment.
const LEAST_WAIT: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(20);
/// Opens the file of a lock and tries to get that; says whether it did. A file that is removed in between is no lock.
pub(super) fn acquire_named(
    state: &StateDir,
    name: &str,
    wait: Duration,
    give_up: impl Fn() -> bool,
) -> io::Result<(File, PathBuf, bool)> {
    loop {
        let (file, path) = open_named(state, name)?;
        let taken = acquire(&file, wait, &give_up)?;
        if !taken || is_at(&file, &path) {
            return Ok((file, path, taken));
        }
    }
}

/// Whether this is the file at the path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let identity = |meta: Metadata| (meta.dev(), meta.ino());
    let there = path.symlink_metadata().map(identity).ok();
    there.is_some() && there == file.metadata().map(identity).ok()
}

/// Tries to get the lock for some time; false when somebody else has it.
pub(super) fn acquire(file: &File, wait: Duration, give_up: impl Fn() -> bool) -> io::Result<bool> {
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

/// Notes who holds the lock, and returns the number that this has. The lock holds without the note, so that a full disk under
/// the state directory, which is said, is not one of the mirror.
pub(super) fn begin(state: &StateDir, file: &mut File, path: &Path) -> Option<u64> {
    let serial =
        note(file).rsplit(' ').next().and_then(|last| last.trim().parse().ok()).unwrap_or(0_u64).wrapping_add(1);
    let since = Local::now().format("%Y-%m-%d %H:%M:%S");
    let holder = format!("process {} since {since}, no. {serial}\n", std::process::id());
    let written = write_note(file, &holder).map_err(|e| {
        // Whoever takes it next is not to believe that nobody had it in between. That needs no room.
        let _ = file.set_len(0);
        io::Error::new(e.kind(), format!("lock file {}: {e}", text::path(path)))
    });
    state.trouble.note(DIRECTORY, Size::Part, state.path(), written).ok().map(|()| serial)
}

/// What the file says of who has the lock, or had it.
pub(super) fn note(file: &mut File) -> String {
    let mut text = String::new();
    // What the file says is a courtesy: without it a message is shorter.
    let _ = file.rewind().and_then(|()| Read::by_ref(file).take(200).read_to_string(&mut text));
    text
}

/// In this order: who is killed in between leaves something that still tells that there was somebody.
pub(super) fn write_note(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// Whether who had the lock did not end in order.
pub(super) fn crashed(file: &mut File) -> bool {
    let note = note(file);
    !note.is_empty() && !note.starts_with(ENDED)
}

/// Opens the file of a lock, which is made when it is not there.
pub(super) fn open_named(state: &StateDir, name: &str) -> io::Result<(File, PathBuf)> {
    let path = state.dir(DIRECTORY)?.join(name);
    let mut options = OpenOptions::new();
    Ok((open_lock(&path, options.read(true).write(true).create(true).truncate(false).mode(0o600))?, path))
}

/// Opens one, with its name in what is said when that fails.
pub(super) fn open_lock(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_regular(path, options).map_err(|e| io::Error::new(e.kind(), format!("lock file {}: {e}", text::path(path))))
}
