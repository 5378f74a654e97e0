//! What the kernel tells of a host, below any root directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::boot::Boot;
use super::filesystems;
use super::inside::resolve;
use crate::report::findings::{Finding, Grade};
use crate::report::text;

/// `CAP_DAC_READ_SEARCH` and `CAP_SYS_ADMIN` (capability.h).
const FOR_FANOTIFY: u64 = 1 << 2 | 1 << 21;

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    root: PathBuf,
    release: Option<String>,
    /// Major and minor version of the kernel.
    pub(super) kernel: Option<(u32, u32)>,
    /// Whether this process may use fanotify.
    pub(super) privileged: bool,
    /// What the limits are set to at the next start.
    pub(super) boot: Boot,
    /// What is mounted where.
    pub(super) mounts: Vec<(PathBuf, String)>,
    /// How many files this process may have open.
    pub(super) open_files: Option<u64>,
    /// Bytes.
    pub(super) memory: Option<u64>,
    /// Bytes that could be had at once.
    pub(super) available: Option<u64>,
}

impl Host {
    pub(super) fn read(root: &Path) -> Host {
        let text = |path: &str| fs::read_to_string(resolve(root, Path::new(path)).ok()?).ok();
        let release = text("proc/sys/kernel/osrelease").map(|release| release.trim().to_owned());
        let capabilities = text("proc/self/status").and_then(|status| field(&status, "CapEff:")).unwrap_or_default();
        let capabilities = u64::from_str_radix(&capabilities, 16).unwrap_or_default();
        // It holds the names of mount points, which may be any bytes.
        let mounts = resolve(root, Path::new("proc/self/mountinfo")).and_then(fs::read);
        let memory = text("proc/meminfo").unwrap_or_default();
        let kilobytes = |name| field(&memory, name)?.parse::<u64>().ok()?.checked_mul(1024);
        Host {
            kernel: release.as_deref().and_then(version),
            release,
            privileged: capabilities & FOR_FANOTIFY == FOR_FANOTIFY,
            mounts: filesystems::mounts(&mounts.unwrap_or_default()),
            boot: Boot::read(root),
            open_files: text("proc/self/limits").and_then(|limits| soft_limit(&limits)),
            memory: kilobytes("MemTotal:"),
            available: kilobytes("MemAvailable:"),
            root: root.to_owned(),
        }
    }

    /// The value of a limit; nothing when this kernel has no such limit.
    pub(super) fn limit(&self, key: &str) -> Option<u64> {
        let value = fs::read_to_string(super::sysctl::file(&self.root, key).ok()?).ok()?;
        // Some are signed, and are shown so.
        value.trim().parse().ok()
    }

    pub(super) fn kernel_finding(&self) -> Finding {
        match (&self.release, self.kernel) {
            (Some(release), Some(_)) => Finding::ok("kernel", format!("Linux {}", text::escaped(release.as_bytes()))),
            _ => Finding { grade: Grade::Skipped, ..Finding::ok("kernel", "its version is not known") },
        }
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The first word after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<String> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// The line is `Max open files            1024                 524288               files`.
fn soft_limit(limits: &str) -> Option<u64> {
    match field(limits, "Max open files")?.as_str() {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_the_kernel_writes() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("x"), None);
        assert_eq!(soft_limit("Max open files            1024                 524288               files"), Some(1024));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited            files"),
            Some(u64::MAX)
        );
        assert_eq!(field("MemTotal:  12 kB\nMemAvailable:   7 kB\n", "MemAvailable:"), Some("7".to_owned()));
    }
}
