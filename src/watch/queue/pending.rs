//! What is pending for one mirror, and when it is due. Pure: it is told what time it is.

use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::arrived::{Arrived, Before};
use super::super::moves::Moves;
use super::super::places::Places;
use super::super::suspects::Suspects;
use crate::dirty::{DirtySet, Mark};
use crate::events::Arrival;
use crate::moment::Moment;

/// With so many written files pending nothing is gained by waiting for more: a session is short beside what it has to send.
const PLENTY: usize = 4_096;

/// What was pending.
#[derive(Debug)]
pub(in crate::watch) struct Changes {
    /// The paths.
    pub(in crate::watch) dirty: DirtySet,
    /// The places of directories among them.
    pub(in crate::watch) places: Places,
    /// The files among them that were written or put there.
    pub(in crate::watch) suspects: Suspects,
    /// What was renamed.
    pub(in crate::watch) moves: Moves,
    /// Directories that were put in a place.
    pub(in crate::watch) arrived: Arrived,
}

/// The pending changes of one mirror.
#[derive(Debug)]
pub(super) struct Pending {
    changes: Changes,
    /// When the oldest and the youngest of them were reported.
    first: Instant,
    last: Instant,
    /// When the oldest change was reported of which it is not known yet that it has arrived.
    unsettled: Option<Instant>,
    /// Everything before this moment was reported, which can be told to a later process.
    reported: Option<Moment>,
    /// The same for what was handed out last.
    handed_out: Option<Moment>,
    /// When that was.
    handed_out_at: Option<Instant>,
}

