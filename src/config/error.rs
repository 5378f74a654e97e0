//! What is wrong with a configuration: problems with their place in the text, and the lines that the user sees.

use std::fmt;
use std::ops::Range;
use std::string::FromUtf8Error;

use toml::Spanned;

use crate::exit::{Exit, Failure};

/// Why there are no settings: at least one line, each of which stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    lines: Vec<String>,
}

impl ConfigError {
    /// The exit code of every configuration error.
    pub const EXIT: Exit = Exit::Config;

    /// One line that has no place in a file.
    pub(super) fn line(line: impl Into<String>) -> Self {
        ConfigError { lines: vec![on_one_line(&line.into())] }
    }

    /// Several lines that have no place in a file, of which there has to be one at least.
    pub(super) fn of_lines(lines: impl IntoIterator<Item = String>) -> Self {
        ConfigError { lines: lines.into_iter().map(|line| on_one_line(&line)).collect() }
    }

    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "; create it, or name another with -c FILE",
            std::io::ErrorKind::IsADirectory => "; give the file, not its directory",
            std::io::ErrorKind::PermissionDenied => "; run as a user who may read it",
            _ => "",
        };
        ConfigError::line(format!("{file}: the configuration cannot be read: {error}{remedy}"))
    }

    pub(super) fn not_text(file: &str, error: &FromUtf8Error) -> Self {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let (line, column) = position(&before, before.len());
        ConfigError::line(format!("{file}:{line}:{column}: this byte is not UTF-8; save the file in UTF-8"))
    }

    /// Problems of one text, in the order of their places.
    pub(super) fn at(text: &str, file: &str, mut problems: Vec<Problem>) -> Self {
        // What has no place concerns the file as a whole and comes last.
        problems.sort_by_key(|problem| problem.offset.unwrap_or(usize::MAX));
        let lines = problems.into_iter().map(|problem| match problem.offset {
            Some(offset) => {
                let (line, column) = position(text, offset);
                format!("{file}:{line}:{column}: {}", problem.message)
            }
            None => format!("{file}: {}", problem.message),
        });
        ConfigError { lines: lines.map(|line| on_one_line(&line)).collect() }
    }

    /// The lines, without line ends.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Failure {
    /// Keeps all lines; the exit code is [`ConfigError::EXIT`].
    fn from(error: ConfigError) -> Self {
        Failure::new(ConfigError::EXIT, error.to_string())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where in the text, in bytes; `None` when something is missing altogether.
    pub(super) offset: Option<usize>,
    /// What it is and what to do, on one line.
    pub(super) message: String,
}

/// Collects problems, so that the user sees all of them at once instead of one per attempt.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn at(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.found.push(Problem { offset: Some(span.start), message: message.into() });
    }

    pub(super) fn general(&mut self, message: impl Into<String>) {
        self.found.push(Problem { offset: None, message: message.into() });
    }

    /// The value of a key, or `None` when it is absent or wrong; what is wrong is noted under the name of the key.
    pub(super) fn take<W, T>(
        &mut self,
        key: &str,
        written: Option<&Spanned<W>>,
        check: impl FnOnce(&W) -> Result<T, String>,
    ) -> Option<T> {
        let written = written?;
        match check(written.get_ref()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.at(written.span(), format!("`{key}`: {why}"));
                None
            }
        }
    }

    /// The settings when nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }
}

/// Names and paths may contain line ends and worse, but an error is one line.
pub(super) fn on_one_line(line: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    line.chars().map(escape).collect()
}

/// Line and column of a byte offset, both from 1; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a = 'é'\nß = 'ü' x";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.len() - 1), (2, 9));
        assert_eq!(position(text, text.len() + 7), (2, 10));
    }

    #[test]
    fn whatever_a_message_quotes_it_stays_on_one_line() {
        assert_eq!(ConfigError::line("a\nb\u{1b}[m ü").to_string(), "a\\nb\\u{1b}[m ü");
    }

    #[test]
    fn problems_are_listed_from_top_to_bottom_and_general_ones_last() {
        let mut problems = Problems::default();
        problems.general("nothing to do");
        problems.at(4..5, "second");
        problems.at(0..1, "first");
        let error = ConfigError::at("abc\ndef", "f.toml", problems.finish(()).unwrap_err());
        assert_eq!(error.to_string(), "f.toml:1:1: first\nf.toml:2:1: second\nf.toml: nothing to do");
    }
}
