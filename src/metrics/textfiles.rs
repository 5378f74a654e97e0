//! The files: where they are, how they are written, and what is said when they cannot be.

use std::ffi::OsString;
use std::fs::{self, DirEntry, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, Utc};
use log::{info, warn};
use tempfile::Builder;

use super::exposition::{Page, timestamp};
use super::families::ALIVE;
use super::history::{self, Known};
use super::passes::{self, Names};
use super::watching;
use crate::config::settings::Metrics;
use crate::mirror::file_name;
use crate::report::fold::{Fold, Say};
use crate::report::text::{count, escaped};
use crate::rsync::argv::pattern_for_names_in;
use crate::state::condition::Condition;
use crate::state::passes::Passes;

/// How the name of a file begins and ends that is not complete yet.
const UNFINISHED: (&str, &str) = (".sersync_", ".new");
/// Nobody takes so long to complete one.
const LONG_LEFT: Duration = Duration::from_secs(3600);

/// Whom figures are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of the source.
    pub source: String,
    /// The endpoint.
    pub endpoint: String,
    file: String,
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

/// Writes the files, where they are wanted. Nothing that goes wrong here stops anything else: it is said once, and counted.
#[derive(Debug)]
pub struct Textfiles {
    dir: Option<PathBuf>,
    names: Names,
    trouble: Mutex<Trouble>,
    tidied: Once,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Failures in all.
    failures: u64,
    /// Those since it worked last.
    fold: Fold,
}

impl Textfiles {
    /// As the configuration says.
    #[must_use]
    pub fn new(settings: &Metrics) -> Textfiles {
        let names = if settings.legacy_names { Names::Both } else { Names::Ours };
        Textfiles { dir: settings.textfile_dir.clone(), names, trouble: Mutex::default(), tidied: Once::new() }
    }

    /// Patterns for the files, where they are within a directory: whoever watches it would hear of each that is written, and
    /// write another one for that.
    #[must_use]
    pub fn patterns_within(&self, dir: &Path) -> Vec<OsString> {
        let own = self.dir.as_ref().and_then(|own| own.canonicalize().ok());
        let inside = own.zip(dir.canonicalize().ok());
        let inside = inside.and_then(|(own, dir)| own.strip_prefix(dir).ok().map(Path::to_owned));
        let Some(inside) = inside else { return Vec::new() };
        let unfinished = format!("{}*{}", UNFINISHED.0, UNFINISHED.1);
        ["sersync_*.prom", &unfinished].map(|names| pattern_for_names_in(&inside, names)).into()
    }

    /// What the passes over a mirror came to.
    pub fn passes(&self, mirror: &str, passes: &Passes) {
        let subject = Subject::of(mirror);
        if let Some(page) = passes::page(&subject, passes, self.names) {
            self.write(&subject, "pass", &page);
        }
    }

    /// How the watch of a mirror does.
    pub fn watching(&self, mirror: &str, condition: &Condition) {
        let subject = Subject::of(mirror);
        self.write(&subject, "watch", &watching::page(&subject, condition));
    }

    /// That the watch of a mirror was alive then; nothing after its end.
    pub fn alive(&self, mirror: &str, at: Option<DateTime<Utc>>) {
        let subject = Subject::of(mirror);
        let mut page = Page::default();
        page.add(&ALIVE, &subject.labels(), timestamp(at));
        self.write(&subject, "alive", &page);
    }

    /// What is known of the history of a mirror.
    pub fn history(&self, mirror: &str, known: &Known) {
        let subject = Subject::of(mirror);
        self.write(&subject, "history", &history::page(&subject, known, Utc::now()));
    }

    /// How often a file could not be written.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).failures
    }

    fn write(&self, subject: &Subject, kind: &str, page: &Page) {
        let Some(dir) = &self.dir else { return };
        self.tidied.call_once(|| tidy(dir));
        let name = format!("sersync_{}.{kind}.prom", subject.file);
        let written = replace(dir, &name, &page.text());
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let e = match written {
            Ok(()) => match trouble.fold.worked() {
                0 => return,
                times => return info!("metrics are written again after {}", count(times, "failed attempt")),
            },
            Err(e) => e,
        };
        trouble.failures += 1;
        let place = escaped(dir.as_os_str().as_encoded_bytes());
        // tempfile adds the name of the unfinished file, which tells nobody anything.
        let why = e.to_string();
        let why = why.split(" at path ").next().unwrap_or_default();
        let line = format!(
            "metrics cannot be written to `textfile-dir` in [metrics] ({place}): {why}; see to that directory; mirroring \
             goes on"
        );
        match trouble.fold.failed(&e.kind().to_string(), Instant::now(), Local::now()) {
            Say::Reason => warn!("{line}"),
            Say::Still(how) => warn!("{line}; {how}"),
            Say::Nothing => {}
        }
    }
}

/// Removes what processes left behind that were killed while they wrote.
fn tidy(dir: &Path) {
    let is_old = |entry: &DirEntry| {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        age.is_some_and(|age| age > LONG_LEFT)
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(UNFINISHED.0.as_bytes()) && name.ends_with(UNFINISHED.1.as_bytes()) && is_old(&entry) {
            // It may be somebody else's.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Puts a file in the place of the one before. Whoever reads at the same time sees one of the two as a whole; until it is
/// complete, its name is none that `node_exporter` looks at.
fn replace(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let mode = Permissions::from_mode(0o644);
    let mut file =
        Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).permissions(mode.clone()).tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    // The umask has had its say.
    file.as_file().set_permissions(mode)?;
    file.persist(dir.join(name)).map_err(|e| e.error)?;
    Ok(())
}
