//! Files that were opened without a name (`O_TMPFILE`) and got one later by linkat(2). What is written to such a file
//! through the old descriptor is reported with the name that it never had: `#` and the number of its inode, in the
//! directory in which it was opened (`d_mark_tmpfile` in fs/dcache.c).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use super::what::What;

/// The number of the inode that this name may stand for, if what happened may have happened to a file without a name.
pub(super) fn inode(name: &OsStr, what: What) -> Option<u64> {
    // What was created, moved or removed under this name had it.
    let had_it = what.is_dir() || what.arrived() || what.left();
    let number = name.to_str()?.strip_prefix('#').filter(|_| !had_it)?;
    number.parse().ok().filter(|inode: &u64| inode.to_string() == number)
}

/// The name in this directory of what was reported under a name that stands for an inode; nothing when it has none there.
pub(super) fn name_of(dir: &Path, inode: u64, reported: &OsStr) -> Option<OsString> {
    if fs::symlink_metadata(dir.join(reported)).is_ok() {
        return Some(reported.to_owned());
    }
    // A directory that cannot be read any more is told of by other events.
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    entries.into_iter().find(|entry| entry.ino() == inode).map(|entry| entry.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_of_an_inode_stands_for_a_file_without_a_name() {
        let (written, created) = (What(What::MODIFY), What(What::CREATE | What::MODIFY));
        for (name, expected) in
            [("#12", Some(12)), ("#", None), ("#012", None), ("12", None), ("#+1", None), ("#e#", None)]
        {
            assert_eq!(inode(OsStr::new(name), written), expected, "{name}");
            assert_eq!(inode(OsStr::new(name), created), None, "{name}");
        }
    }

    #[test]
    fn it_is_found_by_its_inode_unless_a_file_really_has_that_name() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("named"), "").unwrap();
        let inode = fs::metadata(dir.path().join("named")).unwrap().ino();
        let reported = OsString::from(format!("#{inode}"));
        assert_eq!(name_of(dir.path(), inode, &reported), Some("named".into()));
        assert_eq!(name_of(dir.path(), inode + 1, OsStr::new("#1")), None);
        fs::write(dir.path().join(&reported), "").unwrap();
        assert_eq!(name_of(dir.path(), inode, &reported), Some(reported));
    }
}
