//! Progress on a terminal: one bar for each mirror that is being worked on. It reads the meters from time to time; who
//! does the work never waits for it.

mod bar;

use std::io::{self, IsTerminal};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};
use log::debug;

use self::bar::{Bar, REST, SPINNER, style};
use super::{logger, screen, text};
use crate::meter::Meter;
use crate::mutex::lock;

/// Work that ends sooner shows no bar: it would only flash up.
const PATIENCE: Duration = Duration::from_millis(300);
/// The time between two looks at the meters.
const PACE: Duration = Duration::from_millis(100);
/// More bars than this are no overview.
const MOST: usize = 10;
/// Columns for all but the name.
const NUMBERS: usize = 46;
/// The name gets so many columns even when that is too much for one line.
const SHORTEST_NAME: usize = 16;

/// What else a run writes, which bars must not get into.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Whether bars are wanted at all.
    pub wanted: bool,
    /// Whether lines are written to stdout while the work goes on.
    pub lists: bool,
}

/// The bars of a run. When the value goes, they are wiped out.
#[derive(Debug)]
pub struct Bars(Option<(Arc<Board>, JoinHandle<()>)>);

/// The mirrors that are being worked on.
#[derive(Debug, Default)]
struct Board {
    state: Mutex<Running>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Running {
    mirrors: Vec<Arc<Begun>>,
    over: bool,
}

/// A mirror that is being worked on.
#[derive(Debug)]
struct Begun {
    name: String,
    meter: Meter,
}

/// A mirror's place among the bars, as long as the value lives.
#[derive(Debug)]
pub struct Place<'a>(Option<(&'a Board, Arc<Begun>)>);

impl Bars {
    /// Bars where they can be shown, else nothing. They need a terminal to themselves: with more log lines than warnings
    /// (`-v`), or a list that runs over the same terminal, those tell how far the work is.
    #[must_use]
    pub fn new(conditions: Conditions) -> Bars {
        let alone = logger::is_terse() && !(conditions.lists && io::stdout().is_terminal());
        if !(conditions.wanted && alone && screen::can_be_drawn_on()) {
            return Bars(None);
        }
        let board = Arc::new(Board::default());
        let painter = Arc::clone(&board);
        match thread::Builder::new().name("progress".to_owned()).spawn(move || paint(&painter)) {
            Ok(thread) => Bars(Some((board, thread))),
            Err(e) => {
                debug!("no progress is shown: {e}");
                Bars(None)
            }
        }
    }

    /// The work on a mirror begins. It ends when the value goes.
    #[must_use]
    pub fn begin(&self, mirror: &str) -> Place<'_> {
        Place(self.0.as_ref().map(|(board, _)| {
            let begun = Begun { name: text::escaped(mirror.as_bytes()), meter: Meter::default() };
            let begun = Arc::new(begun);
            board.lock().mirrors.push(Arc::clone(&begun));
            (&**board, begun)
        }))
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some((board, thread)) = self.0.take() {
            board.lock().over = true;
            board.changed.notify_all();
            // That it panicked is no failure of the work.
            let _ = thread.join();
            screen::end();
        }
    }
}

impl Place<'_> {
    /// The meter that this place shows; nothing where nobody looks.
    #[must_use]
    pub fn meter(&self) -> Option<&Meter> {
        self.0.as_ref().map(|(_, begun)| &begun.meter)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some((board, begun)) = &self.0 {
            board.lock().mirrors.retain(|other| !Arc::ptr_eq(other, begun));
        }
    }
}

impl Board {
    /// What is being worked on after this time; nothing when that is over.
    fn wait(&self, time: Duration) -> Option<Vec<Arc<Begun>>> {
        let state = self.changed.wait_timeout_while(self.lock(), time, |state| !state.over);
        let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
        (!state.over).then(|| state.mirrors.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        lock(&self.state)
    }
}

/// Draws until the work is over.
fn paint(board: &Board) {
    let Some(mirrors) = board.wait(PATIENCE) else { return };
    let mut picture = Picture { drawn: screen::begin(), bars: Vec::new(), rest: None };
    picture.update(&mirrors);
    while let Some(mirrors) = board.wait(PACE) {
        picture.update(&mirrors);
    }
}

/// What is on the screen.
struct Picture {
    drawn: MultiProgress,
    bars: Vec<Bar>,
    /// The line for the mirrors that have no bar.
    rest: Option<ProgressBar>,
}

impl Picture {
    fn update(&mut self, mirrors: &[Arc<Begun>]) {
        let (width, height) = screen::size();
        let drawn = &self.drawn;
        self.bars.retain(|bar| {
            let goes_on = mirrors.iter().any(|mirror| Arc::ptr_eq(mirror, &bar.mirror));
            if !goes_on {
                remove(drawn, &bar.line);
            }
            goes_on
        });
        // One line for the rest, and one for what is written next.
        let most = MOST.min(usize::from(height).saturating_sub(2)).max(1);
        let has_bar = |bars: &[Bar], mirror| bars.iter().any(|bar| Arc::ptr_eq(mirror, &bar.mirror));
        for mirror in mirrors {
            if self.bars.len() < most && !has_bar(&self.bars, mirror) {
                let line = drawn.insert(self.bars.len(), ProgressBar::no_length().with_style(style(SPINNER)));
                self.bars.push(Bar::new(mirror, line));
            }
        }
        let longest = self.bars.iter().map(|bar| bar.mirror.name.chars().count()).max().unwrap_or_default();
        let room = usize::from(width).saturating_sub(NUMBERS).max(SHORTEST_NAME);
        for bar in &mut self.bars {
            bar.update(longest.min(room));
        }
        self.update_rest(mirrors.len() - self.bars.len());
    }

    fn update_rest(&mut self, number: usize) {
        if number == 0 {
            if let Some(rest) = self.rest.take() {
                remove(&self.drawn, &rest);
            }
            return;
        }
        let rest = self.rest.get_or_insert_with(|| self.drawn.add(ProgressBar::no_length().with_style(style(REST))));
        rest.set_message(format!("and {}", text::count(number, "more mirror")));
    }
}

fn remove(drawn: &MultiProgress, bar: &ProgressBar) {
    bar.finish_and_clear();
    drawn.remove(bar);
}
