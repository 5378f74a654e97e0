//! What becomes of signals while nobody can take them: between two programs of one process.
#![allow(unsafe_code, reason = "rustix has nothing for the mask of a thread; the block is calls of the C library")]

use std::mem::MaybeUninit;
use std::ptr;

/// From now on this thread takes no SIGINT, SIGTERM or SIGHUP, also in the program that it becomes by `exec(2)`: they wait, unless
/// another thread takes them.
pub(super) fn hold_back() {
    change(libc::SIG_BLOCK);
}

/// What was held back comes in, to whatever handles it by now.
pub(super) fn let_in() {
    change(libc::SIG_UNBLOCK);
}

fn change(how: libc::c_int) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) makes a set of the memory that it is given, which the others take; the old mask is not wanted. With
    // known signals and a known `how` none of them fails.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(how, set.as_ptr(), ptr::null_mut());
    }
}
