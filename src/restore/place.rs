//! Where what was restored goes: never onto something that is there, unless that was asked for, and then what was there
//! stays beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::ops::Bound;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags, renameat, renameat_with, statat};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};
use walkdir::WalkDir;

use super::pinned::{self, Pinned};
use super::plan::Entry;
use super::when::When;
use crate::exit::{Exit, Failure};
use crate::report::text;

/// Where it is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The path that it gets.
    pub path: PathBuf,
    /// What is there is moved aside, to this path.
    pub aside: Option<PathBuf>,
    /// It goes to where it was, or beside that.
    stays: bool,
}

impl Destination {
    /// Beside the original, under a name that tells the moment.
    #[must_use]
    pub fn beside(original: &Path, moment: When) -> Destination {
        Destination { path: with_suffix(original, "as-of", moment), aside: None, stays: true }
    }

    /// In a directory, under its own name.
    #[must_use]
    pub fn in_directory(directory: &Path, original: &Path) -> Destination {
        Destination { path: directory.join(original.file_name().unwrap_or_default()), aside: None, stays: false }
    }

    /// In the place of the original.
    #[must_use]
    pub fn in_place(original: &Path, moment: When) -> Destination {
        let aside = Some(with_suffix(original, "before-restore", moment));
        Destination { path: original.to_owned(), aside, stays: true }
    }

    /// Makes sure that nothing is in the way, and that the way does not lead out of the source by a link when it is to go to
    /// where it was.
    ///
    /// # Errors
    /// What is in the way, or the link.
    pub fn check(&self, source: &Path) -> Result<(), Failure> {
        let above = self.path.ancestors().skip(1);
        let inside = above.take_while(|above| self.stays && above.starts_with(source) && *above != source);
        if let Some(link) = inside.into_iter().find(|above| above.is_symlink()) {
            let why = format!(
                "{} is a symbolic link now, and is not followed; give another place by --to DIR",
                text::path(link)
            );
            return Err(Failure::new(Exit::Refused, why));
        }
        let taken = self.aside.as_ref().unwrap_or(&self.path);
        match fs::symlink_metadata(taken) {
            Ok(_) => Err(in_the_way(taken)),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::NAMETOOLONG) => {
                let why = format!("{}: the name would be too long; give another place by --to DIR", text::path(taken));
                Err(Failure::new(Exit::Refused, why))
            }
            Err(_) => Ok(()),
        }
    }
}

/// The line for what cannot be put where it is to go.
#[must_use]
pub fn cannot_write(path: &Path, e: &io::Error) -> String {
    format!("{} cannot be written: {e}; see to that directory, or give another place by --to DIR", text::path(path))
}

fn in_the_way(path: &Path) -> Failure {
    Failure::new(Exit::Refused, format!("{} exists; remove it, or give another place by --to DIR", text::path(path)))
}

fn with_suffix(original: &Path, word: &str, moment: When) -> PathBuf {
    let time = match moment {
        When::Time(time) | When::Now(time) => time.naive_local(),
        When::Begin(bucket) => bucket.start,
    };
    let mut name = original.as_os_str().to_owned();
    name.push(format!(".{word}-{}", time.format("%Y%m%d-%H%M%S")));
    PathBuf::from(name)
}

/// A directory on the same file system as the destination, in which everything is put together. It goes with its value.
///
/// All of it is reached by open directories: whoever may rename what is beside it could else have it written elsewhere.
#[derive(Debug)]
pub struct Staging {
    dir: TempDir,
    /// The same, open.
    pinned: Pinned,
    /// Within, where the entries of the source go.
    tree: Pinned,
    /// Where the destination gets its name.
    parent: OwnedFd,
}

impl Staging {
    /// Makes one, and the directory of the destination when it is not there: outside of the source where that can be, since
    /// what is inside is being mirrored.
    ///
    /// # Errors
    /// Those of making directories, and that somebody has put something in their place.
    pub fn new(source: &Path, destination: &Destination) -> io::Result<Staging> {
        let above = destination.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = match above.strip_prefix(source) {
            Ok(below) if destination.stays => pinned::below(source, below)?,
            _ => {
                fs::create_dir_all(above)?;
                pinned::directory(above)?
            }
        };
        let device = rustix::fs::fstat(&parent)?.st_dev;
        let make_in = |place: &Path| {
            let dir = tempfile::Builder::new()
                .prefix(".sersync-restore-")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(place)?;
            let pinned = Pinned::private(dir.path())?;
            Ok((dir, pinned))
        };
        let is_there = |above: &Path| rustix::fs::stat(above).is_ok_and(|stat| stat.st_dev == device);
        let outside = source.parent().filter(|above| is_there(above));
        let made: Option<(TempDir, Pinned)> = outside.and_then(|above| make_in(above).ok());
        let (dir, pinned) = made.map_or_else(|| make_in(&pinned::path(parent.as_fd())), io::Result::Ok)?;
        // Not the directory itself, whose mode keeps others out as long as it is not complete.
        let tree = pinned.path().join("tree");
        fs::create_dir(&tree)?;
        let tree = Pinned::open(&tree)?;
        Ok(Staging { dir, pinned, tree, parent })
    }

