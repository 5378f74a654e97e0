//! How scopes become rsync runs, and which of them may run at the same time. Pure.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::scope::{Limits, Listed, Scope};

/// So few paths are sent by one client: another session costs as much.
const FEW: usize = 2_000;
/// So few directories, one level each, are compared by one client.
const FEW_LEVELS: usize = 100;

/// Jobs that may run at the same time, group after group: paths that are pushed by name, and levels of directories of which
/// nothing above is touched as well. Anywhere else one client could remove what another one is just putting there.
pub(super) fn groups(jobs: impl Iterator<Item = Scope>, clients: usize) -> Vec<Vec<Scope>> {
    let mut groups: Vec<Vec<Scope>> = Vec::new();
    // Whether the last one is of paths that are pushed.
    let mut is_open = false;
    for job in jobs {
        let Scope::Listed(mut listed) = job else {
            groups.push(vec![job]);
            is_open = false;
            continue;
        };
        let levels = if clients > 1 { take_levels(&mut listed) } else { Vec::new() };
        let present =
            if clients > 1 && listed.present.len() > FEW { std::mem::take(&mut listed.present) } else { Vec::new() };
        if !listed.is_empty() {
            groups.push(vec![Scope::Listed(listed)]);
            is_open = false;
        }
        if !levels.is_empty() {
            groups.push(parts(Listed { shallow: levels, ..Listed::default() }, clients, FEW_LEVELS));
            is_open = false;
        }
        if !present.is_empty() {
            let parts = parts(Listed { present, ..Listed::default() }, clients, FEW);
            match groups.last_mut() {
                Some(last) if is_open => last.extend(parts),
                _ => groups.push(parts),
            }
            is_open = true;
        }
    }
    groups
}

/// Takes out the directories of which nothing above is listed, if there are many.
fn take_levels(listed: &mut Listed) -> Vec<PathBuf> {
    if listed.shallow.len() <= FEW_LEVELS {
        return Vec::new();
    }
    let all: HashSet<&Path> = listed.all().map(PathBuf::as_path).collect();
    let is_apart = |dir: &PathBuf| !dir.ancestors().skip(1).any(|above| all.contains(above));
    let apart: Vec<bool> = listed.shallow.iter().map(is_apart).collect();
    if apart.iter().filter(|apart| **apart).count() <= FEW_LEVELS {
        return Vec::new();
    }
    let (mut levels, mut rest) = (Vec::new(), Vec::new());
    for (dir, is_apart) in std::mem::take(&mut listed.shallow).into_iter().zip(apart) {
        if is_apart { levels.push(dir) } else { rest.push(dir) }
    }
    listed.shallow = rest;
    levels
}

/// Parts of about the same size, one for each client, but none smaller than that.
fn parts(listed: Listed, clients: usize, least: usize) -> Vec<Scope> {
    let entries = listed.len().div_ceil(clients).max(least);
    listed.split(Limits { entries, ..Limits::DEFAULT }).into_iter().map(Scope::Listed).collect()
}

/// The rsync runs for one scope: one, unless its list is too long for one.
pub(super) fn jobs(scope: Scope) -> Vec<Scope> {
    match scope {
        Scope::Tree(roots) => {
            let whole = Listed { shallow: roots, ..Listed::default() };
            whole.split(Limits::DEFAULT).into_iter().map(|part| Scope::Tree(part.shallow)).collect()
        }
        Scope::Listed(listed) => listed.split(Limits::DEFAULT).into_iter().map(Scope::Listed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn numbered(letter: char, number: usize) -> Vec<PathBuf> {
        (0..number).map(|at| format!("{letter}{at}").into()).collect()
    }

    /// A directory of a tree that is three levels deep.
    fn directory(number: usize) -> PathBuf {
        let names = [number % 7, number / 7 % 7, number / 49].map(|name| name.to_string());
        names.iter().take(1 + number % 3).collect()
    }

    proptest! {
        #[test]
        fn groups_have_every_path_once_and_only_what_is_apart_runs_at_the_same_time(
            jobs in prop::collection::vec((0usize..6000, 0usize..3, prop::collection::btree_set(0usize..900, 0..400)), 0..5),
            clients in 1usize..5,
        ) {
            let listed = |(present, missing, shallow): (usize, usize, BTreeSet<usize>)| {
                let shallow: BTreeSet<PathBuf> = shallow.into_iter().map(directory).collect();
                Listed {
                    present: numbered('p', present), missing: numbered('m', missing), shallow: shallow.into_iter().collect(),
                }
            };
            let jobs: Vec<Scope> = jobs.into_iter().map(listed).filter(|it| !it.is_empty()).map(Scope::Listed).collect();
            let all = |scopes: &[Scope]| -> Vec<PathBuf> {
                let paths = |scope: &Scope| match scope {
                    Scope::Listed(listed) => listed.all().cloned().collect::<Vec<_>>(),
                    Scope::Tree(roots) => roots.clone(),
                };
                let mut all: Vec<PathBuf> = scopes.iter().flat_map(paths).collect();
                all.sort();
                all
            };
            let groups = groups(jobs.clone().into_iter(), clients);
            for group in groups.iter().filter(|group| group.len() > 1) {
                let of = |scope: &Scope| match scope {
                    Scope::Listed(Listed { present, missing, shallow }) => [present.len(), missing.len(), shallow.len()],
                    Scope::Tree(_) => [0, 1, 0],
                };
                let pushed = group.iter().all(|scope| of(scope)[1..] == [0, 0]);
                let levels = group.iter().all(|scope| of(scope)[..2] == [0, 0]);
                let paths = all(group);
                let above = |path: &PathBuf| path.ancestors().skip(1).any(|above| paths.contains(&above.to_owned()));
                prop_assert!(pushed || levels && !paths.iter().any(above));
            }
            let grouped: Vec<Scope> = groups.into_iter().flatten().collect();
            prop_assert_eq!(all(&grouped), all(&jobs));
        }
    }
}
