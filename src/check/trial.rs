//! Tries an endpoint out: a few files are mirrored there under a name that no source can have, changed, deleted, looked at and
//! removed again, history included.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{Local, NaiveDateTime, TimeZone};
use tempfile::TempDir;

use super::sessions;
use crate::config::settings::{Source, Target};
use crate::exit::Exit;
use crate::history::bucket::{Bucket, HISTORY_DIR};
use crate::history::remote::Remote;
use crate::mirror::{Endpoint, Mirror};
use crate::report::findings::{Finding, Grade};
use crate::report::text;
use crate::rsync::argv::{self, Compare, FileList, JobOptions, Manner, MissingArgs};
use crate::rsync::children::Children;
use crate::rsync::listing::{self, Entry};
use crate::rsync::outcome::{Outcome, Trouble};
use crate::rsync::{retrieval, trial};
use crate::scope::{Listed, Scope};
use crate::tree::exclude::Excludes;

/// What is in the trial's tree.
const KEPT: &str = "d/kept";
const GONE: &str = "d/gone";
const LINK: &str = "link";
const TIMED: &str = "clock";
/// Where the link leads: an absolute path, which a daemon may change.
const LINK_TARGET: &str = "/nonexistent/target";
/// What a daemon puts before the targets of links that it munges.
const MUNGED: usize = "/rsyncd-munged/".len();
/// How many sessions are timed.
const SESSIONS: usize = 8;
/// Clocks that differ by more are worth a warning; a listing has whole seconds.
const SKEW: i64 = 10;

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
    let Some(had_history) = trial.access(target, findings) else { return Ok(()) };
    let written = trial.write(findings);
    let tried = if written { trial.try_out(distance, findings) } else { Ok(()) };
    let histories = if had_history { trial::Histories::Stay } else { trial::Histories::Go };
    // Where nothing could be written, nothing is left either, and the words would only be the same again.
    findings.extend(trial.remove(histories)?.filter(|_| written));
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
            name: format!(".sersync-check-{:012x}", fastrand::u64(..1 << 48)),
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

    /// Whether the module lets us in, and if so, whether it has histories already.
    fn access(&self, target: &Target, findings: &mut Vec<Finding>) -> Option<bool> {
        let mut had_history = false;
        let outcome = self.rsync(trial::root_listing, |line| {
            had_history |= listing::parse(line).is_some_and(|entry| entry.path == Path::new(HISTORY_DIR));
        });
        let (check, trouble) = match outcome {
            Outcome::Done | Outcome::Partial(_) => {
                findings.push(Finding::ok("module", "is there"));
                findings.push(password(target, &self.mirror.endpoint));
                return Some(had_history);
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
        let written = outcome == Outcome::Done;
        findings.push(if written { Finding::ok("writing", "works") } else { bad("writing", trouble(outcome)) });
        written
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
            let shown = entries.as_deref().ok().and_then(|all| modified(all, TIMED)).filter(|_| timed == Outcome::Done);
            findings.push(clock(shown.and_then(seconds), before, after));
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
                    "its rsync cannot delete by name, as 3.4.3 and Debian 12's 3.2.7: whole directories are compared instead",
                    "update the package `rsync` on that host, to 3.4.4 or newer, if watch is slow in large directories",
                ));
                match self.job(&Scope::Listed(listed.without_missing()), Some(&bucket), MissingArgs::Broken) {
                    Outcome::Done => true,
                    other => {
                        findings.push(bad("deleting", trouble(other)));
                        false
                    }
                }
            }
            other => {
                findings.push(bad("deleting", trouble(other)));
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
        let mut times = Vec::new();
        for number in 0..SESSIONS {
            fs::write(self.path(KEPT), "x".repeat(number + 1))?;
            let begun = Instant::now();
            if self.job(&scope, None, MissingArgs::Work) == Outcome::Done {
                times.push(begun.elapsed());
            }
        }
        findings.push(sessions::stalls(&times));
        Ok(())
    }

    /// Removes everything again; what could not be removed is a finding of its own.
    fn remove(&self, histories: trial::Histories) -> io::Result<Option<Finding>> {
        let empty = self.dir.path().join("empty");
        fs::create_dir_all(if histories == trial::Histories::Stay { empty.join(HISTORY_DIR) } else { empty.clone() })?;
        // When a signal has stopped the others, this one still has to run.
        let children = Children::default();
        let mut remote = Remote::new(&self.mirror, &children);
        let outcome = remote.session(|remote| remote.rsync(trial::removal(&self.mirror, &empty, histories), |_| {}));
        if matches!(outcome, Outcome::Done) {
            return Ok(None);
        }
        let name = &self.mirror.source.name;
        let remedy = format!("remove {name} and {HISTORY_DIR}/{name} there by hand");
        Ok(Some(Finding::with_remedy("clean-up", Grade::Warning, trouble(outcome).why, remedy)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mirror.source.path.join(name)
    }

    fn job(&self, scope: &Scope, bucket: Option<&Bucket>, missing_args: MissingArgs) -> Outcome {
        let options = JobOptions {
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
        };
        self.rsync(|mirror| argv::command(mirror, scope, options), |_| {})
    }

    fn list(&self, command: impl Fn(&Mirror) -> Command) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        match self.rsync(command, |line| entries.extend(listing::parse(line))) {
            Outcome::Done | Outcome::Partial(_) => Ok(entries),
            other => Err(trouble(other)),
        }
    }

    fn rsync(&self, command: impl Fn(&Mirror) -> Command, mut on_line: impl FnMut(&[u8])) -> Outcome {
        let mut remote = Remote::new(&self.mirror, self.children);
        remote.session(|remote| remote.rsync(command(&self.mirror), &mut on_line))
    }
}

