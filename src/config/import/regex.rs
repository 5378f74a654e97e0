//! Regular expressions that leave something out, as patterns of rsync, where both mean exactly the same. Pure.

/// What a regular expression is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// Any part of a path that begins with `./`, as by `inotifywait --exclude`.
    Part,
    /// The whole of a path relative to the source, as by the C++ sersync.
    Whole,
}

/// One alternative, taken apart.
#[derive(Debug, Default)]
struct Alternative {
    /// It is bound to the beginning.
    start: bool,
    /// It is bound to the end.
    end: bool,
    /// The characters that have to be there.
    literal: String,
}

/// The patterns; nothing when there are none that mean the same.
pub(super) fn translate(regex: &str, matching: Matching) -> Option<Vec<String>> {
    if regex.is_empty() {
        return None;
    }
    regex.split('|').map(|part| alternative(part, matching).and_then(|part| pattern(&part, matching))).collect()
}

/// Whether a regular expression that can be translated is also found in the path of the source itself, below which
/// everything was left out then, where absolute paths were compared.
pub(super) fn is_in(regex: &str, source: &str) -> bool {
    let source = format!("{}/", source.trim_end_matches('/'));
    let is_found = |part: Alternative| match part {
        Alternative { start: true, .. } => false,
        Alternative { end: true, literal, .. } => {
            source.ends_with(&literal) || source.trim_end_matches('/').ends_with(&literal)
        }
        Alternative { literal, .. } => source.contains(&literal),
    };
    regex.split('|').filter_map(|part| alternative(part, Matching::Part)).any(is_found)
}

