//! The files: where they are, how they are written, and what is said when they cannot be.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::Instant;

use chrono::{DateTime, Local, Utc};
use log::{debug, warn};

use super::exposition::{Page, timestamp};
use super::history::{self, Known};
use super::passes::{self, Names};
use super::subject::Subject;
use super::watching::{self, ALIVE, Writer};
use crate::config::settings::Metrics;
use crate::mirror::Mirror;
use crate::mutex::lock;
use crate::report::repeats::{Repeats, Say};
use crate::report::text::{count, escaped};
use crate::rsync::argv::pattern_for_names_in;
use crate::state::condition::Condition;
use crate::state::passes::Passes;
use crate::state::{StateDir, lock};
use crate::unfinished;

/// Others collect them.
const MODE: u32 = 0o644;

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
    repeats: Repeats,
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
        ["sersync_*.prom", &unfinished::pattern()].map(|names| pattern_for_names_in(&inside, names)).into()
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
        self.write(&subject, "watch", &watching::page(&subject, condition, Writer::InOrder));
    }

    /// Corrects what a watch has left behind that was killed: until somebody says otherwise, its figures would say that it is
    /// at work. Nothing is written where there is a watch, or the last one has ended in order.
    pub fn correct(&self, state: &StateDir, mirror: &Mirror) {
        if self.dir.is_none() {
            return;
        }
        // No watch can begin meanwhile, so nothing of a new one is overwritten.
        let corrected = lock::unless_held(state, mirror, lock::Kind::Watch, |_| {
            let left = Condition::load(state, mirror)?.filter(|left| left.activity.is_at_work());
            if let Some(condition) = left {
                let subject = Subject::of(&mirror.to_string());
                self.write(&subject, "watch", &watching::page(&subject, &condition, Writer::Killed));
            }
            Ok(())
        });
        if let Err(e) = corrected.and_then(Option::transpose) {
            debug!(mirror:%; "{mirror}: whether a watch was killed cannot be told: {e}");
        }
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
        self.write(&subject, "history", &history::page(&subject, known));
    }

    /// Whether anything is written at all.
    #[must_use]
    pub fn are_wanted(&self) -> bool {
        self.dir.is_some()
    }

    /// How often a file could not be written.
    #[must_use]
    pub fn failures(&self) -> u64 {
        lock(&self.trouble).failures
    }

    fn write(&self, subject: &Subject, kind: &str, page: &Page) {
        let Some(dir) = &self.dir else { return };
        self.tidied.call_once(|| unfinished::tidy(dir));
        let name = format!("sersync_{}.{kind}.prom", subject.file);
        let written = replace(dir, &name, &page.text());
        let mut trouble = lock(&self.trouble);
        let e = match written {
            Ok(()) => match trouble.repeats.worked() {
                0 => return,
                times => return warn!("metrics are written again after {}", count(times, "failed attempt")),
            },
            Err(e) => e,
        };
        trouble.failures += 1;
        let place = escaped(dir.as_os_str().as_encoded_bytes());
        let line = format!(
            "metrics cannot be written to `textfile-dir` in [metrics] ({place}): {e}; see to that directory; mirroring \
             goes on"
        );
        match trouble.repeats.failed(&e.kind().to_string(), Instant::now(), Local::now()) {
            Say::Reason => warn!("{line}"),
            Say::Still(how) => warn!("{line}; {how}"),
            Say::Nothing => {}
        }
    }
}

/// Puts a file in the place of the one before. Whoever reads at the same time sees one of the two as a whole; until it is
/// complete, its name is none that `node_exporter` looks at.
fn replace(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let mut file = unfinished::create(dir, MODE)?;
    file.write_all(text.as_bytes()).map_err(|e| unfinished::plain(&e))?;
    // The umask has had its say.
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    file.persist(dir.join(name)).map_err(|e| e.error)?;
    Ok(())
}
