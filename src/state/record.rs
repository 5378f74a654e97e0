//! What is remembered of a mirror from its last good pass: the base of the guards, and since when it may be trusted.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StateDir;
use super::files::Lasting;
use super::trouble::Size;
use crate::hash::fnv1a;
use crate::mirror::Mirror;
use crate::moment::Moment;
use crate::mounted::is_mounted;
use crate::report::text;
use crate::tree::file_system;
use crate::tree::known::{Directories, Moved};
use crate::tree::shard::Shard;

const DIRECTORY: &str = "mirrors";

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
    /// The sum of the file with the directories of the source; another one does not belong to this record.
    directories: u64,
    /// Places of the source that directories came to or left since the last pass, while a watch moved the stamp on.
    #[serde(default)]
    pub moved: Moved,
    /// The moment since which content may have been replaced under the same size and time without having been looked for,
    /// where that is before the stamp: passes have gone by size and time since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unseen: Option<Moment>,
    /// What was to be mirrored then, see [`Mirror::fingerprint`].
    pub fingerprint: u64,
}

/// Who looks for content that was replaced under the same size and time, beside a pass that compares everything by these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookout {
    /// The pass itself, which compared contents.
    Pass,
    /// A watch that is running: it hears of it.
    Watch,
    /// Nobody: whoever looks for what changed since is to look from where he would have without the pass.
    Nobody,
}

impl Record {
    /// What is to be remembered of a pass. The file with the directories is written by [`Record::save`].
    #[must_use]
    pub fn new(
        mirror: &Mirror,
        stamp: Moment,
        compared: DateTime<Utc>,
        entries: u64,
        directories: &Directories,
    ) -> Record {
        Record {
            stamp,
            compared,
            entries,
            directories: fnv1a(&directories.as_bytes()),
            moved: Moved::default(),
            unseen: None,
            fingerprint: mirror.fingerprint(),
        }
    }

    /// What is remembered of the same mirror under the same settings; nothing when no pass over it (or this shard of it)
    /// was ever good. A damaged file counts as nothing: everything is compared then, and the guards have less to go by.
    #[must_use]
    pub fn load(state: &StateDir, mirror: &Mirror, shard: Shard) -> Option<Record> {
        let record = Record::read(state, mirror, shard);
        record.map_err(|e| state.trouble.unreadable(mirror, &e)).ok().flatten()
    }

    /// The same for those who say themselves what is wrong.
    ///
    /// # Errors
    /// Those of reading it, and that it is damaged.
    pub fn read(state: &StateDir, mirror: &Mirror, shard: Shard) -> io::Result<Option<Record>> {
        let record = Record::read_any(state, mirror, shard)?;
        Ok(record.filter(|record| record.fingerprint == mirror.fingerprint()))
    }

    /// What is remembered of the mirror under whatever settings.
    fn read_any(state: &StateDir, mirror: &Mirror, shard: Shard) -> io::Result<Option<Record>> {
        let name = name(mirror, shard, "json");
        let Some(json) = state.read(DIRECTORY, &name)? else { return Ok(None) };
        serde_json::from_slice(&json).map(Some).map_err(|e| {
            let path = state.path().join(DIRECTORY).join(&name);
            let path = text::path(&path);
            io::Error::other(format!("{path} is damaged ({e}); the next good full-sync writes it anew"))
        })
    }

    /// From where on content may have been replaced under the same size and time, for those who compare everything by these two:
    /// the last good pass under whatever settings, and the directories that there were. Where those are not known, or the source is
    /// another directory, there were none: all that is there may have come since. Nothing where times tell nothing.
    #[must_use]
    pub fn for_contents(state: &StateDir, mirror: &Mirror, shard: Shard) -> Option<(Record, Directories)> {
        // That it is damaged, was said when it was looked for.
        let record = Record::read_any(state, mirror, shard).ok().flatten()?;
        record.why_times_do_not_tell(mirror).is_none().then(|| {
            let known = record.directories(state, mirror, shard).unwrap_or_default();
            (record, known)
        })
    }

