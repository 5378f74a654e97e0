//! The command line of `watch`.

use std::time::Duration;

use clap::Args;

use crate::cli::{Logging, Selection, Writing, exit_status, some_span, span};

/// Mirror changes as they happen
///
/// First everything is compared once; changes made meanwhile are not lost. Then changes are sent when it was quiet for
/// `delay`, at the latest after `max-delay`, and as soon as 4,096 files were written. An endpoint that cannot be reached delays
/// no other and gets what it missed when it is back. SIGTERM and SIGINT end it after what is pending was sent; a second one
/// ends it at once.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(in crate::commands) struct WatchArgs {
    #[command(flatten)]
    pub(super) selection: Selection,

    #[command(flatten)]
    pub(super) logging: Logging,

    #[command(flatten)]
    pub(super) writing: Writing,

    /// End after this time, such as 90s, 5m, 12h, in which waiting for another run counts
    #[arg(long = "for", value_name = "TIME", value_parser = some_span)]
    pub(super) run_for: Option<Duration>,

    /// End when each mirror was sent N batches of changes. One that cannot be reached is waited for: --for bounds that
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) batches: Option<u64>,

    /// End when nothing changed for this long and nothing is left to send, but to what cannot be reached
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub(super) until_idle: Option<Duration>,

    /// When ending, keep sending what is pending for at most this long
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30s")]
    pub(super) drain_timeout: Duration,

    /// Show no line for each mirror, which otherwise is shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    pub(super) no_progress: bool,

    /// Print one JSON object for each batch of changes that was sent, with what it took
    #[arg(long)]
    pub(super) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync watch                             all sources, until it is told to end
  sersync watch file-backup --for 5m        for a crontab line that starts every five minutes
  sersync watch --until-idle 30s            until everything has arrived
  systemctl enable --now sersync-watch      as a service, by the unit of the packages
  sersync watch -v --log-format json        with messages for programs

A full-sync of the same mirror may run beside it. While it runs, files that are new or changed go on being sent; what
deletes something, and what is in directories that came or went, is sent when it is over. A watch that is started while a
full-sync runs begins when that is over.

On a terminal, without -v, a line for each mirror shows what is being done, how much is pending, how far it is behind, and what
was sent; in the end there is a summary. [notify] and [metrics] in the configuration name who is told how the mirrors do.

As a service it is one of Type=notify: it says when everything is watched, that it is alive where WatchdogSec= asks for
that, when it reads its settings again, and when it ends. On SIGHUP it reads the configuration again, when it has no terminal:
what is wrong there is said and changes nothing. Nothing that happens meanwhile is missed, also when it is told to end in that
moment.

With --json each line is an object. sersync-watch(8) lists the fields.

";
