//! The command line of what looks at the history, removes from it and brings back from it: clap types only.
#![allow(rustdoc::broken_intra_doc_links, clippy::doc_markdown, reason = "clap shows these comments as they are")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::examples::{
    HISTORY_EXAMPLES, HISTORY_FIND_EXAMPLES, HISTORY_LIST_EXAMPLES, PRUNE_HISTORY_EXAMPLES, RESTORE_EXAMPLES,
};
use super::{Logging, Selection, exit_status, span};
use crate::config::units::Size;

/// Remove what is older than `keep-days` from the history.
#[derive(Debug, Args)]
#[command(after_long_help = PRUNE_HISTORY_EXAMPLES.to_owned() + &exit_status())]
pub struct PruneHistoryArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub logging: Logging,

    /// Keep so many days of history [default: `keep-days` from the configuration]. 0 keeps nothing that is not in use; a 0 in the
    /// configuration means that no history is made, and removes nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=36_500))]
    pub keep_days: Option<u32>,

    /// Work on this directory of this host instead, without rsync: that of a module, which has history-backup in it. Needs no
    /// configuration file, and takes SOURCE for names in history-backup. No link is followed and no other file system entered
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "to", "lock_wait"])]
    pub local: Option<PathBuf>,

    /// Remove more, the oldest first, until the history of each source takes up no more space than this, such as 500G; the newest
    /// bucket is always kept [default: `max-size` from the configuration]
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "local")]
    pub max_size: Option<u64>,

    /// Show what would be removed and what kept, with the reasons, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Wait this long for another run on the same mirror to end, such as 90s, 5m, 12h [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0s", hide_default_value = true)]
    pub lock_wait: Duration,

    /// Print one JSON object per bucket and one per mirror
    #[arg(long)]
    pub json: bool,
}

/// List the history of mirrors, or find old versions in it.
#[derive(Debug, Args)]
#[command(after_long_help = HISTORY_EXAMPLES.to_owned() + &exit_status())]
pub struct HistoryArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HistoryCommand,
}

/// What can be learned of a history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// List the buckets of each mirror's history
    ///
    /// The history of a mirror is in `history-backup/NAME/YYYY-MM-DD/HHMMSS[-n]/` beside it; each such directory is a bucket,
    /// and its name is the moment from which on it collects what is replaced or deleted. A day directory with no bucket in it
    /// (of a system that kept one directory for each day) is listed as a whole. Other names are named in a warning. Each
    /// endpoint is asked once, all at the same time, and nothing is changed.
    List(HistoryListArgs),
    /// Find the versions of files that are in the history
    ///
    /// Each line is one version of a file or link that was replaced or deleted, sorted by path and then by time: the bucket it
    /// is in, when it was last modified, its size, its kind, the endpoint and the path. What the mirror has now is not listed.
    ///
    /// PATTERN is a path relative to the source, of a file or of a directory, which means everything below it. It may have
    /// wildcards, as `exclude` in the configuration: `*` and `?` stand for anything but a slash, `**` also for slashes. A
    /// pattern without a slash is a name anywhere; any other begins at the source, unless it begins with `**`. A name with
    /// wildcards in it is also found when it is given as it is. Each endpoint is asked once, all at the same time. Nothing
    /// found is no failure.
    Find(HistoryFindArgs),
}

/// List the buckets of each mirror's history.
#[derive(Debug, Args)]
#[command(after_long_help = HISTORY_LIST_EXAMPLES.to_owned() + &exit_status())]
pub struct HistoryListArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    /// Also show how many files are in each bucket and how big they are together, for which the endpoint lists every file
    #[arg(long)]
    pub size: bool,

    /// Print one JSON object per bucket
    #[arg(long)]
    pub json: bool,
}

/// Find the versions of files that are in the history.
#[derive(Debug, Args)]
#[command(after_long_help = HISTORY_FIND_EXAMPLES.to_owned() + &exit_status(), allow_missing_positional = true)]
pub struct HistoryFindArgs {
    /// Name of a configured source
    #[arg(value_name = "SOURCE", required_unless_present = "from", conflicts_with_all = ["from", "to"])]
    pub source: Option<String>,

    /// What to look for: a path relative to the source, or a pattern
    #[arg(value_name = "PATTERN", required = true)]
    pub pattern: OsString,

    /// A directory that is mirrored without a configuration file, instead of SOURCE; needs --to
    #[arg(long, value_name = "DIR", requires = "to")]
    pub from: Option<PathBuf>,

    /// Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated
    #[arg(long, value_name = "URL|DIR", requires = "from")]
    pub to: Vec<OsString>,

    /// The file that holds the password for --to (first line; not accessible by others)
    #[arg(long, value_name = "FILE", requires = "to")]
    pub password_file: Option<PathBuf>,

    /// Print one JSON object per version
    #[arg(long)]
    pub json: bool,
}

/// Bring back a file or a directory as it was.
#[derive(Debug, Args)]
#[command(after_long_help = RESTORE_EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub struct RestoreArgs {
    /// The name of a configured source
    pub source: String,

    /// The file or directory: a path inside the source, or `.` for all of it
    pub path: PathBuf,

    /// As it was at this time: `2026-11-20 14:00`, `14:00` of today, `2026-11-20T14:00:00+01:00`, `yesterday` (a day ago), `3h ago`, `2 days ago`,
    /// or the name of a bucket as in `2026-11-20/140000`
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub at: String,

    /// Put it into this directory, under its own name
    #[arg(long, value_name = "DIR", conflicts_with = "in_place")]
    pub to: Option<PathBuf>,

    /// Fetch it from this target, by its name, host or directory [default: the first one that can be asked]
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,

    /// Put it in the place of the original, which is kept beside it; needs --force
    #[arg(long, requires = "force")]
    pub in_place: bool,

    /// Do so although the original is replaced
    #[arg(long, requires = "in_place")]
    pub force: bool,

    /// Only show which moment it would be, how much, and where it would go
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

fn size(text: &str) -> Result<u64, String> {
    match text.parse::<Size>()? {
        Size(0) => Err("that would leave nothing but the newest bucket".to_owned()),
        Size(bytes) => Ok(bytes),
    }
}
