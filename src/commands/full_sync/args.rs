//! The command line of `full-sync`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::cli::{Logging, Selection, Writing, exit_status, span};
use crate::tree::shard::Shard;

/// Compare sources with their mirrors once and make them equal
///
/// Everything is compared, all mirrors at the same time. What a mirror has and its source has not is deleted there. What is
/// overwritten or deleted is kept in one history directory per run. Made for cron and timers: without a terminal it prints
/// nothing when all went well.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub(in crate::commands) struct FullSyncArgs {
    #[command(flatten)]
    pub(super) selection: Selection,

    #[command(flatten)]
    pub(super) logging: Logging,

    #[command(flatten)]
    pub(super) writing: Writing,

    /// Delete as much as it takes, beyond `max-delete`, and also when a source is no mount point any more that was one
    #[arg(long)]
    pub(super) force_delete: bool,

    /// Do nothing for mirrors whose last good pass is not older than this, such as 12h, 3d, or `every` from the configuration
    #[arg(long, value_name = "TIME|every")]
    pub(super) if_older_than: Option<IfOlderThan>,

    /// Look only at what changed in the sources since the last good pass, found without asking the mirror
    #[arg(long, conflicts_with = "shard")]
    pub(super) changed: bool,

    /// Compare only one of N shares of each source, so that N machines which see the same source can divide a pass
    #[arg(long, value_name = "K/N", default_value_t = Shard::WHOLE, hide_default_value = true)]
    pub(super) shard: Shard,

    /// Compare the content of files instead of size and time: everything is read, here and on the mirror
    #[arg(long)]
    pub(super) checksum: bool,

    /// Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    pub(super) no_progress: bool,

    /// Print one JSON object per mirror
    #[arg(long)]
    pub(super) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync full-sync                         all sources to all their targets
  sersync full-sync file-backup -n          only show what would be done for one source
  sersync full-sync --if-older-than every   for a timer that runs more often than a pass is wanted
  sersync full-sync --changed               hourly, between passes that compare everything
  sersync full-sync --shard 2/4             the second of four machines that mount the same sources
  sersync full-sync --checksum              also what changed without a new size or time
  sersync full-sync -v --log-file /var/log/sersync/full-sync.log
                                            in a crontab, with a log of its own
  sersync full-sync --from /data/file --to rsync://rsync@10.0.0.2/backup1/file-backup \\
                    --password-file /etc/sersync/rsync.passwd

What is overwritten or deleted goes to history-backup/NAME/ in the same module.

With --json each line is an object. sersync-full-sync(8) lists the fields.

";

/// The age from which on a pass is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfOlderThan {
    /// `every` of `[full-sync]`.
    Every,
    /// This.
    Age(Duration),
}

impl FromStr for IfOlderThan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "every" { Ok(IfOlderThan::Every) } else { span(text).map(IfOlderThan::Age) }
    }
}
