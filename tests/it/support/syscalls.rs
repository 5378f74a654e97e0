//! System calls that no safe interface here has, each in a function of its own.
#![allow(unsafe_code, reason = "each block is one system call, with its reason")]

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

/// Writes these bytes to the start of a file through a mapping, which no event source sees but by the file's end.
pub(crate) fn write_by_mapping(file: &File, bytes: &[u8]) -> io::Result<()> {
    let (size, access) = (bytes.len(), libc::PROT_READ | libc::PROT_WRITE);
    if file.metadata()?.len() < size as u64 || size == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a new mapping at a place that the kernel chooses; the descriptor is open.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has this size, is not the source, and nobody cuts the file, which is at least as long.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), size) };
    // SAFETY: it was mapped above, with this size, and nothing refers to it any more.
    let unmapped = unsafe { libc::munmap(place, size) };
    if unmapped == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the end of a connection be a reset, for the other side to see.
pub(crate) fn reset_at_the_end(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of::<libc::linger>()).expect("a small size");
    // SAFETY: the kernel reads as many bytes as `linger` has, which lives until then.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            size,
        )
    };
}
