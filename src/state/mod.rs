//! The state directory: what sersync remembers between runs, and the locks.

pub mod bucket_claim;
pub mod condition;
pub mod journal;
pub mod links;
pub mod lock;
mod note;
pub mod notices;
pub mod passes;
pub mod record;

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::{Exit, Failure};
use crate::report::shell;

/// An existing state directory that belongs to us.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens `chosen`, else `$STATE_DIRECTORY` (which systemd sets), else `/var/lib/sersync` for root, else
    /// `$XDG_STATE_HOME/sersync` or `~/.local/state/sersync`; makes it (mode 0700) when it is not there.
    ///
    /// # Errors
    /// One line when no place is known or it cannot be made.
    pub fn open(chosen: Option<&Path>) -> Result<StateDir, Failure> {
        let path = match chosen {
            Some(path) => path.to_owned(),
            None => StateDir::default_place().ok_or_else(|| {
                Failure::new(Exit::Failed, "no place for the state directory is known: give --state-dir DIR")
            })?,
        };
        make_private_dir(&path).map_err(|e| {
            Failure::new(
                Exit::Failed,
                format!("state directory {}: {e}; give another by --state-dir DIR", path.display()),
            )
        })?;
        Ok(StateDir(path))
    }

    fn default_place() -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // systemd may name several directories, separated by colons; the first is the one to use.
        if let Some(dirs) = set("STATE_DIRECTORY") {
            return env::split_paths(&dirs).next();
        }
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/lib/sersync"));
        }
        set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state"))).map(|dir| dir.join("sersync"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where it is within a directory, if it is.
    #[must_use]
    pub fn within(&self, dir: &Path) -> Option<PathBuf> {
        let (own, dir) = (self.0.canonicalize().ok()?, dir.canonicalize().ok()?);
        own.strip_prefix(dir).ok().map(Path::to_owned)
    }

    /// The directory `name` within, made when it is not there.
    ///
    /// # Errors
    /// Those of making a directory.
    pub fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        // What is within is ours alone, so a link was put there by somebody who once could.
        let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        let made = if is_link { Err(io::Error::other("is a symbolic link")) } else { make_private_dir(&path) };
        made.map_err(|e| io::Error::new(e.kind(), format!("state directory {}: {e}", path.display())))?;
        Ok(path)
    }
}

/// Writes a file in the place of another one: at any moment, and after any crash, one of the two is there as a whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, bytes, File::sync_all)
}

/// The same for what is written often and matters little: after a power cut, the file may be empty.
fn replace_lightly(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(path, bytes, |_| Ok(()))
}

fn replace_by(path: &Path, bytes: &[u8], settle: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(path)).map_err(named)?;
    file.write_all(bytes).and_then(|()| settle(file.as_file())).map_err(named)?;
    file.persist(path).map(drop).map_err(|e| named(e.error))
}

/// Makes the directory and those above it, readable for the owner only, and refuses one that somebody else owns or may
/// write to: another user must not be able to put files in the place of ours.
fn make_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let meta = fs::metadata(path)?;
    let (owner, me) = (meta.uid(), rustix::process::geteuid().as_raw());
    if owner != me && owner != 0 {
        return Err(io::Error::other(format!("belongs to user {owner}, not to this user ({me})")));
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let word = shell::path(path);
        return Err(io::Error::other(format!(
            "may be written to by everybody (mode {mode:o}); run `chmod 700 {word}`"
        )));
    }
    Ok(())
}
