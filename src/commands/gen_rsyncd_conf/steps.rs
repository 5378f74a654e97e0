//! What is left to do by hand when the files are there, as commands that can be pasted. Pure.

use std::fmt::Write as _;
use std::path::Path;

use super::place::Place;
use super::{ETC, User};
use crate::report::shell;
use crate::server::plan::Plan;

/// What is left to do by hand.
pub(super) fn next_steps(plan: &Plan, users: &[User], place: &Place) -> String {
    let mut said = String::from("\nWhat is left to do:\n");
    let installed = &place.installed;
    if !place.is_here() {
        let (out, to) = (shell::path(&place.out.join("")), shell::path(&installed.join("")));
        let _ = writeln!(said, "  put these files in place on the server:   rsync -rps {out} SERVER:{to}");
        for module in plan.modules.values() {
            let (uid, gid, path) = (&module.uid, &module.gid, shell::path(&module.path));
            let _ = writeln!(
                said,
                "  make the module's directory there:        install -d -m 700 -o {uid} -g {gid} {path}"
            );
        }
    }
    if !place.is_here() && plan.run_dir != Path::new("/run") {
        let path = shell::path(&plan.run_dir);
        let _ = writeln!(said, "  make the directory of the locks there:    install -d -m 755 {path}");
    }
    let conf = shell::path(&installed.join("rsyncd.conf"));
    let start = if installed == Path::new(ETC) {
        "systemctl enable --now rsync (rsyncd on Fedora and its kin)".to_owned()
    } else {
        format!("rsync --daemon --config={conf}")
    };
    let _ = writeln!(said, "  start the daemon, as root:                {start}");
    for user in users {
        let here = place.client_file(user);
        let there = user.password_file.as_deref().map_or_else(|| "FILE".to_owned(), shell::path);
        let from = shell::path(&here);
        let _ = writeln!(said, "  give the password to each client:         rsync -ps --mkpath {from} CLIENT:{there}");
    }
    said.push_str("  see from a client whether all is well:    sersync check-target\n");
    said
}
