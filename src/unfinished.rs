//! Files that are replaced as a whole: until one is complete, it has a name by which everybody knows that it is not.

use std::fs::{self, DirEntry, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

/// How such a name begins and ends. Whoever reads all files of a directory, such as `node_exporter`, looks at none that ends so.
const NAMES: (&str, &str) = (".sersync_", ".new");
/// Nobody takes so long to complete one: one that is older was left by a process that was killed.
const LONG_LEFT: Duration = Duration::from_secs(3600);

/// What all the names are like, as a pattern for the shell or rsync.
#[must_use]
pub fn pattern() -> String {
    format!("{}*{}", NAMES.0, NAMES.1)
}

/// Begins a file in a directory, with this mode as far as the umask lets it. It is gone when it is dropped before it got its
/// name.
///
/// # Errors
/// Those of making a file. They name nothing: the name would tell nobody anything.
pub fn create(dir: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let permissions = Permissions::from_mode(mode);
    Builder::new().prefix(NAMES.0).suffix(NAMES.1).permissions(permissions).tempfile_in(dir).map_err(|e| plain(&e))
}

/// tempfile adds the name of the file.
#[must_use]
pub fn plain(e: &io::Error) -> io::Error {
    let why = e.to_string();
    io::Error::new(e.kind(), why.split(" at path ").next().unwrap_or_default())
}

/// Removes what processes left in a directory that were killed while they wrote. What cannot be removed is in nobody's way.
pub fn tidy(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(NAMES.0.as_bytes()) && name.ends_with(NAMES.1.as_bytes()) && is_old(&entry) {
            // It may be somebody else's.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_old(entry: &DirEntry) -> bool {
    let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > LONG_LEFT)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_killed_processes_left_is_removed_and_what_others_just_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let left = |name: &str, age: Duration| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        left(".sersync_old.new", LONG_LEFT * 2);
        left(".sersync_new.new", Duration::ZERO);
        left(".sersync_other", LONG_LEFT * 2);
        left("other.new", LONG_LEFT * 2);
        tidy(dir.path());
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, [".sersync_new.new", ".sersync_other", "other.new"]);
    }
}
