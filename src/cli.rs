//! The command line: clap types only.
#![allow(rustdoc::broken_intra_doc_links, clippy::doc_markdown, reason = "clap shows these comments as they are")]

mod examples;
mod history;
mod setup;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use self::examples::{
    COMPLETIONS_EXAMPLES, CONFIG_EXAMPLES, FULL_SYNC_EXAMPLES, STATUS_EXAMPLES, VERIFY_EXAMPLES, WATCH_EXAMPLES,
};
pub use self::history::{HistoryArgs, HistoryCommand, HistoryFindArgs, HistoryListArgs, PruneHistoryArgs, RestoreArgs};
pub use self::setup::{CheckKernelArgs, CheckTargetArgs, GenRsyncdConfArgs, GenScheduleArgs, ModulePath};
use crate::config::import;
use crate::config::units::Span;
use crate::exit::Exit;
use crate::report::logger::Format;
use crate::tree::shard::Shard;
use crate::verify::sample::Share;

/// Mirror directory trees to rsync daemons, in real time and in periodic passes, keeping what is overwritten or deleted.
#[derive(Debug, Parser)]
#[command(name = "sersync", version, max_term_width = 100, after_long_help = exit_status())]
pub struct Cli {
    /// Configuration file [default: /etc/sersync/sersync.toml, then ~/.config/sersync/sersync.toml] [env: SERSYNC_CONFIG]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub config: Option<PathBuf>,

    /// Directory for locks and what is remembered between runs [default: /var/lib/sersync for root,
    /// ~/.local/state/sersync for others]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    pub state_dir: Option<PathBuf>,

    /// Say more: what is done (-v), each path (-vv), each rsync command (-vvv)
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = GLOBAL)]
    pub verbose: u8,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    pub quiet: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
