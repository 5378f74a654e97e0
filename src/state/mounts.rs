//! Where other file systems are, or were, mounted in a source and mirrored with it. Under whatever settings and for all shares of a
//! pass alike, as long as the source is the same: what the mirror has of them stays while they are not mounted.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::StateDir;
use super::files::Lasting;
use crate::mirror::Mirror;
use crate::report::text;

const DIRECTORY: &str = "mirrors";

/// The places, relative to the source.
///
/// # Errors
/// Those of reading the state directory, and that the note is damaged: whoever knows nothing of them deletes.
pub fn known(state: &StateDir, mirror: &Mirror) -> io::Result<BTreeSet<PathBuf>> {
    let Some(bytes) = state.read(DIRECTORY, &name(mirror))? else { return Ok(BTreeSet::new()) };
    if !bytes.ends_with(&[0]) {
        let path = state.path().join(DIRECTORY).join(name(mirror));
        let path = text::path(&path);
        return Err(io::Error::other(format!("{path} is damaged; when all is mounted in the source, remove it")));
    }
    let mut paths = bytes[..bytes.len() - 1].split(|byte| *byte == 0).map(|path| OsString::from_vec(path.to_vec()));
    let is_same = paths.next().is_some_and(|source| source == mirror.source.path.as_os_str());
    Ok(if is_same { paths.map(PathBuf::from).collect() } else { BTreeSet::new() })
}

/// Notes them, in the place of what was noted before.
///
/// # Errors
/// Those of writing to the state directory.
pub fn note(state: &StateDir, mirror: &Mirror, places: &BTreeSet<PathBuf>) -> io::Result<()> {
    if matches!(known(state, mirror), Ok(known) if known == *places) {
        return Ok(());
    }
    let paths = [&mirror.source.path].into_iter().chain(places);
    let bytes: Vec<u8> = paths.flat_map(|path| [path.as_os_str().as_bytes(), &[0]].concat()).collect();
    state.write(DIRECTORY, &name(mirror), &bytes, Lasting::PowerCut)
}

fn name(mirror: &Mirror) -> String {
    format!("{}.mounts", mirror.id())
}
