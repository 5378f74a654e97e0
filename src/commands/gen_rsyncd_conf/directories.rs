//! The directories of modules, and who they belong to.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};

use anyhow::{Context, Result};
use log::warn;

use crate::generated::private_dir;
use crate::report::{shell, text};
use crate::server::plan::Module;

/// Makes the directory of a module, where it is missing, for the user who writes to it.
pub(super) fn module_directory(module: &Module) -> Result<String> {
    let (path, shown) = (&module.path, text::path(&module.path));
    let made = private_dir(path).with_context(|| format!("the directory {shown} cannot be made"))?;
    let ids = (id_of(&module.uid, "/etc/passwd"), id_of(&module.gid, "/etc/group"));
    if !made {
        let owner = fs::metadata(path).with_context(|| text::cannot_be("read", path))?.uid();
        if let Some(uid) = ids.0.filter(|uid| *uid != 0 && *uid != owner) {
            let (name, gid, word) = (&module.uid, &module.gid, shell::path(path));
            warn!(
                "{shown} belongs to user {owner}, and the daemon writes to it as {name} ({uid}); run `chown {name}:{gid} \
                 {word}` as root"
            );
        }
        return Ok(format!("unchanged  {shown}/\n"));
    }
    let given = match ids {
        (Some(uid), Some(gid)) => chown(path, Some(uid), Some(gid)),
        _ => Err(io::Error::other("there is no such user or group on this host")),
    };
    if let Err(e) = given {
        let (uid, gid) = (&module.uid, &module.gid);
        let word = shell::path(path);
        warn!("{shown} cannot be given to {uid}:{gid}: {e}; run `chown {uid}:{gid} {word}` as root");
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
