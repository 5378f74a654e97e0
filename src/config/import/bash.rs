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
    /// Further lines that look like assignments.
    pub(super) inside: Vec<(usize, String)>,
}

/// What a file comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// The variables with their last values.
    pub(super) variables: BTreeMap<String, Value>,
    /// What is no literal assignment.
    pub(super) skipped: Vec<Skipped>,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Script {
    let lines = text.lines().collect();
    let mut parser = Parser {
        lines,
        chars: text.chars().peekable(),
        line: 1,
        expanded: 0,
        pending: Vec::new(),
        script: Script::default(),
    };
    parser.all();
    parser.script
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    chars: Peekable<Chars<'a>>,
    line: usize,
    /// How much expansions have added so far.
    expanded: usize,
    /// The assignments of the command that is being read.
    pending: Vec<Assignment>,
    script: Script,
}

/// One assignment.
struct Assignment {
    name: String,
    value: Value,
    appends: bool,
}

/// So many assignments in one command nobody writes.
const MOST: usize = 100;

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
        let last = self.skim();
        let text = |line: usize| self.lines.get(line - 1).map_or("", |line| line.trim()).to_owned();
        let inside = (line + 1..=last).filter(|line| looks_like_assignment(&text(*line)));
        let inside = inside.map(|line| (line, text(line))).collect();
        let (text, skipped) = (text(line), &mut self.script.skipped);
        // Of several on a line one stands for all.
        if skipped.last().is_none_or(|other| other.line != line || last > other.last) {
            skipped.push(Skipped { line, last, text, inside });
        }
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
            let mut name = String::new();
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
            self.pending.push(Assignment { name, value, appends });
        }
    }

    fn assign(&mut self, Assignment { name, value, appends }: Assignment) {
        let value = match (self.script.variables.remove(&name), value) {
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

fn looks_like_assignment(line: &str) -> bool {
    let word = line.split_whitespace().find(|word| !matches!(*word, "export" | "readonly" | "local" | "declare"));
    word.and_then(|word| word.split_once('=')).is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
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
             list=('a=/b' \"c=/d e\"\n  # inside\n  f) ; b=1;c=2\nlist+=(g)\nexport d=4\nx=1 y=$x\r\n",
        );
        assert_eq!(text(&script, "logs_dir"), "/usr/local/sersync/logs");
        assert_eq!(text(&script, "a"), "x yz /usr/local/sersync w");
        assert_eq!(text(&script, "list"), "a=/b|c=/d e|f|g");
        assert_eq!(["b", "c", "d", "x", "y"].map(|name| text(&script, name)), ["1", "2", "4", "1", "1"]);
        assert!(script.skipped.is_empty(), "{script:?}");
    }

    #[test]
    fn what_bash_would_compute_is_named_and_not_taken() {
        let script = parse("a=$(rm -rf /)\nb=`id`; z=1\nc=\"x$(id)\"\nd=${e:-f}\nLANG=C date\nh='open\ni=2\n");
        assert_eq!(script.variables.keys().collect::<Vec<_>>(), ["z"], "{script:?}");
        let lines: Vec<usize> = script.skipped.iter().map(|skipped| skipped.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6]);
        assert_eq!(script.skipped[0].text, "a=$(rm -rf /)");
        assert_eq!(script.skipped[5].inside, [(7, "i=2".to_owned())]);
    }

    /// In each of these bash would take `g` perhaps, or never; what comes after it is taken for real.
    #[test]
    fn nothing_within_another_command_is_taken() {
        for command in [
            "if true; then\ng=1\nfi",
            "if true; then g=1; else g=2; fi > /dev/null 2>&1",
            "if a; then if b; then\ng=1\nfi fi",
            "case $x in\nfi) g=1 ;;\n(esac|y)\ng=1;; esac",
            "case $x in a) g=1;; esac",
            "for x in if a b; do\ng=1\ndone",
            "for ((i=1<<2; i<9; i++)); do\ng=1\ndone",
            "while read -r x; do\ng=1\ndone <<EOF\nx\nEOF",
            "f() {\ng=1\n}",
            "f()\n{\ng=1\n}",
            "function f {\nif x; then\ng=1\nfi\ng=2\n}",
            "( g=1\ng=2 )",
            "{ g=1\n}",
            "cat <<EOF\ng=1\nEOF",
            "cat <<-'E F' <<Z; echo\n\tE\ng=1\n\tE F\ng=2\nZ",
            "cat <<EOF &&\ng=1\nEOF\ng=2",
            "true &&\n  g=1",
            "false || g=1",
            "x=1 |\ng=1",
            "g=1 &",
            "echo \"\ng=1\n\"",
            "echo 'it\ng=1\n'",
            "echo $'it\\'s\ng=1\n'",
            "echo \"$(echo \"\ng=1\n\")\"",
            "echo ${x:-\ng=1\n}",
            "echo `\ng=1\n`",
            "echo a \\\ng=1",
            "echo $((1<<2)) x#y <<<z >&2 &>f",
        ] {
            let script = parse(&format!("{command}\nafter=1\n"));
            assert_eq!(text(&script, "g"), "", "{command}");
            assert_eq!(text(&script, "after"), "1", "{command}: {script:?}");
            assert!(!script.skipped.is_empty());
            let named = script.skipped.iter().flat_map(|skipped| &skipped.inside).count();
            let there = command.lines().skip(1).filter(|line| looks_like_assignment(line.trim())).count();
            let first = script.skipped.iter().skip(1).filter(|skipped| looks_like_assignment(&skipped.text)).count();
            assert_eq!(named + first, there, "{command}: {:?}", script.skipped);
        }
    }
}
