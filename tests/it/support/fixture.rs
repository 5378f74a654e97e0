//! Source trees with everything that a mirror has to get right, and the small tools that they are made with.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use super::is_root;

/// A number that is nobody's: names must not come into it.
const OTHER_UID: u32 = 12_345;
const OTHER_GID: u32 = 54_321;

/// Directories, files, links and special files in and below `root`, which is created when it is absent. Every entry has
/// an mtime with nanoseconds, and some have odd modes and, where the tests may give files away, owners.
pub(crate) fn small_tree(root: &Path) {
    let at = |name: &str| root.join(name);
    for dir in ["a/b/c/d", "a/sibling", "empty", "empty/too", "modes", "links", "special"] {
        fs::create_dir_all(at(dir)).expect("a directory");
    }
    for (name, size) in
        [("zero", 0), ("one", 1), ("a/b/block", 4096), ("a/b/c/odd", 70_001), ("a/b/c/d/large", 3 << 20)]
    {
        fs::write(at(name), bytes(size)).expect("a file");
    }
    for (name, target) in [
        ("links/relative", "../one"),
        ("links/absolute", "/etc/hostname"),
        ("links/dangling", "no/such/file"),
        ("links/to-directory", "../a"),
        ("links/upwards", "../../../outside"),
        ("links/itself", "itself"),
    ] {
        symlink(target, at(name)).expect("a symbolic link");
    }
    for name in ["links/hard-1", "a/sibling/hard-2"] {
        fs::hard_link(at("a/b/block"), at(name)).expect("a hard link");
    }
    fifo(&at("special/fifo"));
    socket(&at("special/socket"));

    if is_root() {
        fs::write(at("owned"), "given away\n").expect("a file");
        for name in ["owned", "links/dangling", "empty/too", "special/fifo"] {
            lchown(at(name), Some(OTHER_UID), Some(OTHER_GID)).expect("lchown");
        }
    }
    // After the owners: giving a file away takes the setuid bit from it.
    for mode in [0o400, 0o444, 0o600, 0o640, 0o755, 0o1644, 0o2755, 0o4755, 0o6711, 0o777] {
        let name = at(&format!("modes/{mode:04o}"));
        fs::write(&name, format!("{mode:o}\n")).expect("a file");
        self::mode(&name, mode);
    }
    for (name, mode) in [("empty", 0o1777), ("empty/too", 0o2750), ("a/sibling", 0o700), ("special/fifo", 0o620)] {
        self::mode(&at(name), mode);
    }
    age(root);
}

/// In and below `root`: a file, a directory with a file, and a symbolic link for every name of [`hostile_names`].
/// The files are in `root` itself, where an argument that is not quoted would do the most harm.
pub(crate) fn hostile_tree(root: &Path) {
    for dir in ["directories", "links"] {
        fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    for (n, name) in hostile_names().into_iter().enumerate() {
        let dir = root.join("directories").join(&name);
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join(&name), format!("file {n} in its directory\n")).expect("a file");
        fs::write(root.join(&name), format!("file {n}\n")).expect("a file");
        symlink(&name, root.join("links").join(&name)).expect("a symbolic link");
    }
    age(root);
}

/// White space and line ends.
const SPACES: &[&str] = &["new\nline", "\n", "ta\tb", " leading", "trailing ", " ", "carriage\rreturn", "two  spaces"];
/// Options, comments and rules of the files that rsync reads.
const OPTIONS: &[&str] =
    &["-", "--", "-x", "--delete", "--backup-dir=x", "#", "#x#", ";", ";x", "+ x", "- x", "!", ". x", ": x", "_"];
/// Patterns, and what they would match.
const PATTERNS: &[&str] =
    &["*", "**", "***", "?", "a*b", "axb", "a?b", "[a]", "[!a]", "[^a]", "[", "]", "[a", "t[1]", "t1", "a", "a\\*b"];
/// Backslashes, and rsync's own notation for unprintable bytes.
const BACKSLASHES: &[&str] = &["\\", "back\\slash", "ends\\", "\\#012", "\\n", "%s", "%n%f"];
/// Shells.
const SHELLS: &[&str] =
    &["{a,b}", "'", "\"", "it's", "say \"x\"", "$(x)", "${x}", "$x", "`x`", "&", "|", "x;y", "<x>", "~", "~root", "!x"];
/// Remote paths and addresses.
const REMOTES: &[&str] = &[":", "::", "host:x", "host::mod", "rsync:", "user@host", "user@host::mod", "[::1]", "C:"];
/// Hidden names, and the kind that rsync gives its temporary files.
const HIDDEN: &[&str] = &[".hidden", "...", "..x", ".x.AbCdEf", ".~tmp~", "x~"];
/// Other writing: precomposed and combining, right to left, emoji, Chinese, and what a terminal would obey.
const WRITING: &[&str] = &[
    "\u{fc}",
    "u\u{308}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{1f980}",
    "\u{5907}\u{4efd}\u{6587}\u{4ef6}",
    "\u{1b}[31mred",
    "\u{7}",
    "\u{7f}",
    "\u{202e}txt",
];

/// File names that shells, rsync's options, its filter rules, its lists of files, its remote paths or its daemon's
/// globbing read as something else than a name, and names that are hard to show.
pub(crate) fn hostile_names() -> Vec<OsString> {
    let groups = [SPACES, OPTIONS, PATTERNS, BACKSLASHES, SHELLS, REMOTES, HIDDEN, WRITING];
    let mut names: Vec<Vec<u8>> = groups.concat().into_iter().map(|name| name.as_bytes().to_vec()).collect();
    // Not UTF-8: never valid, Latin-1, the start of a sequence without its end, an overlong slash.
    names.extend([&b"\xff\xfe"[..], b"caf\xe9", b"cut\xe5\xa4", b"\xc0\xaf", b"\x01\x80"].map(<[u8]>::to_vec));
    // As long as a name can be: of one-byte and of three-byte characters, and one that is all pattern.
    names.extend(["x", "\u{957f}", "*"].map(|unit| unit.repeat(255 / unit.len()).into_bytes()));
    names.into_iter().map(OsString::from_vec).collect()
}

/// Bytes that do not repeat soon, so that a misplaced block shows.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        // Xorshift: any sequence will do, so long as it is the same every time.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Sets the permissions, with setuid, setgid and sticky.
pub(crate) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// Sets the time of the last change, of a symbolic link itself too.
pub(crate) fn mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
}

/// Creates a named pipe.
pub(crate) fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a fifo");
}

/// Creates a socket that nobody listens on.
pub(crate) fn socket(path: &Path) {
    mknodat(CWD, path, FileType::Socket, Mode::from_raw_mode(0o755), 0).expect("a socket");
}

/// Creates a character device. False where the tests may not do that: as an ordinary user, in most containers.
pub(crate) fn device(path: &Path, major: u32, minor: u32) -> bool {
    let device = rustix::fs::makedev(major, minor);
    mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), device).is_ok()
}

/// Gives everything in the tree an mtime of its own, years ago and with nanoseconds.
pub(crate) fn age(root: &Path) {
    // The content before its directory: walking the one must not change the other.
    for (n, entry) in walkdir::WalkDir::new(root).contents_first(true).sort_by_file_name().into_iter().enumerate() {
        let entry = entry.expect("an entry");
        let inode = entry.metadata().expect("its metadata");
        // The names of a hard link share one mtime, and the last one would win.
        if inode.is_dir() || inode.nlink() == 1 {
            let n = i64::try_from(n).expect("a small number");
            mtime(entry.path(), 1_500_000_000 + n * 86_400, 123_456_789 + n);
        }
    }
}
