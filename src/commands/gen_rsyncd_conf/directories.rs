//! The directories of modules, and who they belong to.

use std::fs;
use std::io;
use std::os::unix::fs::chown;

use anyhow::{Context, Result};
use log::warn;

use crate::generated::private_dir;
use crate::report::{shell, text};
use crate::server::plan::Module;

/// Makes the directory of a module, where it is missing, for the user who writes to it.
pub(super) fn module_directory(module: &Module) -> Result<String> {
    let (path, shown) = (&module.path, text::path(&module.path));
    let made = private_dir(path).with_context(|| format!("cannot make the directory {shown}"))?;
    if !made {
        return Ok(format!("unchanged  {shown}/\n"));
    }
    let ids = (id_of(&module.uid, "/etc/passwd"), id_of(&module.gid, "/etc/group"));
    let given = match ids {
        (Some(uid), Some(gid)) => chown(path, Some(uid), Some(gid)),
        _ => Err(io::Error::other("there is no such user or group on this host")),
    };
    if let Err(e) = given {
        let (uid, gid) = (&module.uid, &module.gid);
        let word = shell::path(path);
        warn!("{shown}: cannot be given to {uid}:{gid}: {e}; run `chown {uid}:{gid} {word}` as root");
    }
    Ok(format!("made       {shown}/\n"))
}

/// The number of a user or group, by a number or by its name in a file of names and numbers.
fn id_of(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string(file).ok()?;
    let fields = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    fields.split(':').nth(1)?.parse().ok()
}
