//! How scopes become rsync runs, and which of them may run at the same time. Pure.

use crate::scope::{Limits, Listed, Scope};

/// So few paths are sent by one client: another session costs as much.
const FEW: usize = 2_000;

/// Jobs that may run at the same time, group after group. That is only so for paths that are pushed by name: where
/// directories are compared, one client could remove what another one is just putting there.
pub(super) fn groups(jobs: impl Iterator<Item = Scope>, clients: usize) -> Vec<Vec<Scope>> {
    let mut groups: Vec<Vec<Scope>> = Vec::new();
    // Whether the last one is of such jobs.
    let mut is_open = false;
    for job in jobs {
        let (rest, present) = match job {
            Scope::Listed(mut listed) if clients > 1 && listed.present.len() > FEW => {
                let present = std::mem::take(&mut listed.present);
                (Some(Scope::Listed(listed)).filter(|rest| *rest != Scope::Listed(Listed::default())), present)
            }
            job => (Some(job), Vec::new()),
        };
        if let Some(rest) = rest {
            groups.push(vec![rest]);
            is_open = false;
        }
        if !present.is_empty() {
            let entries = present.len().div_ceil(clients).max(FEW);
            let parts = Listed { present, ..Listed::default() }.split(Limits { entries, ..Limits::DEFAULT });
            let parts = parts.into_iter().map(Scope::Listed);
            match groups.last_mut() {
                Some(last) if is_open => last.extend(parts),
                _ => groups.push(parts.collect()),
            }
            is_open = true;
        }
    }
    groups
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
    use std::path::PathBuf;

    fn numbered(letter: char, number: usize) -> Vec<PathBuf> {
        (0..number).map(|at| format!("{letter}{at}").into()).collect()
    }

    proptest! {
        #[test]
        fn groups_have_every_path_once_and_only_what_is_pushed_runs_at_the_same_time(
            jobs in prop::collection::vec((0usize..6000, 0usize..3, 0usize..3), 0..5), clients in 1usize..5,
        ) {
            let listed = |(present, missing, shallow)| Listed {
                present: numbered('p', present), missing: numbered('m', missing), shallow: numbered('s', shallow),
            };
            let jobs: Vec<Scope> = jobs.into_iter().map(listed).filter(|it| !it.is_empty()).map(Scope::Listed).collect();
            let all = |scopes: Vec<Scope>| -> Vec<PathBuf> {
                let paths = |scope: Scope| match scope {
                    Scope::Listed(listed) => listed.all().cloned().collect::<Vec<_>>(),
                    Scope::Tree(roots) => roots,
                };
                scopes.into_iter().flat_map(paths).collect()
            };
            let groups = groups(jobs.clone().into_iter(), clients);
            for group in &groups {
                prop_assert!(!group.is_empty());
                let is_pushed = |scope: &Scope| {
                    matches!(scope, Scope::Listed(Listed { missing, shallow, .. }) if missing.is_empty() && shallow.is_empty())
                };
                prop_assert!(group.len() == 1 || group.iter().all(is_pushed));
            }
            prop_assert_eq!(all(groups.into_iter().flatten().collect()), all(jobs));
        }
    }
}
