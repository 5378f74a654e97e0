//! Whether an endpoint can be mirrored to, and how well.

use std::time::Duration;

use super::{connection, trial};
use crate::config::password;
use crate::config::settings::Target;
use crate::exit::Exit;
use crate::mirror::Endpoint;
use crate::report::findings::{Finding, Grade};
use crate::rsync::children::Children;

/// The variables by which rsync connects in another way, of which we can see nothing.
const DETOURS: [&str; 2] = ["RSYNC_PROXY", "RSYNC_CONNECT_PROG"];

/// Everything that can be found out about one of them.
#[must_use]
pub fn check(target: &Target, endpoint: &Endpoint, children: &Children) -> Vec<Finding> {
    let mut findings = Vec::new();
    let distance = match endpoint {
        Endpoint::Daemon { host, .. } => {
            let detour = DETOURS.into_iter().find(|name| std::env::var_os(name).is_some());
            match detour {
                Some(name) => {
                    let found = format!("not looked at: {name} decides how rsync connects");
                    findings.push(Finding { grade: Grade::Skipped, ..Finding::ok("port", found) });
                    Some(Duration::MAX)
                }
                None => connection::look(host, target.rsync.connect_timeout, &mut findings),
            }
        }
        Endpoint::Directory(path) if path.is_dir() => Some(Duration::ZERO),
        Endpoint::Directory(path) => {
            let bad = Grade::Bad(Exit::Unreachable);
            findings.push(Finding::with_remedy(
                "directory",
                bad,
                if path.exists() { "is no directory" } else { "is missing" },
                if path.exists() { "name a directory in `path`" } else { "mount the disk, or make the directory" },
            ));
            None
        }
    };
    let Some(distance) = distance else { return findings };
    let file = target.rsync.password_file.as_deref().filter(|_| matches!(endpoint, Endpoint::Daemon { .. }));
    if let Some(failure) = file.and_then(|file| password::check(file).err()) {
        let (found, remedy) =
            failure.message.rsplit_once("; ").unwrap_or((&failure.message, "make it readable for us"));
        findings.push(Finding::with_remedy("password", Grade::Bad(failure.exit), found, remedy));
        return findings;
    }
    if let Err(e) = trial::run(target, endpoint, distance, children, &mut findings) {
        let remedy = "make room in the directory for temporary files on this host, or name another by TMPDIR";
        findings.push(Finding::with_remedy("trial", Grade::Bad(Exit::Failed), e.to_string(), remedy));
    }
    findings
}
