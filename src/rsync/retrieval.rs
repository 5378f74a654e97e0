//! The rsync invocations that look at what an endpoint has and bring it back.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::argv::{
    self, Levels, escaped, histories, mirror_root, module, option, pattern_below, pattern_for, rules_down_to, transfer,
};
use crate::bucket::HISTORY_DIR;
use crate::mirror::Mirror;
use crate::retention::Unit;

/// Lists what the mirror has in its root, which says whether there is a mirror.
#[must_use]
pub fn root_listing(mirror: &Mirror) -> Command {
    let mut command = argv::listing(mirror, Levels::One);
    command.arg("--").arg(mirror_root(mirror));
    command
}

/// Lists what the mirror has at and below a path; everything when the path is empty.
#[must_use]
pub fn mirror_listing(mirror: &Mirror, path: &Path) -> Command {
    let mut command = argv::listing(mirror, Levels::All);
    if !path.as_os_str().is_empty() {
        let above = path.ancestors().filter(|above| !above.as_os_str().is_empty());
        command.args(above.map(|above| option("--include=", pattern_for(above))));
        command.arg(option("--include=", pattern_below(path, "/**"))).arg("--exclude=*");
    }
    command.arg("--").arg(mirror_root(mirror));
    command
}

/// How much of a history is listed.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// The days, and what is directly in them.
    Buckets,
    /// That, and what is at this path in a bucket or a day, and everything below it. The empty path is all of a bucket.
    Below(&'a Path),
}

/// The day directories of a history, as a pattern.
const DAY: &str = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";

/// Lists what the history of a mirror has. It begins one level above, so that a link in the place of that directory shows as
/// one. Links are named without their targets, so that a name ends where its line does.
#[must_use]
pub fn history_listing(mirror: &Mirror, depth: Depth<'_>) -> Command {
    let mut command = argv::listing(mirror, Levels::All);
    command.arg(option("--include=", pattern_for(Path::new(&mirror.source.name))));
    let name = escaped(&mirror.source.name);
    for below in ["*", &format!("{DAY}/*")] {
        command.arg(format!("--include=/{name}/{below}"));
    }
    if let Depth::Below(path) = depth {
        // In a bucket, and in a day of the original layout.
        for unit in [format!("/{name}/{DAY}/*"), format!("/{name}/{DAY}")] {
            command.args(rules_down_to(&unit, path).iter().map(|rule| option("--include=", rule)));
        }
    }
    command.args(["--exclude=*", "--"]).arg(histories(mirror));
    command
}

/// Who makes sure that the endpoint sends nothing else than it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderCheck {
    /// rsync, and its caller after that.
    Also,
    /// Only the caller.
    Ours,
}

/// The list for [`fetch`]: paths of the mirror, or of one unit of its history.
///
/// They are named from the module root on, up to the `./` from which on rsync makes them here: asked for files in a
/// directory of a module, a daemon of 3.5.0 without chroot says that they have vanished.
#[must_use]
pub fn list<'a>(mirror: &Mirror, unit: Option<Unit>, paths: impl Iterator<Item = &'a Path>) -> Vec<u8> {
    let name = &mirror.source.name;
    let root = unit.map_or_else(|| format!("{name}/./"), |unit| format!("{HISTORY_DIR}/{name}/{unit}/./"));
    let mut list = Vec::new();
    for path in paths {
        list.extend([root.as_bytes(), path.as_os_str().as_bytes(), b"\0"].concat());
    }
    list
}

/// Brings the entries of a list, see [`list`]. Directories come without their content.
#[must_use]
pub fn fetch(mirror: &Mirror, list: &Path, to: &Path, check: SenderCheck) -> Command {
    let mut command = transfer(mirror, 1);
    command.arg("--from0");
    if check == SenderCheck::Ours {
        command.arg("--trust-sender");
    }
    command.arg(option("--files-from=", list)).arg("--").arg(module(mirror));
    command.current_dir(to).arg("./");
    command
}
