//! What the daemon of a server has to offer for the targets that are kept there. Pure.

mod modules;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use modules::modules;
pub use targets::{port, targets};

/// The networks that nobody on the internet is in: who is allowed where nothing is said.
pub const PRIVATE: [&str; 7] =
    ["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it listens; everywhere when absent.
    pub address: Option<String>,
    /// On which port.
    pub port: u16,
    /// Where it logs.
    pub log_file: PathBuf,
    /// Where the locks are that count connections.
    pub run_dir: PathBuf,
    /// Where the passwords are.
    pub secrets_file: PathBuf,
    /// Its modules, by name.
    pub modules: BTreeMap<String, Module>,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its directory.
    pub path: PathBuf,
    /// The sources that are mirrored there.
    pub sources: Vec<String>,
    /// Who may write to it; everybody when empty.
    pub users: Vec<String>,
    /// From where.
    pub hosts_allow: Vec<String>,
    /// How many connections are served at the same time.
    pub max_connections: u32,
    /// How that number came about.
    pub reason: String,
    /// Who the daemon is when it writes.
    pub uid: String,
    /// Its group.
    pub gid: String,
    /// A session that is silent for this long is given up.
    pub timeout: Duration,
}

/// What the command line says instead of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The directories of modules.
    pub paths: BTreeMap<String, PathBuf>,
    /// Who may connect.
    pub hosts_allow: Vec<String>,
    /// How many may connect at the same time.
    pub max_connections: Option<u32>,
    /// Who the daemon is when it writes.
    pub uid: Option<String>,
    /// Its group.
    pub gid: Option<String>,
    /// How many hosts mirror with this configuration.
    pub clients: u32,
}

/// Where a module is when nothing is said.
#[must_use]
pub fn default_path(module: &str) -> PathBuf {
    Path::new("/srv/sersync").join(module)
}
