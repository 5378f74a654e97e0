//! Signals: the first SIGINT or SIGTERM asks for an orderly end, the second ends at once. SIGHUP does the same when it means that
//! the terminal is gone, and else whatever the command makes of it.

mod mask;

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::warn;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::{emulate_default_handler, raise};

/// What SIGHUP does.
pub enum Hangup {
    /// It asks for the end.
    Ends,
    /// It calls this, any number of times, where there is no terminal that could have gone.
    Calls(Box<dyn Fn() + Send>),
}

/// For so long other threads are waited for that have only their end before them.
const OTHERS_END: Duration = Duration::from_secs(1);
/// How often it is looked whether they have ended.
const TICK: Duration = Duration::from_millis(1);

/// The thread that takes what signals ask for.
#[derive(Debug)]
pub struct Listener {
    handle: Handle,
    thread: JoinHandle<()>,
}

/// Calls `on_first` from a thread of its own when the first signal arrives; when a second one does, calls `at_once`, which
/// kills what was started, and ends the process by the same signal.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn install(
    hangup: Hangup,
    on_first: impl Fn(i32) + Send + 'static,
    at_once: impl Fn() + Send + 'static,
) -> io::Result<Listener> {
    let ignored = ignored();
    // It can only be opened where there is one.
    let has_terminal = File::open("/dev/tty").is_ok();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_in(ignored, *signal)))?;
    for signal in [SIGINT, SIGTERM] {
        if !is_in(ignored, signal) {
            flag::register_usize(signal, Arc::clone(&LAST), signal.unsigned_abs() as usize)?;
        }
    }
    mask::let_in();
    let handle = signals.handle();
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first = true;
        for signal in signals.forever() {
            if let Hangup::Calls(on_hangup) = &hangup
                && signal == SIGHUP
                && !has_terminal
            {
                on_hangup();
                continue;
            }
            if first {
                on_first(signal);
                first = false;
                continue;
            }
            warn!("ending at once");
            at_once();
            die_of(signal);
        }
    })?;
    Ok(Listener { handle, thread })
}

impl Listener {
    /// Before this process becomes another program, when no thread does anything any more: all signals wait until that program
    /// calls [`install`], also the one that asked for the end before, if one did.
    pub fn hand_over(self) {
        mask::hold_back();
        self.handle.close();
        // That it panicked was said.
        let _ = self.thread.join();
        // The kernel gives a signal to any thread that takes signals, and exec(2) ends that in the middle of its handler. Alone,
        // this thread is the only one, and takes none.
        let deadline = Instant::now() + OTHERS_END;
        while !is_alone() && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        // Held back, it stays pending across exec(2) (signal(7)).
        if let Some(signal) = i32::try_from(LAST.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
            && let Err(e) = raise(signal)
        {
            warn!("who asked for the end has to ask again: {e}");
        }
    }
}

/// Whether this process has a single thread.
fn is_alone() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Whether a set of signals, as [`ignored`] has it, has this one.
fn is_in(set: u64, signal: i32) -> bool {
    set & (1 << (signal - 1)) != 0
}

/// The last signal that asked for the end, noted in the moment in which it arrives.
static LAST: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The signals that whoever started this process wants ignored, as nohup does with SIGHUP; bit N-1 stands for signal N
/// (`proc_pid_status(5)`).
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Ends the process as the signal would have done, so that the caller sees 128+N.
pub fn die_of(signal: i32) {
    // It only returns when the signal's default is not to end the process, which is not so for those above.
    let _ = emulate_default_handler(signal);
}
