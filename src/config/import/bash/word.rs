//! Values as bash reads them: words with quotes, and lists of them, as far as they are literal.

use super::{Assignment, NotLiteral, Parser, Value};

/// Expansions could double their size with every line; what gets longer than this is not literal enough.
const LONGEST: usize = 64 * 1024;
/// What all expansions together come to at most.
const MOST: usize = 1 << 20;

/// Where a word stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Assignment,
    List,
}

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Result<Value, NotLiteral> {
        if self.chars.peek() != Some(&'(') {
            return self.word(Within::Assignment).map(|word| Value::Text(word.unwrap_or_default()));
        }
        self.next();
        let mut list = Vec::new();
        loop {
            match self.chars.peek().copied() {
                None => return Err(NotLiteral),
                Some(')') => {
                    self.next();
                    return Ok(Value::List(list));
                }
                Some('#') => self.skip_line(),
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some('[') => list.push(self.indexed(list.len())?),
                Some(_) => match self.word(Within::List)? {
                    Some(word) => list.push(word),
                    // Something that cannot begin a word.
                    None => return Err(NotLiteral),
                },
            }
        }
    }

    /// `[0]=word`, where that is the place that the element has anyway.
    fn indexed(&mut self, place: usize) -> Result<String, NotLiteral> {
        for wanted in format!("[{place}]=").chars() {
            if self.next() != Some(wanted) {
                return Err(NotLiteral);
            }
        }
        self.word(Within::List).map(Option::unwrap_or_default)
    }

    /// One word, or nothing when there is none.
    fn word(&mut self, within: Within) -> Result<Option<String>, NotLiteral> {
        let mut word = String::new();
        let mut any = false;
        while let Some(c) = self.chars.peek().copied() {
            match c {
                c if c.is_whitespace() || matches!(c, ';' | ')') => break,
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some(c) => word.push(c),
                        None => return Err(NotLiteral),
                    }
                }
                // `$'` and `$"` begin quotes of their own.
                '$' if matches!(self.chars.clone().nth(1), Some('\'' | '"')) => return Err(NotLiteral),
                '$' => self.expansion(&mut word)?,
                '`' | '(' | '<' | '>' | '|' | '&' => return Err(NotLiteral),
                // Braces make several words of one.
                '{' if within == Within::List => return Err(NotLiteral),
                c => {
                    word.push(c);
                    self.next();
                }
            }
            any = true;
            if word.len() > LONGEST {
                return Err(NotLiteral);
            }
        }
        Ok(any.then_some(word))
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), NotLiteral> {
        self.next();
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c),
                None => return Err(NotLiteral),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), NotLiteral> {
        self.next();
        loop {
            match self.chars.peek().copied() {
                None | Some('`') => return Err(NotLiteral),
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('$') => self.expansion(word)?,
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                        Some(c) => word.extend(['\\', c]),
                        None => return Err(NotLiteral),
                    }
                }
                Some(c) => {
                    word.push(c);
                    self.next();
                }
            }
            if word.len() > LONGEST {
                return Err(NotLiteral);
            }
        }
    }

    /// `$name` or `${name}` of a text that was assigned before.
    fn expansion(&mut self, word: &mut String) -> Result<(), NotLiteral> {
        self.next();
        // Before anything else it stands for itself, as at the end of a regular expression.
        let begins = |c: &char| c.is_ascii_alphanumeric() || "_{([$!?@*#-".contains(*c);
        if !self.chars.peek().is_some_and(begins) {
            word.push('$');
            return Ok(());
        }
        let braces = self.chars.peek() == Some(&'{');
        if braces {
            self.next();
        }
        let mut name = String::new();
        while let Some(c) = self.chars.peek().copied().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.next();
        }
        if braces && self.next() != Some('}') {
            return Err(NotLiteral);
        }
        let value = match self.pending.iter().rev().find(|assignment| assignment.name == name) {
            // What it comes to is known only when the command is complete.
            Some(Assignment { appends: true, .. }) => return Err(NotLiteral),
            Some(Assignment { value, .. }) => Some(value),
            None => self.script.variables.get(&name),
        };
        match value {
            Some(Value::Text(text)) if word.len() + text.len() <= LONGEST && self.expanded <= MOST => {
                word.push_str(text);
                self.expanded += text.len();
                Ok(())
            }
            _ => Err(NotLiteral),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn a_dollar_sign_that_begins_nothing_stands_for_itself() {
        let script = parse("a=\"\\.tmp$\"\nb=(x$ \"y$|z\")\nc=\"$'\"\n");
        let texts = |name: &str| script.variables[name].list().join(" ");
        assert_eq!([texts("a"), texts("b"), texts("c")], ["\\.tmp$", "x$ y$|z", "$'"]);
        let script = parse("a=$1\nb=\"$$\"\nc=$?\nd=$'x'\ne=$\"x\"\nf=\"$(x)\"\ng=${}\n");
        assert_eq!((script.variables.len(), script.skipped.len()), (0, 7), "{script:?}");
    }

    #[test]
    fn expansions_do_not_grow_without_end() {
        let mut text = "a=xxxxxxxxxxxxxxxx\n".to_owned();
        for _ in 0..60 {
            text += "a=$a$a\n";
        }
        assert!(parse(&text).variables["a"].text().len() <= LONGEST);
        text.extend((0..1000).map(|number| format!("b{number}=$a\n")));
        let sum: usize = parse(&text).variables.values().map(|value| value.text().len()).sum();
        assert!(sum <= 2 * MOST, "{sum}");
    }
}
