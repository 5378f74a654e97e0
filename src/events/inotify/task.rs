//! What is to be done beside reading, which never waits for files.

use std::ffi::OsString;
use std::path::PathBuf;

use super::NodeId;

/// What the crawler is asked to do.
pub(super) enum Task {
    /// Watch this directory and all below.
    Crawl(NodeId),
    /// Something left this name. If there is a directory all the same, watch it: two directories may have changed places,
    /// which is reported as one move after the other.
    Look(NodeId, OsString),
    /// Something was mounted or unmounted here.
    Mount(PathBuf),
    /// Something was unmounted here, of which the mirror is to stay: what comes from now on is seen.
    Unmounted(PathBuf),
    /// Drop these watches, unless their directories have come back into the tree.
    Unwatch(Vec<i32>),
}
