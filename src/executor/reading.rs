//! What is made of what a run prints, line by line: it is counted, noted for the history, and told.

use std::path::{Path, PathBuf};

use super::{Executor, Mode, OnItem};
use crate::meter::Job as Gauge;
use crate::rsync::children::Ends;
use crate::rsync::output::{Change, Line};
use crate::rsync::tally::Tally;

/// What is to be known to understand what a run prints.
#[derive(Default)]
pub(super) struct Reading<'a> {
    /// The directory into which something is put that was not there; its paths are relative to that.
    pub(super) placing: Option<&'a Path>,
    /// What it could not delete was to be deleted.
    pub(super) excludes_nothing: bool,
    /// Told how far it is.
    pub(super) gauge: Option<Gauge<'a>>,
    /// What was read by now.
    pub(super) heard: Heard,
}

/// What a run has printed that matters for what its end means.
#[derive(Default)]
pub(super) struct Heard {
    /// Directories that it could not delete.
    pub(super) not_deleted: Vec<PathBuf>,
    /// The first file of which it sent content.
    pub(super) first_sent: Option<PathBuf>,
    /// It stopped deleting.
    pub(super) deletions_skipped: bool,
    /// How many paths it deleted.
    pub(super) deleted: u64,
    /// It has printed the figures with which each run ends.
    pub(super) at_its_end: bool,
    /// The first path that it removed from the history, and how many there were.
    pub(super) lost: Option<(PathBuf, u64)>,
}

impl Executor<'_> {
    /// Takes one line.
    pub(super) fn read(&self, line: Line, reading: &mut Reading<'_>, tally: &mut Tally, on_item: &OnItem<'_>) {
        let dry_run = self.mode == Mode::DryRun;
        let heard = &mut reading.heard;
        match line {
            // Paths of the mirror are relative. rsync made room for a version, and removed another one for it.
            Line::Item { change: Change::Delete, path, .. } if path.is_absolute() => {
                heard.lost.get_or_insert((path, 0)).1 += 1;
            }
            Line::Item { change, bytes, path } => {
                let (change, path) = reading.meant(change, path);
                if self.told.is_new(change, &path) {
                    tally.count(change, bytes);
                } else if dry_run {
                    return;
                }
                reading.heard.deleted += u64::from(change == Change::Delete);
                if bytes > 0 && reading.heard.first_sent.is_none() {
                    reading.heard.first_sent = Some(path.clone());
                }
                // A directory that replaces a file counts as created, and the file is in the bucket.
                match reading.placing {
                    Some(_) => self.history().note_placed(&path),
                    None => self.history().note(change, &path),
                }
                on_item(change, &path);
            }
            Line::BytesSent(sent) => {
                heard.at_its_end = true;
                tally.sent += sent;
            }
            // Where something is excluded, it stays for the sake of that, as it shall.
            Line::NotDeleted(path) if reading.excludes_nothing => heard.not_deleted.push(path),
            Line::DeletionsSkipped => heard.deletions_skipped = true,
            Line::Progress { bytes, looked } => {
                if let Some(gauge) = &mut reading.gauge {
                    // A dry run sends nothing: the sizes are those of what it would send.
                    gauge.at(if dry_run { 0 } else { bytes }, looked);
                }
            }
            Line::NotDeleted(_) | Line::Other => {}
        }
    }
}

impl Reading<'_> {
    /// What ends a line: who wants to know how far it is reads what is written over.
    pub(super) fn ends(&self) -> Ends {
        if self.gauge.is_some() { Ends::Return } else { Ends::Newline }
    }

    /// What was done to which path of the source.
    fn meant(&self, change: Change, path: PathBuf) -> (Change, PathBuf) {
        match self.placing {
            None => (change, path),
            Some(base) if path == Path::new(".") => (Change::Create, base.join("")),
            // That it is a link or a copy of something on the other side does not matter.
            Some(base) => (Change::Create, base.join(path)),
        }
    }
}
