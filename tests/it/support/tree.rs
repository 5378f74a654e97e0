//! Compares two directory trees entry by entry, without rsync: what rsync believes is what the tests have to check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::holds_within;

/// How many differences are told apart; the rest is only counted.
const LISTED: usize = 30;

/// Files below this size are remembered as they are, larger ones by their hash.
const REMEMBERED: u64 = 1 << 20;

/// A tree: every entry by its path below the root. The root itself is `.`.
pub(crate) type Snapshot = BTreeMap<OsString, Entry>;

/// Everything about one entry that a mirror has to reproduce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is, with what only such a thing has.
    pub(crate) kind: Kind,
    /// Permissions with setuid, setgid and sticky. A symbolic link has none.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// When it was changed: seconds and nanoseconds.
    pub(crate) mtime: (i64, i64),
    /// The first path, in the order of the snapshot, of the file that this is another hard link to.
    pub(crate) linked_to: Option<OsString>,
}

/// The types of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Content),
    Dir,
    Symlink(PathBuf),
    Fifo,
    Socket,
    BlockDevice(u64),
    CharDevice(u64),
}

/// What is in a file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Hashed { len: u64, hash: u64 },
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) if bytes.len() <= 40 => write!(f, "\"{}\"", bytes.escape_ascii()),
            Content::Bytes(bytes) => write!(f, "{} bytes \"{}...\"", bytes.len(), bytes[..40].escape_ascii()),
            Content::Hashed { len, hash } => write!(f, "{len} bytes with hash {hash:016x}"),
        }
    }
}

/// The tree as it is now.
pub(crate) fn snapshot(root: &Path) -> Snapshot {
    Comparer::new().snapshot(root)
}

/// How the two trees differ, readably and not endlessly; empty when they are the same.
pub(crate) fn diff(source: &Path, mirror: &Path) -> Vec<String> {
    Comparer::new().diff(source, mirror)
}

/// Panics with the differences when there are any.
#[track_caller]
pub(crate) fn assert_same(source: &Path, mirror: &Path) {
    Comparer::new().assert_same(source, mirror);
}

/// Waits until the trees are the same; panics with the differences that are left after `limit`.
#[track_caller]
pub(crate) fn wait_until_same(source: &Path, mirror: &Path, limit: Duration) {
    Comparer::new().wait_until_same(source, mirror, limit);
}

/// A comparison that leaves something out or looks at something more.
pub(crate) struct Comparer<'a> {
    ignored: Box<dyn Fn(&Path) -> bool + 'a>,
    hard_links: bool,
}

impl<'a> Comparer<'a> {
    /// Everything is compared but which files are hard links of one another.
    pub(crate) fn new() -> Self {
        Comparer { ignored: Box::new(|_| false), hard_links: false }
    }

    /// Leaves out the paths (relative to the root, which is `.`) for which this holds, with all that is below them; the
    /// root goes alone.
    pub(crate) fn ignore(mut self, ignored: impl Fn(&Path) -> bool + 'a) -> Self {
        self.ignored = Box::new(ignored);
        self
    }

    /// Also compares which files are hard links of one another.
    pub(crate) fn hard_links(mut self) -> Self {
        self.hard_links = true;
        self
    }

    /// The tree as it is now. What vanishes while it is read is left out.
    pub(crate) fn snapshot(&self, root: &Path) -> Snapshot {
        let mut entries = Snapshot::new();
        let mut inodes = HashMap::new();
        if let Some(metadata) = unless_gone(root, fs::symlink_metadata(root)) {
            self.visit(root, Path::new("."), &metadata, &mut entries, &mut inodes);
        }
        // The order in which directories are read differs from tree to tree, that of the snapshot does not.
        let mut first: HashMap<(u64, u64), OsString> = HashMap::new();
        for (path, entry) in &mut entries {
            if let Some(inode) = inodes.get(path) {
                entry.linked_to = first.get(inode).cloned();
                first.entry(*inode).or_insert_with(|| path.clone());
            }
        }
        entries
    }

    fn visit(
        &self,
        path: &Path,
        name: &Path,
        metadata: &Metadata,
        entries: &mut Snapshot,
        inodes: &mut HashMap<OsString, (u64, u64)>,
    ) {
        let ignored = (self.ignored)(name);
        if ignored && name != Path::new(".") {
            return;
        }
        if !ignored && let Some(entry) = unless_gone(path, entry(path, metadata)) {
            entries.insert(name.into(), entry);
            if self.hard_links && !metadata.is_dir() && metadata.nlink() > 1 {
                inodes.insert(name.into(), (metadata.dev(), metadata.ino()));
            }
        }
        if !metadata.is_dir() {
            return;
        }
        let Some(children) = unless_gone(path, fs::read_dir(path)) else { return };
        for child in children {
            let Some(child) = unless_gone(path, child) else { continue };
            let Some(metadata) = unless_gone(&child.path(), child.metadata()) else { continue };
            let below = if name == Path::new(".") { child.file_name().into() } else { name.join(child.file_name()) };
            self.visit(&child.path(), &below, &metadata, entries, inodes);
        }
    }

    /// How the two trees differ, readably and not endlessly; empty when they are the same.
    pub(crate) fn diff(&self, source: &Path, mirror: &Path) -> Vec<String> {
        diff_snapshots(&self.snapshot(source), &self.snapshot(mirror))
    }

