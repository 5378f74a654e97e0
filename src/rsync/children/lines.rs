//! The lines of a child's output. Whatever comes, memory is needed for one line only, and no line is longer than any that rsync
//! has a reason to write.

use std::io::{self, BufRead, BufReader, Read};

/// A line longer than this is cut: names are at most 4096 bytes, each at most four bytes when escaped.
pub(super) const LONGEST_LINE: u64 = 20_000;
/// What a pipe holds. A smaller buffer would take the pause between two reads of a busy pipe several times for the same
/// content, and hold up a run that prints much.
const PIPE: usize = 64 * 1024;

/// What ends a line of a child's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// A newline.
    Newline,
    /// A carriage return as well, with which rsync goes back to write the next progress over the last.
    Return,
}

/// Reads a pipe to its end, and hands on each line without what ends it.
pub(super) fn each_line(pipe: Option<impl Read>, ends: Ends, mut on_line: impl FnMut(&[u8])) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let is_end = |byte: &u8| *byte == b'\n' || (ends == Ends::Return && *byte == b'\r');
    let mut reader = BufReader::with_capacity(PIPE, pipe);
    let mut line = Vec::new();
    let mut inside_a_cut_line = false;
    loop {
        line.clear();
        if read_until(&mut Read::by_ref(&mut reader).take(LONGEST_LINE), is_end, &mut line)? == 0 {
            return Ok(());
        }
        let complete = line.last().is_some_and(is_end);
        if complete {
            line.pop();
        }
        if !inside_a_cut_line {
            on_line(&line);
        }
        inside_a_cut_line = !complete;
    }
}

/// [`BufRead::read_until`] for one of several bytes.
fn read_until(reader: &mut impl BufRead, is_end: impl Fn(&u8) -> bool, line: &mut Vec<u8>) -> io::Result<usize> {
    let before = line.len();
    loop {
        let available = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        let end = available.iter().position(&is_end);
        let used = end.map_or(available.len(), |end| end + 1);
        line.extend_from_slice(&available[..used]);
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(line.len() - before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriage_return_ends_a_line_only_where_it_is_asked_for() {
        let lines_by = |ends| {
            let mut lines = Vec::new();
            each_line(Some(&b"one\r 1%\r 2%\ntwo\n\nrest"[..]), ends, |line| {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            })
            .unwrap();
            lines
        };
        assert_eq!(lines_by(Ends::Newline), ["one\r 1%\r 2%", "two", "", "rest"]);
        assert_eq!(lines_by(Ends::Return), ["one", " 1%", " 2%", "two", "", "rest"]);
    }
}
