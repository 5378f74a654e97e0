//! The logger: one line per message on stderr, in a file, or both, in the form that its reader wants.

mod file;
mod flood;
mod line;

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record, debug, log_enabled};

use self::file::LogFile;
use self::flood::{Flood, Verdict};
pub use self::line::Format;
use self::line::Prefix;
use super::json::{self, Fields};
use super::{screen, text};
use crate::exit::Failure;
use crate::mutex::lock;

/// The target of the messages that are about one path each, of which there may be very many.
pub const PATHS: &str = "paths";

/// Says at `-vv` what is done to a path of a mirror.
pub fn path(mirror: &impl Display, change: &str, path: &Path) {
    if log_enabled!(target: PATHS, Level::Debug) {
        let Fields { path: name, path_hex } = json::fields(path);
        debug!(target: PATHS, mirror:%, change, path = name, path_hex; "{mirror}: {change} {}", text::path(path));
    }
}

/// Where messages go, and which.
#[derive(Debug)]
struct Logger {
    prefix: Prefix,
    format: Format,
    /// With it, stderr gets warnings and errors only.
    file: Option<LogFile>,
    flood: Mutex<Flood>,
}

/// How the command will run, which decides on timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends soon.
    Short,
    /// It stays: its log lines need a time.
    Long,
}

/// What is wanted of the log.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// Messages from this level on are shown.
    pub level: LevelFilter,
    /// How the command will run.
    pub lifetime: Lifetime,
    /// What a line looks like.
    pub format: Format,
    /// Where they go beside stderr.
    pub file: Option<&'a Path>,
}

/// The level of what goes to stderr, as a number.
static ON_STDERR: AtomicUsize = AtomicUsize::new(LevelFilter::Off as usize);

/// Whether the log is kept in a file, or read by programs.
static IS_KEPT: AtomicBool = AtomicBool::new(false);

/// Sets the logger up.
///
/// # Errors
/// One line when the file must not or cannot be written. Then everything goes to stderr.
pub fn init(wishes: Wishes<'_>) -> Result<(), Failure> {
    let prefix = if is_journal() {
        Prefix::Journal
    } else if wishes.lifetime == Lifetime::Long && !io::stderr().is_terminal() {
        Prefix::Time
    } else {
        Prefix::Word
    };
    let (file, failure) = match wishes.file.map(LogFile::open).transpose() {
        Ok(file) => (file, None),
        Err(failure) => (None, Some(failure)),
    };
    IS_KEPT.store(file.is_some() || wishes.format == Format::Json, Ordering::Relaxed);
    let on_stderr = if file.is_some() { wishes.level.min(LevelFilter::Warn) } else { wishes.level };
    ON_STDERR.store(on_stderr as usize, Ordering::Relaxed);
    let flood = Mutex::new(Flood::new(wishes.level));
    // A second call would be a programming error without any harm: the first logger stays.
    if log::set_boxed_logger(Box::new(Logger { prefix, format: wishes.format, file, flood })).is_ok() {
        log::set_max_level(wishes.level);
    }
    failure.map_or(Ok(()), Err)
}

/// Whether stderr gets warnings and errors, and nothing that would not be worth one.
#[must_use]
pub fn is_terse() -> bool {
    ON_STDERR.load(Ordering::Relaxed) == LevelFilter::Warn as usize
}

/// Whether the log is more than text on stderr: what a command says of its result is to be in it too then.
#[must_use]
pub fn is_kept() -> bool {
    IS_KEPT.load(Ordering::Relaxed)
}

/// Whether stderr is the journal. `$JOURNAL_STREAM` alone does not tell: a child whose stderr was redirected inherits it
/// (systemd.exec(5)).
fn is_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

impl Logger {
    fn write(&self, record: &Record<'_>) {
        if let Some(file) = &self.file
            && let Err(Some(why)) = file.write(&line::line(record, Prefix::Time, self.format))
        {
            self.on_stderr(&Record::builder().level(Level::Error).args(format_args!("{why}")).build());
        }
        if record.level() as usize <= ON_STDERR.load(Ordering::Relaxed) {
            self.on_stderr(record);
        }
    }

    fn on_stderr(&self, record: &Record<'_>) {
        let line = line::line(record, self.prefix, self.format);
        // One write per line, so that lines of several processes do not mix. There is nowhere to report a failure to.
        let _ = screen::above(|| io::stderr().write_all(line.as_bytes()));
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let verdict = lock(&self.flood).judge(record.target());
        match verdict {
            Verdict::Show => self.write(record),
            Verdict::Hide => {}
            Verdict::ShowAfter(hidden) => {
                let more = format!("... and {hidden} more paths; -vvv shows all of them");
                let args = format_args!("{more}");
                self.write(&Record::builder().level(Level::Debug).args(args).build());
                self.write(record);
            }
        }
    }

    fn flush(&self) {}
}
