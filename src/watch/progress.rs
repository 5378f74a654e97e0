//! What a worker keeps in mind from one batch to the next.

mod outage;
mod retries;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use chrono::Utc;

pub(super) use self::outage::{Cure, Outage};
pub(super) use self::retries::{FIRST_RETRY, Retries};
use super::batch::{Batch, Occasion};
use super::moves::Moves;
use super::places::{Places, around};
use super::queue::Changes;
use super::suspects::Suspects;
use crate::config::settings::{Start, Watch};
use crate::dirty::DirtySet;
use crate::moment::Moment;
use crate::state::condition::{Counters, LastBatch, Told};
use crate::tree::known::Moved;

/// What changes while it works.
pub(super) struct Progress {
    pub(super) knowledge: Knowledge,
    /// Whether the lock of this watch keeps others out.
    pub(super) standing: Standing,
    /// A pass is what it waits for before it can compare.
    pub(super) kept_out: bool,
    pub(super) sent: u64,
    /// What keeps everything from being sent, if anything does.
    pub(super) outage: Outage,
    /// Paths that failed while others went through; they are tried again by themselves.
    pub(super) retries: Retries,
    /// Why something is being sent now.
    pub(super) occasion: Occasion,
    /// What went wrong last, whether it is over or not.
    pub(super) last_error: Option<Told>,
    /// What was done since the watch began.
    pub(super) counters: Counters,
    /// The last batch that was sent.
    pub(super) last_batch: Option<LastBatch>,
    /// Directories that are not mirrored, because their paths are too long or what was mounted there is not, with why.
    pub(super) left_out: BTreeMap<PathBuf, String>,
    /// Where other file systems are mounted in the source and mirrored with it, as far as that is not noted.
    pub(super) mounts: BTreeSet<PathBuf>,
    /// From where they went with a directory above them, as far as that is not noted.
    pub(super) renamed_mounts: BTreeSet<PathBuf>,
    /// The endpoint may still be working on a session that was cut off.
    pub(super) cut_off: bool,
    /// Everything since this moment was sent or is still to be sent; none when that is not so.
    pub(super) covered: Option<Moment>,
    /// When the stamp was last moved.
    pub(super) stamped: Instant,
    /// The number of its last turn.
    pub(super) turn: Option<u64>,
    /// Files of which it is not known yet whether rsync sees that they changed.
    pub(super) suspects: Suspects,
    /// When the last push began that was one of its own.
    pub(super) pushed: SystemTime,
    /// Places of directories of which nothing was sent for sure since.
    pub(super) places: Places,
    /// The places of what was sent last, and of what is being sent: that was looked at when the next changes may have been
    /// there already.
    last_places: Places,
    sending: Places,
    /// Places that directories came to or left, of which the record does not know yet.
    pub(super) moved: Moved,
    /// What was renamed since something was sent for sure.
    pub(super) moves: Moves,
    /// Directories in the place of which the mirror may have another one, see [`Arrived`].
    ///
    /// [`Arrived`]: super::arrived::Arrived
    pub(super) replaced: BTreeSet<PathBuf>,
    /// Those of them in which something failed, for when that is tried again.
    replaced_again: BTreeSet<PathBuf>,
    /// How many names a file may have on the mirror.
    pub(super) names: Names,
    /// What is to be sent when the pass that is running is over: what had to wait for that, and what was sent beside it,
    /// since the list of files of the pass may be older than that and undo it.
    pub(super) again: DirtySet,
}

impl Progress {
    /// Takes over what the queue hands out, and returns the paths.
    pub(super) fn take_in(&mut self, changes: Changes) -> DirtySet {
        // What was there may be on the mirror still: also where a batch waits for a pass, or did not get through.
        let mut before = self.last_places.clone();
        before.merge(self.sending.clone());
        self.replaced.extend(changes.arrived.replacing(&before));
        self.sending.merge(changes.places.clone());
        self.moved.add(changes.places.as_moved());
        self.places.merge(changes.places);
        for it in changes.moves.all() {
            self.suspects.follow(&it.from, &it.to);
        }
        self.suspects.merge(changes.suspects);
        self.moves.merge(changes.moves);
        changes.dirty
    }

