//! Tries an endpoint out: a few files are mirrored there under a name that no source can have, changed, deleted, looked at and
//! removed again, history included.

mod rig;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::Local;

use self::rig::{Trial, limit};
use super::leftover::{self, Before};
use super::sessions::{self, Times};
use super::verdict::{GONE, KEPT, TIMED, bad, clock, deletion, links, password, time_there, trouble, version};
use crate::bucket::{Bucket, HISTORY_DIR};
use crate::config::settings::Target;
use crate::exit::Exit;
use crate::history::remote::Remote;
use crate::mirror::{Endpoint, Mirror};
use crate::report::findings::{Finding, Grade};
use crate::report::shell;
use crate::rsync::argv::{self, MissingArgs};
use crate::rsync::children::Children;
use crate::rsync::listing;
use crate::rsync::outcome::{Cause, Outcome, Trouble};
use crate::rsync::{retrieval, trial, version as installed};
use crate::scope::{Listed, Scope};

/// How many sessions are timed.
const SESSIONS: usize = 8;

/// Adds what is found. `distance` is how far away the endpoint is.
pub(super) fn run(
    target: &Target,
    endpoint: &Endpoint,
    distance: Duration,
    children: &Children,
    findings: &mut Vec<Finding>,
) -> io::Result<()> {
    let trial = Trial::new(leftover::name(fastrand::u64(..)), target, endpoint, children)?;
    let Some(before) = trial.access(target, findings) else { return Ok(()) };
    let written = trial.write(findings);
    let tried = if written { trial.try_out(distance, findings) } else { Ok(()) };
    // Where nothing could be written, nothing is left either, and the words would only be the same again.
    findings
        .extend(leftover::remove(&trial.mirror, trial.dir.path(), before, limit(&trial.mirror))?.filter(|_| written));
    tried
}

