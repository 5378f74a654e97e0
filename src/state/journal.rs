//! Journals: what each bucket of history cannot tell by itself. A bucket holds what was replaced or deleted, but not which
//! paths were new, nor which directories were removed with nothing in them. `restore` needs both.
//!
//! A journal is a file for each bucket, in the state directory of the host that mirrors. Its modification time is that of
//! the last change that went into the bucket.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::StateDir;
use super::trouble::Size;
use crate::bucket::Bucket;
use crate::files::guarded;
use crate::mirror::Mirror;
use crate::report::text;

const DIRECTORY: &str = "journal";

/// Before a path that was not there before.
const CREATED: u8 = b'+';
/// Before a directory that was removed.
const REMOVED: u8 = b'-';

/// By itself: the bucket has a version of something.
const VERSIONS: u8 = b'=';

/// What nobody writes.
const UNREADABLE: &[u8] = b"?";

/// By itself: what was in the bucket is gone, and only its directory is there.
const EMPTIED: u8 = b'!';

/// The journal of a bucket in use.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    has_versions: bool,
}

impl Journal {
    /// Begins the journal of a bucket.
    ///
    /// # Errors
    /// Those of making a file in the state directory.
    pub fn begin(state: &StateDir, mirror: &Mirror, bucket: Bucket) -> io::Result<Journal> {
        let path = state.dir(&place(mirror, &bucket.start.format("%Y-%m-%d").to_string()))?.join(bucket.name());
        let file = guarded(File::options().append(true).create(true).mode(0o600)).open(&path);
        let file = file.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", text::path(&path))));
        Ok(Journal { file: file?, path, has_versions: false })
    }

    /// Removes it, since something is missing in it: that nothing is known of a bucket is better than half of it.
    pub fn give_up(self) {
        // Where that fails as well, there is a part of a line at its end, as a rule, and that is noticed.
        let _ = fs::remove_file(&self.path);
    }

    /// Notes a path that was not there before.
    ///
    /// # Errors
    /// Those of writing.
    pub fn created(&mut self, path: &Path) -> io::Result<()> {
        self.line(CREATED, path)
    }

    /// Notes a directory that was removed.
    ///
    /// # Errors
    /// Those of writing.
    pub fn removed(&mut self, directory: &Path) -> io::Result<()> {
        self.line(REMOVED, directory)
    }

    /// Notes that the bucket has a version of something.
    ///
    /// # Errors
    /// Those of writing.
    pub fn has_versions(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_versions, true) { Ok(()) } else { self.line(VERSIONS, Path::new("")) }
    }

    /// Notes that the bucket was in use until now.
    ///
    /// # Errors
    /// Those of changing the file's time.
    pub fn settle(&mut self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }

    fn line(&mut self, mark: u8, path: &Path) -> io::Result<()> {
        // No path holds a zero byte. Each line is written at once: what is not, is gone when the process is killed.
        let path = path.as_os_str().as_bytes();
        let written = self.file.write_all(&[&[mark], path.strip_suffix(b"/").unwrap_or(path), &[0]].concat());
        written.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", text::path(&self.path))))
    }
}

impl StateDir {
    /// Notes how writing to a journal ended, and hands it on. Without its journal, `restore` shows what was new in a bucket as
    /// if it had been there before.
    ///
    /// # Errors
    /// The same.
    pub fn journaled<T>(&self, written: io::Result<T>) -> io::Result<T> {
        self.trouble.note(DIRECTORY, Size::Part, self.path(), written)
    }
}

/// What is known of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The bucket.
    pub bucket: Bucket,
    /// When the last change went into it.
    pub until: SystemTime,
    /// Whether the bucket must be there, since something was put into it.
    pub has_versions: bool,
    /// Paths that were not there before.
    pub created: Vec<PathBuf>,
    /// Directories that were removed.
    pub removed: Vec<PathBuf>,
    /// There is something in the journal that nobody writes: more may be missing.
    pub damaged: bool,
    /// What was in the bucket is gone.
    pub emptied: bool,
}

