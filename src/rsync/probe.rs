//! What is found out about an endpoint before it is used: how far away it is, and so how many rsync clients are worth
//! running at the same time.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use log::debug;

use super::children::{Children, Ends, Limits};
use super::outcome::{self, Ending, Outcome, Trouble};
use super::standstill::greeting;
use super::{placement, retrieval};
use crate::exit::Exit;
use crate::mirror::{Endpoint, Mirror};
use crate::report::text;

/// More clients than this bring nothing at any distance that was measured (40 ms: 8 clients 2.1 s, 12 clients 1.7 s).
pub const MOST: usize = 16;
/// Up to here the time is that of a daemon nearby to start a process.
const NEAR: Duration = Duration::from_millis(3);
/// From this round-trip time on as many as possible are worthwhile, since each of them spends its time waiting.
const FAR: Duration = Duration::from_millis(20);

/// The number of clients for a mirror: one per core when it is near, more the farther away it is.
#[must_use]
pub fn clients_for(mirror: &Mirror) -> usize {
    let near = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let Some(time) = round_trip_time(mirror) else { return near };
    let clients = clients_at(time, near);
    debug!(mirror:%; "{mirror}: {time:.1?} away, {clients} clients");
    clients
}

/// Why nothing can be done on a local target: it is not there. It is never made: where it should be, a disk may be missing.
#[must_use]
pub fn target_missing(endpoint: &Endpoint) -> Option<Trouble> {
    let Endpoint::Directory(root) = endpoint else { return None };
    let why = format!("the target directory {} does not exist; is it mounted?", text::path(root));
    (!root.is_dir()).then_some(Trouble::new(Exit::Unreachable, why))
}

/// Whether the endpoint has no mirror yet, or an empty one, for sure. Asking costs one short session.
#[must_use]
pub fn is_new(mirror: &Mirror, children: &Children) -> bool {
    if let Endpoint::Directory(root) = &mirror.endpoint {
        return match fs::read_dir(root.join(&mirror.source.name)) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        };
    }
    let (mut entries, mut itself) = (0, false);
    let mut command = retrieval::root_listing(mirror);
    let standstill = Limits::of(&command, mirror);
    let answer = children.run(&mut command, Ends::Newline, standstill, |line| {
        entries += 1;
        itself |= line.ends_with(b" .");
    });
    let is_empty = entries == 1 && itself;
    answer.is_ok_and(|answer| {
        let ending = Ending::of(&answer, entries > 0);
        ending.says_absent() || is_empty && outcome::classify(mirror, ending) == Outcome::Done
    })
}

/// Whether the mirror has nothing at all under this name, for sure. Asking costs one short session.
#[must_use]
pub fn is_absent(mirror: &Mirror, children: &Children, dir: &Path) -> bool {
    if let Endpoint::Directory(root) = &mirror.endpoint {
        let there = fs::symlink_metadata(root.join(&mirror.source.name).join(dir));
        return there.is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    }
    let mut command = placement::listing(mirror, dir);
    let standstill = Limits::of(&command, mirror);
    let answer = children.run(&mut command, Ends::Newline, standstill, |_| {});
    answer.is_ok_and(|answer| Ending::of(&answer, false).says_absent())
}

fn clients_at(time: Duration, near: usize) -> usize {
    let share = (time.saturating_sub(NEAR).as_secs_f64() / FAR.saturating_sub(NEAR).as_secs_f64()).min(1.0);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small numbers"
    )]
    let more = (share * (MOST - near) as f64).round() as usize;
    near + more
}

/// The time to the endpoint and back. Nothing for a local directory, or when there is no answer, which rsync will report
/// better.
fn round_trip_time(mirror: &Mirror) -> Option<Duration> {
    let Endpoint::Daemon { host, .. } = &mirror.endpoint else { return None };
    greeting(&host.name, host.port, mirror.rsync.connect_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farther_the_more() {
        let at = |micros| clients_at(Duration::from_micros(micros), 2);
        assert_eq!([at(0), at(2_000), at(10_000), at(20_000), at(300_000)], [2, 2, 8, 16, 16]);
    }
}
