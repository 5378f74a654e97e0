//! What can happen to a tree, one scenario per kind of change: each has a state before and a change.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::fixture;
use crate::support::is_root;

/// A change to a tree. Both functions get a directory of their own that exists.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    before: fn(&Path),
    pub(crate) change: fn(&Path),
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn dir(path: &Path) {
    fs::create_dir_all(path).unwrap();
}

fn nothing(_: &Path) {}

/// A file and a directory with content.
fn file_and_dir(root: &Path) {
    put(&root.join("f"), "file");
    dir(&root.join("d/sub"));
    put(&root.join("d/x"), "x");
    put(&root.join("d/sub/y"), "y");
}

fn links(root: &Path) {
    file_and_dir(root);
    symlink("f", root.join("to-file")).unwrap();
    symlink("d", root.join("to-dir")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
}

/// All of them, each with its state before in a directory of its name.
pub(crate) fn prepared(root: &Path) -> Vec<Scenario> {
    let scenarios = all();
    for scenario in &scenarios {
        let dir = root.join(scenario.name);
        fs::create_dir(&dir).unwrap();
        (scenario.before)(&dir);
    }
    scenarios
}

/// All scenarios.
#[allow(clippy::too_many_lines, reason = "a table")]
fn all() -> Vec<Scenario> {
    macro_rules! scenario {
        ($name:ident, $before:expr, $change:expr) => {
            Scenario { name: stringify!($name), before: $before, change: $change }
        };
    }
    vec![
        scenario!(new_file, nothing, |r| put(&r.join("new"), "new")),
        scenario!(changed_file, file_and_dir, |r| put(&r.join("f"), "changed, and longer")),
        scenario!(truncated_file, file_and_dir, |r| put(&r.join("f"), "")),
        scenario!(truncated_by_path, file_and_dir, |r| {
            File::options().write(true).open(r.join("d/sub/y")).unwrap().set_len(0).unwrap();
        }),
        scenario!(appended_file, file_and_dir, |r| {
            File::options().append(true).open(r.join("f")).unwrap().write_all(b" and more").unwrap();
        }),
        scenario!(rewritten_in_the_same_second, |r| put(&r.join("f"), "aaaa"), |r| put(&r.join("f"), "bbbb")),
        scenario!(deleted_file, file_and_dir, |r| fs::remove_file(r.join("f")).unwrap()),
        scenario!(deleted_directory_with_content, file_and_dir, |r| fs::remove_dir_all(r.join("d")).unwrap()),
        scenario!(deleted_and_made_again, file_and_dir, |r| {
            fs::remove_dir_all(r.join("d")).unwrap();
            dir(&r.join("d"));
            put(&r.join("d/other"), "other");
        }),
        scenario!(renamed_file, file_and_dir, |r| fs::rename(r.join("f"), r.join("d/g")).unwrap()),
        scenario!(renamed_directory, file_and_dir, |r| fs::rename(r.join("d"), r.join("e")).unwrap()),
        scenario!(renamed_onto_a_file, file_and_dir, |r| fs::rename(r.join("f"), r.join("d/x")).unwrap()),
        scenario!(renamed_and_made_again_empty, file_and_dir, |r| {
            fs::rename(r.join("d"), r.join("old")).unwrap();
            dir(&r.join("d"));
        }),
        scenario!(renamed_twice_and_edited, file_and_dir, |r| {
            fs::rename(r.join("d"), r.join("e")).unwrap();
            put(&r.join("e/x"), "edited after the first move");
            fs::rename(r.join("e"), r.join("g")).unwrap();
            put(&r.join("g/sub/new"), "made after the second move");
        }),
        scenario!(
            renamed_onto_an_empty_directory,
            |r| {
                file_and_dir(r);
                dir(&r.join("empty"));
            },
            |r| {
                fs::rename(r.join("d"), r.join("empty")).unwrap();
                put(&r.join("empty/sub/after"), "after");
            }
        ),
        scenario!(
            exchanged_directories,
            |r| {
                file_and_dir(r);
                dir(&r.join("o/deep"));
                put(&r.join("o/deep/p"), "p");
            },
            |r| {
                let here = rustix::fs::CWD;
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(here, r.join("d"), here, r.join("o"), flags).unwrap();
                put(&r.join("d/deep/p"), "edited where it is now");
                put(&r.join("o/sub/y"), "this one too");
            }
        ),
        scenario!(file_becomes_directory, file_and_dir, |r| {
            fs::remove_file(r.join("f")).unwrap();
            dir(&r.join("f/g"));
            put(&r.join("f/g/h"), "h");
        }),
        scenario!(directory_becomes_file, file_and_dir, |r| {
            fs::remove_dir_all(r.join("d")).unwrap();
            put(&r.join("d"), "a file now");
        }),
        scenario!(file_becomes_symlink, file_and_dir, |r| {
            fs::remove_file(r.join("f")).unwrap();
            symlink("d/x", r.join("f")).unwrap();
        }),
        scenario!(directory_becomes_symlink, file_and_dir, |r| {
            fs::rename(r.join("d"), r.join("real")).unwrap();
            symlink("real", r.join("d")).unwrap();
            put(&r.join("real/sub/y"), "seen through the link as well");
        }),
        scenario!(symlink_becomes_file, links, |r| {
            fs::remove_file(r.join("to-file")).unwrap();
            put(&r.join("to-file"), "a file now");
        }),
        scenario!(symlink_becomes_directory, links, |r| {
            fs::remove_file(r.join("to-dir")).unwrap();
            dir(&r.join("to-dir/sub"));
            put(&r.join("to-dir/sub/y"), "a directory now");
        }),
        scenario!(symlink_changed, links, |r| {
            fs::remove_file(r.join("dangling")).unwrap();
            symlink("elsewhere", r.join("dangling")).unwrap();
        }),
        scenario!(empty_directories, nothing, |r| dir(&r.join("a/b/c"))),
        scenario!(emptied_directory, file_and_dir, |r| {
            fs::remove_file(r.join("d/x")).unwrap();
            fs::remove_dir_all(r.join("d/sub")).unwrap();
        }),
        scenario!(hostile_names_appear, nothing, |r| fixture::hostile_tree(r)),
        scenario!(hostile_names_vanish, |r| fixture::hostile_tree(r), |r| {
            for entry in fs::read_dir(r).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    fs::remove_dir_all(path).unwrap();
                } else {
                    fs::remove_file(path).unwrap();
                }
            }
        }),
        scenario!(hostile_names_change, |r| fixture::hostile_tree(r), |r| {
            for entry in walkdir::WalkDir::new(r).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
                File::options().append(true).open(entry.path()).unwrap().write_all(b"+").unwrap();
            }
        }),
        scenario!(mode_only, file_and_dir, |r| {
            fs::set_permissions(r.join("f"), PermissionsExt::from_mode(0o600)).unwrap();
            fs::set_permissions(r.join("d"), PermissionsExt::from_mode(0o2750)).unwrap();
        }),
        scenario!(owner_only, file_and_dir, |r| {
            if is_root() {
                std::os::unix::fs::chown(r.join("f"), Some(1234), Some(4321)).unwrap();
                std::os::unix::fs::lchown(r.join("d/sub"), Some(77), None).unwrap();
            }
        }),
        scenario!(mtime_only, file_and_dir, |r| {
            let time = SystemTime::UNIX_EPOCH + Duration::new(1_500_000_000, 123_456_789);
            for name in ["f", "d"] {
                File::open(r.join(name)).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
            }
        }),
        scenario!(directory_moved_in_with_content, nothing, |r| {
            // Made beside the directory that is looked at, then moved in as a whole.
            let outside = tempfile::tempdir().unwrap();
            fixture::small_tree(&outside.path().join("in"));
            fs::rename(outside.path().join("in"), r.join("in")).unwrap();
        }),
        scenario!(chain_of_directories_in_one_go, nothing, |r| {
            dir(&r.join("a/b/c/d"));
            put(&r.join("a/b/c/d/f"), "deep");
        }),
        scenario!(every_type_of_file, nothing, |r| fixture::small_tree(&r.join("t"))),
        scenario!(every_type_of_file_vanishes, |r| fixture::small_tree(&r.join("t")), |r| {
            fs::remove_dir_all(r.join("t")).unwrap();
        }),
        scenario!(hard_link, file_and_dir, |r| fs::hard_link(r.join("f"), r.join("d/linked")).unwrap()),
        scenario!(written_in_pieces, nothing, |r| {
            let mut file = File::create(r.join("slow")).unwrap();
            for piece in 0..20 {
                file.write_all(&[piece; 1000]).unwrap();
                file.sync_data().unwrap();
            }
        }),
        scenario!(unnamed_file_gets_a_name, nothing, |r| {
            use rustix::fs::{AtFlags, CWD, Mode, OFlags};
            let fd =
                rustix::fs::openat(CWD, r, OFlags::TMPFILE | OFlags::WRONLY, Mode::from_bits_retain(0o644)).unwrap();
            let mut file = File::from(fd);
            file.write_all(b"before").unwrap();
            let by_fd = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            rustix::fs::linkat(CWD, by_fd.as_str(), CWD, r.join("named"), AtFlags::SYMLINK_FOLLOW).unwrap();
        }),
    ]
}
