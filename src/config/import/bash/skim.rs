//! Where a command of bash ends that is not taken over: with all that is in it, such as the branches of an `if`, the body of a
//! function, and here-documents. Where the end is not found, it is that of the file: rather too much is left out than
//! something taken for real that bash would not have done.

use super::Parser;
use super::state::{End, Skim};

impl Parser<'_> {
    /// Goes on behind the command that begins here, and returns its last line.
    pub(super) fn skim(&mut self) -> usize {
        let mut skim = Skim::default();
        while let Some(c) = self.chars.peek().copied() {
            if self.quoted(c, &mut skim) {
                continue;
            }
            if let Some(last) = self.unquoted(c, &mut skim) {
                return last;
            }
        }
        self.line.min(self.lines.len())
    }

    /// Goes on behind what is or begins something quoted. False when it is none, and nothing was read.
    fn quoted(&mut self, c: char, skim: &mut Skim) -> bool {
        match (skim.open.last(), c) {
            (_, '\\') => {
                self.next();
                skim.odd |= self.next() != Some('\n');
            }
            (_, '`') => self.up_to('`'),
            (_, '$') => self.dollar(skim),
            (Some(End::Quote), '"') | (Some(End::Brace), '}') => {
                self.next();
                skim.open.pop();
            }
            (_, '"') => {
                self.next();
                skim.odd = true;
                skim.open.push(End::Quote);
            }
            (Some(End::Quote), _) => drop(self.next()),
            (_, '\'') => {
                skim.odd = true;
                self.next();
                while self.next().is_some_and(|c| c != '\'') {}
            }
            (Some(End::Brace), _) => drop(self.next()),
            _ => return false,
        }
        true
    }

    /// Goes on behind one sign, or one operator. The last line of the command when it ends with that.
    fn unquoted(&mut self, c: char, skim: &mut Skim) -> Option<usize> {
        match c {
            '\n' => return self.end_of_line(skim),
            ';' => {
                // The rest of the line still stands before the here-document.
                let ends = skim.open.is_empty() && skim.documents.is_empty();
                skim.begin_command();
                self.next();
                return (ends && skim.open.is_empty()).then_some(self.line);
            }
            '&' | '|' => return self.operator(c, skim).then_some(self.line),
            '(' => self.parenthesis(skim),
            ')' => {
                skim.begin_command();
                self.next();
                skim.open.pop_if(|open| matches!(open, End::Parenthesis | End::Arithmetic));
            }
            _ if skim.open.last() == Some(&End::Arithmetic) => drop(self.next()),
            '#' if skim.word.is_empty() && !skim.odd => self.skip_line(),
            '<' => self.redirection(skim),
            '>' => {
                skim.end_word();
                self.next();
                self.ampersand();
            }
            _ if c.is_whitespace() => {
                skim.end_word();
                self.next();
            }
            _ => {
                skim.word.push(c);
                self.next();
            }
        }
        None
    }

    /// The here-documents that began in a line come after it, before the command can end.
    fn end_of_line(&mut self, skim: &mut Skim) -> Option<usize> {
        skim.begin_command();
        if skim.open.is_empty() && !skim.continues && skim.documents.is_empty() {
            return Some(self.line);
        }
        self.next();
        if skim.documents.is_empty() {
            return None;
        }
        self.documents(&std::mem::take(&mut skim.documents));
        (skim.open.is_empty() && !skim.continues).then(|| self.line - 1)
    }

    fn up_to(&mut self, end: char) {
        self.next();
        while let Some(c) = self.next() {
            if c == '\\' {
                self.next();
            } else if c == end {
                return;
            }
        }
    }

    fn dollar(&mut self, skim: &mut Skim) {
        self.next();
        skim.odd = true;
        let quoted = skim.open.last() == Some(&End::Quote);
        match self.chars.peek() {
            Some('\'') if !quoted => self.up_to('\''),
            Some('{') => {
                self.next();
                skim.open.push(End::Brace);
            }
            Some('(') => self.parenthesis(skim),
            _ => {}
        }
    }

    fn parenthesis(&mut self, skim: &mut Skim) {
        skim.begin_command();
        skim.continues = false;
        self.next();
        let within = skim.open.last() == Some(&End::Arithmetic);
        let twice = self.chars.peek() == Some(&'(');
        skim.open.push(if within || twice { End::Arithmetic } else { End::Parenthesis });
    }

    /// The one of `2>&1`, which ends nothing.
    fn ampersand(&mut self) {
        if self.chars.peek() == Some(&'&') {
            self.next();
        }
    }

    /// `&&`, `||` and `|` go on, and so does `&>`; `&` alone ends the command. Whether it has ended.
    fn operator(&mut self, c: char, skim: &mut Skim) -> bool {
        skim.begin_command();
        self.next();
        let next = self.chars.peek().copied();
        skim.continues = c == '|' || next == Some('&');
        if next == Some('&') || (c == '|' && next == Some('|')) {
            self.next();
        }
        let ends = !skim.continues && next != Some('>');
        ends && skim.open.is_empty() && skim.documents.is_empty()
    }

    /// `<`, `<<<`, or the beginning of a here-document.
    fn redirection(&mut self, skim: &mut Skim) {
        skim.end_word();
        let mut signs = 0;
        while signs < 3 && self.chars.peek() == Some(&'<') {
            self.next();
            signs += 1;
        }
        if signs != 2 {
            self.ampersand();
            return;
        }
        let tabs = self.chars.peek() == Some(&'-');
        if tabs {
            self.next();
        }
        while self.chars.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.next();
        }
        let is_end = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')');
        let (mut end, mut quote) = (String::new(), None);
        while let Some(c) = self.chars.peek().copied().filter(|c| *c != '\n' && (quote.is_some() || !is_end(*c))) {
            self.next();
            match c {
                '\'' | '"' if quote.is_none() => quote = Some(c),
                _ if quote == Some(c) => quote = None,
                '\\' => {}
                _ => end.push(c),
            }
        }
        skim.documents.push((end, tabs));
    }

    fn documents(&mut self, documents: &[(String, bool)]) {
        for (end, tabs) in documents {
            while self.chars.peek().is_some() {
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                let line = line.trim_end_matches('\r');
                if *end == if *tabs { line.trim_start_matches('\t') } else { line } {
                    break;
                }
            }
        }
    }
}
