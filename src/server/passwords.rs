//! The passwords of a server's users: the file that the daemon reads, and the ones that clients read. Pure but for
//! [`fresh`].

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// What a password is made of. The number of characters is a power of two, so that each is as likely as any other.
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
/// How many of them: 6 bits each, 192 bits in all.
const LENGTH: usize = 32;
/// What rsync reads of a password at most, in bytes: its buffer has 512, and one of them ends the text.
const LONGEST: usize = 511;

/// Passwords that are in documentation, and so in every list of those who try.
const WELL_KNOWN: [&str; 14] = [
    "Ki13W@yYZvbJ",
    "rsync",
    "password",
    "passwd",
    "secret",
    "123456",
    "12345678",
    "123456789",
    "admin",
    "root",
    "backup",
    "change-me",
    "changeme",
    "test",
];
/// A shorter one can be found by trying.
const SHORT: usize = 12;

/// A new password, from the kernel's random numbers.
///
/// # Errors
/// When the kernel gives none.
pub fn fresh() -> io::Result<String> {
    let mut bytes = [0_u8; LENGTH];
    let mut filled = 0;
    while filled < LENGTH {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 64)])).collect())
}

/// The password of a user in a secrets file, as the daemon finds it: the first line that begins with the name.
#[must_use]
pub fn of_user<'a>(secrets: &'a str, user: &str) -> Option<&'a str> {
    let lines = secrets.lines().filter_map(|line| line.strip_prefix(user)?.strip_prefix(':'));
    lines.map(|password| password.trim_end_matches('\r')).find(|password| !password.is_empty())
}

/// The password in a client's file: its first line.
#[must_use]
pub fn of_client(text: &str) -> Option<&str> {
    text.split(['\n', '\r']).next().filter(|password| !password.is_empty())
}

/// The secrets file with these users in it. What else an older one has, such as other users, stays.
#[must_use]
pub fn secrets(old: &str, users: &[(String, String)]) -> String {
    let is_ours = |line: &&str| {
        let user = line.split(':').next().unwrap_or_default();
        line.contains(':') && users.iter().any(|(name, _)| name == user)
    };
    let kept = old.lines().filter(|line| !is_ours(line));
    let kept = kept.filter(|line| !line.starts_with("# Written by `sersync ") && !line.is_empty());
    let ours = users.iter().map(|(user, password)| format!("{user}:{password}"));
    kept.map(str::to_owned).chain(ours).flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// Whether a password can stand in these files.
///
/// # Errors
/// Why it cannot; the password is no part of it.
pub fn check(password: &str) -> Result<(), String> {
    if password.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    if password.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    Ok(())
}

/// What is wrong with a password that works; it is no part of the words.
#[must_use]
pub fn weakness(user: &str, password: &str) -> Option<&'static str> {
    let is = |known: &str| known.eq_ignore_ascii_case(password);
    if WELL_KNOWN.into_iter().any(is) || is(user) {
        Some("is well known")
    } else if password.len() < SHORT {
        Some("is so short that it can be found by trying")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_passwords_are_long_and_never_the_same() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        assert!(one.len() == LENGTH && one != two && weakness("rsync", &one).is_none() && check(&one).is_ok());
    }

    #[test]
    fn users_are_found_and_added_and_the_rest_stays() {
        let old = "# Written by `sersync gen-rsyncd-conf`, sum x\nother:a\nrsync:old\nrsync2:b\n";
        assert_eq!(
            (of_user(old, "rsync"), of_user(old, "rs"), of_user("rsync:\n", "rsync")),
            (Some("old"), None, None)
        );
        assert_eq!((of_client("pw\nmore"), of_client("\n"), of_client("")), (Some("pw"), None, None));
        let new = secrets(old, &[("rsync".to_owned(), "new".to_owned())]);
        assert_eq!(new, "other:a\nrsync2:b\nrsync:new\n");
        assert_eq!(secrets(&new, &[("rsync".to_owned(), "new".to_owned())]), new);
    }

    #[test]
    fn what_everybody_knows_is_weak() {
        for password in ["Ki13W@yYZvbJ", "RSYNC", "me", "123456", "eleven-char"] {
            assert!(weakness("me", password).is_some(), "{password}");
        }
        assert!(
            check("a\nb").is_err() && check(&"x".repeat(LONGEST + 1)).is_err() && check(&"x".repeat(LONGEST)).is_ok()
        );
    }
}
