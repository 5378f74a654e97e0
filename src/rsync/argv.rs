//! The one place that builds rsync's command line.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use crate::config::settings::Attributes;
use crate::history::bucket::{Bucket, HISTORY_DIR};
use crate::mirror::{Endpoint, Mirror};
use crate::scope::Scope;

/// Whether the endpoint's rsync can delete paths that are named but missing (`--delete-missing-args`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingArgs {
    /// It can, as far as is known.
    Work,
    /// It breaks on them: 3.4.3 and distributions' packages that took over its hardening, as Debian 12's 3.2.7.
    Broken,
}

/// How much a job may do to what is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What the source does not have is deleted, and what is in the way makes room.
    Thorough,
    /// Nothing is deleted, and a directory with content stays where it is: beside a pass.
    Careful,
}

/// When a file counts as the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// When its size and its modification time are the same: nothing has to be read.
    Quick,
    /// When its content is the same: both sides read everything.
    Content,
    /// Never: every file is made anew, from the data that is there, and the old one goes to the history.
    Never,
}

/// When rsync lists what it compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileList {
    /// While it goes on, which needs little memory but waits for the other side now and then.
    Growing,
    /// Before it begins.
    Whole,
}

/// How one job is run.
#[derive(Debug, Clone, Copy)]
pub struct JobOptions<'a> {
    /// The root of the source, where rsync runs.
    pub root: &'a Path,
    /// Where what is replaced or deleted goes; nowhere when absent.
    pub bucket: Option<&'a Bucket>,
    /// What is left out and, at the endpoint, left alone.
    pub exclude: &'a [OsString],
    /// How many jobs of this mirror run at the same time, this one included: they share `bwlimit`.
    pub clients: usize,
    /// What the endpoint can do.
    pub missing_args: MissingArgs,
    /// When a file is left as it is.
    pub compare: Compare,
    /// How much is done to what is in the way; trees are always compared thoroughly.
    pub manner: Manner,
    /// When the files are listed.
    pub file_list: FileList,
    /// A watcher may be sending at the same time: what looks like a temporary file of its transfers is not deleted.
    pub keep_temporary: bool,
    /// How many paths may be deleted at most.
    pub max_delete: Option<u64>,
    /// Report only.
    pub dry_run: bool,
    /// Say how far it is, all the time.
    pub progress: bool,
}

/// What every job transfers: links, permissions, times, group, owner, devices. `-r` is added for trees only.
pub(super) const ATTRIBUTES: &str = "-lptgoD";

/// One line per item: what was done, the size, the name. The name comes last since it may contain anything.
pub(super) const OUT_FORMAT: &str = "--out-format=%i %l %n";

/// The variables that a child may see: none of them holds a secret, and all others could change what rsync does.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "TZ", "RSYNC_PROXY", "RSYNC_CONNECT_PROG"];

/// The rsync invocation that lists what the mirror has in its root, which says whether there is a mirror.
#[must_use]
pub fn listing(mirror: &Mirror) -> Command {
    let mut command = begin(mirror);
    command.args(["--list-only", "-d", "--"]).arg(destination(mirror));
    command
}

/// How much of a history is listed.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// The days, and what is directly in them.
    Buckets,
    /// That, and what is at this path in a bucket or a day, and everything below it. The empty path is all of a bucket.
    Below(&'a Path),
}

/// The day directories of a history, as a pattern.
const DAY: &str = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";

/// A rule that is longer is dropped by rsync (4,095 bytes).
const LONGEST_RULE: usize = 4000;

/// The rsync invocation that lists what the history of a mirror has. It begins one level above, so that a link in the place
/// of that directory shows as one. Links are named without their targets, so that a name ends where its line does.
#[must_use]
pub fn history_listing(mirror: &Mirror, depth: Depth<'_>) -> Command {
    let mut command = begin(mirror);
    command.args(["--list-only", "-r", "--8-bit-output", "--no-h", "--outbuf=L"]);
    let directory = pattern_for_directory(Path::new(&mirror.source.name)).into_vec();
    let itself = directory.strip_suffix(b"/").unwrap_or_default();
    command.arg(option("--include=", OsStr::from_bytes(itself)));
    let name = escaped(&mirror.source.name);
    for below in ["*", &format!("{DAY}/*")] {
        command.arg(format!("--include=/{name}/{below}"));
    }
    if let Depth::Below(path) = depth {
        // In a bucket, and in a day of the original layout.
        for unit in [format!("/{name}/{DAY}/*"), format!("/{name}/{DAY}")] {
            command.args(rules_down_to(&unit, path).iter().map(|rule| option("--include=", rule)));
        }
    }
    command.args(["--exclude=*", "--"]).arg(history(mirror, ""));
    command
}

