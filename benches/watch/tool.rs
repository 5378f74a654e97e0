//! The tools that are measured.

/// The tools that mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Fanotify,
    Inotify,
    Lsyncd,
    /// It only watches, and is what the shell scripts stand on.
    Inotifywait,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Fanotify => "sersync, fanotify",
            Tool::Inotify => "sersync, inotify",
            Tool::Lsyncd => "lsyncd",
            Tool::Inotifywait => "inotifywait",
        }
    }

    pub(crate) fn short(self) -> &'static str {
        match self {
            Tool::Fanotify => "fanotify",
            Tool::Inotify => "inotify",
            Tool::Lsyncd => "lsyncd",
            Tool::Inotifywait => "inotifywait",
        }
    }

    /// What it says when it is ready.
    pub(crate) fn ready(self) -> &'static str {
        match self {
            Tool::Fanotify => "by fanotify",
            Tool::Inotify => "by inotify",
            Tool::Lsyncd => "finished.",
            Tool::Inotifywait => "Watches established.",
        }
    }
}
