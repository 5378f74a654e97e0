//! What is set for a child between fork and exec: it is apart from the terminal, dies with its parent, and leaves nothing of its
//! memory behind.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

/// Gives the child a session of its own, so that it can neither ask for a password on the terminal nor get the
/// terminal's signals, and sends it `when_orphaned` when this process is killed, so that no orphan works on a mirror
/// beside the next run. Why rsync gets no kinder signal than SIGKILL: see [`Children::stop`](super::Children::stop).
#[allow(unsafe_code, reason = "pre_exec has no safe form")]
pub(crate) fn detach(command: &mut Command, when_orphaned: Signal) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            rustix::process::set_parent_process_death_signal(Some(when_orphaned))?;
            // The parent may have ended before the line above took effect.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::CANCELED.raw_os_error()));
            }
            Ok(())
        });
    }
}

/// An rsync that crashes leaves no image of its memory behind: the password is in it, and where it is run, the tree that is
/// mirrored, it would be sent to every target.
#[allow(unsafe_code, reason = "pre_exec has no safe form")]
pub(super) fn leave_no_core(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            let none = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
            setrlimit(Resource::Core, none).map_err(io::Error::from)
        });
    }
}
