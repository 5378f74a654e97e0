//! The command line: clap types only.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::units::Span;
use crate::exit::Exit;

/// Mirror directory trees to rsync daemons, in real time and in periodic passes, keeping what is overwritten or deleted.
#[derive(Debug, Parser)]
#[command(name = "sersync", version, max_term_width = 100, after_long_help = exit_status())]
pub struct Cli {
    /// Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml]
    #[arg(short, long, value_name = "FILE", env = "SERSYNC_CONFIG", global = true)]
    pub config: Option<PathBuf>,

    /// Directory for locks and what is remembered between runs [default: /var/lib/sersync for root,
    /// ~/.local/state/sersync for others]
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,

    /// Say more: what is done (-v), each path (-vv), each rsync command (-vvv)
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare sources with their mirrors once and make them equal
    FullSync(FullSyncArgs),
    /// Mirror changes as they happen
    Watch(WatchArgs),
    /// Check or show the configuration
    Config(ConfigArgs),
    /// Print the tab completion for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages and completions
    #[command(hide = true)]
    Generate {
        /// Where `man` and `completions` are
        dir: PathBuf,
    },
}

/// Which mirrors a command is about.
#[derive(Debug, Args)]
pub struct Selection {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE", conflicts_with_all = ["from", "to"])]
    pub sources: Vec<String>,

    /// A directory to mirror that is not in the configuration
    #[arg(long, value_name = "DIR", requires = "to")]
    pub from: Option<PathBuf>,

    /// Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory .../NAME. May be repeated
    #[arg(long, value_name = "URL|DIR", requires = "from")]
    pub to: Vec<OsString>,

    /// The file that holds the password for --to
    #[arg(long, value_name = "FILE", requires = "to")]
    pub password_file: Option<PathBuf>,
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

    /// Wait this long for another run on the same mirror to end [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0s", hide_default_value = true)]
    pub lock_wait: Duration,
}

/// Compare sources with their mirrors once and make them equal.
#[derive(Debug, Args)]
#[command(after_long_help = FULL_SYNC_EXAMPLES.to_owned() + &exit_status())]
pub struct FullSyncArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub writing: Writing,

    /// Print one JSON object per mirror
    #[arg(long)]
    pub json: bool,
}

/// Mirror changes as they happen.
#[derive(Debug, Args)]
#[command(after_long_help = WATCH_EXAMPLES.to_owned() + &exit_status())]
pub struct WatchArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub writing: Writing,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub run_for: Option<Duration>,

    /// End when every mirror got this many batches of changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batches: Option<u64>,

    /// End when nothing changed for this long and nothing is left to send
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub until_idle: Option<Duration>,

    /// At the end, send what is pending for at most this long
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30s")]
    pub drain_timeout: Duration,
}

/// Check or show the configuration.
#[derive(Debug, Args)]
#[command(after_long_help = exit_status())]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is valid, and what is wrong with it
    Check,
    /// Print the validated configuration with all defaults filled in
    Show {
        /// As JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

const FULL_SYNC_EXAMPLES: &str = "\
Examples:
  sersync full-sync                         all sources to all their targets
  sersync full-sync file-backup -n          what would be done for one of them
  sersync full-sync --from /data/file --to rsync://rsync@10.0.0.2/backup1/file-backup \\
                    --password-file /etc/sersync/rsync.passwd

What is overwritten or deleted goes to history-backup/NAME/ in the same module.

";

const WATCH_EXAMPLES: &str = "\
Examples:
  sersync watch                             all sources, until it is told to end
  sersync watch file-backup --for 5m        for a crontab line that starts every five minutes
  sersync watch --until-idle 30s            until everything has arrived

";

fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0)
}

/// The table of exit codes for `--help` and the manual.
#[must_use]
pub fn exit_status() -> String {
    let mut text = String::from("Exit status:\n");
    for (exit, meaning) in Exit::TABLE {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>3}  {meaning}", exit.code());
    }
    text.push_str("  128+N  ended by signal N\n");
    text
}
