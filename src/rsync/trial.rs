//! The rsync invocations by which a target is tried out: with files of our own, under a name that no source can have, all of
//! which is removed again.

use std::path::Path;
use std::process::Command;

use super::argv::{self, Levels, begin, histories, history, mirror_root, module};
use crate::bucket::HISTORY_DIR;
use crate::mirror::Mirror;

/// More paths than this the few trials that are removed together never leave behind.
const MOST: usize = 1000;

/// Lists what is in the root of the module, one level.
#[must_use]
pub fn root_listing(mirror: &Mirror) -> Command {
    let mut command = argv::listing(mirror, Levels::One);
    command.arg("--").arg(module(mirror));
    command
}

/// Lists what the history of the mirror has.
#[must_use]
pub fn history_listing(mirror: &Mirror) -> Command {
    let mut command = argv::listing(mirror, Levels::All);
    command.arg("--").arg(history(mirror));
    command
}

/// Sends one file of the source without its time, so that it has that of the endpoint's clock.
#[must_use]
pub fn untimed(mirror: &Mirror, name: &str) -> Command {
    let mut command = begin(mirror);
    command.current_dir(&mirror.source.path);
    command.args(["-R", "--"]).arg(format!("./{name}")).arg(mirror_root(mirror));
    command
}

/// What becomes of the directory of all histories when a trial is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Histories {
    /// It was there before, and stays.
    Stay,
    /// The trial has made it: it goes when nothing else is in it.
    Go,
}

/// What is removed by one command. They go in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The histories of trials.
    Histories,
    /// Their mirrors.
    Mirrors,
    /// The directory of all histories, unless anything is in it.
    Root,
}

/// Removes something of the trials with these names from within an `empty` directory, by name. Nothing else is sent, not
/// even the root of the module, whose mode `incoming chmod` would change.
#[must_use]
pub fn deletion(mirror: &Mirror, names: &[String], empty: &Path, part: Part) -> Command {
    let mut command = begin(mirror);
    // Without -r the root is left out; what is missing is deleted all the same.
    command.current_dir(empty).args(["-l", "-R", "--delete-missing-args"]);
    let paths = names.iter().map(|name| format!("./{name}"));
    match part {
        Part::Histories => command.args(["--force", "--"]).args(paths).arg(histories(mirror)),
        Part::Mirrors => command.args(["--force", "--"]).args(paths).arg(module(mirror)),
        Part::Root => command.args(["--", &format!("./{HISTORY_DIR}")]).arg(module(mirror)),
    };
    command
}

/// The same for a daemon that cannot delete by name: an `empty` tree is mirrored over the module, and rules protect all
/// but these. In the tree is the directory of all histories, if that is to stay.
#[must_use]
pub fn removal(mirror: &Mirror, names: &[String], empty: &Path, histories: Histories) -> Command {
    let mut command = begin(mirror);
    command.args(["-r", "--delete", "--force", "--existing"]).arg(format!("--max-delete={MOST}"));
    command.args(rules(names, histories).into_iter().map(|rule| format!("--filter={rule}")));
    command.arg("--").arg(empty.join("")).arg(module(mirror));
    command
}

fn rules(names: &[String], histories: Histories) -> Vec<String> {
    let mut rules = Vec::new();
    for place in names.iter().flat_map(|name| [format!("/{name}"), format!("/{HISTORY_DIR}/{name}")]) {
        rules.extend([format!("risk {place}/**"), format!("risk {place}/")]);
    }
    if histories == Histories::Go {
        rules.push(format!("risk /{HISTORY_DIR}/"));
    }
    rules.push("protect *".to_owned());
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_trial_is_at_risk() {
        let expected = [
            "risk /.t/**",
            "risk /.t/",
            "risk /history-backup/.t/**",
            "risk /history-backup/.t/",
            "risk /history-backup/",
            "protect *",
        ];
        assert_eq!(rules(&[".t".to_owned()], Histories::Go), expected);
        assert!(!rules(&[".t".to_owned()], Histories::Stay).contains(&expected[4].to_owned()));
    }
}