/// What is known of the buckets of a mirror, as far as it is about what `concerns`, in the order of their names.
///
/// # Errors
/// Those of reading the state directory.
pub fn read(state: &StateDir, mirror: &Mirror, concerns: impl Fn(&Path) -> bool) -> io::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for (bucket, path) in files(state, mirror)? {
        let until = fs::metadata(&path)?.modified()?;
        // One that cannot be read is one that tells nothing.
        pages.push(page(bucket, until, &fs::read(&path).unwrap_or_else(|_| UNREADABLE.to_vec()), &concerns));
    }
    pages.sort_by_key(|page| page.bucket);
    Ok(pages)
}

fn page(bucket: Bucket, until: SystemTime, text: &[u8], concerns: impl Fn(&Path) -> bool) -> Page {
    let (created, removed) = (Vec::new(), Vec::new());
    let mut page = Page { bucket, until, has_versions: false, created, removed, damaged: false, emptied: false };
    for line in text.split_inclusive(|byte| *byte == 0) {
        let parts = line.strip_suffix(&[0]).and_then(<[u8]>::split_first);
        let Some((mark, path)) = parts.filter(|(mark, _)| [CREATED, REMOVED, VERSIONS, EMPTIED].contains(mark)) else {
            page.damaged = true;
            continue;
        };
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        match *mark {
            VERSIONS => page.has_versions = true,
            EMPTIED => page.emptied = true,
            _ if !concerns(&path) => {}
            CREATED => page.created.push(path),
            _ => page.removed.push(path),
        }
    }
    page
}

/// Notes that what was in a bucket is gone, although its directory stays.
///
/// # Errors
/// Those of the state directory.
pub fn note_emptied(state: &StateDir, mirror: &Mirror, bucket: Bucket) -> io::Result<()> {
    Journal::begin(state, mirror, bucket)?.line(EMPTIED, Path::new(""))
}

/// Forgets what is known of buckets that are `gone`.
///
/// # Errors
/// Those of the state directory.
pub fn forget(state: &StateDir, mirror: &Mirror, gone: impl Fn(Bucket) -> bool) -> io::Result<()> {
    for (_, path) in files(state, mirror)?.into_iter().filter(|(bucket, _)| gone(*bucket)) {
        fs::remove_file(&path)?;
        // Fails as long as there are others in that day.
        let _ = path.parent().map(fs::remove_dir);
    }
    Ok(())
}

/// The journals of a mirror.
fn files(state: &StateDir, mirror: &Mirror) -> io::Result<Vec<(Bucket, PathBuf)>> {
    let mut files = Vec::new();
    for day in fs::read_dir(state.dir(&place(mirror, ""))?)? {
        let day = day?;
        for entry in fs::read_dir(day.path())? {
            let entry = entry?;
            let name = [day.file_name(), entry.file_name()].map(|name| name.to_string_lossy().into_owned()).join("/");
            files.extend(name.parse().ok().map(|bucket| (bucket, entry.path())));
        }
    }
    Ok(files)
}

fn place(mirror: &Mirror, day: &str) -> String {
    format!("{DIRECTORY}/{}/{day}", mirror.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Page {
        page("2026-11-20/140000".parse().unwrap(), SystemTime::UNIX_EPOCH, text, |_| true)
    }

    #[test]
    fn what_nobody_writes_is_noticed() {
        let whole = read(b"+a/b\0-d\0=\0+\n\0");
        assert_eq!(whole.created, ["a/b", "\n"].map(PathBuf::from));
        assert_eq!((whole.removed, whole.has_versions, whole.damaged), (vec!["d".into()], true, false));
        for damaged in [&b"+a/b\0-d"[..], b"+a\0\0", b"\0", b"a\0", b"+a\0xyz\0="] {
            assert!(read(damaged).damaged, "{damaged:?}");
        }
        assert!(!read(b"").damaged);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            read(&text);
        }
    }
}
