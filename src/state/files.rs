//! How the files of the state directory are read and written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::StateDir;
use super::trouble::Size;
use crate::files::{check_owner, guarded, is_link};
use crate::mutex::lock;
use crate::report::text;
use crate::unfinished;

/// How sure it has to be that something is there after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// The old content or the new one is there as a whole.
    PowerCut,
    /// The file may be empty then: it is written often, and matters little.
    Process,
}

/// Nobody else is to read what is remembered.
const MODE: u32 = 0o600;

impl StateDir {
    /// Writes a file in the place of another one: whatever happens to the process, one of the two is there as a whole. That
    /// it cannot be written is said, once; what becomes of it is for the caller to decide.
    ///
    /// # Errors
    /// Those of writing, with the name of the file.
    pub(super) fn write(&self, dir: &'static str, name: &str, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
        let written = self.dir(dir).and_then(|path| {
            if lock(&self.tidied).insert(dir) {
                unfinished::tidy(&path);
            }
            let path = path.join(name);
            replace(&path, bytes, lasting).map_err(|e| named(&path, &e))
        });
        if bytes.is_empty() && written.is_ok() {
            // That works on a full disk too.
            return Ok(());
        }
        self.trouble.note(dir, Size::Whole, &self.path, written)
    }

    /// Whether a file can be made in a directory within. Where that is not so, nobody can take a lock.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let made = self.dir("locks").and_then(|dir| unfinished::create(&dir, MODE));
        match made {
            Ok(_) => true,
            // It may be somebody else who can.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => self.path.symlink_metadata().is_ok(),
            Err(_) => false,
        }
    }

    /// Reads a file; nothing when there is none.
    ///
    /// # Errors
    /// Those of reading, and that it is not ours, with the name of the file.
    pub(super) fn read(&self, dir: &str, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(dir) = self.existing_dir(dir)? else { return Ok(None) };
        let path = dir.join(name);
        match read_own(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(named(&path, &e)),
        }
    }
}

fn replace(path: &Path, bytes: &[u8], lasting: Lasting) -> io::Result<()> {
    let mut file = unfinished::create(path.parent().unwrap_or(path), MODE)?;
    file.write_all(bytes).map_err(|e| unfinished::plain(&e))?;
    if lasting == Lasting::PowerCut {
        file.as_file().sync_all()?;
    }
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// Opens a file that has to be one: no link leads elsewhere, and nothing is waited for.
///
/// # Errors
/// Those of opening it, and that it is none.
pub(super) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = guarded(options).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is no file")) }
}

/// What somebody else has put there says nothing about a mirror.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let mut file: File = guarded(OpenOptions::new().read(true))
        .open(path)
        .map_err(|e| if is_link(&e) { io::Error::other("is a symbolic link; remove it") } else { e })?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is no file; remove it"));
    }
    check_owner(&meta).map_err(|e| io::Error::other(format!("{e}; remove it")))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", text::path(path)))
}
