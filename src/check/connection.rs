//! What can be learned of a daemon without a session: its addresses, whether it answers, how far it is, its greeting.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::{address, greeting};
use crate::config::settings::Host;
use crate::config::units::Span;
use crate::exit::Exit;
use crate::report::findings::{Finding, Grade};

/// How often the distance is measured; the shortest time counts.
const MEASURED: usize = 3;
/// A greeting is shorter.
const LONGEST: usize = 512;

/// Adds what is found, and returns how far the daemon is; nothing when a session cannot be had.
pub(super) fn look(host: &Host, patience: Duration, findings: &mut Vec<Finding>) -> Option<Duration> {
    let unreachable = Grade::Bad(Exit::Unreachable);
    let addresses: Vec<SocketAddr> = match (host.name.as_str(), host.port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(e) => {
            let remedy = format!("add {} to the DNS or to /etc/hosts, or write its address in `hosts`", host.name);
            findings.push(Finding::with_remedy("name", unreachable, e.to_string(), remedy));
            return None;
        }
    };
    let mut ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    ips.dedup();
    findings.push(Finding::ok("name", ips.join(", ")));
    let mut last = io::Error::other("the name has no address");
    let mut found = None;
    for address in &addresses {
        match greet(address, patience) {
            Ok(answer) => {
                found = Some((*address, answer));
                break;
            }
            Err(e) => last = e,
        }
    }
    let Some((address, (mut distance, words))) = found else {
        let found = format!("{}: {last}", host.port);
        findings.push(Finding::with_remedy("port", unreachable, found, remedy(host.port, last.kind())));
        return None;
    };
    if words.is_empty() {
        let found = format!("{} answers, but sends no greeting within {}", host.port, Span(patience));
        let remedy = "see whether that is the port of an rsync daemon, and whether its host is overloaded";
        findings.push(Finding::with_remedy("port", unreachable, found, remedy));
        return None;
    }
    for _ in 1..MEASURED {
        if let Ok((again, _)) = greet(&address, patience) {
            distance = distance.min(again);
        }
    }
    findings.push(Finding::ok("port", format!("{} answers", host.port)));
    findings.push(Finding::ok("distance", format!("{:.1} ms there and back", distance.as_secs_f64() * 1000.0)));
    let protocol = greeting::protocol(&words);
    let is_daemon = protocol.grade.exit() != Exit::Unreachable;
    findings.push(protocol);
    if is_daemon {
        findings.push(privacy(address));
    }
    is_daemon.then_some(distance)
}

/// What to do about a port from which there was no answer.
fn remedy(port: u16, error: io::ErrorKind) -> String {
    match error {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "start the daemon there (`systemctl enable --now rsync`), on port {port}; `sersync gen-rsyncd-conf` writes \
                 what it needs"
            )
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("open port {port} in the firewalls between the two hosts, or raise `connect-timeout`")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!(
                "see whether port {port} is that of an rsync daemon, and what there closes connections from this host"
            )
        }
        _ => format!("see whether the host is up, and an rsync daemon listens on port {port}"),
    }
}

/// The time that the handshake takes, and what is said after it: nothing where nothing is said in time.
fn greet(address: &SocketAddr, patience: Duration) -> io::Result<(Duration, Vec<u8>)> {
    let begun = Instant::now();
    let mut connection = TcpStream::connect_timeout(address, patience)?;
    let distance = begun.elapsed();
    let deadline = Instant::now() + patience;
    let mut words = Vec::new();
    let mut byte = [0];
    while words.len() < LONGEST && words.last() != Some(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut byte) {
            Ok(1) => words.push(byte[0]),
            Ok(_) if words.is_empty() => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it closes the connection without a greeting",
                ));
            }
            Ok(_) => break,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((distance, words))
}

fn privacy(address: SocketAddr) -> Finding {
    if address::is_public(address.ip()) {
        return Finding::with_remedy(
            "privacy",
            Grade::Warning,
            format!("{} is a public address, and files go there in the clear", address.ip()),
            "put a tunnel in between (WireGuard, stunnel, ssh -L) and mirror to its near end",
        );
    }
    Finding::ok("privacy", format!("{} is not a public address", address.ip()))
}