    /// A push that began at this time went through, but for what is `failing`.
    pub(super) fn compared(&mut self, pushed: SystemTime, failing: &BTreeMap<PathBuf, String>) {
        self.pushed = pushed;
        // What is left out was not sent either.
        let is_left_out = |path: &Path| path.ancestors().any(|above| self.left_out.contains_key(above));
        self.suspects.keep(|path| failing.contains_key(path) || is_left_out(path));
        self.moves = Moves::default();
        // Where something failed, the mirror may have what was there before.
        self.replaced_again.extend(around(&self.replaced, failing.keys()));
        self.replaced.clear();
        self.last_places = std::mem::take(&mut self.sending);
        self.sending = self.last_places.around(failing.keys());
    }

    /// At the beginning. `cut_off`: the run before was.
    pub(super) fn new(settings: &Watch, cut_off: bool) -> Self {
        Progress {
            knowledge: match settings.start {
                Start::None => Knowledge::Assumed,
                Start::Full | Start::Changed => Knowledge::None,
            },
            standing: Standing::Held,
            kept_out: false,
            sent: 0,
            outage: Outage::default(),
            retries: Retries::new(settings.max_pending),
            occasion: Occasion::Changes,
            last_error: None,
            counters: Counters::default(),
            last_batch: None,
            left_out: BTreeMap::new(),
            mounts: BTreeSet::new(),
            renamed_mounts: BTreeSet::new(),
            turn: None,
            suspects: Suspects::default(),
            // What was written before it is compared by size and time.
            pushed: SystemTime::now(),
            // What the mirror has is only known when it was compared.
            places: Places::Anywhere,
            last_places: Places::default(),
            sending: Places::default(),
            moved: Moved::default(),
            moves: Moves::default(),
            replaced: BTreeSet::new(),
            replaced_again: BTreeSet::new(),
            names: Names::One,
            cut_off,
            covered: None,
            stamped: Instant::now(),
            again: DirtySet::new(settings.max_pending),
        }
    }

    pub(super) fn caught_up(&self) -> bool {
        self.knowledge != Knowledge::None
    }

    /// Notes that something went wrong.
    pub(super) fn note_error(&mut self, why: &str) {
        self.last_error = Some(Told { why: why.to_owned(), at: Utc::now() });
    }

    /// Notes what was sent.
    pub(super) fn note_batch(&mut self, batch: &Batch) {
        let Batch { tally, took, .. } = batch;
        self.counters.tally.add(*tally);
        let (seconds, changes, bytes) = (took.as_secs_f64(), tally.changes(), tally.bytes);
        self.last_batch = Some(LastBatch { at: Utc::now(), seconds, changes, bytes });
    }

    /// What was sent has arrived. Unless more waits for the end of a pass, the mirror has now what the source had, but for
    /// what fails.
    pub(super) fn settled(&mut self) {
        if self.knowledge == Knowledge::Compared && self.again.is_empty() {
            self.places = Places::default();
            self.retries.failing.keys().for_each(|path| self.places.add(path));
        }
    }

    /// What failed, for one more attempt.
    pub(super) fn take_retry(&mut self) -> DirtySet {
        self.counters.retries += 1;
        self.replaced.append(&mut self.replaced_again);
        self.retries.take()
    }
}

/// How many names a file may have on the mirror, beyond those that it has in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// One.
    One,
    /// Two: see [`crate::state::links`].
    PerhapsTwo,
}

/// Whether the lock of a watch keeps others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Held,
    /// Its file is gone, which was said.
    Lost,
    /// Another watch has the lock now, which was said.
    Taken,
}

/// What is known of the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It is still to be compared.
    None,
    /// With `start = "none"` it is taken for equal.
    Assumed,
    /// It was compared as a whole.
    Compared,
}
