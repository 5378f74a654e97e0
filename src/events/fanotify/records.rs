//! What is read from a fanotify group, taken apart as fanotify(7) describes it. Pure; any bytes may come.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::handle::{Handle, array};
use super::what::What;

/// The length of the fixed part of an event.
const METADATA: usize = 24;
/// The only version of the format.
const VERSION: u8 = 3;
/// A record with the handle of a directory and a name in it.
const DIRECTORY_AND_NAME: u8 = 2;
/// Two of them belong to a rename.
const OLD_DIRECTORY_AND_NAME: u8 = 10;
const NEW_DIRECTORY_AND_NAME: u8 = 12;
/// A rename as one event.
const RENAME: u64 = 0x1000_0000;
/// The kernel's queue was full, and events were dropped.
const OVERFLOW: u64 = 0x4000;

/// One thing that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// Something happened to an entry of a directory, or to the directory itself.
    Change(Change<'a>),
    /// An entry was renamed: what left, and what arrived.
    Rename(Change<'a>, Change<'a>),
    /// Something happened, and nothing more is known.
    Lost,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) dir: Handle<'a>,
    /// Empty for the directory itself.
    pub(super) name: &'a OsStr,
    pub(super) what: What,
}

/// Takes apart what one call of read(2) gave.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = event(bytes);
        // What cannot be understood has no end either.
        let length = record.as_ref().map_or(bytes.len(), |(length, _)| *length);
        bytes = bytes.get(length..).unwrap_or_default();
        Some(record.map_or(Record::Lost, |(_, record)| record))
    })
}

/// The first event, and its length.
fn event(bytes: &[u8]) -> Option<(usize, Record<'_>)> {
    let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
    let event = bytes.get(..length).filter(|event| event.len() >= METADATA)?;
    let metadata = usize::from(u16::from_ne_bytes(array(event, 6)?));
    let mask = u64::from_ne_bytes(array(event, 8)?);
    if event[4] != VERSION || metadata < METADATA {
        return None;
    }
    let lost = (length, Record::Lost);
    if mask & OVERFLOW != 0 {
        return Some(lost);
    }
    let mut rest = event.get(metadata..)?;
    let (mut here, mut from, mut to) = (None, None, None);
    while !rest.is_empty() {
        let length = usize::from(u16::from_ne_bytes(array(rest, 2)?));
        let info = rest.get(..length).filter(|info| info.len() >= 4)?;
        let found = match info[0] {
            DIRECTORY_AND_NAME => Some(&mut here),
            OLD_DIRECTORY_AND_NAME => Some(&mut from),
            NEW_DIRECTORY_AND_NAME => Some(&mut to),
            _ => None,
        };
        if let Some(found) = found {
            *found = directory_and_name(info.get(4..)?);
        }
        rest = rest.get(length..)?;
    }
    let change = |(dir, name), what| Change { dir, name, what };
    let record = if mask & RENAME == 0 {
        here.map(|here| Record::Change(change(here, What(mask))))
    } else {
        // Never with anything else, since other events have one name only.
        let is_dir = mask & What::ON_DIR;
        from.zip(to).map(|(from, to)| {
            Record::Rename(change(from, What(What::MOVED_FROM | is_dir)), change(to, What(What::MOVED_TO | is_dir)))
        })
    };
    Some(record.map_or(lost, |record| (event.len(), record)))
}

fn directory_and_name(record: &[u8]) -> Option<(Handle<'_>, &OsStr)> {
    let length = usize::try_from(u32::from_ne_bytes(array(record, 8)?)).ok()?;
    let end = length.checked_add(16)?;
    // A handle without a byte is one that the file system could not make.
    let handle = Handle::from_bytes(record.get(..end)?).filter(|_| length > 0)?;
    let name = record.get(end..)?;
    let name = name.get(..name.iter().position(|byte| *byte == 0)?)?;
    match name {
        b"" | b"." => Some((handle, OsStr::new(""))),
        b".." => None,
        _ => (!name.contains(&b'/')).then(|| (handle, OsStr::from_bytes(name))),
    }
}

#[cfg(test)]
mod tests;
