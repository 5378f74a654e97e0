//! What is read from a fanotify group, taken apart as fanotify(7) describes it. Pure; any bytes may come.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

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

/// What names a directory: the file system's number, then the `struct file_handle`, as they stand in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Handle<'a>(&'a [u8]);

impl<'a> Handle<'a> {
    /// From bytes that were those of a handle.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Option<Handle<'a>> {
        let length = u32::from_ne_bytes(array(bytes, 8)?);
        (Some(bytes.len()) == usize::try_from(length).ok()?.checked_add(16)).then_some(Handle(bytes))
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of the file system, as `statfs(2)` gives it.
    pub(super) fn file_system(self) -> [u8; 8] {
        array(self.0, 0).unwrap_or_default()
    }

    pub(super) fn kind(self) -> i32 {
        i32::from_ne_bytes(array(self.0, 12).unwrap_or_default())
    }

    /// The handle as the file system has made it.
    pub(super) fn opaque(self) -> &'a [u8] {
        self.0.get(16..).unwrap_or_default()
    }
}

/// What happened: the bits of fanotify(7). One event may stand for several, whose order is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct What(u64);

impl What {
    const MODIFY: u64 = 0x2;
    const MOVED_FROM: u64 = 0x40;
    const MOVED_TO: u64 = 0x80;
    const CREATE: u64 = 0x100;
    const DELETE: u64 = 0x200;
    const ON_DIR: u64 = 0x4000_0000;

    /// It is a directory to which it happened.
    pub(super) fn is_dir(self) -> bool {
        self.0 & Self::ON_DIR != 0
    }

    /// Something new may have this name: created, linked or moved here.
    pub(super) fn arrived(self) -> bool {
        self.0 & (Self::CREATE | Self::MOVED_TO) != 0
    }

    /// A directory may have left this name, or come to it from elsewhere.
    pub(super) fn moved(self) -> bool {
        self.is_dir() && self.0 & (Self::MOVED_FROM | Self::MOVED_TO) != 0
    }

    /// Something came to this name by a rename.
    pub(super) fn moved_here(self) -> bool {
        self.0 & Self::MOVED_TO != 0
    }

    /// Something may have left this name.
    pub(super) fn left(self) -> bool {
        self.0 & (Self::MOVED_FROM | Self::DELETE) != 0
    }

    /// The content may have changed.
    pub(super) fn written(self) -> bool {
        self.0 & Self::MODIFY != 0
    }

    /// Both of them happened.
    pub(super) fn and(self, other: What) -> What {
        What(self.0 | other.0)
    }

    /// For tests that have no kernel.
    #[cfg(test)]
    pub(super) fn new(is_dir: bool, bits: [bool; 3]) -> What {
        let bit = |set: bool, bit: u64| if set { bit } else { 0 };
        let [created, moved, written] = bits;
        What(
            bit(is_dir, Self::ON_DIR)
                | bit(created, Self::CREATE)
                | bit(moved, Self::MOVED_FROM)
                | bit(written, Self::MODIFY),
        )
    }
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

fn array<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An event as the kernel writes it.
    fn written(mask: u64, handle: &[u8], name: &[u8]) -> Vec<u8> {
        event_of(mask, &info_of(DIRECTORY_AND_NAME, handle, name))
    }

    fn info_of(kind: u8, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let mut info = vec![kind, 0, 0, 0];
        info.extend(1_u64.to_ne_bytes());
        info.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
        info.extend(7_i32.to_ne_bytes());
        info.extend(handle);
        info.extend(name);
        info.push(0);
        info.resize(info.len().next_multiple_of(4), 0);
        let length = u16::try_from(info.len()).unwrap().to_ne_bytes();
        info[2..4].copy_from_slice(&length);
        info
    }