    /// Why a scan by the times of files would not find what changed since.
    fn why_times_do_not_tell(&self, mirror: &Mirror) -> Option<&'static str> {
        let now = Moment::now();
        if !self.stamp.is_sound(&now) || self.unseen.as_ref().is_some_and(|unseen| !unseen.is_sound(&now)) {
            return Some("the clock was set back since the last good pass");
        }
        let ours = file_system::uses_our_clock(&mirror.source.path);
        (!ours).then_some("the times of its files come from another machine's clock")
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
        if let Some(why) = self.why_times_do_not_tell(mirror) {
            return Err(why);
        }
        let bytes = read(state, mirror, shard, &directories_kind(self.directories));
        let bytes = bytes.filter(|bytes| fnv1a(bytes) == self.directories);
        let known =
            bytes.as_deref().and_then(Directories::from_bytes).ok_or("its directories are not known any more")?;
        if !known.are_of(&mirror.source.path) {
            return Err("its source is not the directory that it was");
        }
        Ok(known)
    }

    /// The same, after what is remembered now, with what is left to be looked for. With [`Lookout::Nobody`] the directories of
    /// the pass before stay the ones that are known, as far as they are: whatever arrived since is to be looked into.
    #[must_use]
    pub fn after(self, state: &StateDir, mirror: &Mirror, shard: Shard, lookout: Lookout) -> Record {
        // Under other settings content may have been replaced as well.
        let last = Record::read_any(state, mirror, shard).ok().flatten();
        let Some(last) = last.filter(|_| lookout != Lookout::Pass) else { return self };
        if last.directories(state, mirror, shard).is_err() {
            return self;
        }
        let unseen = Some(last.unseen.unwrap_or(last.stamp));
        match lookout {
            Lookout::Nobody => Record { directories: last.directories, moved: last.moved, unseen, ..self },
            _ => Record { unseen, ..self },
        }
    }

    /// Moves the stamp of a mirror to `stamp`, which a watch may do that has sent every change since `covered`. What is
    /// remembered from before that stays as it is, and so does a later stamp.
    ///
    /// # Errors
    /// With the file's name.
    pub fn advance(state: &StateDir, mirror: &Mirror, covered: &Moment, stamp: &Moment) -> io::Result<()> {
        let record = Record::load(state, mirror, Shard::WHOLE);
        match record.filter(|record| record.stamp.time >= covered.time && record.stamp.time < stamp.time) {
            Some(record) => {
                let unseen = record.unseen.filter(|unseen| unseen.time < covered.time);
                let record = Record { stamp: stamp.clone(), unseen, ..record };
                write(state, mirror, Shard::WHOLE, "json", &serde_json::to_vec(&record)?)
            }
            None => Ok(()),
        }
    }

    /// The ctime from which on something may have changed that was not looked for.
    #[must_use]
    pub fn since(&self) -> (i64, i64) {
        self.unseen.as_ref().unwrap_or(&self.stamp).in_files()
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

    /// Remembers it, in the place of what was remembered before. At any moment one of the two is complete. The directories are
    /// those of the pass, which are not written where it goes by those of the one before.
    ///
    /// # Errors
    /// With the file's name.
    pub fn save(&self, state: &StateDir, mirror: &Mirror, shard: Shard, directories: &Directories) -> io::Result<()> {
        let mounted = is_mounted(&mirror.source.path) == Some(true);
        let place = if mounted { mirror.source.path.as_os_str().as_bytes() } else { b"" };
        write(state, mirror, Shard::WHOLE, "mounted", place)?;
        // Under a name of their own: until the record is replaced, those that belong to the one before are still there.
        let kind = directories_kind(self.directories);
        let directories = directories.as_bytes();
        if fnv1a(&directories) == self.directories {
            write(state, mirror, shard, &kind, &directories)?;
        }
        write(state, mirror, shard, "json", &serde_json::to_vec(self)?)?;
        let removed = state.dir(DIRECTORY).and_then(|dir| {
            remove_other_directories(&dir, &name(mirror, shard, &kind), &name(mirror, shard, "directories"))
        });
        state.trouble.note(DIRECTORY, Size::Part, state.path(), removed)
    }
}

/// The kind of the file with directories of this sum.
fn directories_kind(sum: u64) -> String {
    format!("directories-{sum:016x}")
}

/// Removes the directories of earlier passes: files whose names begin with `prefix`, but not the one to `keep`.
fn remove_other_directories(dir: &Path, keep: &str, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(prefix.as_bytes()) && name != keep {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn name(mirror: &Mirror, shard: Shard, kind: &str) -> String {
    let shard = if shard == Shard::WHOLE { String::new() } else { format!(".shard-{}-of-{}", shard.number, shard.of) };
    format!("{}{shard}.{kind}", mirror.id())
}

fn read(state: &StateDir, mirror: &Mirror, shard: Shard, kind: &str) -> Option<Vec<u8>> {
    let read = state.read(DIRECTORY, &name(mirror, shard, kind));
    read.map_err(|e| state.trouble.unreadable(mirror, &e)).ok().flatten()
}

fn write(state: &StateDir, mirror: &Mirror, shard: Shard, kind: &str, bytes: &[u8]) -> io::Result<()> {
    state.write(DIRECTORY, &name(mirror, shard, kind), bytes, Lasting::PowerCut)
}
