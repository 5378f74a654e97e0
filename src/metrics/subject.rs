//! Whom figures are about: every sample says which mirror it is of.

use crate::mirror::file_name;
use crate::report::text::escaped;

/// Whom figures are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of the source.
    pub source: String,
    /// The endpoint.
    pub endpoint: String,
    /// How the names of its files go on.
    pub(super) file: String,
}

impl Subject {
    /// A mirror by its name, `NAME@ENDPOINT`.
    #[must_use]
    pub fn of(mirror: &str) -> Subject {
        let (source, endpoint) = mirror.split_once('@').unwrap_or((mirror, ""));
        // No control character reaches a dashboard, or the terminal of somebody who reads the file.
        let [source, endpoint] = [source, endpoint].map(|part| escaped(part.as_bytes()));
        Subject { source, endpoint, file: file_name(mirror) }
    }

    /// What tells its samples apart from those of others.
    #[must_use]
    pub fn labels(&self) -> [(&'static str, &str); 2] {
        [("source", &self.source), ("endpoint", &self.endpoint)]
    }
}
