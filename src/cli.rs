//! What the command lines of several subcommands have in common: clap types only. Those of a single one are in its file.
#![allow(rustdoc::broken_intra_doc_links, clippy::doc_markdown, reason = "clap shows these comments as they are")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::config::units::Span;
use crate::exit::Exit;
use crate::report::logger::Format;

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = HEADING)]
    pub config: Option<PathBuf>,

    /// Directory for locks and what is remembered between runs [default: /var/lib/sersync for root,
    /// ~/.local/state/sersync for others]
    #[arg(long, value_name = "DIR", global = true, help_heading = HEADING)]
    pub state_dir: Option<PathBuf>,

    /// Say more: what is done (-v), each path (-vv), each rsync command (-vvv)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = HEADING)]
    pub verbose: u8,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = HEADING)]
    pub quiet: bool,
}

/// What that stands under in the help.
const HEADING: &str = "Global options";

/// Which mirrors a command is about.
#[derive(Debug, Args)]
pub struct Selection {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE", conflicts_with_all = ["from", "to"])]
    pub sources: Vec<String>,

    /// A directory to mirror without a configuration file; needs --to
    #[arg(long, value_name = "DIR", requires = "to")]
    pub from: Option<PathBuf>,

    /// Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated
    #[arg(long, value_name = "URL|DIR", requires = "from")]
    pub to: Vec<OsString>,

    /// The file that holds the password for --to (first line; not accessible by others)
    #[arg(long, value_name = "FILE", requires = "to")]
    pub password_file: Option<PathBuf>,
}

/// What becomes of the messages of a command that runs by itself.
#[derive(Debug, Clone, Default, Args)]
pub struct Logging {
    /// Write all messages to this file, with the time, and only warnings and errors to standard error as well. It may be
    /// renamed or emptied at any time, as logrotate does
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// What a message looks like: text, or json for one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub log_format: Format,
}

/// Arguments that all commands share that write to mirrors.
#[derive(Debug, Args)]
pub struct Writing {
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Mirror a source that is empty, which otherwise counts as not mounted
    #[arg(long)]
    pub allow_empty: bool,

    /// Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0s", hide_default_value = true)]
    pub lock_wait: Duration,
}

/// The parser of a time.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0)
}

/// The parser of a time in which something can be done.
pub(crate) fn some_span(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("in no time nothing can be done".to_owned()),
        time => Ok(time),
    }
}

/// The table of exit codes for `--help` and the manual.
#[must_use]
pub fn exit_status() -> String {
    let mut text = String::from("Exit status:\n");
    for (exit, meaning) in Exit::TABLE.iter().copied() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>3}  {meaning}", exit.code());
    }
    text.push_str("  128+N  ended by signal N\n");
    text
}
