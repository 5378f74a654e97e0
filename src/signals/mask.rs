//! What becomes of signals while nobody can take them: between two programs of one process.
#![allow(unsafe_code, reason = "rustix has nothing for the mask of a process; each block is calls of the C library")]

use std::mem::MaybeUninit;
use std::ptr;

/// From now on SIGHUP waits, also in the program that this thread becomes by `exec(2)`.
pub(super) fn hold_back_hangup() {
    change(libc::SIG_BLOCK);
}

/// From now on this signal ends the process, also as the program that it becomes by `exec(2)`.
pub(super) fn let_it_end(signal: libc::c_int) {
    // SAFETY: it takes two numbers; with a signal that can be handled it does not fail, and the old handler is not wanted.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// What was held back comes in, to whatever handles it by now.
pub(super) fn let_hangup_in() {
    change(libc::SIG_UNBLOCK);
}

fn change(how: libc::c_int) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) makes a set of the memory that it is given, which the others take; the old mask is not wanted. With
    // a known signal and a known `how` none of them fails.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGHUP);
        libc::pthread_sigmask(how, set.as_ptr(), ptr::null_mut());
    }
}
