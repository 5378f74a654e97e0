//! The validated settings: what every command works from. Nothing here is optional that a command needs, and nothing
//! here was taken over from the file without having been checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::report::text;

/// Everything that the configuration says, checked and with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `[rsync]`: what a target starts from before its own overrides.
    pub rsync: Rsync,
    /// `[watch]`.
    pub watch: Watch,
    /// `[full-sync]`.
    pub full_sync: FullSync,
    /// `[history]`.
    pub history: History,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// `[notify]`.
    pub notify: Notify,
    /// `[targets.NAME]`, by name.
    pub targets: BTreeMap<String, Target>,
    /// `[sources.NAME]`, by name.
    pub sources: BTreeMap<String, Source>,
}

impl Settings {
    /// A target by its name.
    ///
    /// # Errors
    /// One line when there is none of this name.
    pub fn target(&self, name: &str) -> Result<&Target, String> {
        self.targets.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            let name = text::escaped(name.as_bytes());
            format!("there is no target `{name}` in the configuration; known are: {}", known.join(", "))
        })
    }
}

/// How rsync is run against one target: `[rsync]` with the overrides of `[targets.NAME.rsync]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rsync {
    /// The user name for the daemon.
    pub user: Option<String>,
    /// The file whose first line is the password. Its content never enters this process's memory for long: rsync reads it.
    pub password_file: Option<PathBuf>,
    /// With no data for this long a job is given up. At least one second.
    pub timeout: Duration,
    /// How long to wait for the connection. At least one second.
    pub connect_timeout: Duration,
    /// Bytes per second for one mirror, all its jobs together.
    pub bwlimit: Option<u64>,
    /// How many rsync clients work for one mirror at the same time.
    pub jobs: Jobs,
    /// What is kept of files beyond what always is.
    pub attributes: Attributes,
    /// Further rsync options; each was checked against the list of those that cannot do harm.
    pub extra_args: Vec<String>,
}

/// What a mirror keeps of files beyond content, permissions, times, owner and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own, and any of them go together")]
pub struct Attributes {
    /// Which names are links to one file. Only one rsync run can see that, so that a pass is not divided.
    pub hard_links: bool,
    /// Access control lists.
    pub acls: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// Owners and groups by number, not by name.
    pub numeric_ids: bool,
}

/// The number of parallel rsync clients per mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// Chosen from the cores and the measured round-trip time.
    Auto,
    /// Exactly this many, at least one.
    Fixed(usize),
}

/// `[watch]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// Flush when nothing changed for this long...
    pub delay: Duration,
    /// ...or when the oldest change is this old.
    pub max_delay: Duration,
    /// Which kernel interface reports the changes.
    pub backend: Backend,
    /// What is compared when `watch` starts.
    pub start: Start,
    /// How many changed paths are remembered one by one per mirror before directories are folded. At least 16.
    pub max_pending: usize,
    /// What was renamed and is smaller, in bytes, is sent again; of a directory that is all that is in it.
    pub rename_min_size: u64,
}

/// The kernel interface that reports changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// fanotify where it works, else inotify.
    Auto,
    /// fanotify, or an error.
    Fanotify,
    /// inotify.
    Inotify,
}

impl Backend {
    /// Its word in the configuration and in texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Fanotify => "fanotify",
            Backend::Inotify => "inotify",
        }
    }
}

/// What `watch` compares when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Everything.
    Full,
    /// What changed since the mirror was last known to be equal.
    Changed,
    /// Nothing.
    None,
}

/// `[full-sync]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FullSync {
    /// A pass that takes longer is stopped.
    pub timeout: Duration,
    /// How often a full pass is wanted.
    pub every: Duration,
    /// More deletions than this are refused.
    pub max_delete: MaxDelete,
    /// A program with its arguments that runs before the pass of each source. Empty: none.
    pub before: Vec<String>,
    /// A program with its arguments that runs after it. Empty: none.
    pub after: Vec<String>,
    /// One of these two that takes longer is ended.
    pub hook_timeout: Duration,
}

/// A limit for deletions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxDelete {
    /// This many paths.
    Count(u64),
    /// This share of the mirror, in percent, 0 to 100.
    Percent(f64),
}

/// `[history]`.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Days that replaced and deleted files are kept; 0 keeps none at all.
    pub keep_days: u32,
    /// How long `watch` may collect in one bucket; zero: a bucket per batch.
    pub resolution: Duration,
    /// The most that `prune-history --local` leaves of the history of one source, in bytes.
    pub max_size: Option<u64>,
}

/// `[metrics]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Where the Prometheus text files are written; nowhere when absent.
    pub textfile_dir: Option<PathBuf>,
    /// Whether the names that the bash sersync had for its metrics are written as well.
    pub legacy_names: bool,
}

/// `[notify]`: whom to tell how the mirrors do. Each is a program with its arguments; empty: nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Notify {
    /// Run when a mirror fails.
    pub on_failure: Vec<String>,
    /// Run when it works again.
    pub on_recovery: Vec<String>,
    /// Run when it works.
    pub heartbeat: Vec<String>,
    /// A failure of the same mirror is told at most once in this time.
    pub failure_every: Duration,
    /// How often `watch` tells that it works.
    pub heartbeat_every: Duration,
    /// One of these that takes longer is ended.
    pub timeout: Duration,
}

/// `[targets.NAME]`: where mirrors go.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// How rsync is run for it.
    pub rsync: Rsync,
    /// How its daemon is set up.
    pub server: Server,
}

/// `[targets.NAME.server]`: what `gen-rsyncd-conf` writes for the daemon of a target. Nothing else looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// The directory of the module on the server.
    pub path: Option<PathBuf>,
    /// Who may connect: addresses, networks and names. Empty: private networks.
    pub hosts_allow: Vec<String>,
    /// How many connections are served at the same time. At least one.
    pub max_connections: Option<u32>,
    /// Who the files belong to when they are written, as a name or a number.
    pub uid: Option<String>,
    /// Their group.
    pub gid: Option<String>,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A module of rsync daemons; every host gets a full copy.
    Daemon {
        /// The module.
        module: String,
        /// The hosts, at least one.
        hosts: Vec<Host>,
    },
    /// A local directory that is used like a module root. Absolute.
    Directory(PathBuf),
}

/// A daemon's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Name or address; an IPv6 address without its brackets.
    pub name: String,
    /// The port, 873 unless given.
    pub port: u16,
}

/// `[sources.NAME]`: a local tree that is mirrored.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name, which is its directory on the targets: a plain path component.
    pub name: String,
    /// The root of the tree: absolute, without `.` and `..`.
    pub path: PathBuf,
    /// The names of the targets, at least one, each defined.
    pub targets: Vec<String>,
    /// What is left out everywhere, in rsync's pattern language.
    pub exclude: Vec<String>,
    /// What is left out in real time only.
    pub watch_exclude: Vec<String>,
    /// A file below the root without which nothing is done.
    pub marker: Option<PathBuf>,
    /// File systems that are mounted below the root are not entered.
    pub one_file_system: bool,
}