/// The patterns for each directory on the way from a unit to a path in it, for itself, and for everything below.
fn rules_down_to(unit: &str, path: &Path) -> Vec<OsString> {
    let mut rules = Vec::new();
    let mut pattern = unit.as_bytes().to_vec();
    for name in path {
        let mut longer = pattern.clone();
        longer.push(b'/');
        for byte in name.as_bytes() {
            if b"*?[\\".contains(byte) {
                longer.push(b'\\');
            }
            longer.push(*byte);
        }
        if longer.len() > LONGEST_RULE {
            // More is listed then than was asked for, and never less.
            break;
        }
        pattern = longer;
        rules.push(OsString::from_vec(pattern.clone()));
    }
    pattern.extend_from_slice(b"/**");
    rules.push(OsString::from_vec(pattern));
    rules
}

/// The rsync invocation that deletes from the history of a mirror what the rules in a file let go. It mirrors a `tree` of
/// directories over it, makes nothing, and changes nothing of what stays.
#[must_use]
pub fn history_removal(mirror: &Mirror, rules: &Path, tree: &Path) -> Command {
    let mut command = begin(mirror);
    // There is a line for each file that is deleted, and nobody waits for a single one.
    command.args(["-r", "--delete", "--existing", "--8-bit-output", "--no-h", "--outbuf=B", OUT_FORMAT]);
    command.arg(option("--filter=merge ", rules.as_os_str())).arg("--");
    let mut from = tree.as_os_str().to_owned();
    from.push("/");
    command.arg(from).arg(history(mirror, &mirror.source.name));
    command
}

/// The directory of all history at the endpoint, or one within.
pub(super) fn history(mirror: &Mirror, name: &str) -> OsString {
    match &mirror.endpoint {
        Endpoint::Daemon { host, module } => {
            let user = mirror.rsync.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
            let below = if name.is_empty() { String::new() } else { escaped(name) + "/" };
            format!("rsync://{user}{host}/{}/{HISTORY_DIR}/{below}", escaped(module)).into()
        }
        Endpoint::Directory(root) => {
            let mut path = root.join(HISTORY_DIR).join(name).into_os_string();
            if !name.is_empty() {
                path.push("/");
            }
            path
        }
    }
}

/// The root in which all mirrors and all history are.
pub(super) fn module(mirror: &Mirror) -> OsString {
    match &mirror.endpoint {
        Endpoint::Daemon { host, module } => {
            let user = mirror.rsync.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
            format!("rsync://{user}{host}/{}/", escaped(module)).into()
        }
        Endpoint::Directory(root) => {
            let mut path = root.clone().into_os_string();
            path.push("/");
            path
        }
    }
}

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

/// The rsync invocation for `scope`. It is run in the source root, so that names cannot be read as options or hosts:
/// each begins with `./`.
#[must_use]
pub fn command(mirror: &Mirror, scope: &Scope, options: JobOptions<'_>) -> Command {
    let mut command = begin(mirror);
    command.current_dir(options.root);
    command.args([ATTRIBUTES, "-R", "--modify-window=-1", "--8-bit-output", "--no-h", "--outbuf=L", "--stats"]);
    command.arg(OUT_FORMAT);
    command.args(switches(mirror));
    if mirror.source.one_file_system {
        // The directories on which others are mounted are made, and what the mirror has in them stays.
        command.arg("--one-file-system");
    }
    if let Some(rate) = mirror.rsync.bwlimit {
        // In units of 1024 bytes; 0 would mean no limit.
        command.arg(format!("--bwlimit={}", (rate / 1024 / options.clients as u64).max(1)));
    }
    if options.keep_temporary {
        // As rsync names them: `.NAME.XXXXXX`.
        command.arg("--filter=P .*.[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]");
    }
    command.args(options.exclude.iter().map(|pattern| option("--exclude=", pattern)));
    command.args(&mirror.rsync.extra_args);
    if let Some(most) = options.max_delete {
        // rsync reads a number of 32 bits.
        command.arg(format!("--max-delete={}", most.min(i32::MAX as u64)));
    }
    match options.compare {
        Compare::Quick => {}
        Compare::Content => drop(command.arg("--checksum")),
        Compare::Never => drop(command.arg("--ignore-times")),
    }
    if options.progress {
        command.arg("--info=progress2");
    }
    if options.dry_run {
        command.arg("--dry-run");
    }
    if let Some(bucket) = options.bucket {
        command.arg("--backup").arg(option("--backup-dir=", &backup_dir(mirror, bucket)));
    }
    match scope {
        Scope::Tree(_) => {
            if options.file_list == FileList::Whole {
                command.arg("--no-inc-recursive");
            }
            command.args(["-r", "--delete"])
        }
        Scope::Listed(listed) => {
            command.arg("-d");
            if options.manner == Manner::Thorough {
                if !listed.shallow.is_empty() {
                    command.arg("--delete");
                }
                // Without --force (or --delete) a missing directory that has content is kept, and rsync exits 0.
                command.arg("--force");
                if options.missing_args == MissingArgs::Work {
                    command.arg("--delete-missing-args");
                }
            }
            &mut command
        }
    };
    command.arg("--");
    match scope {
        Scope::Tree(roots) => command.args(roots.iter().map(|root| directory_argument(root))),
        Scope::Listed(listed) => {
            command.args(listed.shallow.iter().map(|dir| directory_argument(dir)));
            command.args(listed.missing.iter().chain(&listed.present).map(|path| path_argument(path)))
        }
    };
    command.arg(destination(mirror));
    command
}