    fn event_of(mask: u64, info: &[u8]) -> Vec<u8> {
        let mut event = u32::try_from(METADATA + info.len()).unwrap().to_ne_bytes().to_vec();
        event.extend([VERSION, 0]);
        event.extend(u16::try_from(METADATA).unwrap().to_ne_bytes());
        event.extend(mask.to_ne_bytes());
        event.extend((-1_i32).to_ne_bytes());
        event.extend(1_i32.to_ne_bytes());
        event.extend(info);
        event
    }

    proptest! {
        #[test]
        fn whatever_bytes_come_they_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(records(&bytes).count() <= bytes.len());
        }

        /// Damage of real events gets farther than bytes at random.
        #[test]
        fn damaged_events_do_no_harm(place in 0_usize..200, byte: u8, cut in 0_usize..200) {
            let mut bytes = [written(0x100, b"handle", b"name"), written(0x2, b"other", b"x")].concat();
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(cut);
            let found = records(&bytes).count();
            prop_assert!(found <= bytes.len());
        }

        #[test]
        fn what_was_written_is_read(
            events in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..128), "[^/\0]{0,60}", any::<u32>()),
                0..5,
            ),
        ) {
            let mut bytes = Vec::new();
            for (handle, name, mask) in &events {
                bytes.extend(written(u64::from(*mask) & !OVERFLOW & !RENAME, handle, name.as_bytes()));
            }
            let read: Vec<Record<'_>> = records(&bytes).collect();
            prop_assert_eq!(read.len(), events.len());
            for (record, (handle, name, mask)) in read.iter().zip(&events) {
                let Record::Change(change) = record else {
                    prop_assert_eq!(name, "..");
                    continue;
                };
                prop_assert_eq!((change.dir.opaque(), change.dir.kind()), (handle.as_slice(), 7));
                prop_assert_eq!(change.dir.file_system(), 1_u64.to_ne_bytes());
                prop_assert_eq!(Handle::from_bytes(change.dir.as_bytes()), Some(change.dir));
                prop_assert_eq!(change.name, OsStr::new(if name == "." { "" } else { name }));
                prop_assert_eq!(change.what, What(u64::from(*mask) & !OVERFLOW & !RENAME));
            }
        }
    }

    #[test]
    fn a_rename_is_one_record_with_both_names() {
        let old = info_of(OLD_DIRECTORY_AND_NAME, b"one", b"from");
        let new = info_of(NEW_DIRECTORY_AND_NAME, b"two", b"to");
        for infos in [[old.as_slice(), &new].concat(), [new.as_slice(), &old].concat()] {
            let bytes = event_of(RENAME | What::ON_DIR, &infos);
            let read: Vec<Record<'_>> = records(&bytes).collect();
            let [Record::Rename(from, to)] = &read[..] else { panic!("{read:?}") };
            assert_eq!((from.dir.opaque(), from.name.to_str()), (&b"one"[..], Some("from")));
            assert_eq!((to.dir.opaque(), to.name.to_str()), (&b"two"[..], Some("to")));
            assert!(from.what.left() && from.what.moved() && !from.what.arrived());
            assert!(to.what.moved_here() && to.what.moved() && to.what.arrived() && to.what.is_dir());
        }
        assert_eq!(records(&event_of(RENAME, &old)).collect::<Vec<_>>(), [Record::Lost]);
    }

    #[test]
    fn what_was_dropped_is_known_to_be_lost() {
        let mut overflow = written(OVERFLOW, b"", b"");
        overflow.truncate(METADATA);
        overflow[..4].copy_from_slice(&24_u32.to_ne_bytes());
        assert_eq!(records(&overflow).collect::<Vec<_>>(), [Record::Lost]);
        // Neither a handle of nothing nor an event without a record can be acted on.
        overflow[8..16].copy_from_slice(&0x100_u64.to_ne_bytes());
        assert_eq!(records(&overflow).collect::<Vec<_>>(), [Record::Lost]);
        assert_eq!(records(&written(0x100, b"", b"x")).collect::<Vec<_>>(), [Record::Lost]);
        let what = What(What::CREATE | What::ON_DIR);
        assert!(what.is_dir() && what.arrived() && !what.moved() && !what.written());
    }
}
