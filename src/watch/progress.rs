//! What a worker keeps in mind from one batch to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use chrono::Utc;

use super::batch::{Batch, Occasion};
use super::moves::Moves;
use super::places::Places;
use super::queue::Changes;
use super::suspects::Suspects;
use crate::backoff::Backoff;
use crate::config::settings::{Start, Watch};
use crate::dirty::DirtySet;
use crate::report::fold::Fold;
use crate::rsync::outcome::Trouble;
use crate::state::condition::{Counters, LastBatch, Told};
use crate::state::record::Moment;
use crate::tree::changed::Moved;

/// What changes while it works.
pub(super) struct Progress {
    pub(super) knowledge: Knowledge,
    /// A pass is what it waits for before it can compare.
    pub(super) kept_out: bool,
    pub(super) sent: u64,
    /// Not before this time is anything sent again: the endpoint failed.
    pub(super) hold: Option<Instant>,
    pub(super) transient: Backoff,
    pub(super) permanent: Backoff,
    pub(super) trouble: Option<Trouble>,
    pub(super) cure: Cure,
    pub(super) failures: usize,
    /// The failures since it last worked, so that they are not said again and again.
    pub(super) fold: Fold,
    /// Paths that failed while others went through; they are tried again by themselves.
    pub(super) retry: DirtySet,
    pub(super) retry_at: Option<Instant>,
    /// Why something is being sent now.
    pub(super) occasion: Occasion,
    pub(super) retry_backoff: Backoff,
    pub(super) failing: BTreeMap<PathBuf, String>,
    /// What went wrong last, whether it is over or not.
    pub(super) last_error: Option<Told>,
    /// What was done since the watch began.
    pub(super) counters: Counters,
    /// The last batch that was sent.
    pub(super) last_batch: Option<LastBatch>,
    /// Attempts in which only some paths failed, so that they are not said again and again.
    pub(super) partly: Fold,
    /// What rsync said about failures without a path, and was said already.
    pub(super) unnamed: BTreeSet<String>,
    /// Failing paths that were named in the log already.
    pub(super) named: BTreeSet<PathBuf>,
    /// Directories that are not mirrored, because their paths are too long or what was mounted there is not.
    pub(super) left_out: BTreeSet<PathBuf>,
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
    /// How many names a file may have on the mirror.
    pub(super) names: Names,
    /// What is to be sent when the pass that is running is over: what had to wait for that, and what was sent beside it,
    /// since the list of files of the pass may be older than that and undo it.
    pub(super) again: DirtySet,
}

impl Progress {
    /// Takes over what the queue hands out, and returns the paths.
    pub(super) fn take_in(&mut self, changes: Changes) -> DirtySet {
        self.replaced.extend(changes.arrived.replacing(&self.last_places));
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
        self.suspects.keep(|path| failing.contains_key(path));
        self.moves = Moves::default();
        self.replaced.clear();
        self.last_places = std::mem::take(&mut self.sending);
    }

    /// At the beginning. `cut_off`: the run before was.
    pub(super) fn new(settings: &Watch, cut_off: bool) -> Self {
        let set = || DirtySet::new(settings.max_pending);
        Progress {
            knowledge: match settings.start {
                Start::None => Knowledge::Assumed,
                Start::Full | Start::Changed => Knowledge::None,
            },
            kept_out: false,
            sent: 0,
            hold: None,
            transient: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            permanent: Backoff::new(Duration::from_secs(5), Duration::from_secs(300)),
            trouble: None,
            cure: Cure::Time,
            failures: 0,
            fold: Fold::default(),
            retry: set(),
            retry_at: None,
            occasion: Occasion::Changes,
            retry_backoff: Backoff::new(FIRST_RETRY, Duration::from_secs(60)),
            failing: BTreeMap::new(),
            last_error: None,
            counters: Counters::default(),
            last_batch: None,
            partly: Fold::default(),
            unnamed: BTreeSet::new(),
            named: BTreeSet::new(),
            left_out: BTreeSet::new(),
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
            names: Names::One,
            cut_off,
            covered: None,
            stamped: Instant::now(),
            again: set(),
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
            self.failing.keys().for_each(|path| self.places.add(path));
        }
    }

    /// What failed, for one more attempt.
    pub(super) fn take_retry(&mut self) -> DirtySet {
        self.retry_at = None;
        self.counters.retries += 1;
        self.failing.clear();
        self.retry.take()
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

/// What a failing endpoint needs to work again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// It may be better by itself.
    Time,
    /// The same, but the session that was cut off has to end first.
    EndOfSession,
    /// Somebody has to do something.
    Operator,
}

/// How soon a path that failed is tried again.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
