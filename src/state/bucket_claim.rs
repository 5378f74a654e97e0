//! Claims buckets, so that no two processes of this host ever use the same one.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chrono::{NaiveDateTime, Timelike};

use super::StateDir;
use super::files::open_regular;
use super::trouble::Size;
use crate::bucket::Bucket;
use crate::mirror::Mirror;
use crate::report::text;

const DIRECTORY: &str = "buckets";

/// A bucket for `mirror` that starts at `now` (local time) and that nobody was given before, also when two processes ask
/// in the same second or the clock was set back. Where the file cannot be written that remembers the last claim, which is
/// said, chance tells them apart.
#[must_use]
pub fn claim(state: &StateDir, mirror: &Mirror, now: NaiveDateTime) -> Bucket {
    let claimed = state.dir(DIRECTORY).and_then(|dir| {
        let path = dir.join(mirror.id());
        claim_in(&path, now).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", text::path(&path))))
    });
    let claimed = state.trouble.note(DIRECTORY, Size::Part, state.path(), claimed);
    claimed.unwrap_or_else(|_| by_chance(now))
}

/// One of which it is not known what came before it.
fn by_chance(now: NaiveDateTime) -> Bucket {
    Bucket { start: now.with_nanosecond(0).unwrap_or(now), number: fastrand::u32(100_000..900_000) }
}

fn claim_in(path: &Path, now: NaiveDateTime) -> io::Result<Bucket> {
    let mut options = OpenOptions::new();
    let mut file = open_regular(path, options.read(true).write(true).create(true).truncate(false).mode(0o600))?;
    file.lock()?;
    let mut last = Vec::new();
    Read::by_ref(&mut file).take(100).read_to_end(&mut last)?;
    // What is not ours, after damage, counts as nothing: it must not stop all mirroring.
    let highest = String::from_utf8_lossy(&last).trim().parse().ok();
    // With nothing remembered, this second's bucket may exist: chance tells them apart.
    let highest = highest.unwrap_or_else(|| by_chance(now));
    let (bucket, highest) = Bucket::after(Some(highest), now);
    let note = format!("{highest}\n");
    file.rewind()?;
    file.write_all(note.as_bytes())?;
    file.set_len(note.len() as u64)?;
    Ok(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use std::fs;

    #[test]
    fn no_link_is_followed_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("claim"), dir.path().join("victim"));
        let now = chrono::Local::now().naive_local();
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(claim_in(&path, now).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(claim_in(&path, now).is_err());
    }

    #[test]
    fn a_damaged_or_lost_note_stops_nothing_and_gives_no_name_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("note");
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap().naive_utc();
        let first = claim_in(&path, now).unwrap();
        let mut seen = vec![first];
        for damage in [&b""[..], b"\xff\xfe\0", b"2026-13-99/000000\n", &[b'x'; 5000]] {
            fs::write(&path, damage).unwrap();
            let bucket = claim_in(&path, now).unwrap();
            assert!(!seen.contains(&bucket), "{bucket} twice");
            seen.push(bucket);
            let next = claim_in(&path, now).unwrap();
            assert_eq!(next.number, bucket.number + 1, "the note is mended");
        }
    }
}
