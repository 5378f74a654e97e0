//! Configurations of other programs, read and written anew as one of ours. Pure: what is read is only ever parsed, and
//! nothing in it is executed. What has no equal, or is dangerous, stays in the result as a comment with the reason.

mod bash;
mod bash_map;
mod confxml;
mod draft;
mod lsyncd;
mod lua;
mod options;
mod regex;
mod schedule;

use std::fmt;
use std::str::FromStr;

use self::draft::Draft;
use super::ConfigError;

/// How the configurations of one other program are read.
struct Importer {
    /// What the user calls it.
    word: &'static str,
    /// Whether a text looks like one of them. The first one says no: what looks like none of the others is taken for one of its.
    looks_like: fn(&str) -> bool,
    /// What makes a mirror there, for whoever has none in it.
    mirror: &'static str,
    /// What it comes to, or `LINE:COLUMN: why` when it cannot be understood.
    draft: fn(&str) -> Result<Draft, String>,
}

/// All that there are. Each looks at a text before those after it do.
static IMPORTERS: &[Importer] = &[bash_map::IMPORTER, confxml::IMPORTER, lsyncd::IMPORTER];

/// Whose configuration it is.
#[derive(Clone, Copy)]
pub struct Format(&'static Importer);

impl Format {
    /// All that are known.
    pub fn all() -> impl Iterator<Item = Format> {
        IMPORTERS.iter().map(Format)
    }

    /// What the user calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.0.word
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let words: Vec<&str> = Format::all().map(Format::word).collect();
        Format::all().find(|format| format.word() == word).ok_or_else(|| format!("known are: {}", words.join(", ")))
    }
}

/// What a text looks like.
#[must_use]
pub fn guess(text: &str) -> Format {
    Format(IMPORTERS.iter().find(|importer| (importer.looks_like)(text)).unwrap_or(&IMPORTERS[0]))
}

/// So many reasons why there is nothing to mirror are named.
const MOST_REASONS: usize = 50;

/// The configuration that means the same, as far as there is one. `name` is that of the file, for error lines and comments.
///
/// # Errors
/// When the file cannot be understood, or nothing in it can be mirrored.
pub fn import(text: &str, name: &str, format: Format) -> Result<String, ConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let Importer { mirror, draft, .. } = format.0;
    let draft = draft(text).map_err(|why| ConfigError::line(format!("{name}:{why}")))?;
    if draft.is_empty() {
        let why = draft.left_out().iter().take(MOST_REASONS).map(|line| format!("{name}: {line}"));
        let first = format!("{name}: there is nothing to mirror: no {mirror}");
        return Err(ConfigError::of_lines(std::iter::once(first).chain(why)));
    }
    let written = draft.write(name);
    // Whatever was read, what is written has to be valid. The places in it mean nothing to somebody who has not seen it.
    super::parse(&written, "").map(|_| written).map_err(|error| {
        let words =
            error.lines().first().map_or("", |line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
        ConfigError::line(format!("{name}: what it says cannot be done here: {}", words.trim_start()))
    })
}

#[cfg(test)]
mod nothing_lost;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_format_is_known_by_its_looks() {
        assert_eq!(guess("\u{feff}<?xml version='1.0'?>\n<head/>").word(), "xml");
        assert_eq!(guess("-- a comment\nsync {\n default.rsync }").word(), "lsyncd");
        assert_eq!(guess("settings = {}").word(), "bash");
        assert_eq!(guess("sync{default.rsync}").word(), "lsyncd");
        assert_eq!(guess("#!/bin/bash\nlisten_dir=('a=/b')").word(), "bash");
        assert_eq!(guess("").word(), "bash");
    }

    /// Pieces of all three languages, so that chance comes across their rules.
    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "listen_dir=(", "'a=/data/a'", "rsyncd_mod=", "'m=/data/a'", "rsyncd_ip=", "'m=10.0.0.1:873'", ")", "(", "\"",
        "'", "$", "${", "}", "$(touch /tmp/x)", "`id`", "\\", "#", "\n", " ", "=", "extra_rsync_args=",
        "--append-verify", "<head>", "<sersync>", "<localpath watch=\"/a\">", "<remote ip=\"h\" name=\"m\"/>",
        "</localpath>", "</sersync>", "</head>", "<", ">", "&x;", "<!DOCTYPE a>", "sync{", "default.rsync", ",",
        "source=", "target=", "\"h::m/a\"", "[[", "]]", "--", "--[[", "exclude={", "{", "os.execute('x')", "rsync={",
        "_extra={", "\u{0}", "\u{1b}", "é", "999999999999999999999", "\nif ", "; then ", "\nfi", "case x in ", "esac",
        "{ ", "<<E\n", "\nE\n", "&&", "|", "+=", "-1",
    ];

    fn pieces() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(PIECES), 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn nothing_makes_an_importer_panic_and_what_it_writes_is_valid(text in pieces()) {
            for format in Format::all() {
                if let Ok(written) = import(&text, "f", format) {
                    prop_assert!(crate::config::parse(&written, "w").is_ok());
                }
            }
        }

        #[test]
        fn any_text_at_all_is_survived(text in "\\PC{0,200}|.{0,200}") {
            for format in Format::all().chain([guess(&text)]) {
                let _ = import(&text, "f", format);
            }
        }
    }

    #[test]
    fn deep_nesting_ends_nowhere_bad() {
        let pieces = [
            "{",
            "(",
            "[[",
            "\"${",
            "<a>",
            "sync{rsync={",
            "a=[[\n",
            "a=(x\n",
            "--[[\n",
            "a='\n",
            "<a/>",
            "a=$a$a\n",
            "a+=(x)\n",
            "a+=x ",
            "if\n",
            "\"$(",
            "<<E\n",
            "case x in ",
        ];
        for piece in pieces {
            for start in ["", "<head>", "sync{default.rsync,"] {
                let text = [start, &piece.repeat(20_000)].concat();
                for format in Format::all() {
                    let _ = import(&text, "f", format);
                }
            }
        }
    }
}
