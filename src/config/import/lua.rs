//! The literal part of Lua that configurations of lsyncd are mostly made of: tables of texts, numbers and truth values.
//! Nothing is executed: what is not literal is skipped and reported. Pure.

mod block;
mod value;

use std::iter::Peekable;
use std::str::Chars;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// A truth value.
    Truth(bool),
    /// Something with a name, such as `default.rsync`.
    Name(String),
    /// A table: what has a name, and what has none.
    Table(Table),
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// What has a name, in order.
    pub(super) named: Vec<(String, Value)>,
    /// What has none.
    pub(super) listed: Vec<Value>,
    /// The line where it begins, from 1 on.
    pub(super) line: usize,
}

impl Table {
    /// The value with this name: the last of several, as in Lua.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.named.iter().rfind(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The text with this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The texts with this name: a list, or one.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::Text(text)) => vec![text.clone()],
            Some(Value::Table(table)) => table.listed.iter().filter_map(text_of).collect(),
            _ => Vec::new(),
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// What a file comes to.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Calls and assignments with a table: their names and tables.
    pub(super) tables: Vec<(String, Table)>,
    /// Lines that are something else.
    pub(super) skipped: Vec<(usize, String)>,
}

/// Each line that is skipped may have been read up to the end of the file: with more than so many, that takes too long.
const MOST_SKIPPED: usize = 500;

struct NotLiteral;

struct Parser<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Chunk {
    let mut parser = Parser { chars: text.chars().peekable(), line: 1 };
    let mut chunk = Chunk::default();
    // What stands in a block may never be done, or several times.
    let (lines, mut depth) = (text.lines().collect::<Vec<_>>(), 0_usize);
    loop {
        parser.skip_space();
        let (line, before) = (parser.line, parser.chars.clone());
        let Some(c) = parser.chars.peek().copied() else { return chunk };
        if chunk.skipped.len() > MOST_SKIPPED {
            chunk.skipped.push((line, "(neither this line nor any after it was read: there are too many)".to_owned()));
            return chunk;
        }
        if c == ';' || c == ')' {
            parser.next();
            continue;
        }
        if depth == 0
            && let Ok(statement) = parser.statement()
        {
            chunk.tables.push(statement);
            continue;
        }
        // Goes on behind the line where it began.
        (parser.chars, parser.line) = (before, line);
        let words = parser.rest_of_line();
        depth = block::depth_after(depth, &words);
        let opens_long_text = block::opens_long_text(&words);
        chunk.skipped.push((line, words));
        if opens_long_text {
            parser.rest_of_long_text();
            let within = (line + 1..=parser.line).filter_map(|at| Some((at, (*lines.get(at - 1)?).to_owned())));
            chunk.skipped.extend(within);
        }
    }
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn rest_of_line(&mut self) -> String {
        let mut rest = String::new();
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            rest.extend(self.next());
        }
        rest
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.skip_space();
        let found = self.chars.peek() == Some(&wanted);
        if found {
            self.next();
        }
        found
    }

    /// Spaces and comments.
    fn skip_space(&mut self) {
        loop {
            match self.chars.peek().copied() {
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some('-') if self.chars.clone().nth(1) == Some('-') => {
                    self.next();
                    self.next();
                    let mut ahead = self.chars.clone();
                    if ahead.next() == Some('[') && ahead.next() == Some('[') {
                        // A comment that is not closed ends with the file.
                        let _ = self.long_text();
                    } else {
                        self.rest_of_line();
                    }
                }
                _ => return,
            }
        }
    }

    /// `name {...}`, `name({...})` or `name = {...}`.
    fn statement(&mut self) -> Result<(String, Table), NotLiteral> {
        let mut name = self.name()?;
        if name == "local" {
            self.skip_space();
            name = self.name()?;
        }
        let assigned = self.eat('=');
        let called = !assigned && self.eat('(');
        self.skip_space();
        match self.value(0)? {
            Value::Table(table) => {
                if called && !self.eat(')') {
                    return Err(NotLiteral);
                }
                Ok((name, table))
            }
            _ => Err(NotLiteral),
        }
    }
}

#[cfg(test)]
mod tests;
