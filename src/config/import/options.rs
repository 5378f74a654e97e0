//! Options of rsync in other configurations: what they are here. Pure.

use std::time::Duration;

use super::draft::Section;
use crate::config::extra_args;
use crate::config::tables::NO_LIMIT;
use crate::config::units::{Size, Span};
use crate::exclude::Excludes;

/// What this program does by itself.
const ALWAYS: &str = "-a --archive -r --recursive -l --links -p --perms -t --times -g --group -o --owner -D --devices --specials \
                      -R --relative -d --dirs --delete --delete-during --delete-after --delete-before --delete-delay --del --force \
                      --ignore-missing-args --delete-missing-args --no-implied-dirs";
/// What only concerns the output.
const OUTPUT: &str = "-v --verbose -q --quiet -P --progress -i --itemize-changes -h --human-readable --stats --no-motd";
/// Options with the value in the next word.
const WITH_VALUE: &str = "--timeout --contimeout --bwlimit --port --password-file --exclude --exclude-from --include \
                          --include-from --filter --files-from --rsh --log-file --log-format --out-format --max-size \
                          --min-size --temp-dir --partial-dir --backup-dir --suffix --chmod --chown --block-size \
                          --compress-level --skip-compress --max-delete --modify-window --compare-dest --copy-dest \
                          --link-dest --iconv --address --sockopts --info --debug -e -f -T -B";

/// Takes over what can be, keeps the rest as comments, and returns what `--exclude` leaves out. `place` stands before each
/// option in a comment.
pub(super) fn take_over(words: &[String], place: &str, section: &mut Section) -> Vec<String> {
    let mut found = Found { place: place.to_owned(), ..Found::default() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        if value.is_none() && listed(WITH_VALUE, name) {
            value = words.next().cloned();
        }
        let letters = name.strip_prefix('-').filter(|rest| !rest.starts_with(['-', 'e']) && rest.len() > 1);
        if let Some(letters) = letters.filter(|letters| letters.chars().all(|c| c.is_ascii_alphanumeric())) {
            for letter in letters.chars() {
                one(&format!("-{letter}"), None, section, &mut found);
            }
            continue;
        }
        one(name, value.as_deref(), section, &mut found);
    }
    if !found.always.is_empty() {
        section.comment(&[place, &found.always.join(" ")].concat(), "not needed: it is done anyway, where it is right");
    }
    if !found.output.is_empty() {
        section.comment(&[place, &found.output.join(" ")].concat(), "not needed: use -v, -vv or -vvv of sersync");
    }
    found.excludes
}

/// What is said, or handed on, together.
#[derive(Default)]
struct Found {
    place: String,
    excludes: Vec<String>,
    always: Vec<String>,
    output: Vec<String>,
}

fn one(name: &str, value: Option<&str>, section: &mut Section, found: &mut Found) {
    let whole = value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}"));
    let said = [&found.place, whole.as_str()].concat();
    // Nobody means a quote as a part of a value: it was meant for a shell, which does not see it, or sees it too late.
    if whole.contains(['\'', '"']) {
        return section.comment(
            &said,
            "not taken over: it has a quote in it, which rsync gets as a part of the value; write what is meant",
        );
    }
    let seconds = || value.and_then(|value| value.trim().parse().ok()).filter(|seconds| *seconds > 0);
    let spelled = |seconds: u64| Span(Duration::from_secs(seconds)).to_string();
    match (name, value) {
        ("--timeout", _) if seconds().is_some_and(is_short) => {
            section.set_from(&said, "timeout", seconds().map(spelled).unwrap_or_default(), "");
        }
        ("--contimeout", _) if seconds().is_some_and(is_short) => {
            section.set_from(&said, "connect-timeout", seconds().map(spelled).unwrap_or_default(), "");
        }
        ("--timeout" | "--contimeout", Some("0")) => section.comment(
            &said,
            "not taken over: it meant no limit at all, with which a dead connection is waited for for ever",
        ),
        ("--bwlimit", Some(value)) => rate(value, section, &said),
        ("--exclude", Some(pattern)) => match Excludes::new(&[pattern]) {
            Ok(_) => found.excludes.push(pattern.to_owned()),
            Err(e) => section.comment(&said, &format!("left out: {}", e.reason)),
        },
        ("--password-file", Some(path)) if path.starts_with('/') => section.set_from(&said, "password-file", path, ""),
        ("-H" | "--hard-links", _) => section.set("hard-links", true, ""),
        ("-A" | "--acls", _) => section.set("acls", true, ""),
        ("-X" | "--xattrs", _) => section.set("xattrs", true, ""),
        ("--numeric-ids", _) => section.set("numeric-ids", true, ""),
        ("--append" | "--append-verify", _) => section.comment(
            &said,
            "not taken over: it makes rsync skip files that changed without growing, and says that all went well",
        ),
        ("-u" | "--update", _) => section
            .comment(&said, "not taken over: a file that is newer on the mirror would stay different there for ever"),
        ("--ignore-errors", _) => {
            section.comment(&said, "not taken over: what cannot be read would be deleted on the mirror");
        }
        ("--partial", _) => {
            section.comment(&said, "not taken over: a file cut short would stand in the mirror as if it were whole");
        }
        ("--port", Some(_)) => section.comment(&said, "the port is written behind the host, as in \"10.0.0.2:8730\""),
        _ if listed(ALWAYS, name) => found.always.push(whole),
        _ if listed(OUTPUT, name) => found.output.push(whole),
        _ => match extra_args::check(&whole) {
            Ok(()) => section.add("extra-args", [whole]),
            Err(why) => section.comment(&said, &format!("not taken over: {why}")),
        },
    }
}

