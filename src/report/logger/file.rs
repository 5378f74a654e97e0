//! The file of `--log-file`. Whoever rotates logs may rename it or empty it at any time, and need not tell anybody.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::io::Errno;

use crate::exit::{Exit, Failure};
use crate::files::{check_owner, guarded, is_link};
use crate::mutex::lock;
use crate::report::text;

/// Its mode: names of files are nobody else's business.
const MODE: u32 = 0o640;

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Something went wrong, and that was said.
    told: bool,
}

impl LogFile {
    /// Opens it, and makes it when it is not there.
    pub(super) fn open(path: &Path) -> Result<LogFile, Failure> {
        let cannot = |e: io::Error| {
            Failure::new(
                Exit::Failed,
                format!("--log-file {}: {e}; name a file that can be made there", text::path(path)),
            )
        };
        // Wherever the program goes, the file stays the same.
        let path = std::path::absolute(path).map_err(cannot)?;
        let file = open(&path).map_err(cannot)?;
        Ok(LogFile { path, state: Mutex::new(State { file, told: false }) })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// What is to be said about it, unless that was said.
    pub(super) fn write(&self, line: &str) -> Result<(), Option<String>> {
        let mut state = lock(&self.state);
        let written = state.follow(&self.path).and_then(|()| state.file.write_all(line.as_bytes()));
        match written {
            Ok(()) => {
                state.told = false;
                Ok(())
            }
            Err(e) if !std::mem::replace(&mut state.told, true) => {
                Err(Some(format!("--log-file {}: {e}; messages are lost until it works again", text::path(&self.path))))
            }
            Err(_) => Err(None),
        }
    }
}

impl State {
    /// When something else has the name by now, it is the log.
    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let is_ours = std::fs::symlink_metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino()));
        if !is_ours {
            self.file = open(path)?;
        }
        Ok(())
    }
}

/// Opens a file to add to it. In a directory where others may write, somebody could have put something there first: a link
/// to a file of ours, a pipe, or a file that stays theirs.
fn open(path: &Path) -> io::Result<File> {
    let file = guarded(OpenOptions::new().append(true).create(true).mode(MODE)).open(path);
    let file = file.map_err(|e| match Errno::from_io_error(&e) {
        _ if is_link(&e) => io::Error::other("is a symbolic link; name the file itself"),
        Some(Errno::NXIO) => io::Error::other("is no file"),
        _ => e,
    })?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is no file"));
    }
    check_owner(&meta)?;
    if meta.nlink() > 1 {
        return Err(io::Error::other("has further names: it may be another file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn it_follows_its_name_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let log = LogFile::open(&path).unwrap();
        log.write("one\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7137, 0);
        fs::rename(&path, &old).unwrap();
        log.write("two\n").unwrap();
        assert_eq!([&old, &path].map(|path| fs::read_to_string(path).unwrap()), ["one\n", "two\n"]);
        // As copytruncate does.
        File::create(&path).unwrap();
        log.write("three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        fs::remove_file(&path).unwrap();
        symlink(&old, &path).unwrap();
        assert!(log.write("four\n").unwrap_err().is_some_and(|why| why.contains("symbolic link")));
        assert_eq!(log.write("five\n"), Err(None));
        fs::remove_file(&path).unwrap();
        log.write("six\n").unwrap();
        assert_eq!([&old, &path].map(|path| fs::read_to_string(path).unwrap()), ["one\n", "six\n"]);
    }

    #[test]
    fn what_may_be_another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("log"), dir.path().join("other"));
        fs::write(&other, "").unwrap();
        let refused = || LogFile::open(&path).unwrap_err().message;
        fs::hard_link(&other, &path).unwrap();
        assert!(refused().contains("further names"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refused().contains("directory"));
        fs::remove_dir(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refused().contains("is no file"));
    }
}
