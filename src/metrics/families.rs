//! Every metric that there is, by the file that it is written into: the manual is made of this list, and the dashboard and the
//! alerting rules in `packaging/` are checked against it.

use super::exposition::Family;
use super::metric::Metric;
use super::{history, passes, watching};

/// A file of each mirror.
pub struct File {
    /// What tells its name apart from those of the others.
    pub kind: &'static str,
    /// When it is written.
    pub written: &'static str,
    /// What is in it, in its order.
    pub families: Vec<&'static Family>,
}

/// The files of a mirror. What stands in no table of metrics stands before it.
#[must_use]
pub fn files() -> Vec<File> {
    vec![
        file("pass", "written at the end of every pass over the mirror, also when that failed", &[], passes::PASSES),
        file(
            "watch",
            "written by watch whenever something changes, and by full-sync and prune-history when they find it killed",
            &[&watching::STATE, &watching::STATE_SINCE],
            watching::WATCH,
        ),
        file::<()>(
            "alive",
            "written by watch every 30 seconds, whatever happens; more often where a watchdog wants to hear of it",
            &[&watching::ALIVE],
            &[],
        ),
        file("history", "written by prune-history", &[], history::HISTORY),
        file(
            "pass",
            "with legacy-names = true: what the bash sersync called them; the label dirname is the source",
            &[],
            passes::LEGACY,
        ),
    ]
}

fn file<Work>(
    kind: &'static str,
    written: &'static str,
    first: &[&'static Family],
    table: &'static [Metric<Work>],
) -> File {
    File { kind, written, families: first.iter().copied().chain(table.iter().map(|metric| &metric.family)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions() {
        let all: Vec<&Family> = files().into_iter().flat_map(|file| file.families).collect();
        let names: BTreeSet<&str> = all.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), all.len());
        for family in all {
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert!(family.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
        }
    }
}
