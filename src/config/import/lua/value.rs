//! Values of Lua: names, texts, numbers, truth values and tables of them, as far as they are literal.

use super::{NotLiteral, Parser, Table, Value};

/// Tables within tables are read up to here.
const DEEPEST: usize = 20;

impl Parser<'_> {
    pub(super) fn name(&mut self) -> Result<String, NotLiteral> {
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

    pub(super) fn value(&mut self, depth: usize) -> Result<Value, NotLiteral> {
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
        let mut table = Table { line: self.line, ..Table::default() };
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
    pub(super) fn long_text(&mut self) -> Result<String, NotLiteral> {
        if self.next() != Some('[') || self.next() != Some('[') {
            return Err(NotLiteral);
        }
        let text = self.rest_of_long_text().ok_or(NotLiteral)?;
        Ok(text.strip_prefix('\n').unwrap_or(&text).to_owned())
    }

    /// What comes before the closing brackets, and they themselves; nothing when there are none.
    pub(super) fn rest_of_long_text(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == ']' && self.chars.peek() == Some(&']') {
                self.next();
                return Some(text);
            }
            text.push(c);
        }
        None
    }
}