fn alternative(text: &str, matching: Matching) -> Option<Alternative> {
    let whole = matching == Matching::Whole;
    let mut rest = text;
    let mut found = Alternative { start: whole, end: whole, literal: String::new() };
    if let Some(more) = rest.strip_prefix('^') {
        (found.start, rest) = (true, more);
    }
    for anything in ["(.*)", ".*"] {
        if let Some(more) = rest.strip_prefix(anything) {
            (found.start, rest) = (false, more);
        }
    }
    // A dollar sign after a backslash is a character.
    if let Some(more) = rest.strip_suffix('$').filter(|more| !more.ends_with('\\')) {
        (found.end, rest) = (true, more);
    }
    for anything in ["(.*)", ".*"] {
        if let Some(more) = rest.strip_suffix(anything).filter(|more| !more.ends_with('\\')) {
            (found.end, rest) = (false, more);
        }
    }
    // Every path begins with "./", and both are often written without the backslash.
    if matching == Matching::Part && found.start {
        rest = rest.strip_prefix("\\./").or_else(|| rest.strip_prefix("./"))?;
    }
    let mut chars = rest.chars().peekable();
    if matching == Matching::Part && !found.start && chars.peek() == Some(&'.') {
        // Any character, of which there is always one: that before the rest of the name, or the slash.
        chars.next();
    }
    while let Some(c) = chars.next() {
        match c {
            '\\' => found.literal.push(chars.next().filter(char::is_ascii_punctuation)?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            c => found.literal.push(c),
        }
    }
    // These are also found in what every path begins with.
    let in_every_path = found.literal == "." || found.literal.starts_with("./") || found.literal == "/";
    if matching == Matching::Part && !found.start && in_every_path {
        return None;
    }
    (!found.literal.is_empty() && !found.literal.chars().any(char::is_control)).then_some(found)
}

fn pattern(Alternative { start, end, literal }: &Alternative, matching: Matching) -> Option<String> {
    let part = matching == Matching::Part;
    let inner = literal.trim_start_matches('/');
    let (from_slash, inner) = (inner.len() < literal.len(), inner);
    let (to_slash, name) = inner.strip_suffix('/').map_or((false, inner), |name| (true, name));
    if name.is_empty() || name.contains("//") || literal.starts_with("//") || name.ends_with('/') {
        return None;
    }
    let escaped = escape(name);
    if *start {
        return match (from_slash, to_slash, end) {
            (true, ..) | (false, true, true) => None,
            (false, true, false) => Some(format!("/{escaped}/**")),
            (false, false, true) => Some(format!("/{escaped}")),
            (false, false, false) => Some(format!("/{escaped}*")),
        };
    }
    // A name in several directories would have to be looked for at every depth: only single names are.
    if name.contains('/') || (from_slash && !part) {
        return None;
    }
    let before = if from_slash { "" } else { "*" };
    match (to_slash, end) {
        (true, true) => None,
        (true, false) => Some(format!("{before}{escaped}/**")),
        (false, true) => Some(format!("{before}{escaped}")),
        (false, false) => Some(format!("{before}{escaped}*")),
    }
}

/// A backslash escapes only in patterns that have a wildcard: a name with one makes it one.
fn escape(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exclude::{Excludes, Is};
    use proptest::prelude::*;
    use std::path::Path;

    fn patterns(regex: &str, matching: Matching) -> String {
        translate(regex, matching).map_or("-".to_owned(), |patterns| patterns.join(" "))
    }

    #[test]
    fn exact_ones_are_translated_and_others_are_not() {
        for (regex, expected) in [
            ("logs|tmp", "*logs* *tmp*"),
            (".gif", "*gif*"),
            ("\\.swp$", "*.swp"),
            ("/logs/", "logs/**"),
            ("/cache$", "cache"),
            ("^./data", "/data*"),
            ("^\\./data$", "/data"),
            (".*\\.tmp$", "*.tmp"),
            ("\\.sw[po]$", "-"),
            ("a.b", "-"),
            ("(a|b)", "-"),
            ("a/b", "-"),
            ("x*", "-"),
            ("^data", "-"),
            ("", "-"),
            ("a|", "-"),
        ] {
            assert_eq!(patterns(regex, Matching::Part), expected, "{regex}");
        }
        for (regex, expected) in [
            ("(.*)\\.php", "*.php"),
            ("^info/*", "-"),
            ("^info/.*", "/info/**"),
            ("a/b", "/a/b"),
            (".*logs.*", "*logs*"),
            ("(.*)\\.svn", "*.svn"),
        ] {
            assert_eq!(patterns(regex, Matching::Whole), expected, "{regex}");
        }
    }

    #[test]
    fn what_is_also_in_the_path_of_the_source_is_known() {
        for (regex, source, expected) in [
            ("logs|tmp", "/data/logs", true),
            ("logs|tmp", "/data/file", false),
            ("at", "/data/file/", true),
            ("file$", "/data/file", true),
            ("data$", "/data/file", false),
            ("/file/", "/data/file", true),
            ("^./data", "/data/file", false),
            ("[d]ata", "/data/file", false),
        ] {
            assert_eq!(is_in(regex, source), expected, "{regex} {source}");
        }
    }

    /// Whether a path, or a directory above it, is left out.
    fn is_out(excludes: &Excludes, path: &str) -> bool {
        let above = Path::new(path).ancestors().filter(|above| !above.as_os_str().is_empty());
        above.enumerate().any(|(at, above)| excludes.excludes_entry(above, Is::directory_if(at > 0)))
    }

    /// Regular expressions of the pieces that are translated, and of some that are not.
    fn expressions() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec!["a", "b", "ab", "\\.", "/", ".", ".*", "(.*)", "*", "$", "|"]);
        let start = prop::sample::select(vec!["", "", "^", "^./", "^\\./", ".*"]);
        (start, prop::collection::vec(piece, 1..5)).prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
    }

    /// Paths with names that no directory entry has are no paths.
    fn any_path() -> impl Strategy<Value = String> {
        let name = "[ab.]{1,3}".prop_filter("a name", |name| name != "." && name != "..");
        prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn what_is_translated_means_the_same_to_a_matcher_of_regular_expressions(text in expressions(), path in any_path()) {
            for matching in [Matching::Part, Matching::Whole] {
                let Some(found) = translate(&text, matching) else { continue };
                let excludes = Excludes::new(&found).unwrap();
                // What is in a directory that is left out is left out as well.
                let above = Path::new(&path).ancestors().filter(|above| !above.as_os_str().is_empty());
                let expected = match matching {
                    Matching::Part => {
                        let regex = regex::Regex::new(&text).unwrap();
                        above.map(|above| format!("./{}", above.display())).any(|above| regex.is_match(&above))
                    }
                    Matching::Whole => {
                        let regex = regex::Regex::new(&format!("^(?:{text})$")).unwrap();
                        above.map(|above| above.display().to_string()).any(|above| regex.is_match(&above))
                    }
                };
                prop_assert_eq!(is_out(&excludes, &path), expected, "{} {:?} {:?}", text, matching, found);
            }
        }
    }
}
