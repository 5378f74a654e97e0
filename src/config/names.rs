//! Names that become part of a path or an address on the daemon: aliases, modules, targets, users.

/// The directory of the history on a target, which no mirror may be called.
pub(super) const HISTORY: &str = "history-backup";

/// Longer names would leave too little room for the paths below them in messages, and serve nobody.
const LONGEST: usize = 100;

/// Checks the name of a source, which is the name of its mirror's directory.
pub(super) fn check_alias(name: &str) -> Result<(), String> {
    if name == HISTORY {
        return Err(format!("`{HISTORY}` is where the history is kept; choose another name"));
    }
    check(name)
}

/// Checks the name of a module, a target or a mirror. The daemon expands glob characters in destination paths, and the
/// name also stands in file names and in metrics; a small alphabet is safe in all of these places.
pub(super) fn check(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name.len() > LONGEST {
        return Err(format!("the name has {} bytes; at most {LONGEST} are possible", name.len()));
    }
    if name.starts_with(['-', '.']) {
        return Err(format!("the name `{}` starts with `{}`; start it with a letter or a digit", name, &name[..1]));
    }
    match name.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some('/') => Err(format!("the name `{name}` contains `/`; it must be a single directory name")),
        Some(c) => {
            let shown = name.escape_debug();
            let c = c.escape_debug();
            Err(format!("the name `{shown}` contains `{c}`; use letters, digits, `.`, `_`, `-` and `+` only"))
        }
    }
}

/// Checks a user name for `rsync://USER@HOST/`.
pub(super) fn check_user(user: &str) -> Result<String, String> {
    if user.is_empty() {
        return Err("the user name is empty; leave it out when the daemon asks for none".to_owned());
    }
    match user.chars().find(|c| matches!(c, '@' | ':' | '/') || c.is_control()) {
        None => Ok(user.to_owned()),
        Some(':') => {
            Err("a user name cannot contain `:`; a password belongs in the file that `password-file` names".to_owned())
        }
        Some(c) => Err(format!("a user name cannot contain `{}`", c.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass() {
        for name in ["a", "file-backup", "www.example.org", "Ж_1+2", "文件", "9"] {
            assert_eq!(check_alias(name), Ok(()), "{name}");
        }
        assert_eq!(check_alias(&"x".repeat(100)), Ok(()));
    }

    #[test]
    fn what_is_unsafe_on_the_daemon_is_refused() {
        let long = "x".repeat(101);
        for name in ["", ".", "..", ".a", "-a", "a/b", "a*", "a?", "[a]", "a b", "a\n", "a\\", "a@b", "a:b", &long] {
            assert!(check(name).is_err(), "{name}");
        }
        assert_eq!(check("history-backup"), Ok(()));
        assert!(check_alias("history-backup").is_err());
    }

    #[test]
    fn users_cannot_change_the_address() {
        assert!(check_user("backup user").is_ok());
        for user in ["", "a@b", "a:b", "a/b", "a\tb"] {
            assert!(check_user(user).is_err(), "{user}");
        }
    }
}
