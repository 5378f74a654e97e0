//! What operators see: log lines, results, and names made safe to print.

pub mod findings;
pub mod fold;
pub mod json;
pub mod logger;
pub mod progress;
pub mod screen;
pub mod shell;
pub mod summary;
pub mod table;
pub mod text;

use std::io::{self, Write};

/// Writes a result to stdout. That its reader went away (`sersync ... | head`) is no failure.
///
/// # Errors
/// Any other error of writing.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
