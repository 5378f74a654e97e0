//! What the integration tests stand on: real daemons, a comparer that does not use rsync, fixtures, the program itself.
#![allow(dead_code, reason = "a tool box: not every tool is in use at every time")]

pub(crate) mod daemon;
pub(crate) mod events;
pub(crate) mod exposition;
pub(crate) mod fixture;
pub(crate) mod golden;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod sersync;
pub(crate) mod syscalls;
pub(crate) mod tree;

use std::time::{Duration, Instant};

/// How often a condition is looked at again while a test waits for it. The first looks come sooner after one another.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// For what should happen at once: long enough for a loaded machine, short enough to learn of a hang.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Says that a test cannot run here. The caller returns after it. Where `CI` is set this is a failure: what is skipped
/// there is never run at all, and nobody would notice.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "would be skipped, which is not allowed in CI: {reason}");
    // Not through eprintln!, which the test harness captures and throws away when the test passes.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {reason}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// Waits until `condition` holds; panics with `what` when it does not within `limit`.
#[track_caller]
pub(crate) fn wait_for(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(holds_within(limit, condition), "waited {limit:?} in vain: {what}");
}

/// Whether `condition` comes true within `limit`. It is looked at at least twice, at the start and at the end.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return condition();
        }
        std::thread::sleep(pause.min(left));
        pause = POLL.min(pause * 2);
    }
}

/// Lets time pass: what must not happen would happen meanwhile, or the program is met at another moment of its work. Whatever
/// is waited for has [`wait_for`].
pub(crate) fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// Whether the tests run with all privileges: owners can be given away, a daemon can chroot.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
