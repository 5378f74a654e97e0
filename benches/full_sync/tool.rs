//! What is measured: tools, what there is to do, and the line to the daemon.

/// The tools that are compared. The others are compared with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rsync,
    Sersync,
    Fpsync,
    /// rsync that keeps what it replaces, as sersync does.
    RsyncWithHistory,
}

impl Tool {
    pub(crate) const ALL: [Tool; 4] = [Tool::Rsync, Tool::Sersync, Tool::Fpsync, Tool::RsyncWithHistory];

    /// Whether the tool has something to show there: fpsync is left out on the slow line, and a history where nothing is
    /// replaced.
    pub(crate) fn takes_part(self, work: Work, line: Line) -> bool {
        match self {
            Tool::Rsync | Tool::Sersync => true,
            Tool::Fpsync => line == Line::Loopback,
            Tool::RsyncWithHistory => work == Work::OnePercent && line == Line::Loopback,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Rsync => "rsync",
            Tool::Sersync => "sersync",
            Tool::Fpsync => "fpsync",
            Tool::RsyncWithHistory => "rsync --backup",
        }
    }
}

/// What there is to do for a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Initial,
    Nothing,
    OnePercent,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Initial => "initial copy",
            Work::Nothing => "nothing changed",
            Work::OnePercent => "1% changed",
        }
    }
}

/// Where the daemon is, and so which tools and how many rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Loopback,
    Far,
}

impl Line {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Line::Loopback => "loopback",
            Line::Far => "40 ms",
        }
    }
}
