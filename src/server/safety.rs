//! What makes a server unsafe: names that cannot stand in its files, and modules that let too many in. Pure.

use std::collections::BTreeMap;

use super::plan::{Module, PRIVATE};
use crate::config::allowed;

/// A user name stands in a list in `rsyncd.conf`, where some characters mean something.
///
/// # Errors
/// Why it cannot stand there.
pub fn check_user(user: &str) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    match user.chars().find(|c| !plain(*c)) {
        None if user.is_empty() => Err("the user name is empty".to_owned()),
        None => Ok(()),
        Some(c) => Err(format!(
            "a daemon cannot have the user \"{}\": `{}` means something else in `auth users`; use letters, digits, `.`, `_` \
             and `-`",
            user.escape_debug(),
            c.escape_debug()
        )),
    }
}

/// What is not as safe as it could be, a line each.
#[must_use]
pub fn warnings(modules: &BTreeMap<String, Module>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, module) in modules {
        if module.users.is_empty() {
            warnings.push(format!(
                "module `{name}` asks for no password: whoever may connect can overwrite everything in it; set `user` and \
                 `password-file` in [rsync]"
            ));
        }
        if module.hosts_allow == PRIVATE {
            warnings.push(format!(
                "module `{name}` lets all private networks in: name the hosts that mirror to it, in `hosts-allow` of \
                 [targets.NAME.server] or by --hosts-allow"
            ));
        }
        if let Some(open) = module.hosts_allow.iter().find(|host| allowed::is_everybody(host)) {
            warnings.push(format!("module `{name}` lets everybody in ({open}): name the hosts that mirror to it"));
        }
        if ["0.0.0.0/1", "128.0.0.0/1"].iter().all(|half| module.hosts_allow.iter().any(|host| host == half)) {
            warnings.push(format!(
                "module `{name}` lets everybody in (0.0.0.0/1 and 128.0.0.0/1 are everything): name the hosts that mirror to it"
            ));
        }
        if module.uid != "root" && module.uid != "0" {
            warnings.push(format!(
                "module `{name}` is written as `{}`, who cannot give files away: their owners are kept in extended \
                 attributes (`fake super`), for which the file system has to have room",
                module.uid
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_cannot_mean_something_else() {
        assert!(check_user("backup.user-1").is_ok());
        for user in ["", "a b", "a,b", "@group", "a:ro", "a\n"] {
            assert!(check_user(user).is_err(), "{user:?}");
        }
    }
}
