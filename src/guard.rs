//! The guards that stand before every deletion: a source root that may not be what it seems is not mirrored.

use std::fs;
use std::io;

use crate::config::settings::Source;
use crate::exit::{Exit, Failure};
use crate::history::bucket::HISTORY_DIR;
use crate::mirror::{Endpoint, Mirror};

/// What the operator vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptySource {
    /// An empty source is taken for an unmounted one.
    Refused,
    /// `--allow-empty`: the source is empty on purpose, and so shall be the mirror.
    Allowed,
}

/// Checks that a local mirror does not lie inside its own source, nor the source inside the mirror or its history, whatever
/// symbolic links lead there. The configuration was checked for that as well, but only by the names.
///
/// # Errors
/// [`Exit::Refused`] with both places.
pub fn check_apart(mirror: &Mirror) -> Result<(), Failure> {
    let Endpoint::Directory(root) = &mirror.endpoint else { return Ok(()) };
    // What is missing is refused elsewhere.
    let (Ok(source), Ok(root)) = (mirror.source.path.canonicalize(), root.canonicalize()) else { return Ok(()) };
    let refused = |why: &str| Failure::new(Exit::Refused, format!("{mirror}: {why}; choose another place"));
    let places = [root.join(&mirror.source.name), root.join(HISTORY_DIR)];
    if places.iter().any(|place| source.starts_with(place.canonicalize().as_ref().unwrap_or(place))) {
        return Err(refused("the source lies inside its own mirror or history"));
    }
    for place in places {
        let place = place.canonicalize().unwrap_or(place);
        if let Ok(inside) = place.strip_prefix(&source)
            && !mirror.excludes.excludes(inside, true)
        {
            return Err(refused("it lies inside its own source, and would mirror itself"));
        }
    }
    Ok(())
}

/// Checks that the source has its marker, if it is to have one.
///
/// # Errors
/// [`Exit::Refused`] when it is not there.
pub fn check_marker(source: &Source) -> Result<(), Failure> {
    let Some(marker) = &source.marker else { return Ok(()) };
    fs::symlink_metadata(source.path.join(marker)).map(drop).map_err(|e| {
        let why = format!("its marker `{}` is not there ({e}); is it mounted?", marker.display());
        Failure::new(Exit::Refused, format!("source `{}` ({}): {why}", source.name, source.path.display()))
    })
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
    check_marker(source)?;
    let mut entries = fs::read_dir(&source.path).map_err(|e| unreachable(&format!("cannot be read: {e}")))?;
    if entries.next().is_none() && empty == EmptySource::Refused {
        let why = "is empty, so mirroring it would delete everything; is it mounted? If it is meant: --allow-empty";
        return Err(Failure::new(Exit::Refused, format!("{}: {why}", at())));
    }
    Ok(())
}
