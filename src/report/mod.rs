//! What operators see: log lines, results, and names made safe to print.

pub mod findings;
pub mod items;
pub mod json;
pub mod logger;
pub mod progress;
pub mod repeats;
pub mod screen;
pub mod shell;
pub mod table;
pub mod text;

use std::io::{self, Write};

/// For whom results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Lines,
    /// JSON objects for programs.
    Json,
}

impl Form {
    /// As `--json` has it.
    #[must_use]
    pub fn of(json: bool) -> Form {
        if json { Form::Json } else { Form::Lines }
    }
}

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