/// `--bwlimit`: 0 for no limit. `original` is what was read, with its place.
pub(super) fn rate(value: &str, section: &mut Section, original: &str) {
    match bytes(value) {
        Some(0) if section.get("bwlimit").is_some() => section.set_from(original, "bwlimit", NO_LIMIT, ""),
        Some(0) => section.comment(original, "no limit, which is the default here"),
        Some(bytes) => {
            let note = "for all rsync clients of one mirror together";
            section.set_from(original, "bwlimit", Size(bytes).to_string(), note);
        }
        None => section.comment(original, "not understood: write a number with its unit, as in bwlimit = \"50M\""),
    }
}

/// A size as rsync reads it: kibibytes without a unit, `M` and `MiB` are powers of 1024, `MB` of 1000.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.to_ascii_lowercase();
    let power = match unit.chars().next() {
        None | Some('k') => 1,
        Some('b') => 0,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some(_) => return None,
    };
    let base: f64 = match unit.get(1..) {
        None | Some("" | "ib") => 1024.0,
        Some("b") => 1000.0,
        Some(_) => return None,
    };
    let bytes = number * base.powi(power);
    // rsync itself goes by blocks of 1024 bytes.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is neither too big nor negative")]
    (bytes.is_finite() && bytes < 1e15).then(|| (bytes as u64) / 1024 * 1024)
}

/// More seconds than that nobody means, and no duration holds.
pub(super) fn is_short(seconds: u64) -> bool {
    seconds <= 100 * 24 * 60 * 60
}

fn listed(words: &str, name: &str) -> bool {
    words.split_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_rsync_reads_them() {
        let of = |text: &str| bytes(text).map(|bytes| Size(bytes).to_string());
        assert_eq!(of("50M").unwrap(), "50M");
        assert_eq!(of("1.5m").unwrap(), "1536K");
        assert_eq!(of("5000").unwrap(), "5000K");
        assert_eq!(of("1MB").unwrap(), "976K");
        assert_eq!(of("0").unwrap(), "0B");
        for text in ["", "x", "5x", "-1", "1e9", "9999999999T", "é"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn options_become_keys_extra_args_or_comments() {
        let words = "-artuz --contimeout 120 --append-verify -HX --bwlimit=10M --exclude=*.tmp --inplace --chmod=F644 --frobnicate";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mut section = Section::default();
        assert_eq!(take_over(&words, "Line 3: ", &mut section), ["*.tmp"]);
        let key = |key: &str| section.get(key).map(ToString::to_string);
        assert_eq!(key("extra-args").unwrap(), "[\"-z\", \"--chmod=F644\"]");
        assert_eq!(
            [key("connect-timeout"), key("bwlimit"), key("hard-links"), key("xattrs")].map(Option::unwrap),
            ["\"2m\"", "\"10M\"", "true", "true"]
        );
        let all = format!("{section:?}");
        for comment in ["changed without growing", "neither old nor new", "Line 3: --frobnicate", "Line 3: -u: "] {
            assert!(all.contains(comment), "{comment}: {all}");
        }
    }

    #[test]
    fn of_options_that_are_repeated_the_last_one_counts_and_the_others_are_named() {
        let words =
            "--bwlimit=3 --bwlimit=4 --timeout=5 --timeout=0 --timeout=6 --exclude='*.log' --exclude=a[b --bwlimit=0";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mut section = Section::default();
        assert!(take_over(&words, "Line 3: ", &mut section).is_empty());
        let key = |key: &str| section.get(key).map(ToString::to_string);
        assert_eq!([key("bwlimit"), key("timeout")].map(Option::unwrap), ["\"none\"", "\"6s\""]);
        let all = format!("{section:?}");
        for comment in [
            "Line 3: --bwlimit=3: another one takes its place (Line 3: --bwlimit=4)",
            "Line 3: --bwlimit=4: another one takes its place (Line 3: --bwlimit=0)",
            "Line 3: --timeout=5: another one takes its place (Line 3: --timeout=6)",
            "Line 3: --timeout=0: not taken over: it meant no limit",
            "Line 3: --exclude='*.log': not taken over: it has a quote in it",
            "Line 3: --exclude=a[b: left out: ",
        ] {
            assert!(all.contains(comment), "{comment}: {all}");
        }
    }
}
