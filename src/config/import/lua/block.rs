//! What a line that is not taken over leaves open: blocks, in which nothing counts, and long texts. Pure.

/// How many blocks are open behind a line. `for` and `while` open theirs by `do`, and `elseif` none.
pub(super) fn depth_after(before: usize, line: &str) -> usize {
    let mut plain = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => break,
            '"' | '\'' => {
                plain.push(' ');
                while let Some(other) = chars.next().filter(|other| *other != c) {
                    if other == '\\' {
                        chars.next();
                    }
                }
            }
            _ => plain.push(c),
        }
    }
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.fold(before, |depth, word| match word {
        "function" | "if" | "do" | "repeat" => depth + 1,
        "end" | "until" => depth.saturating_sub(1),
        _ => depth,
    })
}

/// Whether a text in double brackets begins in a line, or a comment, and does not end there.
pub(super) fn opens_long_text(line: &str) -> bool {
    line.rfind("[[").is_some_and(|at| !line[at..].contains("]]"))
}
