//! Translates a pattern of rsync to globs that match the same paths. Pure.
//!
//! A glob `**` must stand alone between slashes, but an rsync `**` may stand anywhere. It is therefore written as the
//! alternatives "a part of one name" and "a part of one name, a slash, anything": `{*,*/**}`. What an rsync pattern
//! is compared with depends on its text, and so the translation begins in one of three ways:
//!
//! * `/...` is anchored at the root: nothing is put in front.
//! * `**...` is compared with the whole path with a slash put in front, so that `**/name` finds `name` at the root.
//! * Everything else may begin at the root or after any slash: `**/` is put in front.
//!
//! What follows is surprising, but it is how rsync does it:
//!
//! * `dir/**` matches what is in `dir` and not `dir` itself; `dir/***` matches both. `/**/name` does not match `name`
//!   at the root, while `**/name` does.
//! * A backslash escapes only in patterns that contain `*`, `?` or `[`; in all others it is a plain character.
//! * rsync counts the slashes of a pattern to know how many names at the end of a path to compare. It counts one in
//!   brackets, too, which never matches a slash. `a[^/]b` thus matches nothing; `/a[^/]b` and `**a[^/]b` do.
//! * Empty components match nothing: `/`, `//a`, `a//b`.

use std::iter;

use super::Reason;
use super::pattern::{Class, Token, check, parse};

/// The globs that one pattern becomes. A path is matched when any of them matches.
#[derive(Debug, Default)]
pub(super) struct Globs {
    /// What matches entries of every type.
    pub(super) any: Vec<String>,
    /// What matches directories only.
    pub(super) dirs: Vec<String>,
}

/// Where a match may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// At the root of the transfer only.
    AtTheRoot,
    /// There, or after any slash.
    Anywhere,
}

/// Translates one pattern.
pub(super) fn translate(pattern: &str) -> Result<Globs, Reason> {
    check(pattern)?;
    // A trailing slash restricts the pattern to directories and is no part of it any more.
    let (pattern, dirs_only) = match pattern.strip_suffix('/') {
        Some(rest) if !rest.is_empty() => (rest, true),
        _ => (pattern, false),
    };
    let (below, begins) = match pattern.strip_prefix('/') {
        Some(below) => (below, Begins::AtTheRoot),
        None => (pattern, Begins::Anywhere),
    };
    let tokens = parse(below)?;
    let mut globs = Globs::default();
    if begins == Begins::Anywhere && compares_the_wrong_number_of_names(pattern, &tokens) {
        return Ok(globs);
    }
    // `dir/***` is matched against directories with a slash at their end. That only adds a match where the slash
    // before the stars would be the last one in the path: the directory itself.
    if let [before @ .., Token::Literal('/'), Token::StarStar] = tokens.as_slice()
        && pattern.ends_with("***")
        && !before.is_empty()
    {
        globs.dirs.push(to_glob(begins, before));
    }
    let for_type = if dirs_only { &mut globs.dirs } else { &mut globs.any };
    for_type.push(to_glob(begins, &tokens));
    Ok(globs)
}

/// Whether this is a pattern that can never match because rsync compares it with more names than it has.
///
/// Without `**`, rsync takes for an unanchored pattern as many names from the end of the path as it has slashes, plus
/// one. A slash in brackets is counted but matches no slash. `**` is looked for in the plain text of the pattern,
/// so that one in brackets or after a backslash is seen as well.
fn compares_the_wrong_number_of_names(pattern: &str, tokens: &[Token]) -> bool {
    let counted = pattern.matches('/').count();
    let separators = tokens.iter().filter(|token| matches!(token, Token::Literal('/'))).count();
    counted != separators && !pattern.contains("**")
}

/// Writes a whole pattern as a glob. The slash of an anchor is not among the tokens.
fn to_glob(begins: Begins, tokens: &[Token]) -> String {
    let mut glob = String::new();
    let mut rest = tokens;
    if begins == Begins::Anywhere {
        match tokens {
            // The stars match all that is above, or nothing when the slash is the one that rsync puts in front. With
            // nothing below (from `**//`) this would be a glob for everything, and for rsync it is one for nothing.
            [Token::StarStar, Token::Literal('/'), below @ ..] if !below.is_empty() => {
                glob.push_str("**/");
                rest = below;
            }
            [Token::StarStar, ..] => {}
            _ => glob.push_str("**/"),
        }
    }
    for token in rest {
        match token {
            Token::Literal(c) => {
                // Braces and commas mean something to globs and nothing to rsync; a backslash never does harm.
                if c.is_ascii_punctuation() && *c != '/' {
                    glob.push('\\');
                }
                glob.push(*c);
            }
            Token::AnyByte => glob.push('?'),
            Token::Star => glob.push('*'),
            Token::StarStar => glob.push_str("{*,*/**}"),
            Token::Class(class) => push_class(&mut glob, class),
        }
    }
    glob
}

/// Writes a class. Globs know no escapes in brackets, so the position of the special characters has to keep them plain:
/// `]` comes first, `!` and `^` do not, and `-` comes last.
fn push_class(glob: &mut String, class: &Class) {
    let holds = |byte: &u8| match byte {
        // No name contains a NUL byte. With it in the class there is always something to stand before `!` and `^`, and
        // the class is never empty.
        0 => true,
        b'/' => class.negated,
        byte => class.members[usize::from(*byte)],
    };
    let ordinary = (0..128_u8).filter(|byte| !b"]^!-".contains(byte));
    glob.push_str(if class.negated { "[!" } else { "[" });
    glob.extend(iter::once(b']').chain(ordinary).chain(*b"^!-").filter(holds).map(char::from));
    glob.push(']');
}
