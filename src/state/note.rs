//! Small files about a mirror that others read at any time: each is there as a whole, or not at all.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StateDir;
use crate::mirror::Mirror;

/// Writes one in the place of the last one.
pub(super) fn write(state: &StateDir, mirror: &Mirror, kind: &str, value: &impl Serialize) -> io::Result<()> {
    super::replace_lightly(&path(state, mirror, kind)?, &serde_json::to_vec(value)?)
}

/// Reads one; nothing when there is none.
pub(super) fn read<T: DeserializeOwned>(state: &StateDir, mirror: &Mirror, kind: &str) -> io::Result<Option<T>> {
    let path = path(state, mirror, kind)?;
    let named = |e: String| io::Error::other(format!("{}: {e}", path.display()));
    match fs::read(&path) {
        // What a power cut can leave.
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|e| named(e.to_string())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(named(e.to_string())),
    }
}

fn path(state: &StateDir, mirror: &Mirror, kind: &str) -> io::Result<PathBuf> {
    Ok(state.dir("status")?.join(format!("{}.{kind}", mirror.id())))
}
