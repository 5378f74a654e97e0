//! What is found out about an endpoint before it is used: how far away it is, and so how many rsync clients are worth
//! running at the same time.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use log::debug;

use super::children::{Children, Ends};
use super::{argv, placement};
use crate::mirror::{Endpoint, Mirror};

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
    debug!("{mirror}: {time:.1?} away, {clients} clients");
    clients
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
    let answer = children.run(&mut argv::listing(mirror), Ends::Newline, |line| {
        entries += 1;
        itself |= line.ends_with(b" .");
    });
    answer.is_ok_and(|answer| match answer.status.code() {
        Some(0) => entries == 1 && itself,
        Some(23) => answer.errors.iter().any(|line| says_absent(line)),
        _ => false,
    })
}

/// Whether the mirror has nothing at all under this name, for sure. Asking costs one short session.
#[must_use]
pub fn is_absent(mirror: &Mirror, children: &Children, dir: &Path) -> bool {
    if let Endpoint::Directory(root) = &mirror.endpoint {
        let there = fs::symlink_metadata(root.join(&mirror.source.name).join(dir));
        return there.is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    }
    let answer = children.run(&mut placement::listing(mirror, dir), Ends::Newline, |_| {});
    answer.is_ok_and(|answer| answer.status.code() == Some(23) && answer.errors.iter().any(|line| says_absent(line)))
}

/// Whether a daemon says that the directory is not there, as 3.2.7 and 3.5.0 do.
pub(crate) fn says_absent(line: &[u8]) -> bool {
    line.starts_with(b"rsync: [sender] change_dir ") && line.ends_with(b" failed: No such file or directory (2)")
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

/// The time from the TCP handshake to the daemon's greeting: the last packet of the handshake travels there, the greeting
/// back. (The handshake itself may be with something in between.) Nothing for a local directory, or when there is no
/// answer, which rsync will report better.
fn round_trip_time(mirror: &Mirror) -> Option<Duration> {
    let Endpoint::Daemon { host, .. } = &mirror.endpoint else { return None };
    let address = (host.name.as_str(), host.port).to_socket_addrs().ok()?.next()?;
    let mut connection = TcpStream::connect_timeout(&address, mirror.rsync.connect_timeout).ok()?;
    connection.set_read_timeout(Some(mirror.rsync.connect_timeout)).ok()?;
    let begun = Instant::now();
    connection.read_exact(&mut [0]).ok()?;
    Some(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_answer_means_that_there_is_none() {
        let absent = b"rsync: [sender] change_dir \"nonex\" (in m) failed: No such file or directory (2)";
        assert!(says_absent(absent));
        for other in [
            &b"rsync: [sender] change_dir \"x\" (in m) failed: Permission denied (13)"[..],
            b"@ERROR: chdir failed",
            b"rsync error: some files/attrs were not transferred (see previous errors) (code 23)",
        ] {
            assert!(!says_absent(other));
        }
    }

    #[test]
    fn the_farther_the_more() {
        let at = |micros| clients_at(Duration::from_micros(micros), 2);
        assert_eq!([at(0), at(2_000), at(10_000), at(20_000), at(300_000)], [2, 2, 8, 16, 16]);
    }
}
