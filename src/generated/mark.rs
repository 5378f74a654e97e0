//! The first line of a generated file. Pure.

use crate::hash::fnv1a;

/// What stands before the sum, after the name of the command.
const SUM: &str = ", sum ";

/// The text with the line before it that says who has written it.
#[must_use]
pub fn marked(command: &str, body: &str) -> String {
    let sum = fnv1a(body.as_bytes());
    format!("# Written by `sersync {command}`{SUM}{sum:016x}: what is edited here is not replaced unasked.\n{body}")
}

/// Whether a text was written by a generator and not changed since.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let Some((first, body)) = text.split_once('\n') else { return false };
    let Some(rest) = first.strip_prefix("# Written by `sersync ") else { return false };
    let sum = rest.split_once(SUM).and_then(|(_, rest)| rest.get(..16)).map(|sum| u64::from_str_radix(sum, 16));
    sum == Some(Ok(fnv1a(body.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn our_own_is_known_until_it_is_edited(body in ".{0,40}", at in 0usize..200, new in "[a-z\n]") {
            let text = marked("gen-schedule", &body);
            prop_assert!(is_ours(&text));
            let start = text.len() - body.len();
            let at = start + at % (body.len() + 1);
            if text.is_char_boundary(at) {
                let edited = [&text[..at], &new, &text[at..]].concat();
                prop_assert!(!is_ours(&edited));
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}") {
            let _ = is_ours(&text);
            let _ = is_ours(&["# Written by `sersync x`, sum ", &text].concat());
        }
    }

    #[test]
    fn other_texts_are_not_ours() {
        assert!(!is_ours("") && !is_ours("a\n") && !is_ours("# Written by `sersync x`, sum é\n"));
    }
}
