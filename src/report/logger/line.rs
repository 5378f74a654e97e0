//! What a log line looks like.

use std::str::FromStr;

use chrono::{Local, SecondsFormat, Utc};
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use serde_json::{Map, Number, json};

use crate::report::text::escaped;

/// What a line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Words.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err("it is text or json".to_owned()),
        }
    }
}

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// `<N>`: the priority that systemd's journal reads; it adds the time itself.
    Journal,
    /// `error: `: for people and cron mail.
    Word,
    /// Time and level: for a long run whose log goes to a file.
    Time,
}

/// The line, with its end.
pub(super) fn line(record: &Record<'_>, prefix: Prefix, format: Format) -> String {
    let (priority, word) = match record.level() {
        Level::Error => (3, "error: "),
        Level::Warn => (4, "warning: "),
        Level::Info => (6, ""),
        Level::Debug | Level::Trace => (7, ""),
    };
    match (prefix, format) {
        (Prefix::Journal, Format::Json) => format!("<{priority}>{}\n", object(record)),
        (_, Format::Json) => object(record) + "\n",
        (Prefix::Journal, Format::Text) => format!("<{priority}>{}\n", message(record)),
        (Prefix::Word, Format::Text) => format!("{word}{}\n", message(record)),
        (Prefix::Time, Format::Text) => {
            format!("{} {word}{}\n", Local::now().format("%Y-%m-%d %H:%M:%S"), message(record))
        }
    }
}

/// A message is one line. Who writes it escapes the names in it; what slips through does no harm here.
fn message(record: &Record<'_>) -> String {
    escaped(record.args().to_string().as_bytes())
}

fn object(record: &Record<'_>) -> String {
    let mut fields = Fields(Map::new());
    fields.0.insert("time".to_owned(), json!(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)));
    fields.0.insert("level".to_owned(), json!(record.level().as_str().to_ascii_lowercase()));
    fields.0.insert("message".to_owned(), json!(record.args().to_string()));
    // None of the fields fails.
    let _ = record.key_values().visit(&mut fields);
    crate::report::json::line(&serde_json::Value::Object(fields.0))
}

/// The fields of a message that programs would otherwise have to take out of its text.
struct Fields(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let mut one = One(json!(null));
        value.visit(&mut one)?;
        if !one.0.is_null() {
            self.0.insert(key.to_string(), one.0);
        }
        Ok(())
    }
}

/// The value of a field.
struct One(serde_json::Value);

impl VisitValue<'_> for One {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0 = json!(value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = json!(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.0 = Number::from_f64(value).map_or(json!(null), serde_json::Value::Number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_gets_what_it_reads() {
        let fields = [("bytes", Value::from(7_u64)), ("mirror", Value::from("a\"b")), ("seconds", Value::from(0.5))];
        let record = Record::builder().level(Level::Warn).args(format_args!("m: x")).key_values(&fields).build();
        let text = |prefix| line(&record, prefix, Format::Text);
        assert_eq!([text(Prefix::Journal), text(Prefix::Word)], ["<4>m: x\n", "warning: m: x\n"]);
        assert!(text(Prefix::Time).ends_with(":00 warning: m: x\n") || text(Prefix::Time).len() == 34);
        let journal = line(&record, Prefix::Journal, Format::Json);
        let object: serde_json::Value = serde_json::from_str(journal.strip_prefix("<4>").unwrap()).unwrap();
        let shown = ["level", "message", "mirror", "bytes", "seconds"].map(|key| object[key].to_string());
        assert_eq!(shown, ["\"warn\"", "\"m: x\"", "\"a\\\"b\"", "7", "0.5"]);
        assert!(object["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn nothing_in_a_message_reaches_the_terminal_or_begins_another_line() {
        let record = Record::builder().level(Level::Error).args(format_args!("a\u{1b}[2J\nb\u{202e}")).build();
        assert_eq!(line(&record, Prefix::Word, Format::Text), "error: a\\u{1b}[2J\\nb\\u{202e}\n");
    }

    #[test]
    fn a_field_without_a_value_is_left_out() {
        let nothing: Option<String> = None;
        let (nothing, path) = (log::kv::ToValue::to_value(&nothing), Value::from("p"));
        let fields = [("path_hex", nothing), ("path", path)];
        let record = Record::builder().level(Level::Info).args(format_args!("x")).key_values(&fields).build();
        let object: serde_json::Value = serde_json::from_str(&line(&record, Prefix::Word, Format::Json)).unwrap();
        assert_eq!((object.get("path_hex"), &object["path"]), (None, &json!("p")));
    }
}
