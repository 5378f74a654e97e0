//! File systems: what is mounted where, and where changes cannot be seen. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// How well changes on a file system are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of them.
    Full,
    /// Only those that this host makes.
    OwnChanges,
    /// None.
    Nothing,
}

/// How well changes are seen on one of this type.
#[must_use]
pub(super) fn sight(kind: &str) -> Sight {
    const SHARED: [&str; 20] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "ceph",
        "lustre",
        "gpfs",
        "gfs",
        "gfs2",
        "ocfs2",
        "orangefs",
        "beegfs",
        "9p",
        "virtiofs",
        "vboxsf",
        "glusterfs",
        "davfs",
    ];
    const MADE_UP: [&str; 9] =
        ["proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "devpts", "bpf"];
    if MADE_UP.contains(&kind) {
        Sight::Nothing
    } else if SHARED.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.") {
        Sight::OwnChanges
    } else {
        Sight::Full
    }
}

/// The mounts of a table as the kernel writes it (proc(5), mountinfo): where, and which type. Later ones hide earlier ones.
#[must_use]
pub(super) fn mounts(table: &[u8]) -> Vec<(PathBuf, String)> {
    let line = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        let point = words.nth(4)?;
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        Some((PathBuf::from(OsString::from_vec(unescape(point))), String::from_utf8_lossy(kind).into_owned()))
    };
    table.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// The type of the file system on which a path is.
#[must_use]
pub(super) fn kind_of<'m>(mounts: &'m [(PathBuf, String)], path: &Path) -> Option<&'m str> {
    let above = mounts.iter().filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind.as_str())
}

/// How many mounts are below a path.
#[must_use]
pub(super) fn below(mounts: &[(PathBuf, String)], path: &Path) -> usize {
    mounts.iter().filter(|(point, _)| point != path && point.starts_with(path)).count()
}

/// The kernel writes a space as `\040`.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut at = 0;
    while let Some(byte) = word.get(at) {
        let octal = (*byte == b'\\').then(|| word.get(at + 1..at + 4)).flatten();
        let code = octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        30 22 0:25 / /data/nfs\\040share rw - nfs4 server:/x rw\n31 22 0:3 / /proc rw - proc proc rw\nrubbish\n";

    #[test]
    fn the_deepest_mount_above_a_path_decides() {
        let mounts = mounts(TABLE);
        assert_eq!(mounts.len(), 3);
        let kind = |path: &str| kind_of(&mounts, Path::new(path)).unwrap();
        assert_eq!([kind("/data"), kind("/data/nfs share/x"), kind("/data/nfs shared")], ["ext4", "nfs4", "ext4"]);
        assert_eq!((below(&mounts, Path::new("/data")), below(&mounts, Path::new("/data/nfs share"))), (1, 0));
        assert_eq!(
            [sight("ext4"), sight("nfs4"), sight("fuse.sshfs"), sight("proc")],
            [Sight::Full, Sight::OwnChanges, Sight::OwnChanges, Sight::Nothing]
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(table in prop::collection::vec(prop::sample::select(b"/ -\\0479\xffab\n".to_vec()), 0..80)) {
            let _ = mounts(&table);
        }
    }
}
