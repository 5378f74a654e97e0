//! Claims buckets, so that no two processes of this host ever use the same one.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use chrono::NaiveDateTime;

use super::StateDir;
use crate::history::bucket::Bucket;
use crate::mirror::Mirror;

/// A bucket for `mirror` that starts at `now` (local time) and that nobody was given before, also when two processes ask
/// in the same second or the clock was set back.
///
/// # Errors
/// Those of the file that remembers the last claim.
pub fn claim(state: &StateDir, mirror: &Mirror, now: NaiveDateTime) -> io::Result<Bucket> {
    let path = state.dir("buckets")?.join(mirror.id());
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    let mut last = Vec::new();
    Read::by_ref(&mut file).take(100).read_to_end(&mut last)?;
    // What is not ours, after damage, counts as nothing: it must not stop all mirroring.
    let highest = String::from_utf8_lossy(&last).trim().parse().ok();
    // With nothing remembered, this second's bucket may exist: chance tells them apart.
    let highest = highest.unwrap_or_else(|| Bucket { start: now, number: fastrand::u32(100_000..900_000) });
    let (bucket, highest) = Bucket::after(Some(highest), now);
    let note = format!("{highest}\n");
    file.rewind()?;
    file.write_all(note.as_bytes())?;
    file.set_len(note.len() as u64)?;
    Ok(bucket)
}
