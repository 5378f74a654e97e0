//! When a hook is run, and when it is too late for that.

use crate::exit::Exit;

/// What a hook is run for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Before anything is done with the source.
    Before,
    /// When all its mirrors are done, with what they come to.
    After(Exit),
    /// When there is something to tell about a mirror, by the key of the hook.
    Notice(&'static str),
}

impl Purpose {
    /// The name of its key in the configuration.
    pub(super) fn key(self) -> &'static str {
        match self {
            Purpose::Before => "before",
            Purpose::After(_) => "after",
            Purpose::Notice(key) => key,
        }
    }

    /// During what it is run.
    pub(super) fn work(self) -> &'static str {
        match self {
            Purpose::Before | Purpose::After(_) => "the pass",
            Purpose::Notice(_) => "sersync",
        }
    }

    /// The key that limits its time.
    pub(super) fn limit(self) -> &'static str {
        match self {
            Purpose::Before | Purpose::After(_) => "hook-timeout",
            Purpose::Notice(_) => "timeout` in `[notify]",
        }
    }
}

/// Which hooks have no time any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// None.
    #[default]
    Nothing,
    /// Those before a source: no source is begun any more. Those after one clean up, and still run.
    Beginnings,
    /// All of them: this program is told to end.
    Everything,
}

impl Over {
    pub(super) fn includes(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Before => self >= Over::Beginnings,
            Purpose::After(_) | Purpose::Notice(_) => self >= Over::Everything,
        }
    }
}
