//! What a storm consists of: random changes, chosen by a seed alone, and how each is made.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, XattrFlags};

use crate::support::{fixture, is_root, let_pass, syscalls};

/// A small generator of numbers that is the same everywhere (`SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    /// A path of one to four names out of few, so that they meet often.
    fn path(&mut self, root: &Path) -> PathBuf {
        const NAMES: [&str; 8] = ["a", "b", "c", "d", "#e#", "f\ng", "-h", "i[1]*"];
        let depth = 1 + self.below(4);
        (0..depth).fold(root.to_owned(), |path, _| path.join(NAMES[self.below(NAMES.len())]))
    }

    /// The same, and now and then with a name at its end that is hard to handle, or as long as a name can be.
    fn hostile_path(&mut self, root: &Path) -> PathBuf {
        let path = self.path(root);
        if self.below(10) > 0 {
            return path;
        }
        let names = fixture::hostile_names();
        path.join(&names[self.below(names.len())])
    }
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    WriteInPieces,
    Append,
    Truncate,
    RewriteSameSize,
    ReplaceByRename,
    WriteByMapping,
    GiveNameToUnnamed,
    MakeDirectories,
    FillDirectory,
    RemoveFile,
    RemoveDirectory,
    RemoveTree,
    Rename,
    Exchange,
    MoveOut,
    MoveIn,
    HardLink,
    SymbolicLink,
    BecomeAnotherType,
    Copy,
    CopyTree,
    ChangeMode,
    ChangeOwner,
    ChangeTime,
    ChangeXattr,
}

/// How often each is chosen.
const ALL: &[(Kind, usize)] = &[
    (Kind::Write, 16),
    (Kind::WriteInPieces, 4),
    (Kind::Append, 4),
    (Kind::Truncate, 3),
    (Kind::RewriteSameSize, 4),
    (Kind::ReplaceByRename, 6),
    (Kind::WriteByMapping, 3),
    (Kind::GiveNameToUnnamed, 3),
    (Kind::MakeDirectories, 6),
    (Kind::FillDirectory, 1),
    (Kind::RemoveFile, 4),
    (Kind::RemoveDirectory, 3),
    (Kind::RemoveTree, 4),
    (Kind::Rename, 14),
    (Kind::Exchange, 4),
    (Kind::MoveOut, 3),
    (Kind::MoveIn, 4),
    (Kind::HardLink, 4),
    (Kind::SymbolicLink, 4),
    (Kind::BecomeAnotherType, 5),
    (Kind::Copy, 4),
    (Kind::CopyTree, 2),
    (Kind::ChangeMode, 3),
    (Kind::ChangeOwner, 2),
    (Kind::ChangeTime, 3),
    (Kind::ChangeXattr, 2),
];

/// Those of which a history alone can tell what a tree was like.
const OF_CONTENT: &[(Kind, usize)] = &[
    (Kind::Write, 4),
    (Kind::Append, 1),
    (Kind::Truncate, 1),
    (Kind::RewriteSameSize, 1),
    (Kind::MakeDirectories, 1),
    (Kind::RemoveFile, 1),
    (Kind::RemoveDirectory, 1),
    (Kind::RemoveTree, 1),
    (Kind::Rename, 3),
    (Kind::SymbolicLink, 1),
    (Kind::Copy, 1),
    (Kind::MoveOut, 1),
    (Kind::Exchange, 1),
];

/// One change. Most of what can go wrong with it (nothing there, not empty, wrong type) is part of the storm.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) kind: Kind,
    one: PathBuf,
    two: PathBuf,
    size: usize,
    /// No two versions are the same, so that each can be looked for later.
    unique: Vec<u8>,
}

/// A change in the tree `root`; what is moved out of it goes to `outside`.
pub(super) fn choose(random: &mut Random, root: &Path) -> Change {
    let kind = kind_of(random, ALL);
    let (one, two) = (random.hostile_path(root), random.hostile_path(root));
    Change { kind, one, two, size: random.below(9000), unique: unique(random) }
}

