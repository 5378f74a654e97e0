//! How a place at the endpoint is named: on the command line, the module, a mirror, a history, what is in them; and as rsync on
//! the other side names it itself.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::bucket::{Bucket, HISTORY_DIR};
use crate::mirror::{Endpoint, Mirror};

/// The root in which all mirrors and all histories are.
pub(in crate::rsync) fn module(mirror: &Mirror) -> OsString {
    directory(mirror, &[])
}

/// The root of the mirror.
pub(in crate::rsync) fn mirror_root(mirror: &Mirror) -> OsString {
    directory(mirror, &[&mirror.source.name])
}

/// A directory of the mirror, which has to be one that [can be named](crate::rsync::placement::can_be_named).
pub(in crate::rsync) fn mirror_directory(mirror: &Mirror, dir: &Path) -> OsString {
    let mut address = mirror_root(mirror);
    if !dir.as_os_str().is_empty() {
        address.push(dir);
        address.push("/");
    }
    address
}

/// The directory of all histories.
pub(in crate::rsync) fn histories(mirror: &Mirror) -> OsString {
    directory(mirror, &[HISTORY_DIR])
}

/// The history of the mirror.
pub(in crate::rsync) fn history(mirror: &Mirror) -> OsString {
    directory(mirror, &[HISTORY_DIR, &mirror.source.name])
}

/// A directory below the module's root, with a slash at its end.
fn directory(mirror: &Mirror, names: &[&str]) -> OsString {
    match &mirror.endpoint {
        Endpoint::Daemon { host, module } => {
            let user = mirror.rsync.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
            let below: String = names.iter().map(|name| escaped(name) + "/").collect();
            format!("rsync://{user}{host}/{}/{below}", escaped(module)).into()
        }
        Endpoint::Directory(root) => {
            let mut path = names.iter().fold(root.clone(), |above, name| above.join(name)).into_os_string();
            path.push("/");
            path
        }
    }
}

/// Where a bucket of the mirror is, for the other side.
pub(super) fn bucket_there(mirror: &Mirror, bucket: &Bucket) -> PathBuf {
    path_there(mirror, &format!("{HISTORY_DIR}/{}/{bucket}", mirror.source.name))
}

/// Where the mirror is, as the other side names it: in its options and in what it says.
pub(in crate::rsync) fn mirror_there(mirror: &Mirror) -> PathBuf {
    path_there(mirror, &mirror.source.name)
}

/// A path from the module root on: relative ones resolve differently with and without chroot.
fn path_there(mirror: &Mirror, below: &str) -> PathBuf {
    match &mirror.endpoint {
        Endpoint::Daemon { .. } => Path::new("/").join(below),
        Endpoint::Directory(root) => root.join(below),
    }
}

/// `ABOVE/DIR/`: a directory and its content; without a name that of `above`.
pub(in crate::rsync) fn directory_below(above: &OsStr, dir: &Path) -> OsString {
    let mut path = above.to_owned();
    path.push("/");
    path.push(dir);
    if !dir.as_os_str().is_empty() {
        path.push("/");
    }
    path
}

/// The daemon expands wildcards in the destination path. The same holds for patterns that have a wildcard.
pub(in crate::rsync) fn escaped(component: &str) -> String {
    let mut text = String::with_capacity(component.len());
    for c in component.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}