impl Pending {
    /// Nothing yet. No more than `most` paths are kept one by one.
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let changes = Changes {
            dirty: DirtySet::new(most),
            places: Places::default(),
            suspects: Suspects::default(),
            moves: Moves::default(),
            arrived: Arrived::default(),
        };
        Pending {
            changes,
            first: now,
            last: now,
            unsettled: None,
            reported: None,
            handed_out: None,
            handed_out_at: None,
        }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.dirty.is_empty()
    }

    /// How many paths there are.
    pub(super) fn len(&self) -> usize {
        self.changes.dirty.len()
    }

    /// The places of directories among them.
    pub(super) fn places(&self) -> &Places {
        &self.changes.places
    }

    /// When they are to be sent: when nothing more came for `delay`, but not later than `max_delay` after the first; nothing
    /// when there are none. With plenty of written files it is not waited for the end of that, but still as long as `delay`
    /// since it was sent last: what is written again and again is not to be sent as often. Deletions alone wait for the end: a
    /// source that is being emptied is to be seen empty.
    pub(super) fn due(&self, delay: Duration, max_delay: Duration) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let due = (self.last + delay).min(self.first + max_delay);
        let at_once = || self.handed_out_at.map_or(self.first, |time| time + delay);
        Some(if self.is_plenty() { due.min(at_once()) } else { due })
    }

    /// Whether so much was written that it is sent although more is coming.
    fn is_plenty(&self) -> bool {
        self.changes.suspects.len() >= PLENTY
    }

    /// Something happened at a path. Tells whether it is the first that is pending.
    pub(super) fn mark(&mut self, path: &Path, mark: Mark, now: Instant) -> bool {
        let is_first = self.is_empty();
        if is_first {
            self.first = now;
        }
        self.last = now;
        self.unsettled.get_or_insert(now);
        self.changes.dirty.mark(path, mark);
        is_first
    }

    /// A directory came to this place, left it or changed there.
    pub(super) fn place(&mut self, path: &Path) {
        self.changes.places.add(path);
    }

    /// A file was written or put there. Tells whether there is plenty with it, and was not before.
    pub(super) fn content(&mut self, path: &Path) -> bool {
        let was_plenty = self.is_plenty();
        self.changes.suspects.add(path);
        !was_plenty && self.is_plenty()
    }

    /// Something was renamed.
    pub(super) fn moved(&mut self, from: Option<&Path>, to: &Path) {
        if let Some(from) = from {
            self.changes.suspects.follow(from, to);
        }
        self.changes.moves.add(from, to);
    }

    /// A directory came to this path with things in it.
    pub(super) fn arrived(&mut self, directory: &Path, how: Arrival) {
        let is_apart = how.is_apart_from(&self.changes.places, directory);
        self.changes.arrived.add(directory, how, if is_apart { Before::Nothing } else { Before::Something });
    }

    /// Everything before this moment was reported.
    pub(super) fn reported_until(&mut self, moment: Moment) {
        if self.is_empty() && self.handed_out.is_some() {
            self.handed_out = Some(moment.clone());
        }
        self.reported = Some(moment);
    }

    /// Hands out everything.
    pub(super) fn hand_out(&mut self, now: Instant) -> Changes {
        self.handed_out_at = Some(now);
        self.handed_out.clone_from(&self.reported);
        Changes {
            dirty: self.changes.dirty.take(),
            places: mem::take(&mut self.changes.places),
            suspects: mem::take(&mut self.changes.suspects),
            moves: mem::take(&mut self.changes.moves),
            arrived: mem::take(&mut self.changes.arrived),
        }
    }

    /// Puts back what could not be sent, as if it had been reported at that time.
    pub(super) fn put_back(&mut self, batch: &DirtySet, first: Instant) {
        self.changes.dirty.merge(batch);
        self.handed_out = None;
        self.first = first;
    }

    /// The moment before which everything has been handed out, if nothing was put back since.
    pub(super) fn handed_out_until(&self) -> Option<&Moment> {
        self.handed_out.as_ref()
    }

    /// Everything that was handed out has arrived.
    pub(super) fn settle(&mut self) {
        if self.is_empty() {
            self.unsettled = None;
        }
    }

    /// Since when something has been reported of which it is not known that it has arrived.
    pub(super) fn unsettled_since(&self) -> Option<Instant> {
        self.unsettled
    }

    /// When the youngest change was reported.
    pub(super) fn last(&self) -> Instant {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(2);
    const MOST: Duration = Duration::from_secs(5);

    #[test]
    fn changes_are_due_when_no_more_come_but_not_later_than_the_first_may_wait() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut pending = Pending::new(10, begun);
        assert_eq!(pending.due(DELAY, MOST), None);
        assert!(pending.mark(Path::new("a"), Mark::Path, after(10)));
        assert_eq!(pending.due(DELAY, MOST), Some(after(12)));
        for (now, due) in [(11, 13), (13, 15), (14, 15)] {
            assert!(!pending.mark(Path::new("b"), Mark::Path, after(now)));
            assert_eq!(pending.due(DELAY, MOST), Some(after(due)));
        }
        let changes = pending.hand_out(after(15));
        assert_eq!((changes.dirty.len(), pending.due(DELAY, MOST)), (2, None));
        pending.settle();
        assert_eq!(pending.unsettled_since(), None);
        pending.put_back(&changes.dirty, after(9));
        assert_eq!((pending.len(), pending.due(DELAY, MOST)), (2, Some(after(14))));
    }

    #[test]
    fn plenty_of_written_files_are_due_at_once_but_not_sooner_than_the_delay_after_the_last() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut pending = Pending::new(usize::MAX, begun);
        let write = |pending: &mut Pending, files: std::ops::Range<usize>, second| {
            let write = |number: usize| {
                let path = std::path::PathBuf::from(number.to_string());
                pending.mark(&path, Mark::Path, after(second));
                pending.content(&path)
            };
            files.map(write).filter(|is_news| *is_news).count()
        };
        assert_eq!(write(&mut pending, 0..PLENTY - 1, 10), 0);
        // The same again is not more.
        assert_eq!(write(&mut pending, 0..PLENTY - 1, 10), 0);
        assert_eq!(pending.due(DELAY, MOST), Some(after(12)));
        assert_eq!(write(&mut pending, PLENTY - 1..PLENTY + 5, 11), 1);
        assert_eq!(pending.due(DELAY, MOST), Some(after(10)));
        assert_eq!(pending.hand_out(after(11)).dirty.len(), PLENTY + 5);
        assert_eq!(write(&mut pending, 0..PLENTY, 12), 1);
        assert_eq!(pending.due(DELAY, MOST), Some(after(13)));
    }

    #[test]
    fn deletions_are_never_plenty() {
        let begun = Instant::now();
        let mut pending = Pending::new(usize::MAX, begun);
        for number in 0..2 * PLENTY {
            pending.mark(Path::new(&number.to_string()), Mark::Path, begun);
        }
        assert_eq!(pending.due(DELAY, MOST), Some(begun + DELAY));
    }
}
