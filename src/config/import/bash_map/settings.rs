//! The settings of the bash sersync, each of which is taken, or else said to be left out: what nothing was made of in the end
//! cannot get lost. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::bash::{Script, Value};
use super::super::draft::{self, Draft, Section};

/// An element of a list that reads `KEY=VALUE`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'s> {
    /// Which element it is.
    pub(super) at: usize,
    pub(super) key: &'s str,
    pub(super) value: &'s str,
}

/// All of them.
pub(super) struct Settings<'s> {
    script: &'s Script,
    /// Names that were looked for.
    known: BTreeSet<&'static str>,
    /// Elements that something was made of, by name and place.
    used: BTreeSet<(&'static str, usize)>,
    /// Why others are not taken.
    refused: BTreeMap<(&'static str, usize), String>,
}

impl<'s> Settings<'s> {
    pub(super) fn new(script: &'s Script) -> Settings<'s> {
        Settings { script, known: BTreeSet::new(), used: BTreeSet::new(), refused: BTreeMap::new() }
    }

    /// The text of a setting that is not empty, without taking it.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'s str> {
        self.known.insert(name);
        self.script.variables.get(name).map(Value::text).filter(|text| !text.is_empty())
    }

    /// Takes a setting, unless `read` says why not.
    pub(super) fn take<T>(&mut self, name: &'static str, read: impl FnOnce(&'s str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match draft::is_text(text).and_then(|()| read(text)) {
            Ok(value) => {
                self.used(name, 0);
                Some(value)
            }
            Err(why) => {
                self.refuse(name, 0, why);
                None
            }
        }
    }

    /// Keeps a setting as a comment of the place where it belongs.
    pub(super) fn explain(&mut self, name: &'static str, why: &str, section: &mut Section) {
        if let Some(text) = self.take(name, Ok) {
            section.comment(&self.origin(name, text), why);
        }
    }

    /// What a setting says, with its line.
    pub(super) fn origin(&self, name: &str, text: &str) -> String {
        format!("{}{name}={text}", self.place(name, 0))
    }

    /// The line of an element, as it stands before what is said of it.
    pub(super) fn place(&self, name: &str, at: usize) -> String {
        format!("Line {}: ", self.line(name, at))
    }

    fn line(&self, name: &str, at: usize) -> usize {
        self.script.lines.get(name).and_then(|lines| lines.get(at)).copied().unwrap_or_default()
    }

    /// Whether something is switched on by 1, or off by 0.
    pub(super) fn is_on(&mut self, name: &'static str) -> Option<bool> {
        self.take(name, |text| match text.trim() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err("neither 0 nor 1".to_owned()),
        })
    }

    /// The elements `KEY=VALUE` of a list, without taking them.
    pub(super) fn pairs(&mut self, name: &'static str) -> Vec<Pair<'s>> {
        self.known.insert(name);
        let list = self.script.variables.get(name).map(Value::list).unwrap_or_default();
        let mut pairs = Vec::new();
        for (at, element) in list.iter().enumerate() {
            let pair = draft::is_text(element)
                .and_then(|()| element.split_once('=').ok_or_else(|| "left out: it has no `=`".to_owned()));
            match pair {
                Ok((key, value)) => pairs.push(Pair { at, key, value }),
                Err(why) => self.refuse(name, at, why),
            }
        }
        pairs
    }

    /// Something was made of an element.
    pub(super) fn used(&mut self, name: &'static str, at: usize) {
        self.used.insert((name, at));
    }

    /// Says why an element is not taken.
    pub(super) fn refuse(&mut self, name: &'static str, at: usize, why: impl Into<String>) {
        self.refused.insert((name, at), why.into());
    }

    /// Says of everything that nothing was made of that it is left out.
    pub(super) fn leftovers(&self, draft: &mut Draft) {
        // Where nothing is mirrored, only what decides that matters.
        let matters = |name: &str| !draft.is_empty() || self.known.contains(name);
        let mut lines = Vec::new();
        for (name, value) in self.script.variables.iter().filter(|(name, _)| matters(name)) {
            let known = self.known.get(name.as_str()).copied();
            for (at, text) in value.list().iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                if known.is_some_and(|known| self.used.contains(&(known, at))) {
                    continue;
                }
                let why = known.map_or("not known, and left out", |known| {
                    self.refused.get(&(known, at)).map_or("left out: nothing goes by it", String::as_str)
                });
                let equals = if matches!(value, Value::List(_)) { ": " } else { "=" };
                lines.push((self.line(name, at), format!("{}{name}{equals}{text}: {why}", self.place(name, at))));
            }
        }
        lines.sort();
        for (_, line) in &lines {
            draft.say(line);
        }
    }
}
