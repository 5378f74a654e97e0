//! Puts a file in its place at once: it is there as a whole or not at all, and is never readable by others on the way.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::File;

/// A file that is written as a whole, and lacks only its name.
#[derive(Debug)]
pub(super) struct Staged {
    // It goes before the directory that it is in.
    temporary: NamedTempFile,
    _staging: Staging,
    path: PathBuf,
}

/// Where files are written before they get their names: nobody who reads all files of a directory, such as logrotate, looks
/// into one that is in it.
const STAGING: &str = ".sersync-staging";

/// The directory, which goes with the last file in it.
#[derive(Debug)]
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // Others may still have something in it.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Removes what a run that was killed has left beside these files. No other may be running.
///
/// # Errors
/// Any error of the file system but that there is nothing.
pub fn clear<'p>(paths: impl IntoIterator<Item = &'p Path>) -> io::Result<()> {
    for path in paths {
        match fs::remove_dir_all(above(path).join(STAGING)) {
            Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Writes the file under another name, and makes the directories above it where they are missing.
///
/// # Errors
/// Any error of the file system; nothing is left then, and what was there before is there still.
pub(super) fn stage(file: &File) -> io::Result<Staged> {
    let dir = above(&file.path);
    make_dirs(dir)?;
    // It is made with mode 0600, and gets its own only when all is in it.
    let staging = dir.join(STAGING);
    private_dir(&staging)?;
    let staging = Staging(staging);
    let mut temporary = NamedTempFile::new_in(&staging.0)?;
    temporary.write_all(file.text.as_bytes())?;
    temporary.as_file().set_permissions(Permissions::from_mode(file.mode))?;
    temporary.as_file().sync_all()?;
    Ok(Staged { temporary, _staging: staging, path: file.path.clone() })
}

impl Staged {
    /// Gives the file its name.
    ///
    /// # Errors
    /// Any error of the file system; what was there before is there still.
    pub(super) fn put(self) -> io::Result<()> {
        self.temporary.persist(&self.path).map_err(|e| e.error)?;
        // The name itself is safe from a power cut only with its directory.
        fs::File::open(above(&self.path))?.sync_all()
    }
}

/// Writes the file, and the directories above it where they are missing.
///
/// # Errors
/// Any error of the file system; what was there before is there still.
pub fn place(file: &File) -> io::Result<()> {
    stage(file)?.put()
}

fn above(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory and those above it where they are missing. Whatever the umask is, nobody else can put files in there.
pub(super) fn make_dirs(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Makes a directory that only its owner may enter, and those above it; false when it is there already.
///
/// # Errors
/// Any error of the file system.
pub fn private_dir(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    if let Some(above) = path.parent() {
        make_dirs(above)?;
    }
    DirBuilder::new().mode(0o700).create(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_private_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/secret");
        for text in ["one", "two"] {
            let file = File { path: path.clone(), text: text.to_owned(), mode: 0o600, secret: true };
            place(&file).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let left = path.parent().unwrap().join(STAGING);
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half"), "x").unwrap();
        clear([path.as_path()]).unwrap();
        assert!(!left.exists());
        let module = dir.path().join("m/n");
        assert!(private_dir(&module).unwrap() && !private_dir(&module).unwrap());
        assert_eq!(fs::metadata(&module).unwrap().permissions().mode() & 0o7777, 0o700);
    }
}
