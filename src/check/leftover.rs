//! What a trial leaves on an endpoint, and how it is removed: its own at the end, and that of earlier ones which were killed.

use std::fs;
use std::io;
use std::path::Path;

use chrono::{NaiveDateTime, TimeDelta};

use super::verdict::trouble;
use crate::bucket::HISTORY_DIR;
use crate::history::remote::Remote;
use crate::mirror::Mirror;
use crate::report::findings::{Finding, Grade};
use crate::rsync::children::{Children, Limit};
use crate::rsync::listing::{self, Entry};
use crate::rsync::outcome::Outcome;
use crate::rsync::trial::{self, Histories, Part};

/// No source can have a name that begins so.
const PREFIX: &str = ".sersync-check-";
/// Hexadecimal digits behind it.
const DIGITS: usize = 12;
/// A trial that began longer ago than this does not run any more.
const OLD: TimeDelta = TimeDelta::days(1);
/// So many old ones are removed at once.
const MOST: usize = 50;

/// What was in a module before a trial.
#[derive(Debug)]
pub(super) struct Before {
    /// Whether there were histories.
    pub(super) histories: Histories,
    /// What earlier trials have left there.
    pub(super) leftovers: Vec<String>,
}

/// The name of a trial, by a random number.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{:0DIGITS$x}", number >> 16)
}

/// The name of a trial that left this entry in the root of a module, and surely does not run any more.
pub(super) fn of(entry: &Entry, now: NaiveDateTime) -> Option<String> {
    let name = entry.path.to_str()?;
    let digits = name.strip_prefix(PREFIX)?;
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
    let is_old = now.signed_duration_since(entry.modified?) > OLD;
    (entry.is_directory() && digits.len() == DIGITS && digits.chars().all(is_digit) && is_old).then(|| name.to_owned())
}

/// Removes a trial again, and what earlier ones have left; what could not be removed is a finding. `dir` is for temporary
/// files.
pub(super) fn remove(mirror: &Mirror, dir: &Path, before: Before, limit: Limit) -> io::Result<Option<Finding>> {
    let Before { histories, leftovers: mut names } = before;
    names.truncate(MOST);
    names.push(mirror.source.name.clone());
    let empty = dir.join("empty");
    fs::create_dir_all(&empty)?;
    // When a signal has stopped the others, these still have to run.
    let children = Children::default();
    let mut remote = Remote::new(mirror, &children).within(limit);
    let parts: &[Part] = match histories {
        Histories::Go => &[Part::Histories, Part::Mirrors, Part::Root],
        Histories::Stay => &[Part::Histories, Part::Mirrors],
    };
    let mut by_name = |part: &Part| {
        let deletion = || trial::deletion(mirror, &names, &empty, *part);
        remote.session(|remote| remote.rsync(deletion(), |_| {})) == Outcome::Done
    };
    let deleted = parts.iter().all(&mut by_name);
    // A module that refuses just that option says that all went well, and has everything still.
    if deleted && !is_there(&mut remote, &mirror.source.name, mirror) {
        return Ok(None);
    }
    if histories == Histories::Stay {
        fs::create_dir_all(empty.join(HISTORY_DIR))?;
    }
    let removal = || trial::removal(mirror, &names, &empty, histories);
    let outcome = remote.session(|remote| remote.rsync(removal(), |_| {}));
    let name = &mirror.source.name;
    let why = match outcome {
        Outcome::Done if !is_there(&mut remote, name, mirror) => return Ok(None),
        Outcome::Done => "the daemon deletes nothing, although rsync says that all went well".to_owned(),
        other => trouble(other).why,
    };
    let remedy = format!("remove {name} and {HISTORY_DIR}/{name} there by hand");
    Ok(Some(Finding::with_remedy("clean-up", Grade::Warning, why, remedy)))
}

/// Whether the trial is still in the module, as far as that can be seen.
fn is_there(remote: &mut Remote<'_>, name: &str, mirror: &Mirror) -> bool {
    let mut found = false;
    remote.session(|remote| {
        remote.rsync(trial::root_listing(mirror), |line| {
            found |= listing::parse(line).is_some_and(|entry| entry.path == Path::new(name));
        })
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsync::listing::Kind;
    use chrono::NaiveDate;

    #[test]
    fn only_old_directories_with_a_name_of_ours_are_leftovers() {
        let now = NaiveDate::from_ymd_opt(2026, 1, 10).unwrap().and_hms_opt(12, 0, 0).unwrap();
        let entry = |name: &str, kind, hours| Entry {
            kind,
            size: 0,
            modified: Some(now - TimeDelta::hours(hours)),
            path: name.into(),
        };
        let ours = name(u64::MAX);
        assert_eq!(ours, ".sersync-check-ffffffffffff");
        assert_eq!(of(&entry(&ours, Kind::Directory, 25), now), Some(ours.clone()));
        for other in [
            entry(&ours, Kind::Directory, 23),
            entry(&ours, Kind::Directory, -99),
            entry(&ours, Kind::File, 25),
            entry(".sersync-check-mine", Kind::Directory, 25),
            entry(".sersync-check-fffffffffff/", Kind::Directory, 25),
            entry("sersync-check-ffffffffffff", Kind::Directory, 25),
            Entry { modified: None, ..entry(&ours, Kind::Directory, 25) },
        ] {
            assert_eq!(of(&other, now), None, "{other:?}");
        }
    }
}
