//! What rsync's command lines have in common: what each begins with, what each that lists or transfers has, how the endpoint is
//! named (`address.rs`) and how paths become patterns (`pattern.rs`). What a job is told is in `job.rs`; whoever else in
//! `rsync/` has something to ask of rsync adds only that. Nobody outside of `rsync/` builds a command line.

mod address;
mod job;
mod pattern;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

pub(super) use self::address::{
    directory_below, escaped, histories, history, mirror_directory, mirror_root, mirror_there, module,
};
pub use self::job::{Compare, FileList, JobOptions, Manner, MissingArgs, command};
pub(super) use self::pattern::{pattern_below, rules_down_to};
pub use self::pattern::{pattern_for, pattern_for_directory, pattern_for_names_in};
use crate::config::settings::Attributes;
use crate::mirror::{Endpoint, Mirror};
use crate::report::text;

/// What every job transfers: links, permissions, times, group, owner, devices. `-r` is added for trees only.
const ATTRIBUTES: &str = "-lptgoD";

/// Names and numbers as they are, however this host is set up.
pub(super) const UNCHANGED: [&str; 2] = ["--8-bit-output", "--no-h"];

/// One line per item: what was done, the size, the name. The name comes last since it may contain anything.
pub(super) const OUT_FORMAT: &str = "--out-format=%i %l %n";

/// The variables that a child may see: none of them holds a secret, and all others could change what rsync does.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "TZ", "RSYNC_PROXY", "RSYNC_CONNECT_PROG"];

/// rsync with a bare environment.
pub(super) fn bare() -> Command {
    let mut command = Command::new("rsync");
    command.env_clear().env("LC_ALL", "C");
    for name in KEPT_ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// What every invocation begins with: a bare environment, and how the endpoint is reached.
pub(super) fn begin(mirror: &Mirror) -> Command {
    let mut command = bare();
    command.arg(format!("--timeout={}", mirror.rsync.timeout.as_secs().max(1)));
    if let Endpoint::Daemon { .. } = mirror.endpoint {
        // Nagle's algorithm and delayed acknowledgements cost a small session about 95 ms.
        command.arg("--sockopts=TCP_NODELAY");
        command.arg(format!("--contimeout={}", mirror.rsync.connect_timeout.as_secs().max(1)));
        match &mirror.rsync.password_file {
            Some(file) => command.arg(option("--password-file=", file.as_os_str())),
            // Else it would ask for one.
            None => command.env("RSYNC_PASSWORD", ""),
        };
    }
    command
}

/// How far below a directory a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Levels {
    /// What is directly in it.
    One,
    /// All that is below it, as far as it is not excluded.
    All,
}

/// What every listing begins with. What is listed comes in large pieces: nobody waits for a single line.
pub(super) fn listing(mirror: &Mirror, levels: Levels) -> Command {
    let mut command = begin(mirror);
    let reach = match levels {
        Levels::One => "-d",
        Levels::All => "-r",
    };
    command.args(["--list-only", reach]).args(UNCHANGED).arg("--outbuf=B");
    command
}

/// What every run begins with that brings files with all that a mirror keeps of them, in either direction. So many `clients`
/// share the bandwidth.
pub(super) fn transfer(mirror: &Mirror, clients: usize) -> Command {
    let mut command = begin(mirror);
    command.arg(ATTRIBUTES).args(UNCHANGED).arg("--stats");
    command.args(switches(mirror)).args(bandwidth(mirror, clients));
    command
}

/// What every run begins with that sends something from the root of the source to the mirror: a transfer, and each item is
/// told as soon as it is done.
pub(super) fn sending(mirror: &Mirror, root: &Path, clients: usize) -> Command {
    let mut command = transfer(mirror, clients);
    command.current_dir(root).args(["--modify-window=-1", "--outbuf=L", OUT_FORMAT]);
    if mirror.source.one_file_system {
        // The directories on which others are mounted are made, and what the mirror has in them stays.
        command.arg("--one-file-system");
    }
    command.args(&mirror.rsync.extra_args);
    command
}

/// The options for what is transferred beyond [`ATTRIBUTES`].
fn switches(mirror: &Mirror) -> impl Iterator<Item = &'static str> {
    let Attributes { hard_links, acls, xattrs, numeric_ids } = mirror.rsync.attributes;
    let all = [("--hard-links", hard_links), ("--acls", acls), ("--xattrs", xattrs), ("--numeric-ids", numeric_ids)];
    all.into_iter().filter(|(_, on)| *on).map(|(switch, _)| switch)
}

/// What limits the bandwidth, if anything does: so many `clients` share it.
fn bandwidth(mirror: &Mirror, clients: usize) -> Option<String> {
    // In units of 1024 bytes; 0 would mean no limit.
    mirror.rsync.bwlimit.map(|rate| format!("--bwlimit={}", (rate / 1024 / clients as u64).max(1)))
}

/// An option and its value as one argument, whatever bytes the value has.
pub(super) fn option(prefix: impl Into<OsString>, value: impl AsRef<OsStr>) -> OsString {
    let mut argument = prefix.into();
    argument.push(value);
    argument
}

/// The command line as one would type it, for logs. It holds no secret: passwords are only ever in files.
#[must_use]
pub fn as_text(command: &Command) -> String {
    /// Longer lists of paths are counted instead.
    const SHOWN: usize = 60;
    let mut text = String::from("rsync");
    for argument in command.get_args().take(SHOWN) {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./=:@,%+[]".contains(b);
        let bytes = argument.as_bytes();
        let argument = text::escaped(bytes);
        let quote = if !bytes.is_empty() && bytes.iter().all(plain) { "" } else { "'" };
        let _ = write!(text, " {quote}{argument}{quote}");
    }
    let hidden = command.get_args().len().saturating_sub(SHOWN);
    if hidden > 0 {
        let _ = write!(text, " ... and {hidden} more arguments");
    }
    text
}

#[cfg(test)]
mod tests;
