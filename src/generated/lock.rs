//! One run at a time for a directory that a generator writes to.

use std::fs::{self, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};
use log::warn;

use super::advised;
use super::place::make_dirs;
use crate::exit::{Exit, Failure};
use crate::report::text;

/// Keeps other runs out of a directory, which is made where it is missing, as long as the value lives; nothing where the
/// file system has no locks.
///
/// # Errors
/// When another run is at work there, or the directory cannot be made or read.
pub fn lock(dir: &Path, command: &str) -> Result<Option<fs::File>> {
    let shown = text::path(dir);
    make_dirs(dir).map_err(advised).with_context(|| format!("the directory {shown} cannot be made"))?;
    let file = fs::File::open(dir).map_err(advised).with_context(|| text::cannot_be("read", dir))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let why = format!("another `sersync {command}` is writing to {shown}; try again when it has ended");
            Err(Failure::new(Exit::Locked, why).into())
        }
        Err(TryLockError::Error(e)) => {
            warn!("{shown} cannot be locked ({e}); run no other `sersync {command}` for it at the same time");
            Ok(None)
        }
    }
}