    /// A new file that goes with it.
    ///
    /// # Errors
    /// Those of making a file.
    pub fn file(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.pinned.path())
    }

    /// Where the entries go.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.tree.path()
    }

    /// What has arrived but is not among these entries as what it is, nor a directory above one of them.
    #[must_use]
    pub fn uncalled_for(&self, entries: &BTreeMap<PathBuf, Entry>) -> Option<PathBuf> {
        let all = WalkDir::new(self.path()).min_depth(1).into_iter().flatten();
        let is_meant = |path: &Path, is_directory: bool| {
            if let Some(entry) = entries.get(path) {
                return entry.directory == is_directory;
            }
            let mut after = entries.range::<Path, _>((Bound::Excluded(path), Bound::Unbounded));
            is_directory && after.next().is_some_and(|(next, _)| next.starts_with(path))
        };
        all.filter_map(|entry| Some((entry.path().strip_prefix(self.path()).ok()?.to_owned(), entry.file_type())))
            .find(|(path, kind)| !is_meant(path, kind.is_dir()))
            .map(|(path, _)| path)
    }

    /// What has arrived where there has to be a directory for one of these paths, and is none: a link, by which the rest
    /// would be written elsewhere.
    #[must_use]
    pub fn in_the_way_of<'a>(&self, paths: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
        let above: BTreeSet<&Path> = paths.filter_map(Path::parent).flat_map(Path::ancestors).collect();
        let is_other = |path: &&Path| {
            fs::symlink_metadata(self.path().join(path)).is_ok_and(|meta| !meta.is_dir())
                && !path.as_os_str().is_empty()
        };
        above.into_iter().find(is_other).map(Path::to_owned)
    }

    /// Whether an entry has arrived.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        fs::symlink_metadata(self.path().join(path)).is_ok()
    }

    /// Puts one of its entries, or all of it, where it is to go.
    ///
    /// # Errors
    /// Those of renaming, or what has come to be in the way meanwhile; then what was there is still there.
    pub fn put(self, path: &Path, destination: &Destination) -> Result<(), Failure> {
        self.put_there(path, destination).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => in_the_way(destination.aside.as_ref().unwrap_or(&destination.path)),
            _ => Failure::new(Exit::Failed, cannot_write(&destination.path, &e)),
        })
    }

    fn put_there(self, path: &Path, destination: &Destination) -> io::Result<()> {
        let whole = path.as_os_str().is_empty();
        let from = if whole { self.pinned.path().join("tree") } else { self.path().join(path) };
        let name = |path: &'_ Path| path.file_name().map(OsStr::to_owned).ok_or(Errno::INVAL);
        let to = name(&destination.path)?;
        let aside = destination.aside.as_deref().filter(|_| is_there(&self.parent, &to)).map(name).transpose()?;
        if let Some(aside) = &aside {
            rename(&self.parent, &to, &self.parent, aside)?;
        }
        if let Err(e) = rename(CWD, from.as_os_str(), &self.parent, &to) {
            aside.map_or(Ok(()), |aside| rename(&self.parent, &aside, &self.parent, &to))?;
            return Err(e);
        }
        self.dir.close()
    }
}

fn is_there(dir: &OwnedFd, name: &OsStr) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Renames, but never onto something.
fn rename(from: impl AsFd, old: &OsStr, to: &OwnedFd, new: &OsStr) -> io::Result<()> {
    match renameat_with(&from, old, to, new, RenameFlags::NOREPLACE) {
        // Not every file system can see to that itself: EINVAL, says rename(2).
        Err(Errno::INVAL) if !is_there(to, new) => Ok(renameat(&from, old, to, new)?),
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_the_way_after_the_check_stays() {
        let source = tempfile::tempdir().unwrap();
        let moment = When::Begin("2026-11-20/140000".parse().unwrap());
        let destination = Destination::beside(&source.path().join("f"), moment);
        destination.check(source.path()).unwrap();
        let staging = Staging::new(source.path(), &destination).unwrap();
        fs::write(staging.path().join("f"), "restored").unwrap();
        fs::write(&destination.path, "another restore").unwrap();
        let failure = staging.put(Path::new("f"), &destination).unwrap_err();
        assert!(failure.exit == Exit::Refused && failure.message.contains("exists; remove it"), "{failure:?}");
        assert_eq!(fs::read_to_string(&destination.path).unwrap(), "another restore");
    }
}
