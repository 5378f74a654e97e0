//! The state directory: what sersync remembers between runs, and the locks.

pub mod bucket_claim;
pub mod condition;
mod files;
pub mod journal;
pub mod links;
pub mod lock;
pub mod mounts;
mod note;
pub mod notices;
pub mod passes;
pub mod record;
mod trouble;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use self::trouble::Trouble;
use crate::exit::{Exit, Failure};
use crate::report::{shell, text};

/// A state directory that belongs to us. It was there at the beginning; whoever works for long has to expect that it is
/// removed, or full.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    /// What cannot be written, as far as this process knows.
    trouble: Arc<Trouble>,
    /// The directories within from which this process has removed what killed ones had left.
    tidied: Arc<Mutex<BTreeSet<&'static str>>>,
}

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
                format!("state directory {}: {e}; give another by --state-dir DIR", text::path(&path)),
            )
        })?;
        Ok(StateDir { path, trouble: Arc::default(), tidied: Arc::default() })
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
        &self.path
    }

    /// Says, once, that it was removed while somebody works with it.
    pub fn is_gone(&self) {
        self.trouble.gone(&self.path);
    }

    /// Where it is within a directory, if it is.
    #[must_use]
    pub fn within(&self, dir: &Path) -> Option<PathBuf> {
        let (own, dir) = (self.path.canonicalize().ok()?, dir.canonicalize().ok()?);
        own.strip_prefix(dir).ok().map(Path::to_owned)
    }

    /// The directory `name` within, made when it is not there.
    ///
    /// # Errors
    /// Those of making a directory.
    pub fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        let made = not_a_link(&path).and_then(|()| make_private_dir(&path));
        made.map_err(|e| io::Error::new(e.kind(), format!("state directory {}: {e}", text::path(&path))))?;
        Ok(path)
    }

    /// The same for those who only look: nothing when it is not there.
    ///
    /// # Errors
    /// That it is not ours.
    pub fn existing_dir(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let path = self.path.join(name);
        match not_a_link(&path).and_then(|()| check_private_dir(&path)) {
            Ok(()) => Ok(Some(path)),
            // Something above it may be no directory any more.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(io::Error::new(e.kind(), format!("state directory {}: {e}", text::path(&path)))),
        }
    }
}

/// What is within is ours alone, so a link was put there by somebody who once could.
fn not_a_link(path: &Path) -> io::Result<()> {
    let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    if is_link { Err(io::Error::other("is a symbolic link")) } else { Ok(()) }
}

/// Makes the directory and those above it, readable for the owner only.
fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_private_dir(path)
}

/// Refuses one that somebody else owns or may write to: another user must not be able to put files in the place of ours.
fn check_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path)?;
    if !meta.is_dir() {
        return Err(io::Error::other("is no directory; remove it"));
    }
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
