//! What is remembered of a mirror from its last good pass: the base of the guards, and since when it may be trusted.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use log::warn;
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};

use super::StateDir;
use crate::guard;
use crate::hash::fnv1a;
use crate::mirror::Mirror;
use crate::tree::changed::{self, Directories, Moved};
use crate::tree::shard::Shard;

/// A moment by the clock on the wall, with what tells whether that clock was set back later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// By the clock.
    pub time: DateTime<Utc>,
    /// How long the machine was running then, in milliseconds.
    uptime: i64,
    /// A name for the time from one start of the machine to the next.
    boot: String,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Moment {
        static BOOT: LazyLock<String> = LazyLock::new(|| {
            fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
        });
        let uptime = rustix::time::clock_gettime(ClockId::Boottime);
        Moment { time: Utc::now(), uptime: uptime.tv_sec * 1000 + uptime.tv_nsec / 1_000_000, boot: BOOT.clone() }
    }

    /// Whether the times of files that were changed since this moment can be compared with it: the clock was not set
    /// back, as far as can be told. Over a restart of the machine only the clock itself can tell.
    #[must_use]
    pub fn is_sound(&self, now: &Moment) -> bool {
        let by_clock = (now.time - self.time).num_milliseconds();
        let passed = now.uptime - self.uptime;
        by_clock >= 0 && (self.boot != now.boot || by_clock >= passed - CLOCK_SLACK)
    }

    /// The ctime from which on something may have changed since this moment. The kernel's clock for files is behind the
    /// real one by up to a tick, and a clock may have been corrected a little.
    #[must_use]
    pub fn in_files(&self) -> (i64, i64) {
        let time = self.time - TimeDelta::milliseconds(2 * CLOCK_SLACK);
        (time.timestamp(), time.timestamp_subsec_nanos().into())
    }
}

/// How far the clock may be corrected without having been set back, in milliseconds. [`Moment::in_files`] looks back farther.
const CLOCK_SLACK: i64 = 1_000;

/// The last pass over a mirror that did everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The stamp: every change before this moment has reached the endpoint.
    pub stamp: Moment,
    /// When everything was last compared.
    pub compared: DateTime<Utc>,
    /// How many entries the source had, the root not counted.
    pub entries: u64,
    /// The directories of the source in which others were mounted and entered.
    pub mounts: Vec<OsString>,
    /// The sum of the file with the directories of the source; another one does not belong to this record.
    directories: u64,
    /// Places of the source that directories came to or left since the last pass, while a watch moved the stamp on.
    #[serde(default)]
    pub moved: Moved,
    /// What was to be mirrored then, see [`Mirror::fingerprint`].
    pub fingerprint: u64,
}

impl Record {
    /// What is to be remembered of a pass. The file with the directories is written by [`Record::save`].
    #[must_use]
    pub fn new(
        mirror: &Mirror,
        stamp: Moment,
        compared: DateTime<Utc>,
        entries: u64,
        mounts: &[PathBuf],
        directories: &Directories,
    ) -> Record {
        Record {
            stamp,
            compared,
            entries,
            mounts: mounts.iter().map(|path| path.clone().into_os_string()).collect(),
            directories: fnv1a(&directories.as_bytes()),
            moved: Moved::default(),
            fingerprint: mirror.fingerprint(),
        }
    }

    /// What is remembered of the same mirror under the same settings; nothing when no pass over it (or this shard of it)
    /// was ever good. A damaged file counts as nothing: everything is compared then, and the guards have less to go by.
    #[must_use]
    pub fn load(state: &StateDir, mirror: &Mirror, shard: Shard) -> Option<Record> {
        let text = read(state, mirror, shard, "json")?;
        let record: Result<Record, _> = serde_json::from_slice(&text);
        let record = record.map_err(|e| warn!("{mirror}: what is remembered of the last pass is damaged: {e}")).ok()?;
        (record.fingerprint == mirror.fingerprint()).then_some(record)
    }

    /// Whether the root of the source was a mount point at the last good pass, under whatever settings.
    #[must_use]
    pub fn was_mounted(state: &StateDir, mirror: &Mirror) -> bool {
        let place = read(state, mirror, Shard::WHOLE, "mounted");
        place.is_some_and(|place| place == mirror.source.path.as_os_str().as_bytes())
    }

