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

use std::str::FromStr;

use super::ConfigError;

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `sersync.conf` of the bash sersync.
    Bash,
    /// `confxml.xml` of the C++ sersync.
    Xml,
    /// A configuration of lsyncd.
    Lsyncd,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "bash" => Ok(Format::Bash),
            "xml" => Ok(Format::Xml),
            "lsyncd" => Ok(Format::Lsyncd),
            _ => Err("known are: bash, xml, lsyncd".to_owned()),
        }
    }
}

/// What a text looks like.
#[must_use]
pub fn guess(text: &str) -> Format {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let is_sync = |line: &str| {
        let line = line.trim_start();
        ["sync", "settings"].iter().any(|word| {
            let rest = line.strip_prefix(word).map(str::trim_start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '(', '-']))
        })
    };
    if start.starts_with('<') {
        Format::Xml
    } else if text.lines().any(is_sync) {
        Format::Lsyncd
    } else {
        Format::Bash
    }
}

/// So many reasons why there is nothing to mirror are named.
const MOST_REASONS: usize = 50;

/// The configuration that means the same, as far as there is one. `name` is that of the file, for error lines and comments.
///
/// # Errors
/// When the file cannot be understood, or nothing in it can be mirrored.
pub fn import(text: &str, name: &str, format: Format) -> Result<String, ConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let draft = match format {
        Format::Bash => Ok(bash_map::map(&bash::parse(text))),
        Format::Xml => confxml::map(text),
        Format::Lsyncd => Ok(lsyncd::map(&lua::parse(text))),
    };
    let draft = draft.map_err(|why| ConfigError::line(format!("{name}:{why}")))?;
    if draft.is_empty() {
        let what = match format {
            Format::Bash => "`listen_dir` with a module in `rsyncd_mod` and an address in `rsyncd_ip`",
            Format::Xml => "`<localpath watch=...>` with a `<remote ip=... name=...>`",
            Format::Lsyncd => {
                "`sync{default.rsync, source=..., target=...}` that is literal and goes to an rsync daemon"
            }
        };
        let why = draft.left_out().iter().take(MOST_REASONS).map(|line| format!("{name}: {line}"));
        let first = format!("{name}: there is nothing to mirror: no {what}");
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
        assert_eq!(guess("\u{feff}<?xml version='1.0'?>\n<head/>"), Format::Xml);
        assert_eq!(guess("-- a comment\nsync {\n default.rsync }"), Format::Lsyncd);
        assert_eq!(guess("settings = {}"), Format::Bash);
        assert_eq!(guess("sync{default.rsync}"), Format::Lsyncd);
        assert_eq!(guess("#!/bin/bash\nlisten_dir=('a=/b')"), Format::Bash);
        assert_eq!(guess(""), Format::Bash);
    }

    /// Pieces of all three languages, so that chance comes across their rules.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "listen_dir=(",
            "'a=/data/a'",
            "rsyncd_mod=",
            "'m=/data/a'",
            "rsyncd_ip=",
            "'m=10.0.0.1:873'",
            ")",
            "(",
            "\"",
            "'",
            "$",
            "${",
            "}",
            "$(touch /tmp/x)",
            "`id`",
            "\\",
            "#",
            "\n",
            " ",
            "=",
            "extra_rsync_args=",
            "--append-verify",
            "<head>",
            "<sersync>",
            "<localpath watch=\"/a\">",
            "<remote ip=\"h\" name=\"m\"/>",
            "</localpath>",
            "</sersync>",
            "</head>",
            "<",
            ">",
            "&x;",
            "<!DOCTYPE a>",
            "sync{",
            "default.rsync",
            ",",
            "source=",
            "target=",
            "\"h::m/a\"",
            "[[",
            "]]",
            "--",
            "--[[",
            "exclude={",
            "{",
            "os.execute('x')",
            "rsync={",
            "_extra={",
            "\u{0}",
            "\u{1b}",
            "é",
            "999999999999999999999",
            "\nif ",
            "; then ",
            "\nfi",
            "case x in ",
            "esac",
            "{ ",
            "<<E\n",
            "\nE\n",
            "&&",
            "|",
            "+=",
            "-1",
        ]);
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn nothing_makes_an_importer_panic_and_what_it_writes_is_valid(text in pieces()) {
            for format in [Format::Bash, Format::Xml, Format::Lsyncd] {
                if let Ok(written) = import(&text, "f", format) {
                    prop_assert!(crate::config::parse(&written, "w").is_ok());
                }
            }
        }

        #[test]
        fn any_text_at_all_is_survived(text in "\\PC{0,200}|.{0,200}") {
            for format in [Format::Bash, Format::Xml, Format::Lsyncd, guess(&text)] {
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
                for format in [Format::Bash, Format::Xml, Format::Lsyncd] {
                    let _ = import(&text, "f", format);
                }
            }
        }
    }
}
