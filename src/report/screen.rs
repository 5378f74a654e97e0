//! The terminal behind stderr while something is drawn at its bottom: log lines go above it, whole.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};
use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use crate::mutex::lock;

/// Frames in a second, at most.
const FRAMES: u8 = 10;
/// Of a terminal that does not tell.
const USUAL: (u16, u16) = (80, 24);
/// A terminal that says that it is narrower or lower is not believed.
const LEAST: (u16, u16) = (20, 2);

/// What is drawn now. There is one stderr, and so one of these.
static DRAWN: RwLock<Option<MultiProgress>> = RwLock::new(None);

/// Whether stderr is a terminal on which lines can be drawn over, and on which this process should.
pub(super) fn can_be_drawn_on() -> bool {
    let able = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    // In the background the terminal is somebody else's. One that does not tell is not shared.
    let ours = || tcgetpgrp(io::stderr()).map_or(true, |foreground| foreground == getpgrp());
    io::stderr().is_terminal() && able && ours()
}

/// Begins to draw; [`end`] has to come after it.
pub(super) fn begin() -> MultiProgress {
    let screen = Box::new(Screen(Mutex::default()));
    let drawn = MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(screen, FRAMES));
    *DRAWN.write().unwrap_or_else(PoisonError::into_inner) = Some(drawn.clone());
    drawn
}

/// Wipes out what is drawn, and draws nothing any more.
pub fn end() {
    let drawn = DRAWN.write().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(drawn) = drawn {
        // There is nowhere to report a failure to.
        let _ = drawn.clear();
        drawn.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// Does what writes whole lines to stderr, with what is drawn out of the way.
pub(super) fn above<T>(write: impl FnOnce() -> T) -> T {
    let drawn = DRAWN.read().unwrap_or_else(PoisonError::into_inner).clone();
    match drawn {
        Some(drawn) => drawn.suspend(write),
        None => write(),
    }
}

/// Width and height.
pub(super) fn size() -> (u16, u16) {
    let told = tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (width, height) = told.map_or(USUAL, |size| (size.ws_col, size.ws_row));
    (width.max(LEAST.0), height.max(LEAST.1))
}

/// Stderr as `indicatif` needs it. Each frame is one write, after which the cursor stands at the start of a line: at the
/// end of a full line, where `indicatif` alone would leave it, the `^C` that a terminal shows for Ctrl-C would begin a
/// line of its own, and what is drawn would be wiped out one line too low.
#[derive(Debug)]
struct Screen(Mutex<String>);

impl Screen {
    fn frame(&self) -> MutexGuard<'_, String> {
        lock(&self.0)
    }

    #[allow(clippy::unnecessary_wraps, reason = "TermLike wants a result")]
    fn add(&self, text: &str) -> io::Result<()> {
        self.frame().push_str(text);
        Ok(())
    }

    /// Moves by `n`, where 0 would count as 1 for the terminal.
    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.add(&format!("\x1b[{n}{direction}")) }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.add(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut frame = std::mem::take(&mut *self.frame());
        if frame.is_empty() {
            return Ok(());
        }
        frame.push('\r');
        io::stderr().write_all(frame.as_bytes())
    }
}