const GLOBAL: &str = "Global options";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare sources with their mirrors once and make them equal
    ///
    /// Everything is compared, all mirrors at the same time. What a mirror has and its source has not is deleted there. What is
    /// overwritten or deleted is kept in one history directory per run. Made for cron and timers: without a terminal it prints
    /// nothing when all went well.
    FullSync(FullSyncArgs),
    /// Compare mirrors with their sources, content included, and list what differs
    ///
    /// Nothing is changed on either side. What differs is looked at again before it is listed, so that a file that is just
    /// being mirrored is not called different. Each line of the list is `MIRROR: WORD PATH`, where the word is `missing` (the
    /// mirror does not have it, or has something of another kind there), `differs` (the content), `attributes` (permissions,
    /// owner, group or time only) or `extra` (only the mirror has it). Ends with 0 when all is the same, with 3 when not;
    /// without a terminal it prints nothing when all is the same.
    Verify(VerifyArgs),
    /// Mirror changes as they happen
    ///
    /// First everything is compared once; changes made meanwhile are not lost. Then changes are sent when it was quiet for
    /// `delay`, at the latest after `max-delay`. An endpoint that cannot be reached delays no other and gets what it missed when
    /// it is back. SIGTERM and SIGINT end it after what is pending was sent; a second one ends it at once.
    Watch(WatchArgs),
    /// Remove what is older than `keep-days` from the history
    ///
    /// The history of a mirror is in `history-backup/NAME/YYYY-MM-DD/HHMMSS[-n]/` beside it; each such directory is a bucket. A
    /// bucket is removed when `keep-days` times 24 hours have passed since its start, and `resolution`, for which `watch` may go on
    /// using it. A day directory with no bucket in it (of a system that kept one directory for each day) is removed as a whole
    /// when `keep-days` times 24 hours have passed since the end of that day. Day directories that have become empty go as well.
    ///
    /// Whatever has another name, or is no directory, is never touched; it is named in a warning. In a day that has buckets, that
    /// is every other name. When all buckets of such a day have expired, the last one is emptied and its directory stays, so that
    /// the day is not taken for one without buckets the next time.
    ///
    /// Nothing is removed when the clock is behind the newest bucket: the exit status is 4 then. The newest bucket is kept while a
    /// watch of the same mirror is running. All mirrors are worked on at the same time, each in one rsync run. Without a
    /// terminal nothing else is printed when all went well.
    PruneHistory(PruneHistoryArgs),
    /// Bring back a file or a directory as it was
    ///
    /// It is put beside the original under a name with the moment, and nothing that exists is overwritten. A directory comes back
    /// as a whole: what was new since is not in it, what was deleted is. The moment is that at which the bucket that covers the
    /// given time began, and is named.
    Restore(RestoreArgs),
    /// Show what is mirrored, what is late and why
    ///
    /// Goes by what the other commands have written down in the state directory, and asks no target. Ends with 3 when something
    /// is late or fails, so that it can serve as a check of a monitoring system.
    Status(StatusArgs),
    /// List the history of mirrors, or find old versions in it
    History(HistoryArgs),
    /// Write what a backup server needs: rsyncd.conf, passwords, log rotation
    ///
    /// For all targets of the configuration that are on a daemon, or those that are named. Without --out it prints `rsyncd.conf`,
    /// with the other files as comments after it. With --out it writes all of them, makes a password for each user who has none,
    /// and makes the directories of the modules. What somebody else has written or edited is not replaced, and a second run
    /// changes nothing. The password of a user stays what it is: at the server, for its clients, or, when this host is a client
    /// already, in its `password-file`.
    ///
    /// The server's side of a target is described in [targets.NAME.server] of the configuration, or by the options here, which
    /// count more and hold for all modules.
    GenRsyncdConf(GenRsyncdConfArgs),
    /// Find out whether targets can be mirrored to, and how well
    ///
    /// For every endpoint: whether its name resolves and its port answers, how far it is, which protocol it speaks, whether the
    /// module is there and lets us in, whether it can be written to, deletes and keeps a history, how it stores symbolic links,
    /// whether its clock is right, and whether small sessions stall. For this a few small files are mirrored there under a name
    /// that no source can have, and removed again. What does not work is said with what to do about it.
    CheckTarget(CheckTargetArgs),
    /// Find out whether this host can watch its sources
    ///
    /// The directories of the sources are counted, and the limits of the kernel are compared with what that needs. It says how
    /// each source would be watched, and why; what changes on its file system can be seen; and what is known of this host's
    /// rsync. What should be changed is said with the command for it. Ends with 0 when all is well, with 3 when something could
    /// be better, and with 1 when something will not work.
    CheckKernel(CheckKernelArgs),
    /// Write crontab lines or timers of systemd for what has to run regularly
    ///
    /// A `full-sync` for each source as often as `every` in [full-sync] says, at different times; `prune-history` every day, if a
    /// history is kept; and every week a `verify` that compares some of the files. `every` may be an interval that no crontab can
    /// say: then the pass is started more often, with --if-older-than. Without --out it only prints them.
    GenSchedule(GenScheduleArgs),
    /// Check or show the configuration
    Config(ConfigArgs),
    /// Print the tab completion for a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
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

impl Command {
    /// What becomes of its messages, where that can be chosen.
    #[must_use]
    pub fn logging(&self) -> Logging {
        match self {
            Command::FullSync(args) => args.logging.clone(),
            Command::Verify(args) => args.logging.clone(),
            Command::Watch(args) => args.logging.clone(),
            Command::PruneHistory(args) => args.logging.clone(),
            _ => Logging::default(),
        }
    }
}

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

