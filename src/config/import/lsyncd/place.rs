//! Where a block goes: what is written as its target, and the target that this comes to. Pure.

use std::path::Path;

use super::super::draft::{self, Section};
use crate::config::settings::Host;
use crate::config::{names, paths};

/// Where a block goes.
pub(super) enum Place {
    Daemon { user: Option<String>, host: Host, module: String, name: Option<String> },
    Directory { root: String, name: String },
}

/// The target for a place, and the name that it would like to have.
pub(super) fn target_of(place: &Place) -> (String, Section) {
    let mut section = Section::default();
    match place {
        Place::Daemon { user, host, module, .. } => {
            section.set("module", module.as_str(), "");
            section.set("hosts", vec![host.to_string()], "");
            if let Some(user) = user {
                section.set("rsync.user", user.as_str(), "");
            }
            (module.clone(), section)
        }
        Place::Directory { root, .. } => {
            let name = Path::new(root).file_name().map_or("directory".into(), |name| name.to_string_lossy());
            section.set("path", root.as_str(), "");
            (draft::usable(&name), section)
        }
    }
}

/// `[user@]host::module[/path]`, `rsync://[user@]host[:port]/module[/path]`, or a directory.
pub(super) fn place(target: &str) -> Result<Place, String> {
    if let Some(rest) = target.strip_prefix("rsync://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        return daemon(authority, path);
    }
    if let Some((host, path)) = target.split_once("::") {
        return daemon(host, path);
    }
    if target.starts_with('/') {
        let path = paths::absolute(target)?;
        let (Some(root), Some(name)) = (path.parent(), path.file_name()) else {
            return Err("the directory has no name".to_owned());
        };
        return Ok(Place::Directory { root: root.display().to_string(), name: name.to_string_lossy().into_owned() });
    }
    Err("is neither an rsync daemon nor a directory; over ssh nothing is mirrored".to_owned())
}

fn daemon(authority: &str, path: &str) -> Result<Place, String> {
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let user = user.map(names::check_user).transpose()?;
    let host = draft::host(host, None)?;
    let (module, below) = path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), ""));
    names::check(module)?;
    if below.contains('/') {
        return Err("mirrors are directories of the module itself; give the directory a module of its own".to_owned());
    }
    Ok(Place::Daemon { user, host, module: module.to_owned(), name: (!below.is_empty()).then(|| below.to_owned()) })
}
