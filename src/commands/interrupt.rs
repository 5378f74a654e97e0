//! What a signal does to a command: the first one stops what is running, and the command ends by it; another one ends it at
//! once.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::hooks::{Hooks, Over};
use crate::report::screen;
use crate::rsync::children::Children;
use crate::signals::{self, Hangup};

/// The processes of a command, which a signal stops.
#[derive(Debug)]
pub(super) struct Interruptible {
    children: Arc<Children>,
    /// The operator's programs, where the command has some.
    pub(super) hooks: Arc<Hooks>,
    ended_by: Arc<AtomicI32>,
}

impl Interruptible {
    /// Listens to signals from now on.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(super) fn install() -> io::Result<Interruptible> {
        let (children, hooks) = (Arc::new(Children::default()), Arc::new(Hooks::default()));
        let ended_by = Arc::new(AtomicI32::new(0));
        let on_first = {
            let (children, hooks, ended_by) = (Arc::clone(&children), Arc::clone(&hooks), Arc::clone(&ended_by));
            move |signal| {
                ended_by.store(signal, Ordering::Relaxed);
                children.stop();
                hooks.stop(Over::Everything);
            }
        };
        signals::install(Hangup::Ends, on_first, at_once(&children, &hooks))?;
        Ok(Interruptible { children, hooks, ended_by })
    }

    /// The signal that has stopped them, or 0.
    pub(super) fn signal(&self) -> i32 {
        self.ended_by.load(Ordering::Relaxed)
    }
}

/// What is left to do when the program is about to end at once: nobody else stops what it started.
pub(super) fn at_once(children: &Arc<Children>, hooks: &Arc<Hooks>) -> impl Fn() + Send + Sync + use<> {
    let (children, hooks) = (Arc::clone(children), Arc::clone(hooks));
    move || {
        screen::end();
        children.stop();
        hooks.kill();
    }
}

impl Deref for Interruptible {
    type Target = Children;

    fn deref(&self) -> &Children {
        &self.children
    }
}
