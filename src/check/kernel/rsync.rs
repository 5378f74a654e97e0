//! The rsync of this host: whether it is there, and what is known of its version. Pure but for [`installed`].

use crate::exit::Exit;
use crate::report::findings::{Finding, Grade};
use crate::rsync::version::{self, Version};

const CHECK: &str = "rsync";

/// What is known of the rsync in PATH.
#[must_use]
pub(super) fn installed() -> Finding {
    match version::check() {
        Ok(version) => known(&version),
        Err(failure) => {
            let (found, remedy) =
                failure.message.split_once(": ").unwrap_or((&failure.message, "update the package `rsync`"));
            Finding::with_remedy(CHECK, Grade::Bad(Exit::Failed), found, remedy)
        }
    }
}

/// What is known of a version. Distributions mend old ones without another number; the protocol then shows the worst.
fn known(version: &Version) -> Finding {
    let found = version.to_string();
    let Version { major, minor, patch, protocol } = *version;
    let update = |to: &str| format!("update the package `rsync`, to {to} or newer");
    if protocol.is_some_and(|protocol| protocol < 32) {
        let found = format!("{found}, with holes that are known since 2025 (CVE-2024-12084 and others)");
        return Finding::with_remedy(CHECK, Grade::Warning, found, update("3.4.1"));
    }
    if (major, minor, patch) == (3, 4, 3) {
        let found = format!("{found}, which cannot delete by name when it receives, and forgets relative --link-dest");
        return Finding::with_remedy(CHECK, Grade::Warning, found, update("3.4.4"));
    }
    if (major, minor) < (3, 5) {
        let found = format!("{found}; 3.5.0 mends more than thirty holes, most of them in the daemon");
        return Finding::with_remedy(
            CHECK,
            Grade::Hint,
            found,
            format!("{}, if your distribution has not mended this one", update("3.5.0")),
        );
    }
    Finding::ok(CHECK, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bad_versions_are_named() {
        let of = |line: &str| known(&version::parse(line).unwrap());
        assert_eq!(of("rsync  version 3.5.0  protocol version 32").grade, Grade::Ok);
        assert_eq!(of("rsync  version 3.4.1  protocol version 32").grade, Grade::Hint);
        assert_eq!(of("rsync  version 3.2.7  protocol version 32").grade, Grade::Hint);
        assert!(of("rsync  version 3.4.3  protocol version 32").found.contains("cannot delete by name"));
        assert!(of("rsync  version 3.1.3  protocol version 31").found.contains("CVE-2024-12084"));
    }
}
