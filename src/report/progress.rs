//! Progress on a terminal: one bar for each mirror that is being worked on. It reads the meters from time to time; who
//! does the work never waits for it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use log::debug;

use super::{logger, screen, text};
use crate::meter::{Following, Meter, Reading, Stage};
use crate::mirror::Mirror;

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

/// A mirror of which it is known how much there is to do.
const BAR: &str = "{prefix} [{wide_bar}] {human_pos}/{human_len}{msg}";
/// One of which it is not.
const SPINNER: &str = "{prefix} {spinner} {msg}";
/// The line for the mirrors that have none.
const REST: &str = "{msg}";

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
    pub fn begin(&self, mirror: &Mirror) -> Place<'_> {
        Place(self.0.as_ref().map(|(board, _)| {
            let begun = Begun { name: text::escaped(mirror.to_string().as_bytes()), meter: Meter::default() };
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
                self.bars.push(Bar { mirror: Arc::clone(mirror), line, shown: None });
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

/// One line of the screen.
struct Bar {
    mirror: Arc<Begun>,
    line: ProgressBar,
    /// The stage that it has been made for.
    shown: Option<Stage>,
}

impl Bar {
    fn update(&mut self, room: usize) {
        let Reading { stage, looked, sent, following } = self.mirror.meter.read();
        let bar = &self.line;
        bar.set_prefix(format!("{:room$}", shortened(&self.mirror.name, room)));
        if self.shown.replace(stage) != Some(stage) {
            if let Stage::Comparing(Some(total)) = stage {
                bar.set_style(style(BAR));
                bar.set_length(total);
            } else {
                bar.set_style(style(SPINNER));
                bar.unset_length();
            }
            bar.set_position(looked);
            // The time that passed until here says nothing about the rest.
            bar.reset_eta();
        }
        bar.set_position(looked);
        bar.set_message(match stage {
            Stage::Waiting => {
                following.map_or_else(|| "waiting".to_owned(), |following| followed(following, Utc::now()))
            }
            Stage::Looking => "looking at the source".to_owned(),
            Stage::Comparing(Some(total)) => numbers(sent, bar.per_sec(), (looked < total).then(|| bar.eta())),
            Stage::Comparing(None) => format!("comparing what changed{}", numbers(sent, 0.0, None)),
            Stage::Again => "looking again at what differs".to_owned(),
        });
        bar.tick();
    }
}

/// How a mirror does that is watched.
fn followed(following: Following, now: DateTime<Utc>) -> String {
    let Following { state, pending, failing, changes, bytes, last, behind_since } = following;
    let ago = |moment: DateTime<Utc>| {
        let time = (now - moment).to_std().unwrap_or_default();
        format!("{:#}", HumanDuration(Duration::from_secs(time.as_secs())))
    };
    let mut text = format!("{state}  {pending} pending");
    // Writing to a string cannot fail.
    if failing > 0 {
        let _ = write!(text, "  {failing} FAILING");
    }
    if let Some(since) = behind_since.filter(|since| (now - *since).num_seconds() > 0) {
        let _ = write!(text, "  {} behind", ago(since));
    }
    let _ = write!(text, "  {changes} sent  {}", text::bytes(bytes));
    if let Some(last) = last {
        let _ = write!(text, "  last {} ago", ago(last));
    }
    text
}

/// What was sent, how many entries are compared in a second, and how long it takes from here, each if there is any.
fn numbers(sent: u64, rate: f64, left: Option<Duration>) -> String {
    let mut numbers = String::new();
    // Writing to a string cannot fail.
    if sent > 0 {
        let _ = write!(numbers, "  {}", text::bytes(sent));
    }
    if rate >= 0.5 {
        let _ = write!(numbers, "  {rate:.0}/s");
        if let Some(left) = left {
            let _ = write!(numbers, "  {:#}", HumanDuration(left));
        }
    }
    numbers
}

/// The end of a long name: mirrors of one source differ there.
fn shortened(name: &str, room: usize) -> String {
    let excess = name.chars().count().saturating_sub(room);
    if excess == 0 { name.to_owned() } else { "..".chars().chain(name.chars().skip(excess + 2)).collect() }
}

/// No colours, and nothing but ASCII: it is the same on every terminal.
fn style(template: &str) -> ProgressStyle {
    // The templates are those above, and tests show that they are right.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.tick_chars("|/-\\ ").progress_chars("#>-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ends() {
        assert_eq!(shortened("data@127.0.0.1/m", 16), "data@127.0.0.1/m");
        assert_eq!(shortened("data@127.0.0.1/m", 10), "...0.0.1/m");
        assert_eq!(shortened("文件文件", 3), "..件");
    }

    #[test]
    fn numbers_that_are_not_known_are_left_out() {
        assert_eq!(numbers(0, 0.0, Some(Duration::ZERO)), "");
        assert_eq!(numbers(2048, 12.4, Some(Duration::from_secs(90))), "  2.0 KiB  12/s  2m");
        assert_eq!(numbers(0, 12.4, None), "  12/s");
    }

    #[test]
    fn what_is_watched_is_a_line() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let before = |seconds| Some(now - chrono::TimeDelta::seconds(seconds));
        let well =
            Following { state: "live", pending: 0, failing: 0, changes: 0, bytes: 0, last: None, behind_since: None };
        assert_eq!(followed(well, now), "live  0 pending  0 sent  0 B");
        let ill = Following {
            state: "backing off",
            pending: 7,
            failing: 1,
            changes: 34,
            bytes: 2048,
            last: before(3),
            behind_since: before(130),
        };
        let line = "backing off  7 pending  1 FAILING  2m behind  34 sent  2.0 KiB  last 3s ago";
        assert_eq!(followed(ill, now), line);
    }

    #[test]
    fn the_templates_are_right() {
        for template in [BAR, SPINNER, REST] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
