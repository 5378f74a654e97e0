//! Which rsync options may be added with `extra-args`. Everything that could make a mirror incomplete, lose its history
//! or change what rsync reports is refused with the reason; what is not known is refused too.
//!
//! Following symlinks (`-L`, `-k`, `--copy-links`, `--copy-unsafe-links`) is among the refused: the walk, a watch
//! and the comparison all take a symlink for what it is. A followed one would bring files into the mirror that nobody
//! watches and whose deletion nobody sees.

use super::suggest;

/// A long option, its other spellings, and what it takes.
struct Allowed(&'static str, &'static [&'static str], Takes);

/// What comes after an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

const ALLOWED: &[Allowed] = &[
    Allowed("--compress", &["-z"], Takes::Nothing),
    Allowed("--compress-choice", &["--zc"], Takes::Value),
    Allowed("--compress-level", &["--zl"], Takes::Value),
    Allowed("--compress-threads", &["--zt"], Takes::Value),
    Allowed("--skip-compress", &[], Takes::Value),
    Allowed("--whole-file", &["-W"], Takes::Nothing),
    Allowed("--no-whole-file", &["--no-W"], Takes::Nothing),
    Allowed("--block-size", &["-B"], Takes::Value),
    Allowed("--checksum", &["-c"], Takes::Nothing),
    Allowed("--checksum-choice", &["--cc"], Takes::Value),
    Allowed("--sparse", &["-S"], Takes::Nothing),
    Allowed("--preallocate", &[], Takes::Nothing),
    Allowed("--fsync", &[], Takes::Nothing),
    Allowed("--executability", &["-E"], Takes::Nothing),
    Allowed("--atimes", &["-U"], Takes::Nothing),
    Allowed("--omit-dir-times", &["-O"], Takes::Nothing),
    Allowed("--omit-link-times", &["-J"], Takes::Nothing),
    Allowed("--open-noatime", &[], Takes::Nothing),
    Allowed("--chmod", &[], Takes::Value),
    Allowed("--chown", &[], Takes::Value),
    Allowed("--usermap", &[], Takes::Value),
    Allowed("--groupmap", &[], Takes::Value),
    Allowed("--fake-super", &[], Takes::Nothing),
    Allowed("--no-owner", &["--no-o"], Takes::Nothing),
    Allowed("--no-group", &["--no-g"], Takes::Nothing),
    Allowed("--no-perms", &["--no-p"], Takes::Nothing),
    Allowed("--no-D", &[], Takes::Nothing),
    Allowed("--no-devices", &[], Takes::Nothing),
    Allowed("--no-specials", &[], Takes::Nothing),
    Allowed("--safe-links", &[], Takes::Nothing),
    Allowed("--one-file-system", &["-x"], Takes::Nothing),
    Allowed("--ipv4", &["-4"], Takes::Nothing),
    Allowed("--ipv6", &["-6"], Takes::Nothing),
    Allowed("--address", &[], Takes::Value),
    Allowed("--max-alloc", &[], Takes::Value),
];

/// Reasons with the options that they concern; a `*` at the end stands for every continuation.
const REFUSED: &[(&str, &str)] = &[
    ("a changed file that did not grow would never be sent", "--append*"),
    ("a file that is being written would be neither old nor new, and its old version would not be kept", "--inplace"),
    ("deletion is decided by this program", "--delete* --del --force --ignore-errors --ignore-missing-args"),
    ("the limit for deletions is `max-delete` in [full-sync]", "--max-delete"),
    ("history is kept by this program; see [history]", "--backup* -b --suffix"),
    (
        "the mirror would keep files that differ from the source",
        "--ignore-existing --existing --ignore-non-existing --size-only --update -u --no-times --no-t",
    ),
    ("the mirror would lack files without a word", "--min-size --max-size --prune-empty-dirs -m --no-links --no-l"),
    (
        "the mirror would differ from the source by name or content",
        "--iconv --munge-links --copy-devices --write-devices",
    ),
    ("rsync on Linux cannot keep creation times and would fail", "--crtimes -N"),
    ("it would delete the source", "--remove-source-files --remove-sent-files"),
    ("the connection is always to a daemon", "--rsh -e --rsync-path --daemon --config --blocking-io"),
    (
        "what is left out is decided by `exclude` in [sources.NAME]",
        "--files-from --from0 -0 --include* --exclude* --filter -f -F --cvs-exclude -C",
    ),
    (
        "the output of rsync is read by this program",
        "--out-format --log-* --stats --quiet -q --verbose -v --info* --debug* --progress -P --itemize-changes -i \
         --human-readable -h --8-bit-output -8 --outbuf --stderr --msgs2stderr --help --version -V --list-only",
    ),
    ("use --dry-run of this program", "--dry-run -n"),
    ("nothing would be sent", "--read-batch --write-batch --only-write-batch"),
    (
        "this program decides what one run covers",
        "--recursive -r --dirs -d --relative -R --archive -a --mkpath --inc-recursive --stop-*",
    ),
    ("it is always on", "--links -l --perms -p --times -t --group -g --owner -o --devices --specials -D"),
    ("a file cut short would stand in the mirror as if it were whole", "--partial"),
    ("this program decides where partial and temporary files are", "--partial-dir --delay-updates --temp-dir -T"),
    ("this program decides which files are compared with which", "--link-dest --copy-dest --compare-dest --fuzzy -y"),
    (
        "symlinks are mirrored as symlinks; what they point to is neither watched nor compared",
        "--copy-links -L --copy-dirlinks -k --copy-unsafe-links --keep-dirlinks -K",
    ),
    ("it has a key of its own, `password-file`", "--password-file"),
    ("it has a key of its own, `timeout`", "--timeout"),
    ("it has a key of its own, `connect-timeout`", "--contimeout"),
    ("it has a key of its own, `bwlimit`", "--bwlimit"),
    ("it has a key of its own: set `hard-links = true` in [rsync]", "--hard-links -H"),
    ("it has a key of its own: set `acls = true` in [rsync]", "--acls -A"),
    ("it has a key of its own: set `xattrs = true` in [rsync]", "--xattrs -X"),
    ("it has a key of its own: set `numeric-ids = true` in [rsync]", "--numeric-ids"),
    ("the port is part of the host, as in `hosts = [\"10.0.0.3:8730\"]`", "--port"),
    ("this program sets it", "--sockopts --modify-window -@"),
    ("this program quotes what it passes", "--secluded-args --protect-args -s --old-args"),
];

/// Checks one element of `extra-args`.
pub(super) fn check(arg: &str) -> Result<(), String> {
    let shown = arg.escape_debug();
    if arg.chars().any(char::is_control) {
        return Err(format!("`{shown}` contains a control character"));
    }
    if arg.starts_with("--") && arg.len() > 2 {
        return check_long(arg);
    }
    match arg.strip_prefix('-') {
        Some(letters) if !letters.is_empty() && letters != "-" => check_bundle(letters),
        _ => Err(format!(
            "`{shown}` is not an option; a value belongs in the same element, as in \"--compress-level=3\""
        )),
    }
}

fn check_long(arg: &str) -> Result<(), String> {
    let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
    match (find(name)?, value) {
        (Takes::Value, None | Some("")) => {
            Err(format!("`{name}` needs a value, in the same element: \"{name}=VALUE\""))
        }
        (Takes::Nothing, Some(_)) => Err(format!("`{name}` takes no value; write \"{name}\"")),
        _ => Ok(()),
    }
}

/// Checks what follows a single dash, letter by letter; the first one that takes a value takes all the rest.
fn check_bundle(letters: &str) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        if find(&format!("-{letter}"))? == Takes::Value {
            let value = &letters[at + letter.len_utf8()..];
            return if value.is_empty() {
                Err(format!("`-{letter}` needs a value, in the same element: \"-{letter}VALUE\""))
            } else {
                Ok(())
            };
        }
    }
    Ok(())
}

