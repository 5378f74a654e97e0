//! The text of `rsyncd.conf`. Pure. Every value was checked before: none can begin a line of its own.

use std::fmt::Write as _;

use super::plan::{Module, Plan};

/// What no client of ours ever asks for, and what lets a client reach beyond its mirror or spoil a file half-way.
const REFUSED: &str = "append append-verify inplace write-devices copy-links copy-unsafe-links copy-dirlinks keep-dirlinks \
                       remove-source-files";

/// The configuration of the daemon. A comment stands on a line of its own: after a value it would be a part of it.
#[must_use]
pub fn rsyncd_conf(plan: &Plan) -> String {
    let mut text = String::from("# For sersync; see rsyncd.conf(5).\n\n");
    if let Some(address) = &plan.address {
        line(&mut text, "address", address);
    }
    line(&mut text, "port", &plan.port);
    line(&mut text, "log file", &plan.log_file.display());
    comment(
        &mut text,
        "Names of clients are not looked up: that takes time, and whoever owns an address decides them.",
    );
    line(&mut text, "reverse lookup", &"no");
    comment(&mut text, "Without it each small session waits up to 50 ms for nothing.");
    line(&mut text, "socket options", &"TCP_NODELAY");
    comment(
        &mut text,
        "Passwords are proved by these at least. rsync before 3.5.0 does not know this line and ignores it;",
    );
    comment(&mut text, "clients before 3.2.0 know no such digest: for them, take the line away.");
    line(&mut text, "auth digest", &"sha256");
    for (name, module) in &plan.modules {
        write_module(&mut text, plan, name, module);
    }
    text
}

fn write_module(text: &mut String, plan: &Plan, name: &str, module: &Module) {
    let _ = writeln!(text, "\n[{name}]");
    if !module.sources.is_empty() {
        line(text, "comment", &format!("mirrors of {}", module.sources.join(", ")));
    }
    line(text, "path", &module.path.display());
    comment(text, "Nothing outside of the directory can be reached, and links are stored as they are.");
    line(text, "use chroot", &"yes");
    line(text, "uid", &module.uid);
    line(text, "gid", &module.gid);
    if module.uid != "root" && module.uid != "0" {
        line(text, "fake super", &"yes");
    }
    line(text, "numeric ids", &"yes");
    line(text, "read only", &"no");
    line(text, "list", &"no");
    if !module.users.is_empty() {
        line(text, "auth users", &module.users.join(", "));
        line(text, "secrets file", &plan.secrets_file.display());
        line(text, "strict modes", &"yes");
    }
    line(text, "hosts allow", &module.hosts_allow.join(" "));
    line(text, "hosts deny", &"*");
    if !module.reason.is_empty() {
        comment(text, &format!("{}.", module.reason));
    }
    line(text, "max connections", &module.max_connections);
    comment(text, "Connections are counted by it: each module has one of its own.");
    line(text, "lock file", &plan.run_dir.join(format!("rsyncd-{name}.lock")).display());
    line(text, "timeout", &module.timeout.as_secs());
    line(text, "refuse options", &REFUSED);
}

fn line(text: &mut String, key: &str, value: &dyn std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn comment(text: &mut String, words: &str) {
    let _ = writeln!(text, "# {words}");
}