    /// Panics with the differences when there are any.
    #[track_caller]
    pub(crate) fn assert_same(&self, source: &Path, mirror: &Path) {
        assert_none(source, mirror, &self.diff(source, mirror));
    }

    /// Waits until the trees are the same; panics with the differences that are left after `limit`.
    #[track_caller]
    pub(crate) fn wait_until_same(&self, source: &Path, mirror: &Path, limit: Duration) {
        let mut left = Vec::new();
        holds_within(limit, || {
            left = self.diff(source, mirror);
            left.is_empty()
        });
        assert_none(source, mirror, &left);
    }
}

/// How two snapshots differ; also for one tree at two times.
pub(crate) fn diff_snapshots(source: &Snapshot, mirror: &Snapshot) -> Vec<String> {
    let paths: BTreeSet<&OsString> = source.keys().chain(mirror.keys()).collect();
    let mut all = paths.into_iter().flat_map(|path| differences(path, source.get(path), mirror.get(path)));
    let mut listed: Vec<String> = all.by_ref().take(LISTED).collect();
    let more = all.count();
    if more > 0 {
        listed.push(format!("... and {more} more differences"));
    }
    listed
}

#[track_caller]
fn assert_none(source: &Path, mirror: &Path, differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} (left) and {} (right) differ:\n  {}",
        source.display(),
        mirror.display(),
        differences.join("\n  ")
    );
}

fn differences(path: &OsStr, source: Option<&Entry>, mirror: Option<&Entry>) -> Vec<String> {
    // In quotes and escaped: a name may hold anything.
    let path: &dyn fmt::Debug = &path;
    let (left, right) = match (source, mirror) {
        (Some(left), Some(right)) => (left, right),
        (Some(left), None) => return vec![format!("{path:?}: missing in the mirror: {:?}", left.kind)],
        (None, Some(right)) => return vec![format!("{path:?}: only in the mirror: {:?}", right.kind)],
        (None, None) => return Vec::new(),
    };
    let mut found = Vec::new();
    let mut compare = |what: &str, same: bool, left: &dyn fmt::Debug, right: &dyn fmt::Debug| {
        if !same {
            found.push(format!("{path:?}: {what}: {left:?} != {right:?}"));
        }
    };
    compare("kind or content", left.kind == right.kind, &left.kind, &right.kind);
    compare("mode", left.mode == right.mode, &Octal(left.mode), &Octal(right.mode));
    compare("uid", left.uid == right.uid, &left.uid, &right.uid);
    compare("gid", left.gid == right.gid, &left.gid, &right.gid);
    compare("mtime", left.mtime == right.mtime, &left.mtime, &right.mtime);
    compare("hard link to", left.linked_to == right.linked_to, &left.linked_to, &right.linked_to);
    found
}

struct Octal(u32);

impl fmt::Debug for Octal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

fn entry(path: &Path, metadata: &Metadata) -> io::Result<Entry> {
    let kind = match metadata.file_type() {
        t if t.is_file() => Kind::File(content(path)?),
        t if t.is_dir() => Kind::Dir,
        t if t.is_symlink() => Kind::Symlink(unmunged(fs::read_link(path)?)),
        t if t.is_fifo() => Kind::Fifo,
        t if t.is_socket() => Kind::Socket,
        t if t.is_block_device() => Kind::BlockDevice(metadata.rdev()),
        t if t.is_char_device() => Kind::CharDevice(metadata.rdev()),
        t => panic!("{}: a type of its own: {t:?}", path.display()),
    };
    let mode = if metadata.is_symlink() { 0 } else { metadata.mode() & 0o7777 };
    let mtime = (metadata.mtime(), metadata.mtime_nsec());
    Ok(Entry { kind, mode, uid: metadata.uid(), gid: metadata.gid(), mtime, linked_to: None })
}

fn content(path: &Path) -> io::Result<Content> {
    // The file may have become a fifo or a link since it was looked at: do not wait, do not follow.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let mut file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let mut next_chunk = || {
        let mut chunk = Vec::new();
        (&mut file).take(REMEMBERED).read_to_end(&mut chunk).map(|_| chunk)
    };
    let first = next_chunk()?;
    let mut len = first.len() as u64;
    if len < REMEMBERED {
        return Ok(Content::Bytes(first));
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&first);
    loop {
        let chunk = next_chunk()?;
        if chunk.is_empty() {
            return Ok(Content::Hashed { len, hash: hasher.finish() });
        }
        hasher.write(&chunk);
        len += chunk.len() as u64;
    }
}

/// Trees are compared while they change. What vanishes or becomes something else at the wrong moment is left out: the
/// next look will tell.
fn unless_gone<T>(path: &Path, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if Errno::from_io_error(&error).is_some_and(|errno| GONE.contains(&errno)) => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Nothing there any more; a file or directory on the way became something else; so did the last component, seen by
/// `read_dir` and `open` (a link: `LOOP`, a socket: `NXIO`) and by `read_link` (`INVAL`).
const GONE: [Errno; 6] = [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP, Errno::NXIO, Errno::INVAL];

/// A daemon without chroot stores links with this prefix, and takes it off when it sends them (rsyncd.conf(5), munge
/// symlinks).
fn unmunged(target: PathBuf) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    match target.as_os_str().as_bytes().strip_prefix(b"/rsyncd-munged/") {
        Some(original) => OsString::from_vec(original.to_vec()).into(),
        None => target,
    }
}