/// The options for what is transferred beyond [`ATTRIBUTES`].
pub(super) fn switches(mirror: &Mirror) -> impl Iterator<Item = &'static str> {
    let Attributes { hard_links, acls, xattrs, numeric_ids } = mirror.rsync.attributes;
    let all = [("--hard-links", hard_links), ("--acls", acls), ("--xattrs", xattrs), ("--numeric-ids", numeric_ids)];
    all.into_iter().filter(|(_, on)| *on).map(|(switch, _)| switch)
}

/// `./a/b`: the path itself, a directory without its content.
fn path_argument(path: &Path) -> OsString {
    option("./", path.as_os_str())
}

/// `./a/b/`: the directory and its content.
fn directory_argument(dir: &Path) -> OsString {
    let mut argument = option("./", dir.as_os_str());
    if !dir.as_os_str().is_empty() {
        argument.push("/");
    }
    argument
}

pub(super) fn option(prefix: &str, value: &OsStr) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(value);
    argument
}

pub(super) fn destination(mirror: &Mirror) -> OsString {
    match &mirror.endpoint {
        Endpoint::Daemon { host, module } => {
            let user = mirror.rsync.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
            format!("rsync://{user}{host}/{}/{}/", escaped(module), escaped(&mirror.source.name)).into()
        }
        Endpoint::Directory(root) => {
            let mut path = root.join(&mirror.source.name).into_os_string();
            path.push("/");
            path
        }
    }
}

/// A path from the module root: relative ones resolve differently with and without chroot.
fn backup_dir(mirror: &Mirror, bucket: &Bucket) -> OsString {
    let below = format!("{HISTORY_DIR}/{}/{bucket}", mirror.source.name);
    match &mirror.endpoint {
        Endpoint::Daemon { .. } => format!("/{below}").into(),
        Endpoint::Directory(root) => root.join(below).into_os_string(),
    }
}

/// The daemon expands wildcards in the destination path. The same holds for patterns that have a wildcard.
fn escaped(component: &str) -> String {
    let mut text = String::with_capacity(component.len());
    for c in component.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The exclude pattern that matches exactly this directory of the source, and so all that is in it.
///
/// A backslash only escapes in a pattern that has a wildcard (rsync(1), PATTERN MATCHING RULES).
#[must_use]
pub fn pattern_for_directory(dir: &Path) -> OsString {
    let mut pattern = pattern_for(dir);
    pattern.push("/");
    pattern
}

/// The exclude pattern that matches what has such a name in exactly this directory; the name may have wildcards.
#[must_use]
pub fn pattern_for_names_in(dir: &Path, name: &str) -> OsString {
    let mut pattern = vec![b'/'];
    // It has a wildcard, so that a backslash escapes in all of it.
    for byte in dir.as_os_str().as_bytes() {
        if b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    if pattern.len() > 1 {
        pattern.push(b'/');
    }
    pattern.extend_from_slice(name.as_bytes());
    OsString::from_vec(pattern)
}

/// The exclude pattern that matches exactly this path, and so all that is in it when it is a directory.
#[must_use]
pub fn pattern_for(path: &Path) -> OsString {
    let name = path.as_os_str().as_bytes();
    let has_wildcard = name.iter().any(|byte| b"*?[".contains(byte));
    let mut pattern = vec![b'/'];
    for byte in name {
        if has_wildcard && b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    OsString::from_vec(pattern)
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
        let argument = crate::report::text::escaped(bytes);
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
mod tests {
    use super::*;

    #[test]
    fn rules_lead_to_a_path_and_to_what_is_below_it() {
        let rules = |path: &[u8]| rules_down_to("/n/*", Path::new(OsStr::from_bytes(path)));
        assert_eq!(rules(b""), ["/n/*/**"]);
        assert_eq!(rules(b"a[1]/b\\c"), ["/n/*/a\\[1]", "/n/*/a\\[1]/b\\\\c", "/n/*/a\\[1]/b\\\\c/**"]);
        let long = rules(&[&[b'x'; 255][..], b"/"].concat().repeat(20));
        assert!(long.iter().all(|rule| rule.len() < 4096));
        assert!(long.last().is_some_and(|rule| rule.as_bytes().ends_with(b"x/**")));
    }
}
