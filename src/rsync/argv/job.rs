//! What rsync is told for one scope: how much it may do, what it compares, what it leaves out, and the paths.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::address::{bucket_there, directory_below, mirror_root};
use super::{option, sending};
use crate::bucket::Bucket;
use crate::mirror::Mirror;
use crate::scope::{Listed, Scope};

/// Whether the endpoint's rsync can delete paths that are named but missing (`--delete-missing-args`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingArgs {
    /// It can, as far as is known.
    Work,
    /// It breaks on them: 3.4.3 and distributions' packages that took over its hardening, as Debian 12's 3.2.7.
    Broken,
}

/// How much a job may do to what is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What the source does not have is deleted, and what is in the way makes room.
    Thorough,
    /// Nothing is deleted, and a directory with content stays where it is: beside a pass.
    Careful,
}

/// When a file counts as the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// When its size and its modification time are the same: nothing has to be read.
    Quick,
    /// When its content is the same: both sides read everything.
    Content,
    /// Never: every file is made anew, from the data that is there, and the old one goes to the history.
    Never,
}

impl Compare {
    fn option(self) -> Option<&'static str> {
        match self {
            Compare::Quick => None,
            Compare::Content => Some("--checksum"),
            Compare::Never => Some("--ignore-times"),
        }
    }
}

/// When rsync lists what it compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileList {
    /// While it goes on, which needs little memory but waits for the other side now and then.
    Growing,
    /// Before it begins.
    Whole,
}

/// How one job is run.
#[derive(Debug, Clone, Copy)]
pub struct JobOptions<'a> {
    /// The root of the source, where rsync runs.
    pub root: &'a Path,
    /// Where what is replaced or deleted goes; nowhere when absent.
    pub bucket: Option<&'a Bucket>,
    /// What is left out and, at the endpoint, left alone.
    pub exclude: &'a [OsString],
    /// How many jobs of this mirror run at the same time, this one included: they share `bwlimit`.
    pub clients: usize,
    /// What the endpoint can do.
    pub missing_args: MissingArgs,
    /// When a file is left as it is.
    pub compare: Compare,
    /// How much is done to what is in the way; trees are always compared thoroughly.
    pub manner: Manner,
    /// When the files are listed.
    pub file_list: FileList,
    /// A watch may be sending at the same time: what looks like a temporary file of its transfers is not deleted.
    pub keep_temporary: bool,
    /// How many paths may be deleted at most.
    pub max_delete: Option<u64>,
    /// Report only.
    pub dry_run: bool,
    /// Say how far it is, all the time.
    pub progress: bool,
}

/// The rsync invocation for `scope`. It is run in the source root, so that names cannot be read as options or hosts:
/// each begins with `./`.
#[must_use]
pub fn command(mirror: &Mirror, scope: &Scope, options: JobOptions<'_>) -> Command {
    let mut command = sending(mirror, options.root, options.clients);
    command.arg("-R");
    if options.keep_temporary {
        // As rsync names them: `.NAME.XXXXXX`.
        command.arg("--filter=P .*.[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]");
    }
    command.args(options.exclude.iter().map(|pattern| option("--exclude=", pattern)));
    if let Some(most) = options.max_delete {
        // rsync reads a number of 32 bits.
        command.arg(format!("--max-delete={}", most.min(i32::MAX as u64)));
    }
    command.args(options.compare.option());
    if options.progress {
        command.arg("--info=progress2");
    }
    if options.dry_run {
        command.arg("--dry-run");
    }
    if let Some(bucket) = options.bucket {
        command.arg("--backup").arg(option("--backup-dir=", bucket_there(mirror, bucket)));
    }
    command.args(reach(scope, options)).arg("--").args(paths(scope));
    command.arg(mirror_root(mirror));
    command
}

/// How far below the paths rsync goes, and what it may delete there.
fn reach(scope: &Scope, options: JobOptions<'_>) -> Vec<&'static str> {
    let mut reach = Vec::new();
    match scope {
        Scope::Tree(_) => {
            if options.file_list == FileList::Whole {
                reach.push("--no-inc-recursive");
            }
            reach.extend(["-r", "--delete"]);
        }
        Scope::Listed(listed) => {
            reach.push("-d");
            if options.manner == Manner::Thorough {
                if !listed.shallow.is_empty() {
                    reach.push("--delete");
                }
                // Without --force (or --delete) a missing directory that has content is kept, and rsync exits 0.
                reach.push("--force");
                if options.missing_args == MissingArgs::Work {
                    reach.push("--delete-missing-args");
                }
            }
        }
    }
    reach
}

/// The paths of a scope as arguments.
fn paths(scope: &Scope) -> Vec<OsString> {
    match scope {
        Scope::Tree(roots) => roots.iter().map(|root| directory_below(OsStr::new("."), root)).collect(),
        Scope::Listed(Listed { shallow, missing, present }) => {
            let directories = shallow.iter().map(|dir| directory_below(OsStr::new("."), dir));
            directories.chain(missing.iter().chain(present).map(|path| path_argument(path))).collect()
        }
    }
}

/// `./a/b`: the path itself, a directory without its content.
fn path_argument(path: &Path) -> OsString {
    option("./", path)
}
