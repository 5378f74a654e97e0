//! The guards that stand before every deletion: a source root that may not be what it seems is not mirrored.

use std::fs;
use std::io;

use crate::config::settings::Source;
use crate::exit::{Exit, Failure};

/// What the operator vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptySource {
    /// An empty source is taken for an unmounted one.
    Refused,
    /// `--allow-empty`: the source is empty on purpose, and so shall be the mirror.
    Allowed,
}

/// Checks that the source root is there, is a directory, has its marker and is not empty.
///
/// # Errors
/// [`Exit::Unreachable`] for a root that is missing or cannot be read, [`Exit::Refused`] for one that looks unmounted.
pub fn check_source(source: &Source, empty: EmptySource) -> Result<(), Failure> {
    let at = || format!("source `{}` ({})", source.name, source.path.display());
    let unreachable = |why: &str| Failure::new(Exit::Unreachable, format!("{}: {why}", at()));
    match fs::metadata(&source.path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(unreachable("is not a directory")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(unreachable("does not exist")),
        Err(e) => return Err(unreachable(&format!("cannot be looked at: {e}"))),
    }
    if let Some(marker) = &source.marker
        && let Err(e) = fs::symlink_metadata(source.path.join(marker))
    {
        let why = format!("its marker `{}` is not there ({e}); is it mounted?", marker.display());
        return Err(Failure::new(Exit::Refused, format!("{}: {why}", at())));
    }
    let mut entries = fs::read_dir(&source.path).map_err(|e| unreachable(&format!("cannot be read: {e}")))?;
    if entries.next().is_none() && empty == EmptySource::Refused {
        let why = "is empty, so mirroring it would delete everything; is it mounted? If it is meant: --allow-empty";
        return Err(Failure::new(Exit::Refused, format!("{}: {why}", at())));
    }
    Ok(())
}
