//! How one rsync run deletes many directories of a history and nothing beside them, by any rsync. Pure.
//!
//! A nearly empty tree is mirrored over the history with `--delete`. What may go is said by filter rules, which the
//! receiver matches from the first on. (`--delete-missing-args` would do it by name, but not on every daemon.)

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::argv::{OUT_FORMAT, UNCHANGED, begin, history, option};
use crate::mirror::Mirror;
use crate::retention::{Plan, Unit};

/// The rules, one on each line.
///
/// Below a bucket the first one says all, so that a bucket with many files is not compared with the names of all others:
/// with 2,000 of them that would take longer than the deletion. Names with a closing slash are those of directories only.
#[must_use]
pub fn rules(plan: &Plan) -> String {
    let mut rules = String::from("risk /*/*/**\n");
    for unit in plan.removed() {
        // Writing to a string cannot fail.
        let _ = match unit {
            Unit::Bucket(bucket) => writeln!(rules, "risk /{bucket}/"),
            Unit::Day(_) => writeln!(rules, "risk /{unit}/*"),
        };
    }
    for (day, _) in plan.days().iter().filter(|(_, emptied)| **emptied) {
        let _ = writeln!(rules, "risk /{}/", Unit::Day(*day));
    }
    rules.push_str("protect *\n");
    rules
}

/// The directories that the mirrored tree has: days of which only a part goes, and buckets that are only emptied. Of those that it has not, rsync deletes all
/// that the rules let go, and the day itself when it is empty then.
#[must_use]
pub fn tree(plan: &Plan) -> Vec<String> {
    let days = plan.days().into_iter().filter(|(_, emptied)| !emptied).map(|(day, _)| Unit::Day(day).to_string());
    days.chain(plan.emptied().map(|bucket| bucket.to_string())).collect()
}

/// Deletes from the history of a mirror what the rules in a file let go. It mirrors a `tree` of directories over it, makes
/// nothing, and changes nothing of what stays.
#[must_use]
pub fn command(mirror: &Mirror, rules: &Path, tree: &Path) -> Command {
    let mut command = begin(mirror);
    // There is a line for each file that is deleted, and nobody waits for a single one.
    command.args(["-r", "--delete", "--existing"]).args(UNCHANGED).args(["--outbuf=B", OUT_FORMAT]);
    command.arg(option("--filter=merge ", rules)).arg("--");
    let mut from = tree.as_os_str().to_owned();
    from.push("/");
    command.arg(from).arg(history(mirror));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::{Found, Policy};
    use chrono::DateTime;
    use std::time::Duration;

    #[test]
    fn what_goes_is_named_and_all_else_is_protected() {
        let names = [
            "2020-01-02/100000",
            "2020-01-02/110000-7",
            "2020-01-03/090000",
            "2020-01-03/100000",
            "2020-01-03/notes",
            "2020-01-04/x",
        ];
        let mut found = Vec::new();
        for name in names {
            found.extend([&name[..10], name].map(|path| Found { path: path.into(), directory: true }));
        }
        let policy = Policy { keep_days: 7, resolution: Duration::ZERO, in_use: false };
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let plan = crate::retention::plan(&found, policy, &now).unwrap();
        let expected = "risk /*/*/**\nrisk /2020-01-02/100000/\nrisk /2020-01-02/110000-7/\nrisk /2020-01-03/090000/\n\
                        risk /2020-01-04/*\nrisk /2020-01-02/\nrisk /2020-01-04/\nprotect *\n";
        assert_eq!(rules(&plan), expected);
        assert_eq!(tree(&plan), ["2020-01-03", "2020-01-03/100000"]);
    }
}
