//! What is known at some place within a command of bash: what is open there, and what a word would be. Pure.

/// What something that was opened ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A word where a command can begin: `fi`, `done`, `esac`, `}`.
    Word(&'static str),
    /// `)`.
    Parenthesis,
    /// `)` of arithmetic, in which `<<` and `#` mean something else.
    Arithmetic,
    /// `"`.
    Quote,
    /// `}` of `${`.
    Brace,
}

/// What a word would be that comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Next {
    /// The first one of a command, or a word of the language.
    #[default]
    Command,
    /// The name of a function, behind the word `function`.
    Name,
    /// One of the others.
    Argument,
}

/// What was read of a command.
#[derive(Debug, Default)]
pub(super) struct Skim {
    /// What is open, the innermost last.
    pub(super) open: Vec<End>,
    /// The word that is being read.
    pub(super) word: String,
    /// A part of the word is quoted or computed, so that it is no word of the language.
    pub(super) odd: bool,
    /// What comes next.
    pub(super) next: Next,
    /// `&&`, `||` or `|` was last, after which a line break ends nothing.
    pub(super) continues: bool,
    /// Here-documents that begin with the next line: what ends each, and whether tabs may stand before it.
    pub(super) documents: Vec<(String, bool)>,
}

impl Skim {
    /// Looks at the word that is complete now, if there is one.
    pub(super) fn end_word(&mut self) {
        if self.word.is_empty() && !self.odd {
            return;
        }
        let (word, odd) = (std::mem::take(&mut self.word), std::mem::take(&mut self.odd));
        self.continues = false;
        let next = std::mem::replace(&mut self.next, Next::Argument);
        if next == Next::Name {
            self.next = Next::Command;
        }
        if odd || next != Next::Command {
            return;
        }
        let opened = match word.as_str() {
            "if" => Some("fi"),
            "while" | "until" | "for" | "select" => Some("done"),
            "case" => Some("esac"),
            "{" => Some("}"),
            _ => None,
        };
        if let Some(end) = opened {
            self.open.push(End::Word(end));
            if !matches!(word.as_str(), "for" | "select" | "case") {
                self.next = Next::Command;
            }
        } else if let Some(End::Word(end)) = self.open.last()
            && word == *end
        {
            self.open.pop();
            self.next = Next::Command;
        } else {
            self.next = match word.as_str() {
                "then" | "do" | "else" | "elif" | "!" | "time" => Next::Command,
                "function" => Next::Name,
                _ => Next::Argument,
            };
        }
    }

    /// The same where a command can begin behind it.
    pub(super) fn begin_command(&mut self) {
        self.end_word();
        self.next = Next::Command;
    }
}
