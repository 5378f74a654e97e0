//! Names of files in JSON, so that programs get them exactly.

pub mod field;

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::{Value, json};

use self::field::Field;
use super::text;

/// What is promised of an object that `--json` prints: its fields stay, and mean the same. There may be more one day.
#[derive(Debug)]
pub struct Object {
    /// Its `type`.
    pub kind: &'static str,
    /// When it is printed.
    pub printed: &'static str,
    /// Its fields and what they mean, after `type`, in groups that other objects may have as well. Those of objects in it are named `OUTER.INNER`, those of objects in a
    /// list `LIST[].INNER`.
    pub fields: &'static [&'static [Field]],
    /// Fields that are there only under the condition that they name.
    pub sometimes: &'static [Field],
}

impl Object {
    /// All fields that are always there.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().copied().flatten()
    }
}

/// One path that is or would be changed.
pub static ITEM: Object = Object {
    kind: "item",
    printed: "with --dry-run, for each change",
    fields: &[&[
        field::MIRROR,
        ("change", "what is done: create, update, attrs (nothing but permissions, owner or time) or delete"),
        field::PATH,
    ]],
    sometimes: &[field::PATH_HEX],
};

/// A path as fields of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The name itself when that is UTF-8, else a form for people.
    pub path: String,
    /// Its bytes as hexadecimal digits, where they are not UTF-8.
    pub path_hex: Option<String>,
}

/// A path as fields, also of a log message.
#[must_use]
pub fn fields(path: &Path) -> Fields {
    let bytes = path.as_os_str().as_bytes();
    match str::from_utf8(bytes) {
        Ok("") => Fields { path: ".".to_owned(), path_hex: None },
        Ok(name) => Fields { path: name.to_owned(), path_hex: None },
        Err(_) => {
            let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
                // Writing to a string cannot fail.
                let _ = write!(digits, "{byte:02x}");
                digits
            });
            Fields { path: text::path(path), path_hex: Some(digits) }
        }
    }
}

/// Adds a path to a JSON object, as [`fields`].
#[must_use]
pub fn with_path(mut object: Value, path: &Path) -> Value {
    let Fields { path, path_hex } = fields(path);
    object["path"] = json!(path);
    if let Some(digits) = path_hex {
        object["path_hex"] = json!(digits);
    }
    object
}

/// An object as one line. What a terminal would obey, or what hides text on it, is written as JSON escapes it, so that the
/// strings stay what they are.
#[must_use]
pub fn line(object: &Value) -> String {
    let mut line = String::new();
    for c in object.to_string().chars() {
        if c.is_control() || text::is_deceptive(c) {
            // All of them have numbers of four digits. Writing to a string cannot fail.
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line
}

/// One path that is or would be changed.
#[must_use]
pub fn item(mirror: &str, change: &str, path: &Path) -> String {
    line(&with_path(json!({ "type": "item", "mirror": mirror, "change": change }), path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    proptest! {
        #[test]
        fn every_name_can_be_had_back(bytes in prop::collection::vec(1u8.., 1..20)) {
            let line = line(&with_path(json!({}), Path::new(OsStr::from_bytes(&bytes))));
            let object: Value = serde_json::from_str(&line).unwrap();
            let name = match object["path_hex"].as_str() {
                None => object["path"].as_str().unwrap().as_bytes().to_vec(),
                Some(digits) => (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect(),
            };
            prop_assert_eq!(name, bytes);
            prop_assert!(!line.chars().any(char::is_control));
        }

        #[test]
        fn no_character_of_a_name_reaches_the_terminal(name in "[\u{7f}-\u{a0}\u{200b}-\u{2069}\u{feff}a\\\"]{1,20}") {
            let line = line(&json!({ "path": name }));
            prop_assert!(!line.chars().any(|c| c.is_control() || text::is_deceptive(c)), "{line:?}");
            prop_assert_eq!(&serde_json::from_str::<Value>(&line).unwrap()["path"], &json!(name));
        }
    }
}
