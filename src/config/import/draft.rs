//! A configuration that is being put together, with comments, and its text.

use std::fmt::Write as _;

use toml::Value;

use crate::config::names;
use crate::config::settings::Host;
use crate::report::text::escaped;

/// A longer text of the original is cut in a comment.
const LONGEST: usize = 200;
/// Comments are not wider, where they have spaces.
const WIDTH: usize = 112;

/// One table.
#[derive(Debug, Default, Clone)]
pub(super) struct Section {
    keys: Vec<(String, Value, String)>,
    comments: Vec<String>,
}

impl Section {
    /// Sets a key; `note` stands behind it as a comment, if it is not empty. What is not text becomes a comment.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>, note: &str) {
        let value = value.into();
        if let Some(why) = value.as_str().and_then(|text| is_text(text).err()) {
            return self.comment(&format!("{key} = {value}"), &why);
        }
        self.keys.retain(|(other, _, _)| other != key);
        self.keys.push((key.to_owned(), value, note.to_owned()));
    }

    /// Adds elements to a list, each once.
    pub(super) fn add(&mut self, key: &str, more: impl IntoIterator<Item = String>) {
        let mut list = match self.keys.iter().find(|(other, _, _)| other == key) {
            Some((_, Value::Array(list), _)) => list.clone(),
            _ => Vec::new(),
        };
        for text in more {
            if let Err(why) = is_text(&text) {
                self.comment(&format!("{key} \"{text}\""), &why);
                continue;
            }
            let value = Value::from(text);
            if !list.contains(&value) {
                list.push(value);
            }
        }
        if !list.is_empty() {
            self.set(key, list, "");
        }
    }

    /// What a key was set to.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(other, _, _)| other == key).map(|(_, value, _)| value)
    }

    /// Keeps something of the original as a comment, with the reason why it is not taken over.
    pub(super) fn comment(&mut self, original: &str, why: &str) {
        let cut: String = original.chars().take(LONGEST).collect();
        let line = format!("{}: {why}", escaped(cut.as_bytes()));
        if !self.comments.contains(&line) {
            self.comments.push(line);
        }
    }

    /// Takes over what another table has, with its keys below `prefix`.
    pub(super) fn take_over(&mut self, prefix: &str, other: &Section) {
        for (key, value, note) in &other.keys {
            self.set(&format!("{prefix}{key}"), value.clone(), note);
        }
        for line in &other.comments {
            if !self.comments.contains(line) {
                self.comments.push(line.clone());
            }
        }
    }

    fn write(&self, text: &mut String, header: &str) {
        if self.keys.is_empty() && self.comments.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n[{header}]");
        for (key, value, note) in &self.keys {
            let note = if note.is_empty() { String::new() } else { format!("  # {note}") };
            let _ = writeln!(text, "{key} = {value}{note}");
        }
        for line in &self.comments {
            write_comment(text, line);
        }
    }
}

/// The whole.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What has to be known first.
    pub(super) head: Vec<String>,
    /// What was left out, and why.
    left_out: Vec<String>,
    pub(super) rsync: Section,
    pub(super) watch: Section,
    pub(super) full_sync: Section,
    pub(super) history: Section,
    pub(super) metrics: Section,
    targets: Vec<(String, Section)>,
    sources: Vec<(String, Section)>,
}

