//! Errors of the first stage in words that help: what toml and serde report about shape, keys and types.

use super::error::Problem;
use super::example;
use super::suggest;

/// Says what an error of the TOML reader means for the user, and where it is.
pub(super) fn explain(text: &str, mut error: toml::de::Error) -> Problem {
    let span = error.span();
    let keys = keys(&mut error);
    let raw = error.message();
    let message = if let Some(rest) = raw.strip_prefix("unknown field ") {
        unknown_key(rest, &keys)
    } else if let Some(rest) = raw.strip_prefix("invalid type: ").or_else(|| raw.strip_prefix("invalid value: ")) {
        wrong_type(rest, &keys)
    } else if raw == "duplicate key" {
        let place = span.clone().and_then(|span| Some((text.get(span.clone())?, text.get(..span.start)?)));
        duplicate(place.unwrap_or_default())
    } else if raw.starts_with("string values must be quoted") {
        match span.clone().and_then(|span| text.get(span)).map(str::trim) {
            None | Some("") => "the value is missing; text must be in quotes, such as `delay = \"1s\"`".to_owned(),
            Some(bare) => format!("text must be in quotes: \"{bare}\""),
        }
    } else {
        format!("not valid TOML: {raw}")
    };
    Problem { offset: span.map(|span| span.start), message }
}

/// The names of the tables, and of the key if it is known, around the place of the error. The reader tells them in its
/// `Display` only, and only when it does not have the input to show.
fn keys(error: &mut toml::de::Error) -> Vec<String> {
    error.set_input(None);
    let shown = error.to_string();
    let path = shown.trim_end().rsplit_once("\nin `").and_then(|(_, path)| path.strip_suffix('`'));
    path.map(|path| path.split('.').map(str::to_owned).collect()).unwrap_or_default()
}

/// What serde says after "unknown field": `` `x`, expected one of `a`, `b` ``.
fn unknown_key(rest: &str, section: &[String]) -> String {
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let key = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    if section.is_empty() {
        let elsewhere = example::section_of(key).map(|section| format!("; it belongs in {section}"));
        return format!("unknown section or key `{key}`{}", elsewhere.unwrap_or_else(|| suggest::hint(key, &known)));
    }
    let place = section.join(".");
    let hint = match (suggest::nearest(key, &known), example::section_of(key)) {
        (None, Some(section)) => format!("; it belongs in {section}"),
        _ => suggest::hint(key, &known),
    };
    format!("unknown key `{key}` in [{place}]{hint}")
}

/// What serde says after "invalid type": `` integer `3`, expected a string ``.
fn wrong_type(rest: &str, keys: &[String]) -> String {
    let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "something else"));
    let found = match found.trim_end_matches(" as i128") {
        "map" => "a table",
        "sequence" => "a list",
        found => found,
    };
    let key = keys.last().map_or("", String::as_str);
    let section = keys.first().map_or("", String::as_str);
    let expected = match expected {
        "a string" => "text in quotes",
        "i64" => "a whole number",
        "a boolean" => "true or false without quotes",
        "a sequence" => "a list",
        // Everything else that can be expected is a table of its own.
        _ if keys.len() == 1 && matches!(section, "targets" | "sources") => {
            return format!("wrong type for `{key}`: found {found}, expected a table per name, such as [{key}.NAME]");
        }
        _ => return format!("wrong type for `{key}`: found {found}, expected a table, such as [{}]", keys.join(".")),
    };
    let such_as = example::usage(section, key).map(|usage| format!(", such as `{usage}`")).unwrap_or_default();
    format!("wrong type for `{key}`: found {found}, expected {expected}{such_as}")
}

fn duplicate((key, before): (&str, &str)) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
    let Some(header) = line.strip_prefix('[') else {
        return format!("`{key}` is set twice in this table; keep one of the two");
    };
    if header.contains('.') {
        format!("[{header}{key}] is defined twice; rename one of the two, or make them one")
    } else {
        format!("[{header}{key}] is there twice; make the two sections one")
    }
}
