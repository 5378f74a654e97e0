//! What a mirror may have under two names: while something that was renamed is put in its new place, both names are links to
//! the same files. Whatever changes the mode or the owner of one of them then would change the other.
//!
//! The note is made before, and goes when the old names were removed. After a crash in between it is still there.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::StateDir;
use super::files::Lasting;
use crate::mirror::Mirror;
use crate::report::text;

const DIRECTORY: &str = "links";

/// Notes the old names.
///
/// # Errors
/// Those of writing to the state directory: then nothing may be linked.
pub fn note(state: &StateDir, mirror: &Mirror, old: &[PathBuf]) -> io::Result<()> {
    let names: Vec<u8> = old.iter().flat_map(|path| [path.as_os_str().as_bytes(), &[0]].concat()).collect();
    state.write(DIRECTORY, &mirror.id(), &names, Lasting::PowerCut)
}

/// The old names of which it is not known that they are gone.
///
/// # Errors
/// Those of reading the state directory, and that the note is damaged: half of a name is another name.
pub fn noted(state: &StateDir, mirror: &Mirror) -> io::Result<Vec<PathBuf>> {
    let Some(names) = state.read(DIRECTORY, &mirror.id())? else { return Ok(Vec::new()) };
    if !names.is_empty() && !names.ends_with(&[0]) {
        let path = state.path().join(DIRECTORY).join(mirror.id());
        return Err(io::Error::other(format!("{} is damaged", text::path(&path))));
    }
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| PathBuf::from(OsString::from_vec(name.to_vec()))).collect())
}

/// Forgets them: they are gone.
///
/// # Errors
/// Those of the state directory.
pub fn forget(state: &StateDir, mirror: &Mirror) -> io::Result<()> {
    let Some(dir) = state.existing_dir(DIRECTORY)? else { return Ok(()) };
    match fs::remove_file(dir.join(mirror.id())) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
