//! Keeps messages about single paths from flooding the log: after so many in a row they are counted only. Pure.

use log::LevelFilter;

use super::PATHS;

/// So many are shown in a row.
const MOST: u64 = 1_000;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is shown.
    Show,
    /// It is counted.
    Hide,
    /// It is shown after so many that were not.
    ShowAfter(u64),
}

/// The messages about paths since the last one about something else.
#[derive(Debug)]
pub(super) struct Flood {
    most: u64,
    count: u64,
}

impl Flood {
    /// With the most detailed level, everything is shown.
    pub(super) fn new(level: LevelFilter) -> Self {
        Flood { most: if level == LevelFilter::Trace { u64::MAX } else { MOST }, count: 0 }
    }

    /// Judges the next message, which has this target.
    pub(super) fn judge(&mut self, target: &str) -> Verdict {
        if target == PATHS {
            self.count += 1;
            return if self.count <= self.most { Verdict::Show } else { Verdict::Hide };
        }
        match std::mem::take(&mut self.count).saturating_sub(self.most) {
            0 => Verdict::Show,
            hidden => Verdict::ShowAfter(hidden),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_in_a_row_are_counted() {
        let mut flood = Flood::new(LevelFilter::Debug);
        let shown = (0..MOST + 7).filter(|_| flood.judge(PATHS) == Verdict::Show).count();
        assert_eq!(shown as u64, MOST);
        assert_eq!([flood.judge("another"), flood.judge("another")], [Verdict::ShowAfter(7), Verdict::Show]);
        assert_eq!(flood.judge(PATHS), Verdict::Show);
        let mut all = Flood::new(LevelFilter::Trace);
        assert!((0..MOST * 2).all(|_| all.judge(PATHS) == Verdict::Show));
    }
}
