//! "Did you mean": the known word that is nearest to an unknown one.

/// The nearest of the known words, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &&'a str| (likeness(word, candidate), *candidate);
    known
        .iter()
        .map(near)
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// The end of an error line: the nearest known word, or all of them. Starts with `; `.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => format!("; known: {}", list(known)),
    }
}

/// Words in backticks with commas between them.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// From 0 to 1. The order of the parts does not count, since `delay-max` means `max-delay`, nor does `_` for `-`.
fn likeness(a: &str, b: &str) -> f64 {
    let plain = |word: &str| word.to_lowercase().replace('_', "-");
    let sorted = |word: &str| {
        let mut parts: Vec<&str> = word.split('-').collect();
        parts.sort_unstable();
        parts.join("-")
    };
    let (a, b) = (plain(a), plain(b));
    let as_written = strsim::normalized_damerau_levenshtein(&a, &b);
    as_written.max(strsim::normalized_damerau_levenshtein(&sorted(&a), &sorted(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_case_and_underscores_do_not_hide_the_meaning() {
        let known = ["delay", "max-delay", "backend", "start", "max-pending"];
        for (word, meant) in [
            ("delay-max", Some("max-delay")),
            ("max_delay", Some("max-delay")),
            ("Start", Some("start")),
            ("dealy", Some("delay")),
            ("pending-max", Some("max-pending")),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }

    #[test]
    fn without_a_near_word_all_are_listed() {
        assert_eq!(hint("colour", &["on", "off"]), "; known: `on`, `off`");
    }
}
