//! The command line of `gen-rsyncd-conf`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::cli::exit_status;
use crate::config::settings::Host;
use crate::config::{allowed, server};

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
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub(in crate::commands) struct GenRsyncdConfArgs {
    /// Names of configured targets [default: all that are on a daemon]
    #[arg(value_name = "TARGET", conflicts_with = "from_env")]
    pub(super) targets: Vec<String>,

    /// Only for the targets that have this host, and its port; written as in `hosts`
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "from_env")]
    pub(super) host: Option<Host>,

    /// Take the variables of the bash sersync's container instead of a configuration: RSYNCD_USER, RSYNCD_PASSWD,
    /// RSYNCD_MOD_NAME, RSYNCD_PATH, RSYNCD_MAX_CONN and RSYNCD_HOSTS_ALLOW
    #[arg(long)]
    pub(super) from_env: bool,

    /// Write the files into this directory, which is /etc or takes its place, and make the modules' directories
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

    /// The files of --out will be in this directory, on another host: the modules' directories are not made
    #[arg(long, value_name = "DIR", requires = "out")]
    pub(super) installed_in: Option<PathBuf>,

    /// Only show what --out would change, as a patch
    #[arg(long, requires = "out")]
    pub(super) diff: bool,

    /// Also replace files that somebody else has written or edited
    #[arg(long, requires = "out")]
    pub(super) force: bool,

    /// Show the passwords
    #[arg(long)]
    pub(super) show: bool,

    /// The directory of a module; may be repeated [default: /srv/sersync/NAME]
    #[arg(long, value_name = "NAME=PATH")]
    pub(super) module: Vec<ModulePath>,

    /// Who may connect: addresses, networks and names; may be repeated [default: all private networks]
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = allowed::allow)]
    pub(super) hosts_allow: Vec<String>,

    /// How many connections each module serves at the same time [default: from its sources and their `jobs`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647))]
    pub(super) max_connections: Option<u32>,

    /// How many hosts mirror with this configuration, for the number of connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) clients: u32,

    /// Who the files on the server belong to [default: root, which keeps the owners of files]
    #[arg(long, value_name = "USER", value_parser = server::account)]
    pub(super) uid: Option<String>,

    /// Their group [default: root]
    #[arg(long, value_name = "GROUP", value_parser = server::account)]
    pub(super) gid: Option<String>,

    /// The address on which the daemon listens [default: all]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) address: Option<IpAddr>,

    /// The port [default: that of the targets' hosts]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,

    /// Where the daemon logs
    #[arg(long, value_name = "FILE", value_parser = log_file, default_value = "/var/log/rsyncd.log")]
    pub(super) log_file: PathBuf,

    /// Where the daemon's lock files are
    #[arg(long, value_name = "DIR", value_parser = directory, default_value = "/run")]
    pub(super) run_dir: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  sersync gen-rsyncd-conf                   look at what it comes to
  sersync gen-rsyncd-conf --out /etc        on the backup server, with the clients' configuration
  sersync gen-rsyncd-conf --out /etc --diff what another run would change
  sersync gen-rsyncd-conf --host nas --module backup1=/data/backup1 --hosts-allow 10.0.0.0/24 --out ./nas --installed-in /etc
                                            for another host
  RSYNCD_MOD_NAME=data RSYNCD_PATH=/data sersync gen-rsyncd-conf --from-env --out /etc

The files in --out are rsyncd.conf, rsyncd.secrets (mode 0600), logrotate.d/rsyncd, and for each user the password file of
the clients (mode 0600), under the path that it has there below /etc. They are written all or, when one of them was written
or edited by somebody else, none: the exit status is 4 then.

";

/// A module and its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModulePath {
    /// The name of the module.
    pub(super) name: String,
    /// Its directory.
    pub(super) path: PathBuf,
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
