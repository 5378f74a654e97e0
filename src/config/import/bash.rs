//! Assignments of bash, as far as they are literal. Nothing is expanded but variables that were assigned before, and nothing
//! is executed: a value that bash would compute is reported as such. Pure.

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

/// What a file comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The variables with their last values.
    pub(super) variables: BTreeMap<String, Value>,
    /// Lines that are no literal assignment.
    pub(super) skipped: Vec<(usize, String)>,
}

/// Expansions could double their size with every line; what gets longer than this is not literal enough.
const LONGEST: usize = 64 * 1024;

/// Reads a file.
pub(super) fn parse(text: &str) -> Script {
    let lines = text.lines().collect();
    let mut parser = Parser { lines, chars: text.chars().peekable(), line: 1, script: Script::default() };
    parser.all();
    parser.script
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    chars: Peekable<Chars<'a>>,
    line: usize,
    script: Script,
}

/// Why a value is not taken.
struct NotLiteral;

impl Parser<'_> {
    fn all(&mut self) {
        while let Some(c) = self.chars.peek().copied() {
            match c {
                '#' => self.skip_line(),
                c if c.is_whitespace() || c == ';' => {
                    self.next();
                }
                _ => self.statement(),
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

    fn statement(&mut self) {
        let line = self.line;
        let mut name = String::new();
        while let Some(c) = self.chars.peek().copied().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.next();
        }
        let appends = self.chars.peek() == Some(&'+');
        if appends {
            self.next();
        }
        if self.chars.peek() == Some(&'=') && !name.is_empty() {
            self.next();
            match self.value() {
                Ok(value) => self.assign(&name, value, appends),
                Err(NotLiteral) => self.skipped(line),
            }
            // After a value comes a space at least; what follows on the line would be run with it.
            if self.chars.peek().is_some_and(|c| !c.is_whitespace() && *c != ';') {
                self.skipped(line);
            }
        } else if matches!(name.as_str(), "export" | "readonly" | "local") && self.chars.peek() == Some(&' ') {
            self.next();
        } else {
            self.skipped(line);
        }
    }

    /// Goes on with the next line.
    fn skipped(&mut self, line: usize) {
        self.skip_line();
        let words = self.lines.get(line - 1).map_or("", |line| line.trim());
        // The rest of a line may be reached in several ways.
        if self.script.skipped.last().is_none_or(|(last, _)| *last != line) {
            self.script.skipped.push((line, words.to_owned()));
        }
    }

    fn assign(&mut self, name: &str, value: Value, appends: bool) {
        let value = match (self.script.variables.remove(name), value) {
            (Some(old), Value::List(more)) if appends => Value::List([old.list(), &more].concat()),
            (Some(old), Value::Text(more)) if appends => Value::Text(old.text().to_owned() + &more),
            (_, value) => value,
        };
        self.script.variables.insert(name.to_owned(), value);
    }

    fn value(&mut self) -> Result<Value, NotLiteral> {
        if self.chars.peek() != Some(&'(') {
            return self.word().map(|word| Value::Text(word.unwrap_or_default()));
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
                Some(_) => match self.word()? {
                    Some(word) => list.push(word),
                    // Something that cannot begin a word.
                    None => return Err(NotLiteral),
                },
            }
        }
    }

    /// One word, or nothing when there is none.
    fn word(&mut self) -> Result<Option<String>, NotLiteral> {
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
                '$' => self.expansion(&mut word)?,
                '`' | '(' | '<' | '>' | '|' | '&' => return Err(NotLiteral),
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
        match self.script.variables.get(&name) {
            Some(Value::Text(text)) if word.len() + text.len() <= LONGEST => {
                word.push_str(text);
                Ok(())
            }
            _ => Err(NotLiteral),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &Script, name: &str) -> String {
        script.variables.get(name).map(|value| value.list().join("|")).unwrap_or_default()
    }

    #[test]
    fn literal_assignments_are_understood() {
        let script = parse(
            "# a comment\nwork_dir=/usr/local/sersync # more\nlogs_dir=${work_dir}/logs\na='x y'\"z $work_dir\"\\ w\n\
             list=('a=/b' \"c=/d e\"\n  # inside\n  f) ; b=1;c=2\nlist+=(g)\nexport d=4\n",
        );
        assert_eq!(text(&script, "logs_dir"), "/usr/local/sersync/logs");
        assert_eq!(text(&script, "a"), "x yz /usr/local/sersync w");
        assert_eq!(text(&script, "list"), "a=/b|c=/d e|f|g");
        assert_eq!([text(&script, "b"), text(&script, "c"), text(&script, "d")], ["1", "2", "4"]);
        assert!(script.skipped.is_empty(), "{script:?}");
    }

    #[test]
    fn what_bash_would_compute_is_named_and_not_taken() {
        let script = parse("a=$(rm -rf /)\nb=`id`\nc=\"x$(id)\"\nd=${e:-f}\nif true; then\ng=1\nfi\nh='open\ni=2\n");
        assert!(["a", "b", "c", "d", "h", "i"].iter().all(|name| !script.variables.contains_key(*name)), "{script:?}");
        assert_eq!(text(&script, "g"), "1");
        let lines: Vec<usize> = script.skipped.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8]);
        assert_eq!(script.skipped[0].1, "a=$(rm -rf /)");
    }

    #[test]
    fn expansions_do_not_grow_without_end() {
        let mut text = "a=xxxxxxxxxxxxxxxx\n".to_owned();
        for _ in 0..60 {
            text += "a=$a$a\n";
        }
        assert!(parse(&text).variables["a"].text().len() <= LONGEST);
    }
}
