//! A TCP proxy in front of a daemon that can reset connections and swallow everything, like a network that fails.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::syscalls::reset_at_the_end;

/// How often a connection looks whether the network is still as it was.
const LOOK: Duration = Duration::from_millis(10);

/// A proxy that runs. It ends with its value, and its connections with it.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    network: Arc<Network>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Network {
    /// Nothing is passed on, and nothing is said of that.
    swallows: AtomicBool,
    /// How often all connections were reset.
    resets: AtomicUsize,
    ends: AtomicBool,
}

impl Proxy {
    /// Starts one in front of a port on the same host.
    pub(crate) fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let network = Arc::new(Network::default());
        let shared = Arc::clone(&network);
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.ends.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || connect(client, server, &shared));
            }
        });
        Proxy { port, network, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Resets all connections that there are.
    pub(crate) fn reset(&self) {
        self.network.resets.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether everything is swallowed from now on.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.network.swallows.store(swallows, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.ends.store(true, Ordering::Relaxed);
        self.reset();
        // So that it looks.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        self.thread.take().map(JoinHandle::join);
    }
}

fn connect(client: TcpStream, server: u16, network: &Arc<Network>) {
    let resets = network.resets.load(Ordering::Relaxed);
    while network.swallows.load(Ordering::Relaxed) && network.resets.load(Ordering::Relaxed) == resets {
        thread::sleep(LOOK);
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(LOOK)).expect("a time limit");
    }
    let (client, server) = (Arc::new(client), Arc::new(server));
    let up = {
        let (client, server, network) = (Arc::clone(&client), Arc::clone(&server), Arc::clone(network));
        thread::spawn(move || pass_on(&client, &server, &network, resets))
    };
    pass_on(&server, &client, network, resets);
    let _ = up.join();
}

/// Passes on what comes in one direction, until that is at its end or the connection is reset.
fn pass_on(mut from: &TcpStream, mut to: &TcpStream, network: &Network, resets: usize) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if network.resets.load(Ordering::Relaxed) != resets {
            // It is the closing of the last descriptor that resets it.
            reset_at_the_end(from);
            reset_at_the_end(to);
            return;
        }
        if network.swallows.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(size) => {
                if to.write_all(&buffer[..size]).is_err() {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
