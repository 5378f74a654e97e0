//! Fields that several objects have, so that they mean the same in each.

/// A field and what it means.
pub type Field = (&'static str, &'static str);

pub(crate) const MIRROR: Field = ("mirror", "the mirror, as NAME@ENDPOINT");
const EXIT: Field = ("exit", "the exit code that this mirror alone would give");
const ERROR: Field = ("error", "why it failed as a whole; null when it did not");
const CREATED: Field = ("created", "entries that were made");
const UPDATED: Field = ("updated", "entries whose content was sent");
const DELETED: Field = ("deleted", "entries that were deleted");
const ATTRIBUTES: Field = ("attributes", "entries of which only permissions, owner or time changed");
const BYTES: Field = ("bytes", "the size of the files that were sent");
const SENT: Field = ("sent", "bytes that went over the wire");
pub(crate) const RSYNC_RUNS: Field = ("rsync_runs", "how many rsync processes it took");
pub(crate) const SECONDS: Field = ("seconds", "how long it took");
/// How the work on a mirror ended.
pub(crate) const RESULT: [Field; 3] = [MIRROR, EXIT, ERROR];
/// What was done, as a tally of rsync has it.
pub(crate) const DONE: [Field; 7] = [CREATED, UPDATED, DELETED, ATTRIBUTES, BYTES, SENT, RSYNC_RUNS];
pub(crate) const PATH: Field = ("path", "the path within the source; `.` is the source itself");
/// What every path has.
pub(crate) const PATH_HEX: Field =
    ("path_hex", "when the path is not UTF-8: its bytes as hexadecimal digits; path is a form for people then");
/// Those of the paths that failed.
pub(crate) const FAILING: [Field; 3] = [
    ("failing[].why", "why it failed"),
    ("failing[].path", "which; without it where rsync names none"),
    ("failing[].path_hex", "when that is not UTF-8: its bytes as hexadecimal digits"),
];
