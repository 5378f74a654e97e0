//! Limits of the kernel that are raised: as a drop-in for the next start, and at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::boot::{Boot, OURS};
use super::inside::resolve;

/// A limit that should be at least so high.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, as `sysctl` knows it.
    pub key: &'static str,
    /// The value.
    pub value: u64,
}

/// Where the drop-in is.
///
/// # Errors
/// When links lead round in a circle.
pub fn place(root: &Path) -> io::Result<PathBuf> {
    Ok(resolve(root, Path::new("/etc/sysctl.d"))?.join(OURS))
}

/// The file of a limit.
///
/// # Errors
/// When links lead round in a circle.
pub fn file(root: &Path, key: &str) -> io::Result<PathBuf> {
    resolve(root, &Path::new("/proc/sys").join(key.replace('.', "/")))
}

/// The text of the drop-in, without the line that says who has written it. What an older one of ours has raised stays at
/// least as high, and so does what files set that are read before it.
#[must_use]
pub fn drop_in(wanted: &[Wanted], old: &str, boot: &Boot) -> String {
    let old = old.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        Some((key.trim(), value.trim().parse().ok()?))
    });
    let mut values: BTreeMap<&str, u64> = old.collect();
    for Wanted { key, value } in wanted {
        let entry = values.entry(key).or_default();
        *entry = (*entry).max(*value);
    }
    for (key, value) in &mut values {
        *value = (*value).max(boot.floor(key));
    }
    let mut text = String::from("# What the sources of sersync need; see `sersync check-kernel`.\n");
    for (key, value) in values {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// Raises a limit at once, unless it is as high already; whether that was necessary.
///
/// # Errors
/// When the kernel does not allow it.
pub fn raise(root: &Path, wanted: &Wanted) -> io::Result<bool> {
    let file = file(root, wanted.key)?;
    let now: u64 = fs::read_to_string(&file)?.trim().parse().unwrap_or_default();
    if now >= wanted.value {
        return Ok(false);
    }
    fs::write(&file, format!("{}\n", wanted.value))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ever_lowered() {
        let wanted = [Wanted { key: "fs.inotify.max_user_watches", value: 131_072 }];
        let boot = Boot::default();
        let first = drop_in(&wanted, "", &boot);
        assert!(first.ends_with("fs.inotify.max_user_watches = 131072\n"), "{first}");
        assert_eq!(drop_in(&[], &first, &boot), first);
        let higher = first.replace("131072", "999999");
        assert_eq!(drop_in(&wanted, &higher, &boot), higher);
    }

    #[test]
    fn a_higher_value_stays_and_a_lower_one_is_raised() {
        let root = tempfile::tempdir().unwrap();
        let file = file(root.path(), "fs.inotify.max_user_watches").unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        for (before, raised, after) in [("8192\n", true, "131072\n"), ("500000\n", false, "500000\n")] {
            fs::write(&file, before).unwrap();
            let wanted = Wanted { key: "fs.inotify.max_user_watches", value: 131_072 };
            assert_eq!(raise(root.path(), &wanted).unwrap(), raised);
            assert_eq!(fs::read_to_string(&file).unwrap(), after);
        }
    }
}
