//! The kernel's table of what is mounted where, as `/proc/self/mountinfo` has it. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Where the table is.
pub const TABLE: &str = "/proc/self/mountinfo";

/// What is mounted at a place.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which is given out again, and the device of its file system.
    pub identity: (OsString, OsString),
    /// Which directory of its file system is.
    pub root: PathBuf,
    /// Where it is.
    pub point: PathBuf,
    /// Whether nobody may write there.
    pub read_only: bool,
    /// The kind of file system.
    pub kind: String,
}

/// What the table says, in its order: of two at the same place the later one is seen (proc(5)).
pub fn mounts(text: &[u8]) -> impl Iterator<Item = Mount> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let number = field(fields.next()?);
        let identity = (number, field(fields.nth(1)?));
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let read_only = fields.next()?.split(|byte| *byte == b',').any(|option| option == b"ro");
        // Any number of optional fields ends with a dash.
        let kind = fields.skip_while(|field| *field != b"-").nth(1).unwrap_or_default();
        Some(Mount { identity, root, point, read_only, kind: String::from_utf8_lossy(kind).into_owned() })
    })
}

/// What is mounted below a directory, by the places relative to it.
#[must_use]
pub fn below(text: &[u8], root: &Path) -> BTreeMap<PathBuf, Mount> {
    let places = mounts(text).filter_map(|mount| Some((mount.point.strip_prefix(root).ok()?.to_owned(), mount)));
    places.filter(|(place, _)| !place.as_os_str().is_empty()).collect()
}

/// Which setting of a service manager hides what is really at `path`, and where: systemd mounts something else there for one
/// unit alone, and for that unit a file that everybody sees is not there.
#[must_use]
pub fn hidden_by(text: &[u8], path: &Path) -> Option<(PathBuf, &'static str)> {
    let above = mounts(text).filter(|mount| path.starts_with(&mount.point));
    let Mount { root, point, read_only, kind, .. } = above.max_by_key(|mount| mount.point.components().count())?;
    let has = |begin: &str| {
        let mut names = root.components().filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        names.any(|name| name.starts_with(begin))
    };
    let home = ["/home", "/root", "/run/user"].iter().any(|home| Path::new(home) == point);
    // Homes of a live system are in memory as well, but can be written to.
    let emptied = read_only && kind == "tmpfs";
    let setting = if has("systemd-private-") {
        "PrivateTmp=no"
    } else if home && (emptied || has("inaccessible")) {
        "ProtectHome=read-only"
    } else if has("inaccessible") {
        "InaccessiblePaths="
    } else {
        return None;
    };
    Some((point, setting))
}

fn field(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// A field, in which blanks and backslashes are written as octal numbers.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = rest;
        rest = tail;
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = escaped {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_and_kinds_are_read() {
        let text =
            b"22 1 0:21 / /a\\040b\\134c ro,noexec - tmpfs none rw\n23 1 0:22 /x /plain rw shared:1 - ext4 /dev/x rw\n";
        let mount = |identity: [&str; 2], root: &str, point: &str, read_only, kind: &str| Mount {
            identity: identity.map(OsString::from).into(),
            root: root.into(),
            point: point.into(),
            read_only,
            kind: kind.to_owned(),
        };
        assert_eq!(
            mounts(text).collect::<Vec<_>>(),
            [
                mount(["22", "0:21"], "/", "/a b\\c", true, "tmpfs"),
                mount(["23", "0:22"], "/x", "/plain", false, "ext4")
            ]
        );
    }

    #[test]
    fn below_a_directory_is_what_is_mounted_in_it_and_of_two_at_a_place_the_later_one() {
        let text = b"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /srv rw - ext4 b rw\n3 2 0:3 / /srv/x rw - ext4 c rw\n\
            4 1 0:4 / /srvs rw - ext4 d rw\n5 3 0:5 / /srv/x/y rw - ext4 e rw\n6 3 0:6 / /srv/x rw - tmpfs f rw\n";
        let below = below(text, Path::new("/srv"));
        let found: Vec<_> = below.iter().map(|(place, mount)| (place.to_str().unwrap(), &*mount.kind)).collect();
        assert_eq!(found, [("x", "tmpfs"), ("x/y", "ext4")]);
    }

    #[test]
    fn what_a_unit_does_not_see_is_told_from_what_is_not_there() {
        let text = b"1 0 0:1 / / rw - ext4 /dev/x rw\n\
            2 1 0:2 /tmp/systemd-private-1f2e-sersync-watch.service-a8Xk/tmp /tmp rw - ext4 /dev/x rw\n\
            3 1 0:3 / /tmp/real rw - ext4 /dev/y rw\n\
            4 1 0:4 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw\n\
            5 1 0:5 / /root ro,nosuid - tmpfs tmpfs rw\n\
            8 1 0:7 / /run/user rw,nosuid - tmpfs tmpfs rw\n\
            6 1 0:4 /systemd/inaccessible/dir /srv/secret ro - tmpfs tmpfs rw\n\
            7 1 0:6 / /mnt rw - tmpfs tmpfs rw\n";
        let hidden = |path: &str| hidden_by(text, Path::new(path));
        let by = |point: &str, setting| Some((PathBuf::from(point), setting));
        assert_eq!(hidden("/tmp/files"), by("/tmp", "PrivateTmp=no"));
        assert_eq!(hidden("/tmp"), by("/tmp", "PrivateTmp=no"));
        assert_eq!(hidden("/home/you/files"), by("/home", "ProtectHome=read-only"));
        assert_eq!(hidden("/root/files"), by("/root", "ProtectHome=read-only"));
        assert_eq!(hidden("/srv/secret"), by("/srv/secret", "InaccessiblePaths="));
        for seen in ["/tmp/real/files", "/tmpfiles", "/srv/files", "/mnt/files", "/run/user/files", "/"] {
            assert_eq!(hidden(seen), None, "{seen}");
        }
    }
}
