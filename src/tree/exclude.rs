//! Decides which paths are left out, exactly as `rsync --exclude=PATTERN...` decides it.
//!
//! rsync applies its patterns itself in every transfer. The watcher needs the same answer without running rsync, so
//! that it neither watches nor reports what rsync would not send. Each pattern is translated to globs that are
//! matched against the whole path relative to the root of the transfer.
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
//!
//! These patterns are refused instead of being translated ([`Reason`]):
//!
//! * what rsync would not read as a pattern: the empty one, `- ...`, `+ ...`, `!`, a NUL byte, 4096 bytes and more;
//! * what rsync silently never matches because it is malformed: brackets that are not closed, an unknown name as in
//!   `[[:foo:]]`, and an escaping backslash at the end;
//! * characters beyond ASCII in brackets: rsync compares bytes, so `[é]` is half a character, which is never meant and
//!   which a glob cannot say. Outside brackets such characters mean themselves. `?` is one byte, as in rsync.
//!
//! Bytes from 128 on belong to no named class, as in the C locale and in every UTF-8 locale.

use std::iter;
use std::path::Path;

use globset::{Candidate, Glob, GlobBuilder, GlobSet};

/// The longest pattern in bytes; rsync drops longer ones.
const MAX_PATTERN: usize = 4095;

/// A compiled list of exclude patterns. It only ever excludes, so the order of the patterns does not matter.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    /// What matches entries of every type.
    any: GlobSet,
    /// What matches directories only.
    dirs: GlobSet,
    /// Whether what is left out in a directory may depend on where the directory is.
    by_place: bool,
}

/// A pattern that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exclude pattern {pattern:?}: {reason}")]
pub struct PatternError {
    /// Its position in the list, from zero.
    pub index: usize,
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// No argument and no file name can hold a NUL byte.
    #[error("it contains a NUL byte")]
    Nul,
    /// rsync drops such patterns.
    #[error("it is longer than {MAX_PATTERN} bytes, and rsync would ignore it")]
    TooLong,
    /// rsync would take the sign off.
    #[error("rsync reads a leading \"- \" or \"+ \" as part of a filter rule; to match such a name write \"[-] ...\"")]
    Rule,
    /// rsync would forget all the patterns before it.
    #[error("rsync reads a lone \"!\" as the rule that clears the list; to match that name write \"[\\!]\"")]
    ClearsList,
    /// A `[` without its `]`.
    #[error("a \"[\" is not closed, and rsync would match nothing; for a literal one write \"\\[\"")]
    UnclosedClass,
    /// `[:name:]` with a name that rsync does not know.
    #[error("there is no character class \"[:{0}:]\", and rsync would match nothing")]
    UnknownClass(String),
    /// A class member that is more than one byte.
    #[error("{0:?} cannot stand in brackets: rsync compares single bytes, and this character has several")]
    NotAscii(char),
    /// An escape with nothing to escape.
    #[error("it ends in a lone backslash, and rsync would match nothing; for a literal one write \"\\\\\\\\\"")]
    DanglingEscape,
    /// The translation was refused. This is about the list as a whole when it is reported for its last pattern.
    #[error("it cannot be compiled: {0}")]
    Compile(String),
}