/// Compare sources with their mirrors once and make them equal.
#[derive(Debug, Args)]
#[command(after_long_help = FULL_SYNC_EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub struct FullSyncArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub logging: Logging,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub writing: Writing,

    /// Delete as much as it takes, beyond `max-delete`, and also when a source is no mount point any more that was one
    #[arg(long)]
    pub force_delete: bool,

    /// Do nothing for mirrors whose last good pass is not older than this, such as 12h, 3d, or `every` from the configuration
    #[arg(long, value_name = "TIME|every")]
    pub if_older_than: Option<IfOlderThan>,

    /// Look only at what changed in the sources since the last good pass, found without asking the mirror
    #[arg(long, conflicts_with = "shard")]
    pub changed: bool,

    /// Compare only one of N shares of each source, so that N machines which see the same source can divide a pass
    #[arg(long, value_name = "K/N", default_value_t = Shard::WHOLE, hide_default_value = true)]
    pub shard: Shard,

    /// Compare the content of files instead of size and time: everything is read, here and on the mirror
    #[arg(long)]
    pub checksum: bool,

    /// Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    pub no_progress: bool,

    /// Print one JSON object per mirror
    #[arg(long)]
    pub json: bool,
}

/// The age from which on a pass is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfOlderThan {
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

/// Compare mirrors with their sources, content included, and list what differs.
#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_EXAMPLES.to_owned() + &exit_status())]
pub struct VerifyArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub logging: Logging,

    /// Compare only this share of the files, chosen by chance, such as 5%; at least one. What only the mirror has is not
    /// looked for then, and neither are differences of anything but files
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<Share>,

    /// What the choice of --sample depends on: the same number chooses the same files [default: the date as YYYYMMDD, so that
    /// each day has other files; -v shows it]
    #[arg(long, value_name = "N", requires = "sample")]
    pub seed: Option<u64>,

    /// Compare a source that is empty, which otherwise counts as not mounted
    #[arg(long)]
    pub allow_empty: bool,

    /// Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    pub no_progress: bool,

    /// Print one JSON object per difference and one per mirror
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
    pub logging: Logging,

    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub writing: Writing,

    /// End after this time, such as 90s, 5m, 12h
    #[arg(long = "for", value_name = "TIME", value_parser = some_span)]
    pub run_for: Option<Duration>,

    /// End when each mirror was sent N batches of changes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub batches: Option<u64>,

    /// End when nothing changed for this long and nothing is left to send
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub until_idle: Option<Duration>,

    /// When ending, keep sending what is pending for at most this long
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30s")]
    pub drain_timeout: Duration,

    /// Show no line for each mirror, which otherwise is shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    pub no_progress: bool,

    /// Print one JSON object for each batch of changes that was sent, with what it took
    #[arg(long)]
    pub json: bool,
}

/// Check or show the configuration.
#[derive(Debug, Args)]
#[command(after_long_help = CONFIG_EXAMPLES.to_owned() + &exit_status())]
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
    /// Print a configuration with every key, its default and what it means
    Example,
    /// Print the configuration that another program's comes to
    ///
    /// FILE is `sersync.conf` of the bash sersync, `confxml.xml` of the C++ sersync, or a configuration of lsyncd that is made of
    /// literal `sync{default.rsync, ...}` blocks. It is only read, and nothing in it is executed. What has no equal, or would
    /// endanger a mirror, is in the result as a comment with the reason. The result is valid.
    Import {
        /// The file
        file: PathBuf,

        /// Whose it is: bash, xml or lsyncd [default: what it looks like]
        #[arg(long, value_name = "FORMAT")]
        format: Option<import::Format>,
    },
    /// Print the validated configuration with all defaults filled in
    Show {
        /// As JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

/// Show what is mirrored, what is late and why.
#[derive(Debug, Args)]
#[command(after_long_help = STATUS_EXAMPLES.to_owned() + &exit_status())]
pub struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would show it as help")]
    pub selection: Selection,

    /// What has not arrived after this time is late
    #[arg(long, value_name = "TIME", value_parser = some_span, default_value = "15m")]
    pub max_lag: Duration,

    /// Also list the paths that fail, and why
    #[arg(long)]
    pub failing: bool,

    /// Show it again every two seconds, until it is told to end
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,

    /// Print one JSON object per mirror
    #[arg(long)]
    pub json: bool,
}

fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0)
}

fn some_span(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("in no time nothing can be done".to_owned()),
        time => Ok(time),
    }
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
