//! The command line of what sets up both ends and checks them: clap types only.
#![allow(rustdoc::broken_intra_doc_links, clippy::doc_markdown, reason = "clap shows these comments as they are")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::examples::{CHECK_KERNEL_EXAMPLES, CHECK_TARGET_EXAMPLES, GEN_RSYNCD_CONF_EXAMPLES, GEN_SCHEDULE_EXAMPLES};
use super::exit_status;
use crate::config::settings::Host;
use crate::config::{allowed, server};

/// Find out whether targets can be mirrored to, and how well.
#[derive(Debug, Args)]
#[command(after_long_help = CHECK_TARGET_EXAMPLES.to_owned() + &exit_status())]
pub struct CheckTargetArgs {
    /// Names of configured targets [default: all]
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,

    /// Print one JSON object per check
    #[arg(long)]
    pub json: bool,
}

/// Find out whether this host can watch its sources.
#[derive(Debug, Args)]
#[command(after_long_help = CHECK_KERNEL_EXAMPLES.to_owned() + &exit_status())]
pub struct CheckKernelArgs {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Print the file for /etc/sysctl.d that raises what is too low, and nothing else
    #[arg(long, conflicts_with_all = ["fix", "json"])]
    pub sysctl: bool,

    /// Raise what is too low, at once and in /etc/sysctl.d/60-sersync.conf; nothing is ever lowered. For root
    #[arg(long)]
    pub fix: bool,

    /// Look at the host whose root directory this is, with its /proc, /etc and sources
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,

    /// Print one JSON object per check
    #[arg(long)]
    pub json: bool,
}

/// Write what a backup server needs: rsyncd.conf, passwords, log rotation.
#[derive(Debug, Args)]
#[command(after_long_help = GEN_RSYNCD_CONF_EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub struct GenRsyncdConfArgs {
    /// Names of configured targets [default: all that are on a daemon]
    #[arg(value_name = "TARGET", conflicts_with = "from_env")]
    pub targets: Vec<String>,

    /// Only for the targets that have this host, and its port; written as in `hosts`
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "from_env")]
    pub host: Option<Host>,

    /// Take the variables of the bash sersync's container instead of a configuration: RSYNCD_USER, RSYNCD_PASSWD,
    /// RSYNCD_MOD_NAME, RSYNCD_PATH, RSYNCD_MAX_CONN and RSYNCD_HOSTS_ALLOW
    #[arg(long)]
    pub from_env: bool,

    /// Write the files into this directory, which is /etc or takes its place, and make the modules' directories
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// The files of --out will be in this directory, on another host: the modules' directories are not made
    #[arg(long, value_name = "DIR", requires = "out")]
    pub installed_in: Option<PathBuf>,

    /// Only show what --out would change, as a patch
    #[arg(long, requires = "out")]
    pub diff: bool,

    /// Also replace files that somebody else has written or edited
    #[arg(long, requires = "out")]
    pub force: bool,

    /// Show the passwords
    #[arg(long)]
    pub show: bool,

    /// The directory of a module; may be repeated [default: /srv/sersync/NAME]
    #[arg(long, value_name = "NAME=PATH")]
    pub module: Vec<ModulePath>,

    /// Who may connect: addresses, networks and names; may be repeated [default: all private networks]
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = allowed::allow)]
    pub hosts_allow: Vec<String>,

    /// How many connections each module serves at the same time [default: from its sources and their `jobs`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647))]
    pub max_connections: Option<u32>,

    /// How many hosts mirror with this configuration, for the number of connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,

    /// Who the files on the server belong to [default: root, which keeps the owners of files]
    #[arg(long, value_name = "USER", value_parser = server::account)]
    pub uid: Option<String>,

    /// Their group [default: root]
    #[arg(long, value_name = "GROUP", value_parser = server::account)]
    pub gid: Option<String>,

    /// The address on which the daemon listens [default: all]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,

    /// The port [default: that of the targets' hosts]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Where the daemon logs
    #[arg(long, value_name = "FILE", value_parser = log_file, default_value = "/var/log/rsyncd.log")]
    pub log_file: PathBuf,

    /// Where the daemon's lock files are
    #[arg(long, value_name = "DIR", value_parser = directory, default_value = "/run")]
    pub run_dir: PathBuf,
}

/// Write crontab lines or timers of systemd for what has to run regularly.
#[derive(Debug, Args)]
#[command(after_long_help = GEN_SCHEDULE_EXAMPLES.to_owned() + &exit_status())]
#[command(group = clap::ArgGroup::new("form").required(true).args(["cron", "systemd"]))]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub struct GenScheduleArgs {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,

    /// Lines of a crontab
    #[arg(long)]
    pub cron: bool,

    /// Services and timers of systemd
    #[arg(long)]
    pub systemd: bool,

    /// Who runs it. In a crontab this adds the field that the files of /etc/cron.d have [default there: root]
    #[arg(long, value_name = "USER", value_parser = server::account)]
    pub user: Option<String>,

    /// Write into this directory: /etc/cron.d, or /etc/systemd/system
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Only show what --out would change, as a patch
    #[arg(long, requires = "out")]
    pub diff: bool,

    /// Also replace files that somebody else has written or edited
    #[arg(long, requires = "out")]
    pub force: bool,

    /// The program that is started [default: this one]
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,

    /// What the times depend on, so that many hosts do not begin at once [default: the name of this host]
    #[arg(long, value_name = "TEXT")]
    pub seed: Option<String>,
}

/// A module and its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModulePath {
    /// The name of the module.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
}

impl FromStr for ModulePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("write it as NAME=PATH")?;
        Ok(ModulePath { name: name.to_owned(), path: server::directory(path)? })
    }
}

fn directory(text: &str) -> Result<PathBuf, String> {
    server::directory(text)
}

/// A file that logrotate finds by its name alone: it takes some characters for patterns, also within quotes.
fn log_file(text: &str) -> Result<PathBuf, String> {
    match text.chars().find(|c| "\"*?[]{}".contains(*c)) {
        Some(c) => Err(format!("logrotate would take the `{c}` in it for something else; choose another name")),
        None => directory(text),
    }
}