impl Excludes {
    /// Compiles a list of patterns.
    ///
    /// # Errors
    ///
    /// The first pattern that cannot be used, with its position and the reason.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Excludes, PatternError> {
        let mut any = Vec::new();
        let mut dirs = Vec::new();
        let error = |index: usize, reason| PatternError {
            index,
            pattern: patterns.get(index).map(|p| p.as_ref().to_owned()).unwrap_or_default(),
            reason,
        };
        for (index, pattern) in patterns.iter().enumerate() {
            let globs = translate(pattern.as_ref()).map_err(|reason| error(index, reason))?;
            for (texts, globs) in [(globs.any, &mut any), (globs.dirs, &mut dirs)] {
                for text in texts {
                    globs.push(compile(&text).map_err(|e| error(index, Reason::Compile(e.to_string())))?);
                }
            }
        }
        let set = |globs: &[Glob]| {
            // No single pattern is too large for the compiler, given the limit on its length; all together may be.
            GlobSet::new(globs).map_err(|e| error(patterns.len().saturating_sub(1), Reason::Compile(e.to_string())))
        };
        // A slash at the end only restricts a pattern to directories.
        let looks_above =
            |pattern: &str| pattern.contains("**") || pattern.strip_suffix('/').unwrap_or(pattern).contains('/');
        let by_place = patterns.iter().any(|pattern| looks_above(pattern.as_ref()));
        Ok(Excludes { any: set(&any)?, dirs: set(&dirs)?, by_place })
    }

    /// Whether nothing is ever left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.dirs.is_empty()
    }

    /// Whether what is left out in a directory may be something else when the directory is moved.
    #[must_use]
    pub fn depend_on_place(&self) -> bool {
        self.by_place
    }

    /// Whether this one entry is left out by itself: `path` is relative to the source root, without a leading `./`.
    /// Its parents are assumed to have been looked at already, since a walker does not enter excluded directories.
    /// The root itself, the empty path, is never left out.
    #[must_use]
    pub fn excludes_entry(&self, path: &Path, is_dir: bool) -> bool {
        if self.is_empty() || path.as_os_str().is_empty() {
            return false;
        }
        let candidate = Candidate::new(path);
        self.any.is_match_candidate(&candidate) || (is_dir && self.dirs.is_match_candidate(&candidate))
    }

    /// Whether the path or any directory above it is left out.
    #[must_use]
    pub fn excludes(&self, path: &Path, is_dir: bool) -> bool {
        !self.is_empty()
            && (self.excludes_entry(path, is_dir) || path.ancestors().skip(1).any(|dir| self.excludes_entry(dir, true)))
    }
}

fn compile(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build()
}

/// The globs that one pattern becomes. A path is matched when any of them matches.
#[derive(Debug, Default)]
struct Globs {
    any: Vec<String>,
    dirs: Vec<String>,
}

fn translate(pattern: &str) -> Result<Globs, Reason> {
    check(pattern)?;
    // A trailing slash restricts the pattern to directories and is no part of it any more.
    let (pattern, dirs_only) = match pattern.strip_suffix('/') {
        Some(rest) if !rest.is_empty() => (rest, true),
        _ => (pattern, false),
    };
    let (below, anchored) = match pattern.strip_prefix('/') {
        Some(below) => (below, true),
        None => (pattern, false),
    };
    let tokens = parse(below)?;
    let mut globs = Globs::default();
    if !anchored && compares_the_wrong_number_of_names(pattern, &tokens) {
        return Ok(globs);
    }
    // `dir/***` is matched against directories with a slash at their end. That only adds a match where the slash
    // before the stars would be the last one in the path: the directory itself.
    if let [before @ .., Token::Literal('/'), Token::StarStar] = tokens.as_slice()
        && pattern.ends_with("***")
        && !before.is_empty()
    {
        globs.dirs.push(to_glob(anchored, before));
    }
    let for_type = if dirs_only { &mut globs.dirs } else { &mut globs.any };
    for_type.push(to_glob(anchored, &tokens));
    Ok(globs)
}

/// Refuses what rsync would not take as a pattern.
fn check(pattern: &str) -> Result<(), Reason> {
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

/// A piece of a pattern.
#[derive(Debug)]
enum Token {
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
struct Class {
    negated: bool,
    members: [bool; 128],
}

fn parse(pattern: &str) -> Result<Vec<Token>, Reason> {
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

/// Writes a whole pattern as a glob. The slash of an anchor is not among the tokens.
fn to_glob(anchored: bool, tokens: &[Token]) -> String {
    let mut glob = String::new();
    let mut rest = tokens;
    if !anchored {
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

#[cfg(test)]
mod tests;
