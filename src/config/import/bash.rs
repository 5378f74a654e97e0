//! Assignments of bash, as far as they are literal. Nothing is expanded but variables that were assigned before, and nothing
//! is executed. Only a command that consists of assignments alone, outside of any other, is taken over: what bash would
//! compute, or do only in some cases, is reported instead. Pure.

mod skim;
mod state;
mod word;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What a variable has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// All texts.
    pub(super) fn list(&self) -> &[String] {
        match self {
            Value::Text(text) => std::slice::from_ref(text),
            Value::List(list) => list,
        }
    }

    /// The first text.
    pub(super) fn text(&self) -> &str {
        self.list().first().map_or("", String::as_str)
    }
}

/// A command that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skipped {
    /// Its first line, from 1 on.
    pub(super) line: usize,
    /// Its last line.
    pub(super) last: usize,
    /// What the first line says.
    pub(super) text: String,
    /// Further lines, but those that are empty.
    pub(super) inside: Vec<(usize, String)>,
}

/// What a file comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The variables with their last values.
    pub(super) variables: BTreeMap<String, Value>,
    /// The line of each of their elements, from 1 on.
    pub(super) lines: BTreeMap<String, Vec<usize>>,
    /// Values that a later line replaced: the line of each, and what it said.
    pub(super) replaced: Vec<(usize, String)>,
    /// What is no literal assignment.
    pub(super) skipped: Vec<Skipped>,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Script {
    let mut parser = Parser::new(text);
    parser.all();
    parser.script
}

/// The words that a shell makes of a part of a command, where nothing has to be computed for that.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    // A line break would end the command.
    if text.contains('\n') {
        return None;
    }
    let list = format!("({text})");
    let mut parser = Parser::new(&list);
    match parser.value() {
        Ok(Value::List(words)) if parser.chars.peek().is_none() => Some(words),
        _ => None,
    }
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    chars: Peekable<Chars<'a>>,
    line: usize,
    /// How much expansions have added so far.
    expanded: usize,
    /// The assignments of the command that is being read.
    pending: Vec<Assignment>,
    /// The last line that was said not to be taken over.
    quoted: usize,
    script: Script,
}

/// One assignment.
struct Assignment {
    line: usize,
    name: String,
    value: Value,
    appends: bool,
}

/// So many assignments in one command nobody writes.
const MOST: usize = 100;
/// More than the longest word that ends a script.
const LONGEST_END: usize = 8;

/// Why a value is not taken.
struct NotLiteral;

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser {
            lines: text.lines().collect(),
            chars: text.chars().peekable(),
            line: 1,
            expanded: 0,
            pending: Vec::new(),
            quoted: 0,
            script: Script::default(),
        }
    }

    fn all(&mut self) {
        while let Some(c) = self.chars.peek().copied() {
            match c {
                '#' => self.skip_line(),
                c if c.is_whitespace() || c == ';' => {
                    self.next();
                }
                _ => self.command(),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn skip_line(&mut self) {
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            self.next();
        }
    }

    fn command(&mut self) {
        let (chars, line) = (self.chars.clone(), self.line);
        let read = self.assignments();
        let pending = std::mem::take(&mut self.pending);
        if read.is_ok() {
            for assignment in pending {
                self.assign(assignment);
            }
            return;
        }
        (self.chars, self.line) = (chars, line);
        let last = if self.ends_script() { self.lines.len() } else { self.skim() };
        // Of several commands on a line one stands for all.
        if last > self.quoted {
            let text = |line: usize| self.lines.get(line - 1).map_or("", |line| line.trim()).to_owned();
            let inside = (line.max(self.quoted) + 1..=last).map(|line| (line, text(line)));
            let inside = inside.filter(|(_, text)| !text.is_empty()).collect();
            self.script.skipped.push(Skipped { line, last, text: text(line), inside });
            self.quoted = last;
        }
    }

    /// Goes to the end of the file where the command that begins here is `exit` or `return`: bash does nothing that follows.
    fn ends_script(&mut self) -> bool {
        let is_in_word = |c: &char| !c.is_whitespace() && !matches!(c, ';' | '&' | '|' | '<' | '>' | '#');
        let word: String = self.chars.clone().take_while(is_in_word).take(LONGEST_END).collect();
        let ends = matches!(word.as_str(), "exit" | "return");
        while ends && self.next().is_some() {}
        ends
    }

    /// A command that is made of assignments and nothing else.
    fn assignments(&mut self) -> Result<(), NotLiteral> {
        loop {
            while self.chars.peek().is_some_and(|c| c.is_whitespace() && *c != '\n') {
                self.next();
            }
            if self.chars.peek().is_none_or(|c| matches!(c, '\n' | ';' | '#')) {
                return Ok(());
            }
            let (line, mut name) = (self.line, String::new());
            while let Some(c) = self.chars.peek().copied().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
                self.next();
            }
            let is_word = matches!(name.as_str(), "export" | "readonly" | "local") && self.pending.is_empty();
            if is_word && self.chars.peek() == Some(&' ') {
                continue;
            }
            let appends = self.chars.peek() == Some(&'+');
            if appends {
                self.next();
            }
            if name.is_empty() || self.next() != Some('=') {
                return Err(NotLiteral);
            }
            let value = self.value()?;
            if self.chars.peek().is_some_and(|c| !c.is_whitespace() && *c != ';') {
                return Err(NotLiteral);
            }
            if self.pending.len() >= MOST {
                return Err(NotLiteral);
            }
            self.pending.push(Assignment { line, name, value, appends });
        }
    }

    fn assign(&mut self, Assignment { line, name, value, appends }: Assignment) {
        let old = self.script.variables.remove(&name);
        if let Some(old) = old.as_ref().filter(|old| !appends && **old != value && !old.text().is_empty()) {
            let said = old.list().join(" ");
            let at = self.script.lines.get(&name).and_then(|lines| lines.first()).copied().unwrap_or(line);
            self.script.replaced.push((at, format!("{name}={said}")));
        }
        let lines = self.script.lines.entry(name.clone()).or_default();
        if !appends {
            lines.clear();
        }
        // A text that is added to an element stays where that one is.
        if lines.is_empty() || matches!(value, Value::List(_)) {
            lines.resize(lines.len() + value.list().len(), line);
        }
        let value = match (old, value) {
            (Some(Value::List(mut old)), Value::List(more)) if appends => {
                old.extend(more);
                Value::List(old)
            }
            (Some(Value::Text(old)), Value::List(mut more)) if appends => {
                more.insert(0, old);
                Value::List(more)
            }
            (Some(Value::Text(mut old)), Value::Text(more)) if appends => {
                old.push_str(&more);
                Value::Text(old)
            }
            // A text is added to the first element.
            (Some(Value::List(mut old)), Value::Text(more)) if appends => {
                match old.first_mut() {
                    Some(first) => first.push_str(&more),
                    None => old.push(more),
                }
                Value::List(old)
            }
            (_, value) => value,
        };
        self.script.variables.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
