//! Tries an endpoint out: a few files are mirrored there under a name that no source can have, changed, deleted, looked at and
//! removed again, history included.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::Local;
use tempfile::TempDir;

use super::leftover::{self, Before};
use super::sessions;
use super::verdict::{
    GONE, KEPT, LINK, LINK_TARGET, TIMED, bad, clock, deletion, links, password, time_there, trouble, version,
};
use crate::config::settings::{Source, Target};
use crate::exit::Exit;
use crate::history::bucket::{Bucket, HISTORY_DIR};
use crate::history::remote::Remote;
use crate::mirror::{Endpoint, Mirror};
use crate::report::findings::{Finding, Grade};
use crate::report::shell;
use crate::rsync::argv::{self, Compare, FileList, JobOptions, Manner, MissingArgs};
use crate::rsync::children::{Children, Limit};
use crate::rsync::listing::{self, Entry};
use crate::rsync::outcome::{Outcome, Trouble};
use crate::rsync::{retrieval, trial};
use crate::scope::{Listed, Scope};
use crate::tree::exclude::Excludes;

/// How many sessions are timed.
const SESSIONS: usize = 8;

/// What lists half a million entries of a module.
const MOST_BYTES: u64 = 64 << 20;

/// A tree on this host and its mirror on the endpoint.
struct Trial<'a> {
    dir: TempDir,
    mirror: Mirror,
    children: &'a Children,
}

/// Adds what is found. `distance` is how far away the endpoint is.
pub(super) fn run(
    target: &Target,
    endpoint: &Endpoint,
    distance: Duration,
    children: &Children,
    findings: &mut Vec<Finding>,
) -> io::Result<()> {
    let trial = Trial::new(target, endpoint, children)?;
    let Some(before) = trial.access(target, findings) else { return Ok(()) };
    let written = trial.write(findings);
    let tried = if written { trial.try_out(distance, findings) } else { Ok(()) };
    // Where nothing could be written, nothing is left either, and the words would only be the same again.
    findings.extend(leftover::remove(&trial.mirror, trial.dir.path(), before)?.filter(|_| written));
    tried
}

impl<'a> Trial<'a> {
    fn new(target: &Target, endpoint: &Endpoint, children: &'a Children) -> io::Result<Trial<'a>> {
        let dir = tempfile::Builder::new().prefix("sersync-check-").tempdir()?;
        let path = dir.path().join("source");
        fs::create_dir_all(path.join("d"))?;
        for name in [KEPT, GONE, TIMED] {
            fs::write(path.join(name), "sersync check-target\n")?;
        }
        symlink(LINK_TARGET, path.join(LINK))?;
        let source = Source {
            // No source can have a name that begins so.
            name: leftover::name(fastrand::u64(..)),
            path,
            targets: Vec::new(),
            exclude: Vec::new(),
            watch_exclude: Vec::new(),
            marker: None,
            one_file_system: true,
        };
        let mirror = Mirror {
            source: Arc::new(source),
            endpoint: endpoint.clone(),
            rsync: Arc::new(target.rsync.clone()),
            excludes: Arc::new(Excludes::default()),
        };
        Ok(Trial { dir, mirror, children })
    }

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
                let refused = trouble.exit == Exit::Authentication && !trouble.why.contains("hosts allow");
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
        findings.push(if trouble.why.contains("daemon has excluded destination") {
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
        let (mut times, mut beside_times) = (Vec::new(), Vec::new());
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
                times.push(begun.elapsed());
            }
            let begun = Instant::now();
            let command = argv::command(&beside, &scope, self.options(None, MissingArgs::Work));
            if Remote::new(&beside, self.children).rsync(command, |_| {}) == Outcome::Done {
                beside_times.push(begun.elapsed());
            }
        }
        findings.push(sessions::stalls(&times, &beside_times));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mirror.source.path.join(name)
    }

    fn job(&self, scope: &Scope, bucket: Option<&Bucket>, missing_args: MissingArgs) -> Outcome {
        self.rsync(|mirror| argv::command(mirror, scope, self.options(bucket, missing_args)), |_| {})
    }

    fn options<'o>(&'o self, bucket: Option<&'o Bucket>, missing_args: MissingArgs) -> JobOptions<'o> {
        JobOptions {
            root: &self.mirror.source.path,
            bucket,
            exclude: &[],
            clients: 1,
            missing_args,
            compare: Compare::Quick,
            manner: Manner::Thorough,
            file_list: FileList::Whole,
            keep_temporary: false,
            max_delete: None,
            dry_run: false,
            progress: false,
        }
    }

    fn list(&self, command: impl Fn(&Mirror) -> Command) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        match self.rsync(command, |line| entries.extend(listing::parse(line))) {
            Outcome::Done | Outcome::Partial(_) => Ok(entries),
            other => Err(trouble(other)),
        }
    }

    fn rsync(&self, command: impl Fn(&Mirror) -> Command, mut on_line: impl FnMut(&[u8])) -> Outcome {
        let mut remote = Remote::new(&self.mirror, self.children).within(limit(&self.mirror));
        remote.session(|remote| remote.rsync(command(&self.mirror), &mut on_line))
    }
}

/// A peer that says a byte now and then, or something new for ever, is not waited for: every session of a trial is short.
pub(super) fn limit(mirror: &Mirror) -> Limit {
    Limit { time: mirror.rsync.connect_timeout.saturating_add(mirror.rsync.timeout), bytes: MOST_BYTES }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
