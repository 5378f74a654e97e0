//! What a signal does to a command that only runs rsync: the first one stops what is running, and the command ends by it.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::rsync::children::Children;
use crate::signals::{self, Hangup};

/// The processes of a command, which a signal stops.
#[derive(Debug)]
pub(super) struct Interruptible {
    children: Arc<Children>,
    ended_by: Arc<AtomicI32>,
}

impl Interruptible {
    /// Listens to signals from now on.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(super) fn install() -> io::Result<Interruptible> {
        let (children, ended_by) = (Arc::new(Children::default()), Arc::new(AtomicI32::new(0)));
        let on_first = {
            let (children, ended_by) = (Arc::clone(&children), Arc::clone(&ended_by));
            move |signal| {
                ended_by.store(signal, Ordering::Relaxed);
                children.stop();
            }
        };
        let at_once = {
            let children = Arc::clone(&children);
            move || children.stop()
        };
        signals::install(Hangup::Ends, on_first, at_once)?;
        Ok(Interruptible { children, ended_by })
    }

    /// The signal that has stopped them, or 0.
    pub(super) fn signal(&self) -> i32 {
        self.ended_by.load(Ordering::Relaxed)
    }
}

impl Deref for Interruptible {
    type Target = Children;

    fn deref(&self) -> &Children {
        &self.children
    }
}