fn trouble(outcome: Outcome) -> Trouble {
    match outcome {
        Outcome::Transient(trouble)
        | Outcome::Busy(trouble)
        | Outcome::Aborted(trouble)
        | Outcome::Permanent(trouble) => trouble,
        Outcome::Partial(failing) => {
            let words = failing.paths.values().chain(&failing.unattributed).next();
            let why = words.cloned().unwrap_or_else(|| "some paths failed".to_owned());
            Trouble { exit: Exit::Failed, why }
        }
        Outcome::Stopped => Trouble { exit: Exit::Failed, why: "stopped".to_owned() },
        Outcome::Done | Outcome::NoMissingArgs | Outcome::Limited => {
            Trouble { exit: Exit::Failed, why: "its rsync cannot delete".to_owned() }
        }
    }
}

/// A failure with what to do on the daemon's host, by what is said of it.
fn bad(check: &str, Trouble { exit, why }: Trouble) -> Finding {
    const REMEDIES: [(&str, &str); 10] = [
        ("max connections", "raise `max connections` of the module in rsyncd.conf there"),
        ("read only", "set `read only = no` for the module in rsyncd.conf there"),
        ("refuse options", "allow the option in `refuse options` of the module in rsyncd.conf there"),
        ("hosts allow", "add this host to `hosts allow` of the module in rsyncd.conf there"),
        (
            "auth users",
            "compare `user` and the first line of `password-file` here with `auth users` and `secrets file` there",
        ),
        (
            "no such module",
            "add the module to rsyncd.conf there (`sersync gen-rsyncd-conf` writes one), or this host to its `hosts allow`",
        ),
        ("module's directory", "make the directory of the module there, or mount it"),
        ("lock file", "let the daemon write to the directory of the module's `lock file` there"),
        ("No space left", "make room on the file system of the module there"),
        ("Permission denied", "let the `uid` of the module in rsyncd.conf write to its directory there"),
    ];
    let remedy = REMEDIES.iter().find(|(words, _)| why.contains(words)).map(|(_, remedy)| *remedy);
    Finding::with_remedy(
        check,
        Grade::Bad(exit),
        without_hint(&why),
        remedy.unwrap_or("see the log of the daemon there"),
    )
}

/// `what: what to do (words of rsync)` without what to do, which is said as the remedy.
fn without_hint(why: &str) -> String {
    let is_advice = |rest: &str| ["set `", "check `", "see `", "raise `"].iter().any(|verb| rest.starts_with(verb));
    match why.split_once(": ") {
        Some((what, rest)) if is_advice(rest) => match rest.find(" (") {
            Some(words) => format!("{what}{}", &rest[words..]),
            None => what.to_owned(),
        },
        _ => why.to_owned(),
    }
}

fn password(target: &Target, endpoint: &Endpoint) -> Finding {
    match (&target.rsync.user, endpoint) {
        (_, Endpoint::Directory(_)) => Finding::ok("password", "none is needed"),
        (Some(user), _) => Finding::ok("password", format!("accepted for {}", text::escaped(user.as_bytes()))),
        (None, _) => Finding::with_remedy(
            "password",
            Grade::Warning,
            "none is asked for: whoever may connect can overwrite everything",
            "set `auth users` and `secrets file` in rsyncd.conf there, and `user` and `password-file` here",
        ),
    }
}

fn entry<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.path == Path::new(name))
}

fn modified(entries: &[Entry], name: &str) -> Option<NaiveDateTime> {
    entry(entries, name)?.modified
}

fn unlisted(check: &str, trouble: &Trouble) -> Finding {
    Finding::with_remedy(
        check,
        Grade::Bad(trouble.exit),
        format!("cannot be listed: {}", trouble.why),
        "set `write only = no` for the module in rsyncd.conf there",
    )
}

