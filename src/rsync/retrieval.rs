//! The rsync invocations that look at what an endpoint has and bring it back.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use super::argv::{ATTRIBUTES, begin, destination, module, option, switches};
use crate::history::bucket::HISTORY_DIR;
use crate::history::retention::Unit;
use crate::mirror::Mirror;

/// Lists what the mirror has at and below a path; everything when the path is empty.
#[must_use]
pub fn mirror_listing(mirror: &Mirror, path: &Path) -> Command {
    let mut command = begin(mirror);
    command.args(["--list-only", "-r", "--8-bit-output", "--no-h", "--outbuf=B"]);
    if !path.as_os_str().is_empty() {
        let above = path.ancestors().filter(|above| !above.as_os_str().is_empty());
        command.args(above.map(|above| option("--include=", &pattern(above, ""))));
        command.arg(option("--include=", &pattern(path, "/**"))).arg("--exclude=*");
    }
    command.arg("--").arg(destination(mirror));
    command
}

/// The pattern for a path, and for what is `below` it.
///
/// A backslash only escapes in a pattern that has a wildcard (rsync(1), PATTERN MATCHING RULES).
fn pattern(path: &Path, below: &str) -> OsString {
    let path = path.as_os_str().as_bytes();
    let is_wild = below.contains('*') || path.iter().any(|byte| b"*?[".contains(byte));
    let mut pattern = vec![b'/'];
    for byte in path {
        if is_wild && b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.extend(below.as_bytes());
    OsString::from_vec(pattern)
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
    let mut command = begin(mirror);
    command.args([ATTRIBUTES, "--8-bit-output", "--no-h", "--stats", "--from0"]);
    command.args(switches(mirror));
    if check == SenderCheck::Ours {
        command.arg("--trust-sender");
    }
    if let Some(rate) = mirror.rsync.bwlimit {
        command.arg(format!("--bwlimit={}", (rate / 1024).max(1)));
    }
    command.arg(option("--files-from=", list.as_os_str())).arg("--").arg(module(mirror));
    command.current_dir(to).arg("./");
    command
}
