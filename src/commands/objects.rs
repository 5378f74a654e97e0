//! What `--json` prints, by command: the manual is made of this, and tests compare it with what is really printed.

use super::{check_kernel, history, restore, status};
use crate::pass::summary;
use crate::prune::report as prune;
use crate::report::findings;
use crate::report::json::{ITEM, Object};
use crate::verify::report as verify;
use crate::watch::batch;

/// The objects of each command that has `--json` for lines of objects, by the name of its page in the manual.
pub static COMMANDS: &[(&str, &[&Object])] = &[
    ("sersync-full-sync", &[&summary::OBJECT, &ITEM]),
    ("sersync-verify", &[&verify::OBJECT, &verify::DIFFERENCE]),
    ("sersync-watch", &[&batch::OBJECT, &ITEM]),
    ("sersync-prune-history", &[&prune::OBJECT, &prune::BUCKET]),
    ("sersync-restore", &[&restore::OBJECT]),
    ("sersync-status", &[&status::OBJECT]),
    ("sersync-history-list", &[&history::list::OBJECT]),
    ("sersync-history-find", &[&history::find::OBJECT]),
    ("sersync-check-target", &[&findings::OF_A_TARGET]),
    ("sersync-check-kernel", &[&findings::OBJECT, &check_kernel::DONE]),
];

/// The objects of the command with this page.
#[must_use]
pub fn of(page: &str) -> Option<&'static [&'static Object]> {
    COMMANDS.iter().find(|(name, _)| *name == page).map(|(_, objects)| *objects)
}