fn deletion(entries: Result<&[Entry], &Trouble>) -> Finding {
    match entries {
        Err(trouble) => unlisted("deleting", trouble),
        Ok(entries) if entry(entries, GONE).is_some() => Finding::with_remedy(
            "deleting",
            Grade::Bad(Exit::Failed),
            "what was deleted is still there, although rsync says that all went well",
            "see `exclude` and `filter` of the module in rsyncd.conf there",
        ),
        Ok(_) => Finding::ok("deleting", "works"),
    }
}

fn version(versions: Result<&[Entry], &Trouble>, bucket: Bucket) -> Finding {
    let path = format!("{bucket}/{GONE}");
    match versions {
        Err(trouble) => unlisted("history", trouble),
        Ok(versions) if entry(versions, &path).is_some() => Finding::ok("history", "what is deleted is kept"),
        Ok(_) => Finding::with_remedy(
            "history",
            Grade::Bad(Exit::Failed),
            "what was deleted is not in history-backup",
            "see `exclude`, `filter` and `refuse options` of the module in rsyncd.conf there",
        ),
    }
}

/// The size of a link is the length of its target as it is stored, whatever is shown of it.
fn links(entries: Result<&[Entry], &Trouble>) -> Finding {
    let size =
        entries.ok().and_then(|entries| entry(entries, LINK)).map(|entry| usize::try_from(entry.size).unwrap_or(0));
    match size {
        Some(size) if size == LINK_TARGET.len() => Finding::ok("links", "symbolic links are stored as they are"),
        Some(size) if size == LINK_TARGET.len() + MUNGED => Finding::with_remedy(
            "links",
            Grade::Hint,
            "symbolic links are stored munged: they come back right through rsync, and lead nowhere on that host",
            "set `use chroot = yes` for the module in rsyncd.conf there, if they are to be of use there",
        ),
        Some(_) => Finding::with_remedy(
            "links",
            Grade::Warning,
            "the targets of symbolic links are changed: the leading slash is taken away",
            "set `use chroot = yes`, or leave out `munge symlinks = no`, for the module in rsyncd.conf there",
        ),
        None => Finding::with_remedy(
            "links",
            Grade::Warning,
            "symbolic links are not stored",
            "see whether the file system there can hold symbolic links",
        ),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A listing has the local time of this host.
fn seconds(local: NaiveDateTime) -> Option<i64> {
    Local.from_local_datetime(&local).earliest().map(|time| time.timestamp())
}

/// What the time of a file means that was made there between two moments here.
fn clock(there: Option<i64>, before: i64, after: i64) -> Finding {
    let Some(there) = there else {
        return Finding { grade: Grade::Skipped, ..Finding::ok("clock", "the time there is not known") };
    };
    let skew = if there < before { there - before } else { (there - after).max(0) };
    if skew.abs() <= SKEW {
        return Finding::ok("clock", "the same as here, to a few seconds");
    }
    let (by, way) = (skew.unsigned_abs(), if skew > 0 { "ahead of" } else { "behind" });
    Finding::with_remedy(
        "clock",
        Grade::Warning,
        format!("{by} s {way} this host's"),
        "run a time service on both hosts (`systemctl enable --now chrony` or systemd-timesyncd)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clocks_that_really_differ_are_warned_of() {
        assert_eq!(clock(Some(1000), 1000, 1001).grade, Grade::Ok);
        assert_eq!(clock(Some(991), 1000, 1300).grade, Grade::Ok);
        assert_eq!(clock(Some(1005), 900, 1000).grade, Grade::Ok);
        assert_eq!(clock(Some(1100), 1000, 1001).found, "99 s ahead of this host's");
        assert_eq!(clock(Some(900), 1000, 1001).found, "100 s behind this host's");
        assert_eq!(clock(None, 0, 0).grade, Grade::Skipped);
    }

    #[test]
    fn what_to_do_is_not_said_twice() {
        let line = "the module is read only: set `read only = no` in rsyncd.conf (ERROR: module is read only)";
        assert_eq!(without_hint(line), "the module is read only (ERROR: module is read only)");
        for line in ["the daemon cannot be reached (@ERROR: failed)", "mkstemp failed: Permission denied (13)", ""] {
            assert_eq!(without_hint(line), line);
        }
    }

    #[test]
    fn the_length_of_a_link_tells_how_it_is_stored() {
        let of = |size: u64| {
            let link = Entry { kind: listing::Kind::Link, size, modified: None, path: LINK.into() };
            links(Ok(&[link])).grade
        };
        assert_eq!([of(19), of(34), of(18)], [Grade::Ok, Grade::Hint, Grade::Warning]);
        assert_eq!(links(Ok(&[])).grade, Grade::Warning);
    }
}
