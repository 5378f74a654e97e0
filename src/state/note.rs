//! Small files about a mirror that others read at any time: each is there as a whole, or not at all.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StateDir;
use super::files::Lasting;
use crate::mirror::Mirror;
use crate::report::text;

const DIRECTORY: &str = "status";

/// Writes one in the place of the last one.
pub(super) fn write(
    state: &StateDir,
    mirror: &Mirror,
    kind: &str,
    value: &impl Serialize,
    lasting: Lasting,
) -> io::Result<()> {
    state.write(DIRECTORY, &name(mirror, kind), &serde_json::to_vec(value)?, lasting)
}

/// Reads one; nothing when there is none. What is there and says nothing is an error: it is not known then how the mirror does.
pub(super) fn read<T: DeserializeOwned>(state: &StateDir, mirror: &Mirror, kind: &str) -> io::Result<Option<T>> {
    let name = name(mirror, kind);
    let Some(text) = state.read(DIRECTORY, &name)? else { return Ok(None) };
    if text.is_empty() {
        return Err(damaged(state, mirror, kind, "is empty, as after a power cut"));
    }
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|e| damaged(state, mirror, kind, &format!("is damaged ({e})")))
}

/// What is said of one that says nothing.
pub(super) fn damaged(state: &StateDir, mirror: &Mirror, kind: &str, how: &str) -> io::Error {
    let path = state.path().join(DIRECTORY).join(name(mirror, kind));
    io::Error::other(format!("{} {how}; the next run writes it anew, or remove it", text::path(&path)))
}

/// Whether it is there.
pub(super) fn is_there(state: &StateDir, mirror: &Mirror, kind: &str) -> bool {
    state.path().join(DIRECTORY).join(name(mirror, kind)).symlink_metadata().is_ok()
}

fn name(mirror: &Mirror, kind: &str) -> String {
    format!("{}.{kind}", mirror.id())
}