impl Trial<'_> {
    /// What was in the module before, if it lets us in.
    fn access(&self, target: &Target, findings: &mut Vec<Finding>) -> Option<Before> {
        let (mut history, mut leftovers) = (None, Vec::new());
        let outcome = self.rsync(trial::root_listing, |line| {
            let Some(entry) = listing::parse(line) else { return };
            if entry.path == Path::new(HISTORY_DIR) {
                history = Some(entry.is_directory());
            }
            leftovers.extend(leftover::of(&entry, Local::now().naive_local()));
        });
        let histories = if history.is_some() { trial::Histories::Stay } else { trial::Histories::Go };
        let (check, trouble) = match outcome {
            Outcome::Done | Outcome::Partial(_) => {
                findings.push(Finding::ok("module", "is there"));
                if history == Some(false) {
                    // Removing the trial would put a directory in its place.
                    findings.push(Finding::with_remedy(
                        "history",
                        Grade::Bad(Exit::Refused),
                        format!("{HISTORY_DIR} is no directory itself, so nothing is tried out"),
                        format!("make {HISTORY_DIR} a directory there, or mount one"),
                    ));
                    return None;
                }
                findings.push(password(target, &self.mirror.endpoint));
                return Some(Before { histories, leftovers });
            }
            other => {
                let trouble = trouble(other);
                let refused = trouble.exit == Exit::Authentication && trouble.cause != Cause::HostDenied;
                (if refused { "password" } else { "module" }, trouble)
            }
        };
        if check == "password" {
            findings.push(Finding::ok("module", "is there"));
        }
        findings.push(bad(check, trouble));
        None
    }

    /// Mirrors the tree; whether that works.
    fn write(&self, findings: &mut Vec<Finding>) -> bool {
        let outcome = self.job(&Scope::Tree(vec![PathBuf::new()]), None, MissingArgs::Work);
        if outcome == Outcome::Done {
            findings.push(Finding::ok("writing", "works"));
            return true;
        }
        let trouble = trouble(outcome);
        findings.push(if trouble.cause == Cause::NameRefused {
            Finding::with_remedy(
                "writing",
                Grade::Warning,
                "not tried out: the module hides names like .sersync-check-0123456789ab, and so perhaps others that sources have",
                "see `exclude` and `filter` of the module in rsyncd.conf there; `include = /.sersync-check-*` lets this check in",
            )
        } else {
            self.bad("writing", trouble)
        });
        false
    }

    /// A failure with what to do about it, there or, for a directory, here.
    fn bad(&self, check: &str, trouble: Trouble) -> Finding {
        let finding = bad(check, trouble);
        let Endpoint::Directory(path) = &self.mirror.endpoint else { return finding };
        let word = shell::path(path);
        let remedy = match finding.found.as_str() {
            found if found.contains("Read-only file system") => {
                format!("mount it writable: mount -o remount,rw {word}")
            }
            found if found.contains("Permission denied") => format!("run this as a user who may write to {word}"),
            found if found.contains("No space left") => format!("make room on the file system of {word}"),
            _ => format!("see whether files can be written to {word} by hand"),
        };
        Finding::with_remedy(check, finding.grade, finding.found, remedy)
    }

    fn try_out(&self, distance: Duration, findings: &mut Vec<Finding>) -> io::Result<()> {
        fs::remove_file(self.path(GONE))?;
        let bucket = Bucket { start: Local::now().naive_local(), number: 0 };
        let deleted = self.delete(bucket, findings);
        let before = now();
        let timed = self.rsync(|mirror| trial::untimed(mirror, TIMED), |_| {});
        let after = now();
        let entries = self.list(|mirror| retrieval::mirror_listing(mirror, Path::new("")));
        let versions = self.list(trial::history_listing);
        if deleted {
            findings.push(deletion(entries.as_deref()));
            findings.push(version(versions.as_deref(), bucket));
        }
        findings.push(links(entries.as_deref()));
        if matches!(self.mirror.endpoint, Endpoint::Daemon { .. }) {
            let shown = entries.as_deref().ok().and_then(time_there).filter(|_| timed == Outcome::Done);
            findings.push(clock(shown, before, after));
            self.sessions(distance, findings)?;
        }
        Ok(())
    }

    /// Deletes by name, or, where that is not possible, as a fallback does it; whether it was done.
    fn delete(&self, bucket: Bucket, findings: &mut Vec<Finding>) -> bool {
        // The entry that is there comes with its directory, after which an affected receiver breaks on what is missing.
        let listed = Listed { present: vec![KEPT.into()], missing: vec![GONE.into()], shallow: Vec::new() };
        match self.job(&Scope::Listed(listed.clone()), Some(&bucket), MissingArgs::Work) {
            Outcome::Done => true,
            Outcome::NoMissingArgs => {
                findings.push(Finding::with_remedy(
                    "by name",
                    Grade::Hint,
                    "it does not delete by name: its rsync is one that cannot, as 3.4.3 and Debian 12's 3.2.7, or `refuse options` \
                     has delete-missing-args; whole directories are compared instead",
                    "if watch is slow in large directories, take delete-missing-args out of `refuse options` of the module in \
                     rsyncd.conf there, or update the package `rsync` there to 3.4.4 or newer",
                ));
                match self.job(&Scope::Listed(listed.without_missing()), Some(&bucket), MissingArgs::Broken) {
                    Outcome::Done => true,
                    other => {
                        findings.push(self.bad("deleting", trouble(other)));
                        false
                    }
                }
            }
            other => {
                findings.push(self.bad("deleting", trouble(other)));
                false
            }
        }
    }

    /// Times equal sessions, each of which sends one small file.
    fn sessions(&self, distance: Duration, findings: &mut Vec<Finding>) -> io::Result<()> {
        if distance > sessions::FAR {
            findings.push(Finding {
                grade: Grade::Skipped,
                ..Finding::ok(
                    "sessions",
                    "too far away, or reached in too roundabout a way, to tell whether they stall",
                )
            });
            return Ok(());
        }
        let scope = Scope::Listed(Listed { present: vec![KEPT.into()], ..Listed::default() });
        // The same on this host alone, where nothing can stall: what is slow there as well is slow for another reason.
        let beside = Mirror { endpoint: Endpoint::Directory(self.dir.path().join("beside")), ..self.mirror.clone() };
        fs::create_dir_all(self.dir.path().join("beside"))?;
        let mut times = Times { distance, ..Times::default() };
        for number in 0..SESSIONS {
            fs::write(self.path(KEPT), "x".repeat(number + 1))?;
            // Waiting for the daemon to have a connection free is no stall: only the last attempt counts.
            let mut begun = Instant::now();
            let mut remote = Remote::new(&self.mirror, self.children).within(limit(&self.mirror));
            let outcome = remote.session(|remote| {
                begun = Instant::now();
                remote.rsync(argv::command(&self.mirror, &scope, self.options(None, MissingArgs::Work)), |_| {})
            });
            if outcome == Outcome::Done {
                times.sessions.push(begun.elapsed());
            }
            let begun = Instant::now();
            let command = argv::command(&beside, &scope, self.options(None, MissingArgs::Work));
            if Remote::new(&beside, self.children).rsync(command, |_| {}) == Outcome::Done {
                times.beside.push(begun.elapsed());
            }
            let begun = Instant::now();
            if installed::check().is_ok() {
                times.starts.push(begun.elapsed());
            }
        }
        findings.push(sessions::stalls(&times));
        Ok(())
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
