//! A TCP proxy that makes loopback as slow to answer as a distant host: every byte is passed on half a round-trip time
//! after it came, in both directions, and a connection is made one round-trip time before its first byte can be sent.
//! Bandwidth is not limited, and nothing is lost.
//!
//! One thread serves all connections, so that many clients cost no more than one does.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What may be on the way in one direction; as much as fills a line of 6 Gbit/s with 20 ms.
const MOST_ON_THE_WAY: usize = 16 * 1024 * 1024;
/// What is read at once.
const PORTION: usize = 64 * 1024;

/// A proxy that runs. It ends with its value.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    /// When this one is closed, the thread ends.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    pub(crate) fn start(server: SocketAddr, round_trip: Duration) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its address");
        let (stop, stopped) = UnixStream::pair().expect("a pair of sockets");
        let thread = thread::spawn(move || serve(&listener, &stopped, server, round_trip));
        Proxy { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stopped: &UnixStream, server: SocketAddr, round_trip: Duration) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut buffer = vec![0; PORTION];
    loop {
        let now = Instant::now();
        connections.retain_mut(|connection| connection.pass_on(now, server, round_trip));
        let mut watched = vec![PollFd::new(stopped, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        let mut ends = Vec::new();
        for (index, connection) in connections.iter().enumerate() {
            for (end, flags) in connection.wanted(now) {
                // One that nothing is wanted of would still report that it was closed, again and again.
                if let (false, Some(stream)) = (flags.is_empty(), connection.stream(end)) {
                    watched.push(PollFd::from_borrowed_fd(stream.as_fd(), flags));
                    ends.push((index, end));
                }
            }
        }
        let next = connections.iter().filter_map(|connection| connection.next(now)).min();
        let limit = next.map(|next| Timespec::try_from(next.saturating_duration_since(now)).expect("a short time"));
        match poll(&mut watched, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        if !watched[0].revents().is_empty() {
            return;
        }
        let knocked = !watched[1].revents().is_empty();
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let ready: Vec<bool> = watched[2..].iter().map(|end| end.revents().intersects(readable)).collect();
        let now = Instant::now();
        for ((index, end), ready) in ends.into_iter().zip(ready) {
            if ready {
                connections[index].read(end, now, round_trip / 2, &mut buffer);
            }
        }
        if knocked && let Ok((client, _)) = listener.accept() {
            connections.push(Connection::new(client, now, round_trip));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// The handshake of a real connection ends for the client after one round-trip time, and for the server half of one
/// later. Here the kernel ended it for the client before the proxy came to know, so what it sends waits that long.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    client_may_send: Instant,
    server_accepts: Instant,
    up: Line,
    down: Line,
}

/// One direction.
#[derive(Debug, Default)]
struct Line {
    /// What is on the way, and when it arrives.
    portions: VecDeque<(Instant, Vec<u8>)>,
    /// How much of the first portion was written.
    written: usize,
    /// How much is on the way.
    size: usize,
    /// When the end arrives, once the sender has sent it.
    end: Option<Instant>,
    /// The receiver takes nothing more at the moment.
    blocked: bool,
    /// The end was passed on.
    closed: bool,
}

impl Connection {
    fn new(client: TcpStream, now: Instant, round_trip: Duration) -> Connection {
        prepare(&client);
        Connection {
            client,
            server: None,
            client_may_send: now + round_trip,
            server_accepts: now + round_trip + round_trip / 2,
            up: Line::default(),
            down: Line::default(),
        }
    }

    fn stream(&self, end: End) -> Option<&TcpStream> {
        match end {
            End::Client => Some(&self.client),
            End::Server => self.server.as_ref(),
        }
    }

    /// What each end is watched for.
    fn wanted(&self, now: Instant) -> [(End, PollFlags); 2] {
        let flags = |reads: bool, writes: bool| {
            (if reads { PollFlags::IN } else { PollFlags::empty() })
                | (if writes { PollFlags::OUT } else { PollFlags::empty() })
        };
        let from_client = now >= self.client_may_send && self.up.takes_more();
        [
            (End::Client, flags(from_client, self.down.blocked)),
            (End::Server, flags(self.down.takes_more(), self.up.blocked)),
        ]
    }

    /// When there is something to do next that no end will tell of.
    fn next(&self, now: Instant) -> Option<Instant> {
        let lines = [self.up.next(), self.down.next()];
        let start = self.server.is_none().then_some(self.server_accepts);
        let sends = (now < self.client_may_send).then_some(self.client_may_send);
        // What has arrived for a server that is not there yet waits with it.
        let lines = if self.server.is_some() { lines } else { [None, None] };
        lines.into_iter().chain([start, sends]).flatten().min()
    }

    fn read(&mut self, end: End, now: Instant, delay: Duration, buffer: &mut [u8]) {
        let (stream, line) = match end {
            End::Client => (Some(&mut self.client), &mut self.up),
            End::Server => (self.server.as_mut(), &mut self.down),
        };
        let Some(stream) = stream.filter(|_| line.takes_more()) else { return };
        match stream.read(buffer) {
            Ok(0) => line.end = Some(now + delay),
            Ok(size) => {
                line.size += size;
                line.portions.push_back((now + delay, buffer[..size].to_vec()));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => line.end = Some(now + delay),
        }
    }

    /// Writes what has arrived; false when the connection is over.
    fn pass_on(&mut self, now: Instant, server: SocketAddr, round_trip: Duration) -> bool {
        if self.server.is_none() {
            if now < self.server_accepts {
                return true;
            }
            let Ok(stream) = TcpStream::connect_timeout(&server, round_trip.max(super::SOON)) else { return false };
            prepare(&stream);
            self.server = Some(stream);
        }
        let Some(server) = &mut self.server else { return true };
        let alive = self.up.pass_on(server, now) && self.down.pass_on(&mut self.client, now);
        alive && !(self.up.closed && self.down.closed)
    }
}

impl Line {
    fn takes_more(&self) -> bool {
        self.end.is_none() && self.size < MOST_ON_THE_WAY
    }

    fn next(&self) -> Option<Instant> {
        if self.blocked || self.closed {
            return None;
        }
        self.portions.front().map(|(arrives, _)| *arrives).or(self.end)
    }

    /// Writes what has arrived; false when the receiver is gone.
    fn pass_on(&mut self, to: &mut TcpStream, now: Instant) -> bool {
        self.blocked = false;
        while let Some((arrives, portion)) = self.portions.front() {
            if *arrives > now {
                return true;
            }
            match to.write(&portion[self.written..]) {
                Ok(size) => {
                    self.size -= size;
                    self.written += size;
                    if self.written == portion.len() {
                        self.written = 0;
                        self.portions.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return true;
                }
                Err(_) => return false,
            }
        }
        if !self.closed && self.end.is_some_and(|end| end <= now) {
            self.closed = true;
            // A receiver that is gone already needs no end.
            let _ = to.shutdown(Shutdown::Write);
        }
        true
    }
}

fn prepare(stream: &TcpStream) {
    stream.set_nonblocking(true).expect("a socket that does not block");
    stream.set_nodelay(true).expect("TCP_NODELAY");
}
