//! Whatever the kernel or anything else writes is read, and never read past its end.

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