/// Makes one random change, but none that is only about attributes.
pub(crate) fn change_of_content(random: &mut Random, root: &Path, outside: &Path) {
    let kind = kind_of(random, OF_CONTENT);
    let (one, two) = (random.path(root), random.path(root));
    Change { kind, one, two, size: random.below(9000), unique: unique(random) }.make(outside);
}

fn kind_of(random: &mut Random, kinds: &[(Kind, usize)]) -> Kind {
    let mut at = random.below(kinds.iter().map(|(_, weight)| weight).sum());
    let chosen = kinds.iter().find(|(_, weight)| {
        let is_here = at < *weight;
        at = at.saturating_sub(*weight);
        is_here
    });
    chosen.unwrap().0
}

fn unique(random: &mut Random) -> Vec<u8> {
    format!("{} ", random.below(usize::MAX >> 1)).into_bytes()
}

impl Change {
    /// The paths at and below which something may be different after it.
    pub(super) fn touched(&self) -> Vec<PathBuf> {
        // What is written to a symbolic link is written to what it names, in the same directory.
        let behind = |path: &PathBuf| fs::read_link(path).ok().map(|target| path.with_file_name(target));
        let mut all = vec![self.one.clone(), self.two.clone(), self.one.with_file_name("new")];
        all.extend([&self.one, &self.two].into_iter().filter_map(behind));
        all
    }

    /// Makes it. Whether it was possible does not matter.
    pub(super) fn make(&self, outside: &Path) {
        let _ = self.try_to_make(outside);
    }

    fn try_to_make(&self, outside: &Path) -> io::Result<()> {
        let (one, two, size) = (&self.one, &self.two, self.size);
        match self.kind {
            Kind::MakeDirectories => fs::create_dir_all(one),
            Kind::FillDirectory => {
                fs::create_dir_all(one)?;
                let name = |number: usize| one.join(format!("{size} {number}"));
                (0..200)
                    .try_for_each(|number| fs::write(name(number), [&self.unique[..], &number.to_le_bytes()].concat()))
            }
            Kind::RemoveFile => fs::remove_file(one),
            Kind::RemoveDirectory => fs::remove_dir(one),
            Kind::RemoveTree => fs::remove_dir_all(one),
            Kind::Rename => fs::rename(one, two),
            Kind::Exchange => rustix::fs::renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE).map_err(Into::into),
            Kind::MoveOut => fs::rename(one, outside.join(size.to_string())),
            Kind::MoveIn => {
                let mut all: Vec<PathBuf> = fs::read_dir(outside)?.flatten().map(|entry| entry.path()).collect();
                all.sort();
                let chosen = all.len().checked_sub(1).map(|last| &all[size % (last + 1)]);
                chosen.map_or(Ok(()), |chosen| fs::rename(chosen, one))
            }
            Kind::HardLink => fs::hard_link(one, two),
            Kind::SymbolicLink => symlink(size.to_string(), one),
            Kind::BecomeAnotherType => self.become_another_type(),
            Kind::Copy => copy(one, two),
            Kind::CopyTree => copy_tree(one, two),
            Kind::ChangeMode | Kind::ChangeOwner | Kind::ChangeTime | Kind::ChangeXattr => self.change_attribute(),
            _ => self.write(),
        }
    }

    /// No other file has this content.
    fn content(&self) -> Vec<u8> {
        [self.unique.as_slice(), &vec![b'x'; self.size]].concat()
    }

    /// The kinds that change what is in a file.
    fn write(&self) -> io::Result<()> {
        let (one, size) = (&self.one, self.size);
        match self.kind {
            Kind::WriteInPieces => {
                make_parent(one)?;
                let mut file = create(one)?;
                for piece in self.content().chunks(1 + size / 5) {
                    file.write_all(piece)?;
                    let_pass(Duration::from_millis(1));
                }
                Ok(())
            }
            Kind::Append => open(one)?.metadata().and_then(|meta| open(one)?.write_all_at(&self.unique, meta.len())),
            Kind::Truncate => open(one)?.set_len(size as u64 / 3),
            Kind::RewriteSameSize => open(one)?.write_all_at(&self.unique, 0),
            Kind::ReplaceByRename => {
                let new = one.with_file_name("new");
                create(&new)?.write_all(&self.content())?;
                fs::rename(new, one)
            }
            Kind::WriteByMapping => syscalls::write_by_mapping(&open(one)?, &self.unique),
            Kind::GiveNameToUnnamed => give_name_to_unnamed(one, &self.content()),
            _ => {
                make_parent(one)?;
                create(one)?.write_all(&self.content())
            }
        }
    }

    /// The kinds that change what else is known of it; of a file with several names none: whose version it is cannot be told.
    fn change_attribute(&self) -> io::Result<()> {
        let (one, size) = (&self.one, self.size);
        if has_other_names(one) {
            return Ok(());
        }
        match self.kind {
            Kind::ChangeMode if one.is_symlink() => Ok(()),
            Kind::ChangeMode => {
                let mode = 0o700 | u32::try_from(size).unwrap() & 0o077;
                fs::set_permissions(one, PermissionsExt::from_mode(mode))
            }
            Kind::ChangeOwner if !is_root() => Ok(()),
            Kind::ChangeOwner => {
                let id = u32::try_from(size).ok();
                lchown(one, id, id)
            }
            Kind::ChangeTime => {
                let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + size as u64, 5);
                let open = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(one)?;
                open.set_times(FileTimes::new().set_modified(time))
            }
            _ => rustix::fs::lsetxattr(one, "user.storm", &self.unique, XattrFlags::empty()).map_err(Into::into),
        }
    }

    fn become_another_type(&self) -> io::Result<()> {
        let (one, content) = (&self.one, self.content());
        if fs::symlink_metadata(one)?.is_dir() {
            fs::remove_dir_all(one)?;
        } else {
            fs::remove_file(one)?;
        }
        match self.size % 4 {
            0 => fs::create_dir(one).and_then(|()| fs::write(one.join("inside"), content)),
            1 => symlink(self.size.to_string(), one),
            2 => {
                fixture::fifo(one);
                Ok(())
            }
            _ => fs::write(one, content),
        }
    }
}

