//! The literal part of Lua that configurations of lsyncd are mostly made of: tables of texts, numbers and truth values.
//! Nothing is executed: what is not literal is skipped and reported. Pure.

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
}

impl Table {
    /// The value with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(other, _)| other == name).map(|(_, value)| value)
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

/// Tables within tables are read up to here.
const DEEPEST: usize = 20;
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
    loop {
        parser.skip_space();
        let (line, before) = (parser.line, parser.chars.clone());
        let Some(c) = parser.chars.peek().copied() else { return chunk };
        if chunk.skipped.len() > MOST_SKIPPED {
            return chunk;
        }
        if c == ';' || c == ')' {
            parser.next();
            continue;
        }
        if let Ok(statement) = parser.statement() {
            chunk.tables.push(statement);
            continue;
        }
        // Goes on behind the line where it began.
        (parser.chars, parser.line) = (before, line);
        let words = parser.rest_of_line();
        chunk.skipped.push((line, words));
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

    fn name(&mut self) -> Result<String, NotLiteral> {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().copied().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
            // Two points put texts together, which has to be computed.
            if c == '.' && self.chars.clone().nth(1) == Some('.') {
                return Err(NotLiteral);
            }
            name.push(c);
            self.next();
        }
        if name.is_empty() { Err(NotLiteral) } else { Ok(name) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, NotLiteral> {
        self.skip_space();
        let value = match self.chars.peek().copied() {
            Some('{') if depth < DEEPEST => Value::Table(self.table(depth + 1)?),
            Some(quote @ ('"' | '\'')) => Value::Text(self.quoted(quote)?),
            Some('[') => Value::Text(self.long_text()?),
            Some('-') => {
                self.next();
                Value::Number(format!("-{}", self.name()?))
            }
            Some(c) if c.is_ascii_digit() => Value::Number(self.name()?),
            Some(_) => match self.name()?.as_str() {
                "true" => Value::Truth(true),
                "false" => Value::Truth(false),
                "function" => return Err(NotLiteral),
                name => Value::Name(name.to_owned()),
            },
            None => return Err(NotLiteral),
        };
        self.skip_space();
        match self.chars.peek() {
            // What follows would change the value.
            Some('.' | '(' | '+' | '*' | '/' | '%' | '^' | '"' | '\'' | ':') => Err(NotLiteral),
            _ => Ok(value),
        }
    }

    fn table(&mut self, depth: usize) -> Result<Table, NotLiteral> {
        self.next();
        let mut table = Table::default();
        loop {
            self.skip_space();
            if self.eat('}') {
                return Ok(table);
            }
            if self.chars.peek() == Some(&'[') && self.chars.clone().nth(1) != Some('[') {
                self.next();
                let Value::Text(name) = self.value(depth)? else { return Err(NotLiteral) };
                if !self.eat(']') || !self.eat('=') {
                    return Err(NotLiteral);
                }
                table.named.push((name, self.value(depth)?));
            } else {
                match self.value(depth)? {
                    Value::Name(name) if self.eat('=') => table.named.push((name, self.value(depth)?)),
                    value => table.listed.push(value),
                }
            }
            if !self.eat(',') && !self.eat(';') && self.chars.peek() != Some(&'}') {
                return Err(NotLiteral);
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, NotLiteral> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(NotLiteral),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.next() {
                    Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    _ => return Err(NotLiteral),
                },
                Some(c) => text.push(c),
            }
        }
    }

    /// `[[...]]`; a line break right behind the brackets is no part of it.
    fn long_text(&mut self) -> Result<String, NotLiteral> {
        if self.next() != Some('[') || self.next() != Some('[') {
            return Err(NotLiteral);
        }
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == ']' && self.chars.peek() == Some(&']') {
                self.next();
                return Ok(text.strip_prefix('\n').unwrap_or(&text).to_owned());
            }
            text.push(c);
        }
        Err(NotLiteral)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_tables_are_read_and_the_rest_is_skipped() {
        let chunk = parse(
            "--[[ all\nof this ]]\nsettings {\n logfile = \"/var/log/l\", -- here\n nodaemon = true;\n}\n\
             for i = 1, 3 do\nsync(x)\nend\nlocal t = os.getenv('X')\n\
             sync({default.rsync, source='/a', [\"target\"]=[[h::m/a]], delay = 5, exclude = {'*.tmp', \"b\\\"c\"}})\n\
             sync { default.rsync, source = base .. '/x', target = 'h::m' }\n",
        );
        let names: Vec<&str> = chunk.tables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["settings", "sync"]);
        let sync = &chunk.tables[1].1;
        assert_eq!((sync.text("target"), sync.text("delay")), (Some("h::m/a"), Some("5")));
        assert_eq!(sync.texts("exclude"), ["*.tmp", "b\"c"]);
        assert_eq!(sync.listed, [Value::Name("default.rsync".to_owned())]);
        let lines: Vec<usize> = chunk.skipped.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [7, 8, 9, 10, 12]);
    }

    #[test]
    fn what_is_not_closed_ends_with_the_file() {
        for text in ["sync{", "sync{a=\"", "--[[", "sync{[[", "sync{{{", "a", "sync{a=", "-", "--"] {
            assert!(parse(text).tables.is_empty(), "{text}");
        }
    }
}
