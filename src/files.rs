//! Files in places where somebody else could have put something else first.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Options by which nothing else is opened than what has the name: no link leads elsewhere, and nothing is waited for.
pub fn guarded(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed())
}

/// Whether it could not be opened so because it is a symbolic link.
#[must_use]
pub fn is_link(e: &io::Error) -> bool {
    Errno::from_io_error(e) == Some(Errno::LOOP)
}

/// That what was opened belongs neither to this user nor to root.
///
/// # Errors
/// Whose it is.
pub fn check_owner(meta: &Metadata) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() == me || meta.uid() == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("belongs to user {}, not to this user ({me})", meta.uid())))
}
