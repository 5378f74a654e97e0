//! What a command reads that is no argument: variables of the environment, and files.

/// Which commands an entry is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Those that read the configuration.
    Configuration,
    /// Those that also work on mirrors.
    Mirrors,
}

pub(super) const ENVIRONMENT: &[(About, &str, &str)] = &[
    (About::Configuration, "SERSYNC_CONFIG", "The configuration file, when --config is not given."),
    (
        About::Configuration,
        "XDG_CONFIG_HOME",
        "Where the user's own configuration is looked for, in sersync/sersync.toml. Not set: ~/.config.",
    ),
    (
        About::Mirrors,
        "STATE_DIRECTORY",
        "The state directory, when --state-dir is not given. The service manager sets it for a unit with \
         StateDirectory=.",
    ),
    (
        About::Mirrors,
        "XDG_STATE_HOME",
        "Where other users than root have their state directory, as sersync. Not set: ~/.local/state.",
    ),
    (About::Mirrors, "PATH", "Where rsync is found."),
    (About::Mirrors, "TZ", "The time zone of the names in the history and of the times in the log."),
    (About::Mirrors, "RSYNC_PROXY, RSYNC_CONNECT_PROG", "Handed on to rsync, see rsync(1)."),
    (
        About::Mirrors,
        "JOURNAL_STREAM",
        "When standard error is this stream, the log is written for the journal: a priority before each line, and no time.",
    ),
];

pub(super) const FILES: &[(About, &str, &str)] = &[
    (
        About::Configuration,
        "/etc/sersync/sersync.toml",
        "The configuration that is used when neither --config nor SERSYNC_CONFIG names another. See sersync.toml(5).",
    ),
    (About::Configuration, "~/.config/sersync/sersync.toml", "The same, looked for when the former does not exist."),
    (
        About::Mirrors,
        "/var/lib/sersync/",
        "The state directory of root: locks, and the names of the history directories that were used.",
    ),
    (About::Mirrors, "~/.local/state/sersync/", "The state directory of other users."),
    (
        About::Mirrors,
        "history-backup/NAME/YYYY-MM-DD/HHMMSS[-n]/",
        "On the target, beside the mirror NAME: what was replaced or deleted from that moment on.",
    ),
    (
        About::Mirrors,
        "sersync-watch.service, sersync-watch@NAME.service, sersync-full-sync@NAME.timer, sersync-verify@NAME.timer, \
         sersync-prune-history.timer",
        "Units of systemd, in the packages. None is enabled by an installation. A target in a local directory and hooks that \
         write need /usr/share/doc/sersync/examples/local-target.conf, or something like it.",
    ),
];

/// What of that concerns the command with this page.
pub(super) fn covers(page: &str) -> &'static [About] {
    if ["-config", "-gen-", "-check-kernel"].iter().any(|part| page.contains(part)) {
        &[About::Configuration]
    } else if page.ends_with("-completions") {
        &[]
    } else {
        &[About::Configuration, About::Mirrors]
    }
}
