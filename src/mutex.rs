//! Mutexes whose owner may have panicked. A thread that panics is an error of its job alone: what it held locked is whole between
//! any two statements, and the others go on with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was locked, when nobody else has it any more.
#[must_use]
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
