//! Writes down what the storms came to, when `SERSYNC_TRUST` names a file for that: `scripts/soak.sh` makes the table in
//! `tests/TRUST.md` of it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use super::run::Ended;
use crate::support::events::is_fanotify;

/// What one storm came to.
#[derive(Debug)]
pub(super) struct Row {
    lines: String,
    seed: u64,
}

impl Row {
    pub(super) fn new(seed: u64) -> Row {
        Row { lines: String::new(), seed }
    }

    /// A fault, and how long after its end the mirror was equal.
    pub(super) fn fault(&mut self, name: &str, recovery: Duration) {
        let (source, seed) = (source(), self.seed);
        writeln!(self.lines, "fault\t{name}\t{source}\t{seed}\t{:.1}", recovery.as_secs_f64()).unwrap();
    }

    /// The end of the storm, which was a good one: each is a panic otherwise.
    pub(super) fn end(mut self, kind: &str, ended: &Ended) {
        let Some(path) = std::env::var_os("SERSYNC_TRUST") else { return };
        let Ended { versions, operations, took } = ended;
        let (source, seed, took) = (source(), self.seed, took.as_secs());
        writeln!(self.lines, "storm\t{kind}\t{source}\t{seed}\t{took}\t{operations}\t{versions}").unwrap();
        // In one piece: several storms may be going on.
        File::options().append(true).create(true).open(path).unwrap().write_all(self.lines.as_bytes()).unwrap();
    }
}

fn source() -> &'static str {
    if is_fanotify() { "fanotify" } else { "inotify" }
}