/// What an allowed option takes; the reason when it is not allowed.
fn find(option: &str) -> Result<Takes, String> {
    if let Some(Allowed(_, _, takes)) =
        ALLOWED.iter().find(|Allowed(long, others, _)| *long == option || others.contains(&option))
    {
        return Ok(*takes);
    }
    let covers = |pattern: &str| pattern.strip_suffix('*').map_or(pattern == option, |start| option.starts_with(start));
    if let Some((reason, _)) = REFUSED.iter().find(|(_, patterns)| patterns.split(' ').any(covers)) {
        return Err(format!("`{option}` is refused: {reason}"));
    }
    let names: Vec<&str> = ALLOWED.iter().map(|Allowed(long, _, _)| *long).collect();
    let known = match suggest::nearest(option, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("allowed: {}", suggest::list(&names)),
    };
    Err(format!("`{}` is not among the options that are known to be safe; {known}", option.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_ones_pass_in_every_spelling() {
        for arg in
            ["-z", "-zSE", "--zl=3", "--compress-level=3", "-B1024", "-zB1024", "--chmod=D755,F644", "--no-W", "-4"]
        {
            assert_eq!(check(arg), Ok(()), "{arg}");
        }
    }

    #[test]
    fn the_tables_do_not_contradict_each_other() {
        for Allowed(long, others, takes) in ALLOWED {
            for name in std::iter::once(long).chain(*others) {
                let covered =
                    |pattern: &str| pattern.strip_suffix('*').map_or(pattern == *name, |start| name.starts_with(start));
                let refused = REFUSED.iter().any(|(_, patterns)| patterns.split(' ').any(covered));
                assert!(!refused, "{name} is allowed and refused");
                assert_eq!(find(name), Ok(*takes));
            }
        }
    }

    #[test]
    fn dangerous_ones_are_refused_with_the_reason() {
        for (arg, reason) in [
            ("--append-verify", "did not grow"),
            ("--delay-updates", "temporary files"),
            ("--inplace", "neither old nor new"),
            ("--delete-excluded", "decided by this program"),
            ("--backup-dir=/x", "[history]"),
            ("-zu", "`-u` is refused"),
            ("-avz", "`-a` is refused"),
            ("-e", "daemon"),
            ("--exclude-from=x", "`exclude`"),
            ("--timeout=3", "`timeout`"),
            ("-L", "symlinks"),
            ("-N", "creation times"),
            ("-zHAX", "`-H` is refused: it has a key of its own: set `hard-links = true`"),
            ("--acls", "`acls = true`"),
            ("-X", "`xattrs = true`"),
            ("--numeric-ids", "`numeric-ids = true`"),
            ("--remove-source-files", "delete the source"),
        ] {
            let line = check(arg).unwrap_err();
            assert!(line.contains(reason), "{arg}: {line}");
        }
    }

    #[test]
    fn values_must_be_in_the_same_element() {
        assert!(check("--zl").unwrap_err().contains("needs a value"));
        assert!(check("--zl=").unwrap_err().contains("needs a value"));
        assert!(check("-zB").unwrap_err().contains("needs a value"));
        assert!(check("--compress=3").unwrap_err().contains("takes no value"));
        for arg in ["3", "", "-", "--", "rsync://h/m", "-z\n"] {
            assert!(check(arg).is_err(), "{arg}");
        }
    }

    #[test]
    fn unknown_ones_are_refused_with_what_is_allowed() {
        assert!(check("--frobnicate").unwrap_err().contains("allowed: `--compress`"));
        assert!(check("--sparze").unwrap_err().contains("did you mean `--sparse`?"));
        assert!(check("-é").is_err());
    }
}
