//! The system calls of fanotify and of file handles: thin wrappers, since rustix has none for them.
#![allow(unsafe_code, reason = "each block is one system call, with its reason")]

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;

/// What is reported: every change of a name or of content, and of attributes; of directories too.
const EVENTS: u64 =
    libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB | libc::FAN_ONDIR;
/// Renames, each as one event.
const RENAMES: u64 = libc::FAN_RENAME;
/// The same as two, before Linux 5.17.
const HALVES: u64 = libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO;

/// The longest handle of a file, in bytes.
const LONGEST_HANDLE: usize = libc::MAX_HANDLE_SZ as usize;

/// A `struct file_handle` with room for any handle.
#[repr(C, align(8))]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; LONGEST_HANDLE],
}

fn result(value: libc::c_int) -> Result<libc::c_int, Errno> {
    if value >= 0 {
        return Ok(value);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

fn owned(fd: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A group whose events name the directory and the entry. It needs Linux 5.9 and, for whole file systems, privileges.
pub(super) fn init() -> Result<OwnedFd, Errno> {
    let flags = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_DFID_NAME;
    let opened_with = (libc::O_RDONLY | libc::O_CLOEXEC).unsigned_abs();
    // SAFETY: only numbers are handed over.
    result(unsafe { libc::fanotify_init(flags, opened_with) }).map(owned)
}

/// Reports the events of the whole file system that the directory is on. What is marked already stays so.
pub(super) fn mark_filesystem(group: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
    let mark = |events| {
        // SAFETY: both descriptors are open, and without a path the second one itself is meant.
        result(unsafe { libc::fanotify_mark(group.as_raw_fd(), flags, events, dir.as_raw_fd(), ptr::null()) }).map(drop)
    };
    match mark(EVENTS | RENAMES) {
        Err(Errno::INVAL) => mark(EVENTS | HALVES),
        result => result,
    }
}

/// The number of the file system that an open directory is on.
pub(super) fn file_system(dir: BorrowedFd<'_>) -> Result<[u8; 8], Errno> {
    let mut stat = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the structure is the kernel's own, and zeros are valid in it.
    result(unsafe { libc::fstatfs(dir.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: it is filled in now; the number is two integers of 32 bits, and any bytes are valid as bytes.
    Ok(unsafe { ptr::from_ref(&stat.assume_init_ref().f_fsid).cast::<[u8; 8]>().read() })
}

/// The handle of an open directory: its kind, and its bytes.
pub(super) fn handle_of(dir: BorrowedFd<'_>) -> Result<(i32, Vec<u8>), Errno> {
    let length = u32::try_from(LONGEST_HANDLE).unwrap_or_default();
    let mut handle = FileHandle { length, kind: 0, bytes: [0; LONGEST_HANDLE] };
    let (mut mount, flags) = (0, libc::AT_EMPTY_PATH);
    let place = ptr::from_mut(&mut handle).cast();
    // SAFETY: the path is a string; the handle has the kernel's layout, and as much room as its length says.
    result(unsafe { libc::name_to_handle_at(dir.as_raw_fd(), c"".as_ptr(), place, &raw mut mount, flags) })?;
    let length = usize::try_from(handle.length).map_or(LONGEST_HANDLE, |length| length.min(LONGEST_HANDLE));
    Ok((handle.kind, handle.bytes[..length].to_vec()))
}

/// Opens the directory with this handle, on the file system that `mount` is on, only to ask where it is.
pub(super) fn open_by_handle(mount: BorrowedFd<'_>, kind: i32, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let length = u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
    let mut handle = FileHandle { length, kind, bytes: [0; LONGEST_HANDLE] };
    handle.bytes.get_mut(..bytes.len()).ok_or(Errno::INVAL)?.copy_from_slice(bytes);
    let place = ptr::from_mut(&mut handle).cast();
    // SAFETY: the handle has the kernel's layout, and as many bytes as its length says.
    result(unsafe { libc::open_by_handle_at(mount.as_raw_fd(), place, libc::O_PATH | libc::O_CLOEXEC) }).map(owned)
}
