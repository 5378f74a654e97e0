//! One table of a configuration that is being put together. Pure.

use std::fmt::Write as _;

use toml::Value;

use super::is_text;
use crate::report::text::escaped;

/// Comments are not wider, where they have spaces.
const WIDTH: usize = 112;

/// One key of a table.
#[derive(Debug, Clone)]
struct Key {
    name: String,
    value: Value,
    note: String,
    /// What the original says.
    origin: String,
}

/// One table.
#[derive(Debug, Default, Clone)]
pub(in super::super) struct Section {
    keys: Vec<Key>,
    comments: Vec<String>,
}

impl Section {
    /// Sets a key; `note` stands behind it as a comment, if it is not empty.
    pub(in super::super) fn set(&mut self, key: &str, value: impl Into<Value>, note: &str) {
        let value = value.into();
        self.set_from(&format!("{key} = {value}"), key, value, note);
    }

    /// The same with what the original says, so that it stays as a comment where something else takes its place, and where
    /// it is no text.
    pub(in super::super) fn set_from(&mut self, origin: &str, key: &str, value: impl Into<Value>, note: &str) {
        let value = value.into();
        if let Some(why) = value.as_str().and_then(|text| is_text(text).err()) {
            return self.comment(origin, &why);
        }
        if let Some(at) = self.keys.iter().position(|other| other.name == key) {
            let old = self.keys.remove(at);
            if old.value != value && !value.is_array() {
                self.comment(&old.origin, &format!("another one takes its place ({})", escaped(origin.as_bytes())));
            }
        }
        let (name, note, origin) = (key.to_owned(), note.to_owned(), origin.to_owned());
        self.keys.push(Key { name, value, note, origin });
    }

    /// Adds elements to a list, each once.
    pub(in super::super) fn add(&mut self, key: &str, more: impl IntoIterator<Item = String>) {
        let mut list = match self.get(key) {
            Some(Value::Array(list)) => list.clone(),
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
    pub(in super::super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|other| other.name == key).map(|other| &other.value)
    }

    /// Whether the keys of both have the same values.
    pub(super) fn is_like(&self, other: &Section) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.get(&key.name) == Some(&key.value))
    }

    /// Whether both are targets at the same place.
    pub(super) fn is_at(&self, other: &Section) -> bool {
        ["module", "hosts", "path"].iter().all(|key| self.get(key) == other.get(key))
    }

    /// Keeps something of the original as a comment, with the reason why it is not taken over.
    pub(in super::super) fn comment(&mut self, original: &str, why: &str) {
        let line = format!("{}: {why}", escaped(original.as_bytes()));
        if !self.comments.contains(&line) {
            self.comments.push(line);
        }
    }

    /// Takes over what another table has, with its keys below `prefix`.
    pub(in super::super) fn take_over(&mut self, prefix: &str, other: &Section) {
        for Key { name, value, note, origin } in &other.keys {
            self.set_from(origin, &format!("{prefix}{name}"), value.clone(), note);
        }
        for line in &other.comments {
            if !self.comments.contains(line) {
                self.comments.push(line.clone());
            }
        }
    }

    /// Adds the text of the table.
    pub(super) fn write(&self, text: &mut String, header: &str) {
        if self.keys.is_empty() && self.comments.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n[{header}]");
        for Key { name, value, note, .. } in &self.keys {
            let note = if note.is_empty() { String::new() } else { format!("  # {note}") };
            let _ = writeln!(text, "{name} = {value}{note}");
        }
        for line in &self.comments {
            write_comment(text, line);
        }
    }
}

/// One comment, on as many lines as it takes.
pub(super) fn write_comment(text: &mut String, words: &str) {
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
