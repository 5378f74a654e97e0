//! `[targets.NAME.server]`: what a daemon is set up with. The values go into `rsyncd.conf`, so that nothing may be in them
//! that means something else there.

use std::path::{Component, Path, PathBuf};

use super::allowed;
use super::error::Problems;
use super::settings::Server;
use super::written;
use super::{names, paths};

/// Checks the table of a target.
pub(super) fn table(problems: &mut Problems, name: &str, target: &written::Target) -> Server {
    let Some(written) = &target.server else { return Server::default() };
    if target.path.is_some() {
        let message = format!("target `{name}` is a directory, which has no server; leave this table out");
        problems.at(written.span(), message);
    }
    let written = written.get_ref();
    let allowed = written.hosts_allow.iter().flatten();
    Server {
        path: problems.take("path", written.path.as_ref(), |path| directory(path)),
        hosts_allow: allowed
            .filter_map(|host| problems.take("hosts-allow", Some(host), |h| allowed::allow(h)))
            .collect(),
        max_connections: problems.take("max-connections", written.max_connections.as_ref(), |n| connections(*n)),
        uid: problems.take("uid", written.uid.as_ref(), |user| account(user)),
        gid: problems.take("gid", written.gid.as_ref(), |group| account(group)),
    }
}

/// The directory of a module. rsyncd expands `%NAME%` in it, and reads a backslash at the end of a line as its
/// continuation.
///
/// # Errors
/// Why it cannot be one.
pub fn directory(path: &str) -> Result<PathBuf, String> {
    let plain = paths::absolute(path)?;
    let shown = path.escape_debug();
    if plain == Path::new("/") {
        return Err("\"/\" would be the whole server; name a directory of its own".to_owned());
    }
    let is_odd = |c: char| c.is_control() || matches!(c, '%' | '\\');
    match plain.components().any(|part| matches!(part, Component::Normal(name) if has(name, is_odd))) {
        true => Err(format!("\"{shown}\" contains a character that rsyncd.conf cannot have in a path")),
        false if path != path.trim() => Err(format!("\"{shown}\" ends with a space, which rsyncd.conf would drop")),
        false => Ok(plain),
    }
}

fn has(name: &std::ffi::OsStr, odd: impl Fn(char) -> bool) -> bool {
    name.to_str().is_none_or(|name| name.contains(odd))
}

/// The name of a module; rsyncd.conf has another use for one name.
///
/// # Errors
/// Why it cannot be one.
pub fn module_name(name: &str) -> Result<(), String> {
    if name.eq_ignore_ascii_case("global") {
        return Err(format!("rsyncd.conf has another use for the name `{name}`; choose another"));
    }
    names::check(name)
}

fn connections(number: i64) -> Result<u32, String> {
    let most = u32::try_from(number).ok().filter(|most| *most > 0);
    most.ok_or_else(|| format!("{number} is not a number of connections; at least 1"))
}

/// The name or number of a user or group.
///
/// # Errors
/// Why it cannot be one.
pub fn account(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
        return Err(format!("\"{}\" is neither the name nor the number of one", name.escape_debug()));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rsyncd_would_read_otherwise_is_refused() {
        assert_eq!(directory("/srv/a b/").unwrap(), Path::new("/srv/a b"));
        for path in ["/", "srv", "/a/../b", "/a%RSYNC_USER_NAME%", "/a\n[evil]", "/a\\", "/a "] {
            assert!(directory(path).is_err(), "{path:?}");
        }
        assert!(account("www-data").is_ok() && account("0").is_ok());
        for name in ["", "-a", "a b", "a\n", "*"] {
            assert!(account(name).is_err(), "{name:?}");
        }
        assert!(connections(0).is_err() && connections(1 << 40).is_err());
    }
}
