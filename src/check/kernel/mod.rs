//! Whether this host can watch its sources: the limits of the kernel beside what is needed, and what else stands in the way.

pub mod backend;
pub mod boot;
mod filesystems;
mod host;
pub mod inside;
mod judge;
mod need;
mod rsync;
pub mod sysctl;

use std::path::Path;

use crate::config::settings::Settings;
use crate::report::findings::Finding;
pub use judge::AT_START;
pub use sysctl::Wanted;

/// What was found out about a host.
#[derive(Debug)]
pub struct Kernel {
    /// The findings, in the order in which they are shown.
    pub findings: Vec<Finding>,
    /// Limits that should be higher.
    pub wanted: Vec<Wanted>,
    /// What the host sets them to at its next start.
    pub boot: boot::Boot,
}

/// Looks at the host whose root directory is `root`, for the sources with these names, or all when there are none.
#[must_use]
pub fn check(settings: &Settings, names: &[String], root: &Path) -> Kernel {
    let host = host::Host::read(root);
    let sources = settings.sources.values().filter(|source| names.is_empty() || names.contains(&source.name));
    let needs = need::all(sources, &host, settings.watch.backend, root);
    let mut findings = vec![host.kernel_finding(), rsync::installed()];
    findings.extend(needs.iter().map(need::Need::finding));
    let wanted = judge::limits(settings, &needs, &host, &mut findings);
    Kernel { findings, wanted, boot: host.boot }
}
