//! What a trial means: findings from outcomes and listings. Pure.

use std::path::Path;

use chrono::{Local, NaiveDateTime, TimeZone};

use crate::bucket::Bucket;
use crate::config::settings::Target;
use crate::exit::Exit;
use crate::mirror::Endpoint;
use crate::report::findings::{Finding, Grade};
use crate::report::text;
use crate::rsync::listing::Entry;
use crate::rsync::outcome::{Outcome, Trouble};

/// What is in the trial's tree.
pub(super) const KEPT: &str = "d/kept";
/// What is deleted in it later.
pub(super) const GONE: &str = "d/gone";
/// A symbolic link.
pub(super) const LINK: &str = "link";
/// What gets the time of the endpoint's clock.
pub(super) const TIMED: &str = "clock";
/// Where the link leads: an absolute path, which a daemon may change.
pub(super) const LINK_TARGET: &str = "/nonexistent/target";
/// What a daemon puts before the targets of links that it munges.
const MUNGED: usize = "/rsyncd-munged/".len();
/// Clocks that differ by more are worth a warning; a listing has whole seconds.
const SKEW: i64 = 10;

/// Why something failed, whatever kind of failure it was.
pub(super) fn trouble(outcome: Outcome) -> Trouble {
    match outcome {
        Outcome::Transient(trouble)
        | Outcome::Busy(trouble)
        | Outcome::Aborted(trouble)
        | Outcome::Permanent(trouble) => trouble,
        Outcome::Partial(failing) => {
            let words = failing.paths.values().chain(&failing.unattributed).next();
            let why = words.cloned().unwrap_or_else(|| "some paths failed".to_owned());
            Trouble::new(Exit::Failed, why)
        }
        Outcome::Stopped => Trouble::new(Exit::Failed, "stopped".to_owned()),
        Outcome::Done | Outcome::NoMissingArgs | Outcome::Limited => {
            Trouble::new(Exit::Failed, "its rsync cannot delete".to_owned())
        }
    }
}

/// A failure with what to do on the daemon's host, by what is said of it.
pub(super) fn bad(check: &str, Trouble { exit, why, .. }: Trouble) -> Finding {
    const REMEDIES: [(&str, &str); 11] = [
        (
            "chroot failed",
            "make the directory of the module there, or mount it; a daemon that is not root's needs `use chroot = no` as well",
        ),
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
    let is_advice =
        |rest: &str| ["set `", "check `", "see `", "raise `", "make "].iter().any(|verb| rest.starts_with(verb));
    match why.split_once(": ") {
        Some((what, rest)) if is_advice(rest) => match rest.find(" (") {
            Some(words) => format!("{what}{}", &rest[words..]),
            None => what.to_owned(),
        },
        _ => why.to_owned(),
    }
}

/// Whether a password is asked for.
pub(super) fn password(target: &Target, endpoint: &Endpoint) -> Finding {
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

/// The time that the endpoint has given to a file.
pub(super) fn time_there(entries: &[Entry]) -> Option<i64> {
    seconds(entry(entries, TIMED)?.modified?)
}

fn unlisted(check: &str, trouble: &Trouble) -> Finding {
    Finding::with_remedy(
        check,
        Grade::Bad(trouble.exit),
        format!("cannot be listed: {}", trouble.why),
        "set `write only = no` for the module in rsyncd.conf there",
    )
}

/// Whether what was deleted is gone.
pub(super) fn deletion(entries: Result<&[Entry], &Trouble>) -> Finding {
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

/// Whether what was deleted is in the history.
pub(super) fn version(versions: Result<&[Entry], &Trouble>, bucket: Bucket) -> Finding {
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
pub(super) fn links(entries: Result<&[Entry], &Trouble>) -> Finding {
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

/// A listing has the local time of this host.
fn seconds(local: NaiveDateTime) -> Option<i64> {
    Local.from_local_datetime(&local).earliest().map(|time| time.timestamp())
}

/// What the time of a file means that was made there between two moments here.
pub(super) fn clock(there: Option<i64>, before: i64, after: i64) -> Finding {
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
    use crate::rsync::listing::Kind;

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
            let link = Entry { kind: Kind::Link, size, modified: None, path: LINK.into() };
            links(Ok(&[link])).grade
        };
        assert_eq!([of(19), of(34), of(18)], [Grade::Ok, Grade::Hint, Grade::Warning]);
        assert_eq!(links(Ok(&[])).grade, Grade::Warning);
    }
}
