//! Mirrors: one source on one endpoint. Everything that has a state (locks, queues, buckets) has it per mirror.

use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::settings::{Host, Place, Rsync, Settings, Source};
use crate::exclude::Excludes;
use crate::exit::{Exit, Failure};
use crate::hash::fnv1a;
use crate::report::text;

/// Where one copy goes: one host of one target, or a local directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A module of a daemon.
    Daemon {
        /// The daemon's address.
        host: Host,
        /// The module.
        module: String,
    },
    /// A local directory that is used like a module root.
    Directory(PathBuf),
}

/// One source on one endpoint.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// What is mirrored.
    pub source: Arc<Source>,
    /// Where to.
    pub endpoint: Endpoint,
    /// How rsync is run for it.
    pub rsync: Arc<Rsync>,
    /// The compiled `exclude` of the source.
    pub excludes: Arc<Excludes>,
}

impl Mirror {
    /// The mirrors of the named sources, or of all sources when none is named, in the order of the configuration.
    ///
    /// # Errors
    /// A name that is not configured.
    pub fn select(settings: &Settings, names: &[String]) -> Result<Vec<Mirror>, Failure> {
        if let Some(unknown) = names.iter().find(|name| !settings.sources.contains_key(*name)) {
            let known: Vec<&str> = settings.sources.keys().map(String::as_str).collect();
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "there is no source `{}` in the configuration; known are: {}",
                    text::escaped(unknown.as_bytes()),
                    known.join(", ")
                ),
            ));
        }
        let mut mirrors = Vec::new();
        for source in settings.sources.values().filter(|s| names.is_empty() || names.contains(&s.name)) {
            let excludes = Excludes::new(&source.exclude).map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
            let (source, excludes) = (Arc::new(source.clone()), Arc::new(excludes));
            for target in source.targets.iter().filter_map(|name| settings.targets.get(name)) {
                let rsync = Arc::new(target.rsync.clone());
                mirrors.extend(endpoints(&target.place).into_iter().map(|endpoint| Mirror {
                    source: Arc::clone(&source),
                    endpoint,
                    rsync: Arc::clone(&rsync),
                    excludes: Arc::clone(&excludes),
                }));
            }
        }
        Ok(mirrors)
    }

    /// A number for what of the source is mirrored and how: with another one, what a pass did before says nothing about
    /// what there is to do now.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let Source { path, exclude, one_file_system, .. } = &*self.source;
        let Rsync { attributes, extra_args, .. } = &*self.rsync;
        fnv1a(format!("{exclude:?} {one_file_system} {attributes:?} {extra_args:?} {}", path.display()).as_bytes())
    }

    /// A file name that is the same for the same mirror whatever the configuration calls its target, and different for
    /// different mirrors.
    #[must_use]
    pub fn id(&self) -> String {
        let endpoint = match &self.endpoint {
            Endpoint::Daemon { .. } => self.endpoint.to_string().into_bytes(),
            // Its name as it is, and not as it is shown.
            Endpoint::Directory(path) => path.as_os_str().as_bytes().to_vec(),
        };
        encoded(&[self.source.name.as_bytes(), b"@", &endpoint].concat())
    }
}

/// The name of a mirror as part of a file name: different for different mirrors.
#[must_use]
pub fn file_name(mirror: &str) -> String {
    encoded(mirror.as_bytes())
}

fn encoded(mirror: &[u8]) -> String {
    /// Leaves room for a prefix and a suffix within the 255 bytes of a file name.
    const LONGEST: usize = 180;
    let mut name = String::new();
    // Writing to a string cannot fail.
    for byte in mirror {
        if byte.is_ascii_alphanumeric() || b"._-@:".contains(byte) {
            name.push(char::from(*byte));
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.len() > LONGEST {
        name.truncate(LONGEST);
        let _ = write!(name, "~{:016x}", fnv1a(mirror));
    }
    name
}

/// The endpoints of a target.
#[must_use]
pub fn endpoints(place: &Place) -> Vec<Endpoint> {
    match place {
        Place::Daemon { module, hosts } => {
            hosts.iter().map(|host| Endpoint::Daemon { host: host.clone(), module: module.clone() }).collect()
        }
        Place::Directory(path) => vec![Endpoint::Directory(path.clone())],
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.source.name, self.endpoint)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Daemon { host, module } => write!(f, "{host}/{module}"),
            Endpoint::Directory(path) => f.write_str(&text::path(path)),
        }
    }
}
