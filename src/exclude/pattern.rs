//! A pattern as rsync reads it: what it takes for one, and the pieces that it is made of. Pure.
//!
//! Bytes from 128 on belong to no named class, as in the C locale and in every UTF-8 locale.

use super::{MAX_PATTERN, Reason};

/// Refuses what rsync would not take as a pattern.
pub(super) fn check(pattern: &str) -> Result<(), Reason> {
    if pattern.is_empty() {
        Err(Reason::Empty)
    } else if pattern.contains('\0') {
        Err(Reason::Nul)
    } else if pattern.len() > MAX_PATTERN {
        Err(Reason::TooLong)
    } else if pattern.starts_with("- ") || pattern.starts_with("+ ") {
        Err(Reason::Rule)
    } else if pattern == "!" {
        Err(Reason::ClearsList)
    } else {
        Ok(())
    }
}

/// A piece of a pattern.
#[derive(Debug)]
pub(super) enum Token {
    Literal(char),
    /// `?`
    AnyByte,
    /// `*`
    Star,
    /// `**` and more
    StarStar,
    Class(Class),
}

/// What stands in brackets. It never matches a slash.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) negated: bool,
    /// Whether each byte below 128 is named in it.
    pub(super) members: [bool; 128],
}

/// Takes a pattern apart, without the slash of an anchor and the one at its end.
pub(super) fn parse(pattern: &str) -> Result<Vec<Token>, Reason> {
    if !pattern.contains(['*', '?', '[']) {
        return Ok(pattern.chars().map(Token::Literal).collect());
    }
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '?' => Token::AnyByte,
            '*' if rest.starts_with('*') => {
                rest = rest.trim_start_matches('*');
                Token::StarStar
            }
            '*' => Token::Star,
            '[' => {
                let (class, after) = parse_class(rest)?;
                rest = after;
                Token::Class(class)
            }
            '\\' => {
                let escaped = rest.chars().next().ok_or(Reason::DanglingEscape)?;
                rest = &rest[escaped.len_utf8()..];
                Token::Literal(escaped)
            }
            c => Token::Literal(c),
        });
    }
    Ok(tokens)
}

/// Reads a class after its `[`; returns it with what follows its `]`.
fn parse_class(mut rest: &str) -> Result<(Class, &str), Reason> {
    let mut class = Class { negated: false, members: [false; 128] };
    if let Some(after) = rest.strip_prefix(['!', '^']) {
        class.negated = true;
        rest = after;
    }
    let mut first = true;
    // What a `-` would begin a range with. The end of a range or a named class begins none.
    let mut low = None;
    loop {
        // A `]` right at the beginning is a member.
        if !first && let Some(after) = rest.strip_prefix(']') {
            return Ok((class, after));
        }
        first = false;
        let range = rest.strip_prefix('-').filter(|end| !end.is_empty() && !end.starts_with(']'));
        if let (Some(from), Some(end)) = (low, range) {
            let (to, after) = parse_member(end)?;
            for byte in from..=to {
                class.members[usize::from(byte)] = true;
            }
            low = None;
            rest = after;
        } else if let Some((name, after)) = parse_class_name(rest)? {
            let belongs = named_class(name).ok_or_else(|| Reason::UnknownClass(name.to_owned()))?;
            for byte in (0..128_u8).filter(belongs) {
                class.members[usize::from(byte)] = true;
            }
            low = None;
            rest = after;
        } else {
            let (byte, after) = parse_member(rest)?;
            class.members[usize::from(byte)] = true;
            low = Some(byte);
            rest = after;
        }
    }
}

/// Reads one member of a class, escaped or not.
fn parse_member(rest: &str) -> Result<(u8, &str), Reason> {
    let rest = rest.strip_prefix('\\').unwrap_or(rest);
    let member = rest.chars().next().ok_or(Reason::UnclosedClass)?;
    match u8::try_from(member) {
        Ok(byte) if byte.is_ascii() => Ok((byte, &rest[1..])),
        _ => Err(Reason::NotAscii(member)),
    }
}

/// Reads `[:name:]`, if it stands here. Without the second colon the `[` is an ordinary member.
fn parse_class_name(rest: &str) -> Result<Option<(&str, &str)>, Reason> {
    let Some(inside) = rest.strip_prefix("[:") else {
        return Ok(None);
    };
    let (content, after) = inside.split_once(']').ok_or(Reason::UnclosedClass)?;
    Ok(content.strip_suffix(':').map(|name| (name, after)))
}

/// What belongs to a named class. These are the definitions of the C locale, which differ from Rust's in what is white
/// space.
fn named_class(name: &str) -> Option<fn(&u8) -> bool> {
    Some(match name {
        "alnum" => u8::is_ascii_alphanumeric,
        "alpha" => u8::is_ascii_alphabetic,
        "blank" => |byte| matches!(byte, b' ' | b'\t'),
        "cntrl" => u8::is_ascii_control,
        "digit" => u8::is_ascii_digit,
        "graph" => u8::is_ascii_graphic,
        "lower" => u8::is_ascii_lowercase,
        "print" => |byte| matches!(byte, b' '..=b'~'),
        "punct" => u8::is_ascii_punctuation,
        "space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        "upper" => u8::is_ascii_uppercase,
        "xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}
