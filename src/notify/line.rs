//! Runs the hooks that tell something, one after the other, in a thread of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Local;
use log::{debug, warn};

use super::Hurry;
use crate::hooks::{Hooks, Over};
use crate::report::repeats::{Repeats, Say};

/// At the end, those that wait have so many times the time of one of them together, and this for each.
const MOST_TURNS: u32 = 2;
const USUAL: Duration = Duration::from_secs(1);
/// How often it is looked whether they are done.
const TICK: Duration = Duration::from_millis(20);
/// For so long they are waited for when the work is to go on soon.
const LONGEST_IN_A_HURRY: Duration = Duration::from_secs(5);

/// Somebody to be told.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) key: &'static str,
    pub(super) argv: Vec<String>,
    pub(super) mirror: String,
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Line {
    sender: Sender<Notice>,
    thread: JoinHandle<()>,
    waiting: Arc<AtomicUsize>,
}

impl Line {
    /// Starts the thread; each hook may take so long.
    pub(super) fn start(hooks: &Arc<Hooks>, timeout: Duration) -> io::Result<Line> {
        let (sender, notices) = channel();
        let (hooks, waiting) = (Arc::clone(hooks), Arc::new(AtomicUsize::new(0)));
        let thread = thread::Builder::new().name("notify".to_owned()).spawn({
            let waiting = Arc::clone(&waiting);
            move || tell(&notices, &waiting, &hooks, timeout)
        })?;
        Ok(Line { sender, thread, waiting })
    }

    /// Has it run when its turn comes, unless `most` others wait already.
    pub(super) fn send(&self, notice: Notice, most: usize) {
        let Notice { key, mirror, .. } = &notice;
        if self.waiting.load(Ordering::Relaxed) >= most {
            warn!(mirror:%; "{mirror}: the `{key}` hook is left out, since {most} others are still to be run");
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(e) = self.sender.send(notice) {
            debug!("{}: nobody runs the `{}` hook any more", e.0.mirror, e.0.key);
        }
    }

    /// Waits until all were run, but not for ever.
    pub(super) fn finish(self, hooks: &Hooks, timeout: Duration, hurry: Hurry) {
        let Line { sender, thread, waiting } = self;
        drop(sender);
        let each = USUAL * u32::try_from(waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let patience = match hurry {
            Hurry::None => timeout * MOST_TURNS + each,
            Hurry::Some => timeout.min(LONGEST_IN_A_HURRY),
        };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        if !thread.is_finished() {
            hooks.stop(Over::Everything);
        }
        // That it panicked was said.
        let _ = thread.join();
    }
}

/// Runs one hook after the other, until there are no more.
fn tell(notices: &Receiver<Notice>, waiting: &AtomicUsize, hooks: &Hooks, timeout: Duration) {
    let mut repeats_by_key: BTreeMap<&'static str, Repeats> = BTreeMap::new();
    for Notice { key, argv, mirror, variables } in notices {
        waiting.fetch_sub(1, Ordering::Relaxed);
        let repeats = repeats_by_key.entry(key).or_default();
        match hooks.notify(key, &argv, &mirror, variables, timeout) {
            Ok(()) => {
                repeats.worked();
            }
            Err(why) => match repeats.failed(&why, Instant::now(), Local::now()) {
                Say::Reason => warn!("{why}"),
                Say::Still(how) => warn!("{why}; {how}"),
                Say::Nothing => debug!("{why}"),
            },
        }
    }
}
