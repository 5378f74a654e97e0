//! The logger: one line per message on stderr, in the form that its reader wants.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use chrono::Local;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::screen;

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// `<N>`: the priority that systemd's journal reads; it adds the time itself.
    Journal,
    /// `error: `: for people and cron mail.
    Word,
    /// Time and level: for a long run whose stderr goes to a file.
    Time,
}

#[derive(Debug)]
struct Logger {
    prefix: Prefix,
}

/// How the command will run, which decides on timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends soon.
    Short,
    /// It stays: its log lines need a time.
    Long,
}

/// Sets the logger up; messages from `level` on are shown.
pub fn init(level: LevelFilter, lifetime: Lifetime) {
    let prefix = if is_journal() {
        Prefix::Journal
    } else if lifetime == Lifetime::Long && !io::stderr().is_terminal() {
        Prefix::Time
    } else {
        Prefix::Word
    };
    // A second call would be a programming error without any harm: the first logger stays.
    if log::set_boxed_logger(Box::new(Logger { prefix })).is_ok() {
        log::set_max_level(level);
    }
}

/// Whether stderr is the journal. `$JOURNAL_STREAM` alone does not tell: a child whose stderr was redirected inherits it
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (priority, word) = match record.level() {
            Level::Error => (3, "error: "),
            Level::Warn => (4, "warning: "),
            Level::Info => (6, ""),
            Level::Debug | Level::Trace => (7, ""),
        };
        let line = match self.prefix {
            Prefix::Journal => format!("<{priority}>{}\n", record.args()),
            Prefix::Word => format!("{word}{}\n", record.args()),
            Prefix::Time => format!("{} {word}{}\n", Local::now().format("%Y-%m-%d %H:%M:%S"), record.args()),
        };
        // One write per line, so that lines of several processes do not mix. There is nowhere to report a failure to.
        let _ = screen::above(|| io::stderr().write_all(line.as_bytes()));
    }

    fn flush(&self) {}
}
