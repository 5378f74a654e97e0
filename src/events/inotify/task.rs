//! What is to be done beside reading, which never waits for files.

use std::ffi::OsString;
use std::path::PathBuf;

use super::NodeId;
use crate::dirty::Mark;

/// What the crawler is asked to do.
pub(super) enum Task {
    /// Watch this directory and all below.
    Crawl(NodeId),
    /// Something left this name. If there is a directory all the same, watch it: two directories may have changed places,
    /// which is reported as one move after the other.
    Look(NodeId, OsString),
    /// Something was mounted or unmounted here: watch what is there now, and have as much of it looked at.
    Mount(PathBuf, Mark),
    /// Drop these watches, unless their directories have come back into the tree.
    Unwatch(Vec<i32>),
}
