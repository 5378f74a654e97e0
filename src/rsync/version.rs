//! The rsync on this host: whether it is there, and new enough.

use std::fmt;
use std::io;
use std::time::Duration;

use super::children::{Children, Ends, Limit, Limits, NotRun};
use super::outcome::CANNOT_BE_RUN;
use crate::exit::{Exit, Failure};

/// The oldest version that has `--delete-missing-args` and the output format that we read.
const OLDEST: (u32, u32) = (3, 1);
/// How long it may take to tell its version, also on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(10);
/// More than that no rsync has to say, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What an rsync says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
    /// The newest protocol that it speaks.
    pub protocol: Option<u32>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        self.protocol.map_or(Ok(()), |protocol| write!(f, ", protocol {protocol}"))
    }
}

/// Checks that rsync can be run and is at least version 3.1.
///
/// # Errors
/// One line with what to install.
pub fn check() -> Result<Version, Failure> {
    let failure = |message: String| Failure::new(Exit::Failed, message);
    let first = match first_line() {
        Ok(Some(line)) => line,
        Ok(None) => {
            let limit = LIMIT.as_secs();
            return Err(failure(format!(
                "`rsync --version` says nothing for {limit} s: is the rsync in PATH the real one?"
            )));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(failure("rsync is not installed: install the package `rsync` (3.1 or newer)".to_owned()));
        }
        Err(e) => return Err(failure(format!("{CANNOT_BE_RUN}: {e}"))),
    };
    match parse(&String::from_utf8_lossy(&first)) {
        Some(version) if (version.major, version.minor) >= OLDEST => Ok(version),
        Some(Version { major, minor, .. }) => Err(failure(format!(
            "rsync {major}.{minor} is too old: version 3.1 or newer is needed; update the package `rsync`"
        ))),
        None => {
            Err(failure("`rsync --version` does not tell a version: is the rsync in PATH the real one?".to_owned()))
        }
    }
}

/// What `rsync --version` says first, which is all that matters; nothing when that takes too long.
fn first_line() -> io::Result<Option<Vec<u8>>> {
    let mut command = super::argv::bare();
    command.arg("--version");
    // It ends by the limit before it can stand still for so long.
    let standstill = Limits { still: LIMIT * 2, unheard: LIMIT * 2, reader: None };
    let limit = Limit { time: LIMIT, bytes: LONGEST };
    let mut first = None;
    let ended = Children::default().run_within(&mut command, Ends::Newline, standstill, Some(limit), |line| {
        first.get_or_insert_with(|| line.to_vec());
    });
    match ended {
        Ok(_) => Ok(Some(first.unwrap_or_default())),
        Err(NotRun::Limit(_) | NotRun::Closed) => Ok(first),
        Err(NotRun::Start(e) | NotRun::Read(e)) => Err(e),
    }
}

/// Reads `rsync  version 3.5.0  protocol version 32`, with or without a `v`.
#[must_use]
pub fn parse(text: &str) -> Option<Version> {
    let line = text.lines().next()?;
    let version = line.strip_prefix("rsync")?.trim_start().strip_prefix("version")?.trim_start();
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let patch = numbers.next().and_then(|patch| patch.parse().ok()).unwrap_or_default();
    let protocol = line.rsplit_once("protocol version ").and_then(|(_, number)| number.trim().parse().ok());
    Some(Version { major, minor, patch, protocol })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn first_lines_of_releases() {
        let shown = |line: &str| parse(line).unwrap().to_string();
        assert_eq!(shown("rsync  version 3.5.0  protocol version 32\nCopyright"), "3.5.0, protocol 32");
        assert_eq!(shown("rsync  version v3.2.7  protocol version 31"), "3.2.7, protocol 31");
        assert_eq!(shown("rsync  version 3.1"), "3.1.0");
        assert_eq!(parse("openrsync: protocol version 29"), None);
        assert_eq!(parse(""), None);
    }
}