/// A fifo must not make the storm wait.
const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Whether this, or what a symbolic link leads to, is no directory and has several names. What is changed through one of them is
/// not seen under the others (README, limits), so the storm changes none in place.
fn has_other_names(path: &Path) -> bool {
    let several = |meta: io::Result<fs::Metadata>| meta.is_ok_and(|meta| !meta.is_dir() && meta.nlink() > 1);
    several(fs::metadata(path)) || several(fs::symlink_metadata(path))
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(path)?;
    if has_other_names(path) || !file.metadata()?.is_file() {
        Err(io::ErrorKind::InvalidInput.into())
    } else {
        Ok(file)
    }
}

fn create(path: &Path) -> io::Result<File> {
    if has_other_names(path) {
        fs::remove_file(path)?;
    }
    OpenOptions::new().write(true).create(true).truncate(true).custom_flags(NONBLOCK).open(path)
}

fn make_parent(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::metadata(from)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let content = fs::read(from)?;
    create(to)?.write_all(&content)
}

/// As `cp -r` does: a directory, then what is in it.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    if to.starts_with(from) || to.as_os_str().len() > 2000 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        let _ = if entry.file_type()?.is_dir() { copy_tree(&path, &copied) } else { copy(&path, &copied) };
    }
    Ok(())
}

/// `O_TMPFILE` and `linkat`: the file is whole when it gets its name.
fn give_name_to_unnamed(path: &Path, content: &[u8]) -> io::Result<()> {
    make_parent(path)?;
    let dir = path.parent().unwrap();
    let file = rustix::fs::openat(CWD, dir, OFlags::TMPFILE | OFlags::WRONLY, Mode::from_bits_retain(0o644))?;
    let mut file = File::from(file);
    file.write_all(content)?;
    let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::fs::linkat(CWD, by_descriptor.as_str(), CWD, path.as_os_str().as_bytes(), AtFlags::SYMLINK_FOLLOW)
        .map_err(Into::into)
}