    /// The directories that the source had then, for a scan of what changed since.
    ///
    /// # Errors
    /// With the reason why such a scan would not find everything.
    pub fn directories(&self, state: &StateDir, mirror: &Mirror, shard: Shard) -> Result<Directories, &'static str> {
        if !self.stamp.is_sound(&Moment::now()) {
            return Err("the clock was set back since the last good pass");
        }
        if !changed::can_tell(&mirror.source.path) {
            return Err("the times of its files come from another machine's clock");
        }
        let bytes = read(state, mirror, shard, &directories_kind(self.directories));
        let bytes = bytes.filter(|bytes| fnv1a(bytes) == self.directories);
        bytes.as_deref().and_then(Directories::from_bytes).ok_or("its directories are not known any more")
    }

    /// Moves the stamp of a mirror to `stamp`, which a watcher may do that has sent every change since `covered`. What is
    /// remembered from before that stays as it is, and so does a later stamp.
    ///
    /// # Errors
    /// With the file's name.
    pub fn advance(state: &StateDir, mirror: &Mirror, covered: &Moment, stamp: &Moment) -> io::Result<()> {
        let record = Record::load(state, mirror, Shard::WHOLE);
        match record.filter(|record| record.stamp.time >= covered.time && record.stamp.time < stamp.time) {
            Some(record) => {
                let record = Record { stamp: stamp.clone(), ..record };
                write(state, mirror, Shard::WHOLE, "json", &serde_json::to_vec(&record)?)
            }
            None => Ok(()),
        }
    }

    /// The ctime from which on something may have changed since the stamp.
    #[must_use]
    pub fn since(&self) -> (i64, i64) {
        self.stamp.in_files()
    }

    /// Notes places that directories came to or left, before the mirror hears of it: whenever the process ends after that, the
    /// next one knows.
    ///
    /// # Errors
    /// With the file's name.
    pub fn note_moved(state: &StateDir, mirror: &Mirror, moved: &Moved) -> io::Result<()> {
        let Some(mut record) = Record::load(state, mirror, Shard::WHOLE) else { return Ok(()) };
        let before = record.moved.clone();
        record.moved.add(moved.clone());
        if record.moved == before {
            return Ok(());
        }
        write(state, mirror, Shard::WHOLE, "json", &serde_json::to_vec(&record)?)
    }

    /// Remembers it, in the place of what was remembered before. At any moment one of the two is complete.
    ///
    /// # Errors
    /// With the file's name.
    pub fn save(&self, state: &StateDir, mirror: &Mirror, shard: Shard, directories: &Directories) -> io::Result<()> {
        let mounted = guard::is_mounted(&mirror.source.path);
        let place = if mounted { mirror.source.path.as_os_str().as_bytes() } else { b"" };
        write(state, mirror, Shard::WHOLE, "mounted", place)?;
        // Under a name of their own: until the record is replaced, those that belong to the one before are still there.
        let kind = directories_kind(self.directories);
        write(state, mirror, shard, &kind, &directories.as_bytes())?;
        write(state, mirror, shard, "json", &serde_json::to_vec(self)?)?;
        remove_other_directories(&path(state, mirror, shard, &kind)?, &path(state, mirror, shard, "directories")?)
    }
}

/// The kind of the file with directories of this sum.
fn directories_kind(sum: u64) -> String {
    format!("directories-{sum:016x}")
}

/// Removes the directories of earlier passes: files whose names begin with `prefix`, but not the one to `keep`.
fn remove_other_directories(keep: &Path, prefix: &Path) -> io::Result<()> {
    let (Some(dir), Some(prefix)) = (keep.parent(), prefix.file_name()) else { return Ok(()) };
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_of_this = path.file_name().is_some_and(|name| name.as_bytes().starts_with(prefix.as_bytes()));
        if is_of_this && path != keep {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn path(state: &StateDir, mirror: &Mirror, shard: Shard, kind: &str) -> io::Result<PathBuf> {
    let shard = if shard == Shard::WHOLE { String::new() } else { format!(".shard-{}-of-{}", shard.number, shard.of) };
    Ok(state.dir("mirrors")?.join(format!("{}{shard}.{kind}", mirror.id())))
}

fn read(state: &StateDir, mirror: &Mirror, shard: Shard, kind: &str) -> Option<Vec<u8>> {
    let path = path(state, mirror, shard, kind).map_err(|e| warn!("{mirror}: {e}")).ok()?;
    match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => {
            warn!("{mirror}: what is remembered of the last pass cannot be read: {}: {e}", path.display());
            None
        }
    }
}

fn write(state: &StateDir, mirror: &Mirror, shard: Shard, kind: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path(state, mirror, shard, kind)?;
    super::replace(&path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let start =
            Moment { time: DateTime::from_timestamp(1_790_000_000, 0).unwrap(), uptime: 5_000_000, boot: "a".into() };
        let later = |clock: i64, uptime: i64, boot: &str| Moment {
            time: start.time + TimeDelta::milliseconds(clock),
            uptime: start.uptime + uptime,
            boot: boot.to_owned(),
        };
        for (now, sound) in [
            (later(60_000, 60_000, "a"), true),
            (later(59_500, 60_000, "a"), true),
            (later(3_600_000, 60_000, "a"), true),
            (later(30_000, 60_000, "a"), false),
            (later(-1, 0, "a"), false),
            (later(60_000, -4_000_000, "b"), true),
            (later(-60_000, -4_000_000, "b"), false),
        ] {
            assert_eq!(start.is_sound(&now), sound, "{now:?}");
        }
    }
}