impl Draft {
    /// Whether nothing would be mirrored.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty() || self.targets.is_empty()
    }

    /// Says what was left out, and why; the line may quote what was read.
    pub(super) fn say(&mut self, line: &str) {
        self.left_out.push(escaped(line.as_bytes()));
    }

    /// What was left out, and why.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The target with this name, new or not.
    pub(super) fn target(&mut self, name: &str) -> &mut Section {
        entry(&mut self.targets, name)
    }

    /// The source with this name, new or not.
    pub(super) fn source(&mut self, name: &str) -> &mut Section {
        entry(&mut self.sources, name)
    }

    /// The names of all targets, with what they have.
    pub(super) fn targets(&self) -> &[(String, Section)] {
        &self.targets
    }

    /// The names of all sources, with what they have.
    pub(super) fn sources(&self) -> &[(String, Section)] {
        &self.sources
    }

    /// All sources.
    pub(super) fn each_source(&mut self) -> impl Iterator<Item = &mut Section> {
        self.sources.iter_mut().map(|(_, section)| section)
    }

    /// The text of the configuration.
    pub(super) fn write(&self, name: &str) -> String {
        let mut text = String::new();
        write_comment(&mut text, &format!("Imported from {} by `sersync config import`.", escaped(name.as_bytes())));
        write_comment(
            &mut text,
            "`man sersync.toml` explains every key; `sersync check-target` tells whether it works.",
        );
        for line in self.head.iter().chain(&self.left_out) {
            text.push_str("#\n");
            write_comment(&mut text, line);
        }
        for (header, section) in [
            ("rsync", &self.rsync),
            ("watch", &self.watch),
            ("full-sync", &self.full_sync),
            ("history", &self.history),
            ("metrics", &self.metrics),
        ] {
            section.write(&mut text, header);
        }
        for (kind, sections) in [("targets", &self.targets), ("sources", &self.sources)] {
            for (name, section) in sections {
                section.write(&mut text, &format!("{kind}.{}", bare(name)));
            }
        }
        text
    }
}

fn entry<'s>(sections: &'s mut Vec<(String, Section)>, name: &str) -> &'s mut Section {
    let at = sections.iter().position(|(other, _)| other == name).unwrap_or_else(|| {
        sections.push((name.to_owned(), Section::default()));
        sections.len() - 1
    });
    &mut sections[at].1
}

/// A part of a table's name, in quotes where it needs them.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { Value::from(name).to_string() }
}

/// One comment, on as many lines as it takes.
fn write_comment(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            text.push('\n');
            width = 0;
        }
        let before = match (width, text.is_empty() || text.ends_with('\n')) {
            (0, true) => "# ",
            _ => " ",
        };
        text.push_str(before);
        text.push_str(word);
        width += 1 + length;
    }
    text.push('\n');
}

/// A name that a source or target can have, as near to the one that is wished as possible.
pub(super) fn usable(wish: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let plain: String = wish.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let mut name = plain.trim_start_matches(['-', '.']).to_owned();
    while name.len() > 100 {
        name.pop();
    }
    if names::check_alias(&name).is_ok() {
        name
    } else {
        format!("source-{}", name.trim_start_matches("history-backup"))
    }
}

/// Refuses what was not UTF-8 in the file: what was read of it is not what it said, and a TOML file cannot hold it.
pub(super) fn is_text(text: &str) -> Result<(), String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(
            "left out: it has bytes that are not UTF-8, which a TOML file cannot hold; rename it, or save the file in \
                    UTF-8"
                .to_owned(),
        );
    }
    Ok(())
}

/// A host with the port that is usual where it is none of its own.
pub(super) fn host(text: &str, port: Option<u16>) -> Result<Host, String> {
    let mut host: Host = text.parse()?;
    if let Some(port) = port
        && host.port == 873
    {
        host.port = port;
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_written_with_its_comments_on_lines_of_their_own() {
        let mut draft = Draft::default();
        draft.rsync.set("user", "a\"b", "as before");
        draft.rsync.comment("x=\n[evil]", &"word ".repeat(40));
        draft.target("m").add("hosts", ["h".to_owned(), "h".to_owned()]);
        draft.source("数据").set("path", "/a", "");
        let text = draft.write("f\n");
        let begins = |line: &str| line.is_empty() || line.starts_with(['#', '[']) || line.contains(" = ");
        assert!(text.lines().all(begins) && text.lines().all(|line| line.chars().count() < 120), "{text}");
        assert!(text.contains("hosts = [\"h\"]\n") && text.contains("[sources.\"数据\"]\n"), "{text}");
        assert!(
            text.contains("user = 'a\"b'  # as before\n") || text.contains("user = \"a\\\"b\"  # as before\n"),
            "{text}"
        );
    }

    #[test]
    fn every_wish_becomes_a_name() {
        let names = [usable("a b/c"), usable("-x"), usable(""), usable("history-backup"), usable("文件")];
        assert_eq!(names, ["a-b-c", "x", "source-", "source-", "文件"]);
        assert!(names::check_alias(&usable(&"é".repeat(90))).is_ok());
    }
}
