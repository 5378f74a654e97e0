//! The keyboard under a page that is shown again and again: `q` ends it, without Enter.

use std::io::{self, IsTerminal, Read as _};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::signals::{self, Hangup};

/// The terminal on standard input, which hands over every key at once as long as the value lives.
#[derive(Debug)]
pub(super) struct Keyboard {
    before: Termios,
    now: Termios,
}

impl Keyboard {
    /// Listens, where there is somebody to listen to: in the background the terminal is another process's.
    pub(super) fn listen() -> Option<Keyboard> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal() && is_ours()) {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        let on_signal = {
            let before = before.clone();
            move |signal| {
                set(&before);
                signals::die_of(signal);
            }
        };
        signals::install(Hangup::Ends, on_signal, || ()).ok()?;
        set(&now);
        Some(Keyboard { before, now })
    }

    /// Waits for so long, and tells whether somebody asked for the end meanwhile.
    pub(super) fn asks_for_the_end_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        // Whoever stopped the process and let it go on has given the terminal to a shell in between.
        set(&self.now);
        loop {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            let stdin = io::stdin();
            // What interrupts it is a signal that does not end the process.
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], left.as_ref()) {
                Ok(0) => return false,
                Ok(_) => {
                    let mut keys = [0; 64];
                    match stdin.lock().read(&mut keys) {
                        // The terminal is gone.
                        Ok(0) | Err(_) => return true,
                        Ok(number) if keys[..number].iter().any(|key| b"qQ".contains(key)) => return true,
                        Ok(_) => {}
                    }
                }
                Err(_) if Instant::now() >= until => return false,
                Err(_) => {}
            }
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        set(&self.before);
    }
}

/// Whether the terminal is this process's. Who changes another one's is stopped.
fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

fn set(modes: &Termios) {
    if is_ours() {
        // There is nowhere to report a failure to.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
    }
}
