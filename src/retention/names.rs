//! Which names in a history are ours. Pure; the names come from a remote host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use chrono::NaiveDate;

use super::{Bucket, Unit};

/// One name in the history of a source, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Relative to the history of the source: a day, or what is directly below one.
    pub path: PathBuf,
    /// Whether it is a directory itself, and not a link to one.
    pub directory: bool,
}

/// A day in its one spelling.
pub(super) fn day_of(text: &str) -> Option<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (Unit::Day(day).to_string() == text).then_some(day)
}

/// Whether a path is exactly the name of a day directory.
#[must_use]
pub fn is_day(path: &Path) -> bool {
    path.to_str().and_then(day_of).is_some()
}

/// The day directory in which a path is.
pub(super) fn day_above(path: &Path) -> Option<NaiveDate> {
    let (day, rest) = path.as_os_str().as_encoded_bytes().split_at_checked(10)?;
    day_of(str::from_utf8(day).ok()?).filter(|_| rest.first() == Some(&b'/'))
}

/// In which unit an entry of a history would be, and where in it, by its name alone. What is in a day and in no bucket is
/// only in that day when there is no bucket beside it, which takes all names to tell.
///
/// None is what stands for a unit itself, or is in none. Nothing leads out of a unit.
#[must_use]
pub fn place(path: &Path) -> Option<(Unit, &Path)> {
    let day = day_above(path)?;
    let mut components = path.components();
    components.next();
    let below = components.as_path();
    let Some(Component::Normal(first)) = components.next() else { return None };
    let deeper = components.as_path();
    if !deeper.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let bucket = first.to_str().and_then(|name| format!("{}/{name}", Unit::Day(day)).parse::<Bucket>().ok());
    match bucket {
        Some(_) if deeper.as_os_str().is_empty() => None,
        Some(bucket) => Some((Unit::Bucket(bucket), deeper)),
        None => Some((Unit::Day(day), below)),
    }
}

/// The units among what was found, and what is neither.
///
/// Only exact spellings count, and only directories. In a day that has anything with the name of a bucket, other names are
/// foreign. In one that has none they are what the original system kept there, and go with their day.
pub(super) fn sort(found: &[Found]) -> (BTreeSet<Unit>, BTreeSet<PathBuf>) {
    // A listing that names something twice is not to be trusted about it: what is once no directory is none.
    let mut names: BTreeMap<&Path, bool> = BTreeMap::new();
    for entry in found {
        *names.entry(&entry.path).or_insert(true) &= entry.directory;
    }
    let day_named = |path: &Path| path.to_str().and_then(day_of);
    let directories = names.iter().filter(|(_, directory)| **directory);
    let mut days: BTreeMap<NaiveDate, (Vec<Unit>, Vec<&Path>)> =
        directories.filter_map(|(path, _)| Some((day_named(path)?, (Vec::new(), Vec::new())))).collect();
    let mut foreign = BTreeSet::new();
    let mut marked = BTreeSet::new();
    for (path, directory) in &names {
        let inside = day_above(path).and_then(|day| Some((day, days.get_mut(&day)?)));
        let Some((day, (units, others))) = inside else {
            if day_named(path).is_none_or(|day| !days.contains_key(&day)) {
                foreign.insert((*path).to_owned());
            }
            continue;
        };
        match path.to_str().and_then(|text| text.parse().ok()) {
            Some(bucket) => {
                marked.insert(day);
                if *directory { units.push(Unit::Bucket(bucket)) } else { others.push(path) }
            }
            None => others.push(path),
        }
    }
    let mut all = BTreeSet::new();
    for (day, (units, others)) in days {
        if marked.contains(&day) {
            all.extend(units);
            foreign.extend(others.into_iter().map(Path::to_owned));
        } else {
            all.insert(Unit::Day(day));
        }
    }
    (all, foreign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_are_in_buckets_and_in_days() {
        let cases = [
            ("2020-01-02/100000/a/b", Some(("2020-01-02/100000", "a/b"))),
            ("2020-01-02/100000-7/2020-01-02", Some(("2020-01-02/100000-7", "2020-01-02"))),
            ("2020-01-02/a/100000", Some(("2020-01-02", "a/100000"))),
            ("2020-01-02/100000-07/a", Some(("2020-01-02", "100000-07/a"))),
            ("2020-01-02/100000", None),
            ("2020-01-02", None),
            ("2020-1-2/100000/a", None),
            ("lost+found/2020-01-02/100000/a", None),
            ("2020-01-02/100000/../../../a", None),
            ("2020-01-02/../a", None),
        ];
        for (path, expected) in cases {
            let found = place(Path::new(path)).map(|(unit, below)| (unit.to_string(), below.to_owned()));
            assert_eq!(found, expected.map(|(unit, below)| (unit.to_owned(), below.into())), "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_a_unit(path in "(2020-01-02/)?(100000/)?[a./0-9-]{0,12}") {
            if let Some((unit, below)) = place(Path::new(&path)) {
                prop_assert_eq!(Path::new(&unit.to_string()).join(below), Path::new(&path));
                prop_assert!(below.components().all(|component| matches!(component, Component::Normal(_))));
                prop_assert!(!below.as_os_str().is_empty());
            }
        }
    }
}
