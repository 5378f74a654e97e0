//! What the benches stand on: trees, a private daemon, a line with a delay, measured runs, watchers, tables.
#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod daemon;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod proxy;
pub(crate) mod run;
pub(crate) mod statistics;
pub(crate) mod table;
pub(crate) mod trees;
pub(crate) mod watcher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// For what should happen at once, on a loaded machine as well.
pub(crate) const SOON: Duration = Duration::from_secs(20);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on the signals that end a program only set a flag, so that nothing is left behind.
pub(crate) fn catch_signals() {
    let flag = Arc::clone(INTERRUPTED.get_or_init(Arc::default));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).expect("a signal handler");
    }
}

/// Unwinds when the bench was told to end: what was started is ended and what was written is removed on the way.
pub(crate) fn check_interrupted() {
    assert!(!INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed)), "interrupted");
}

/// Waits until `condition` holds; panics with `what` when it does not soon.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        check_interrupted();
        assert!(Instant::now() < end, "waited {SOON:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// How long it takes until something is so; nothing when that is longer than the limit.
pub(crate) fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        check_interrupted();
        if condition() {
            return Some(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A time for people.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.1} ms", seconds * 1000.0) } else { format!("{seconds:.3} s") }
}

/// A positive number from the environment.
pub(crate) fn number(name: &str, default: f64) -> f64 {
    let Ok(text) = std::env::var(name) else { return default };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.unwrap_or_else(|| panic!("{name}={text}: a positive number is needed"))
}
