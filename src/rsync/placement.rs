//! The rsync invocations that put what was renamed in its new place on an endpoint, from what the endpoint has of it under
//! the old name.
//!
//! A directory is put together of hard links to the files in the old one (`--link-dest`), or of copies of them when the old
//! name is in use again (`--copy-dest`). A file that kept its name and went to another directory likewise; one that got
//! another name takes the old one as the base for its data (`--fuzzy`). Nothing that is there is touched, so that nothing has
//! to be kept: `--ignore-existing`. What the old names still have is removed by whoever asked for this.
//!
//! Seen with 3.5.0 and with Debian 12's 3.2.7: a name with a blank or most other signs reaches the daemon of the older one
//! with backslashes in an option, so that it finds nothing to link to, and everything is sent. The same holds for `-yy` and a
//! daemon without chroot.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::argv::{self, Levels, directory_below, mirror_directory, mirror_there, option, pattern_for, sending};
use crate::mirror::Mirror;

/// How the new name gets the data that the old one has on the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Both are the same file, so the old name has to go before anything else happens to one of them.
    Linked,
    /// The endpoint copies it.
    Copied,
}

impl Basis {
    fn option(self) -> &'static str {
        match self {
            Basis::Linked => "--link-dest=",
            Basis::Copied => "--copy-dest=",
        }
    }
}

/// What is to be put in its place. All paths are relative to the root of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// A directory with all that is in it.
    Directory {
        /// What the mirror calls it.
        from: PathBuf,
        /// Where it is now.
        to: PathBuf,
        /// How it gets the data.
        basis: Basis,
        /// What is left out of it, relative to it.
        without: Vec<PathBuf>,
        /// What is left out everywhere: patterns that mean the same wherever a transfer begins.
        exclude: Vec<OsString>,
    },
    /// Files.
    Files {
        /// The directory in which the mirror has them.
        from: PathBuf,
        /// The directory in which they are now.
        to: PathBuf,
        /// How those that kept their names get the data.
        basis: Basis,
        /// Their names there.
        names: Vec<OsString>,
    },
}

impl Placement {
    /// The directory into which rsync puts what it names.
    #[must_use]
    pub fn to(&self) -> &Path {
        match self {
            Placement::Directory { to, .. } | Placement::Files { to, .. } => to,
        }
    }
}

/// Whether a directory's path can be a part of a destination: a daemon takes wildcards in it for patterns.
#[must_use]
pub fn can_be_named(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().all(|byte| !b"*?[]\\\x7f".contains(byte) && *byte >= b' ')
}

/// Puts it in its place. It is run in the root of the source.
#[must_use]
pub fn command(mirror: &Mirror, placement: &Placement, root: &Path) -> Command {
    let mut command = sending(mirror, root, 1);
    // Twice, since what is linked is only told then.
    command.args(["--ignore-existing", "-ii"]);
    let here = |dir| directory_below(OsStr::new("."), dir);
    let there = |dir| directory_below(mirror_there(mirror).as_os_str(), dir);
    match placement {
        Placement::Directory { from, to, basis, without, exclude } => {
            command.arg("-r").arg(option(basis.option(), there(from)));
            command.args(exclude.iter().map(|pattern| option("--exclude=", pattern)));
            command.args(without.iter().map(|path| option("--exclude=", pattern_for(path))));
            command.arg("--").arg(here(to));
        }
        Placement::Files { from, to, basis, names } => {
            if from == to {
                command.arg("-y");
            } else {
                command.arg("-yy").arg(option(basis.option(), there(from)));
            }
            command.arg("--").args(names.iter().map(|name| option(here(to), name)));
        }
    }
    command.arg(mirror_directory(mirror, placement.to()));
    command
}

/// Lists what the mirror has in a directory.
#[must_use]
pub fn listing(mirror: &Mirror, dir: &Path) -> Command {
    let mut command = argv::listing(mirror, Levels::One);
    command.arg("--").arg(mirror_directory(mirror, dir));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_daemon_takes_for_patterns_are_not_named() {
        for (path, can) in
            [("a/b c", true), ("é's $HOME", true), ("a*", false), ("a/[b]", false), ("a\\b", false), ("\n", false)]
        {
            assert_eq!(can_be_named(Path::new(path)), can, "{path:?}");
        }
    }
}
