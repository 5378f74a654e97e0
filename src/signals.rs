//! Signals: the first SIGINT or SIGTERM asks for an orderly end, the second ends at once.

use std::io;
use std::sync::Arc;
use std::thread;

use log::warn;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::rsync::children::Children;

/// Calls `on_first` from a thread of its own when the first signal arrives; kills the children and ends the process by
/// the same signal when a second one does.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn install(children: Arc<Children>, on_first: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first = true;
        for signal in signals.forever() {
            if first {
                on_first(signal);
                first = false;
                continue;
            }
            warn!("ending at once");
            children.stop();
            die_of(signal);
        }
    })?;
    Ok(())
}

/// Ends the process as the signal would have done, so that the caller sees 128+N.
pub fn die_of(signal: i32) {
    // It only returns when the signal's default is not to end the process, which is not so for those above.
    let _ = emulate_default_handler(signal);
}
