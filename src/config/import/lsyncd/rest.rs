//! What of a table was used, and why the rest of it is left out. Pure.

use super::super::lua::{Table, Value};

/// Settings that need no equal, with the reason.
pub(super) const SETTINGS: [(&str, &str); 11] = [
    ("logfile", "not needed: the log goes to stderr, and so to the journal"),
    ("logfacility", "not needed: the log goes to stderr, and so to the journal"),
    ("logident", "not needed: the log goes to stderr, and so to the journal"),
    ("pidfile", "not needed: a service manager knows the process"),
    ("statusFile", "no equal"),
    ("statusInterval", "no equal"),
    ("nodaemon", "not needed: watch stays in the foreground"),
    ("insist", "not needed: an endpoint that cannot be reached is tried again for ever"),
    ("inotifyMode", "not needed: files are sent when they were closed or changed"),
    ("maxProcesses", "not needed: every mirror has one rsync for its changes, and waits for no other"),
    ("maxDelays", "not needed: when 4,096 files were written they are sent at once"),
];

/// A value as it is written.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Number(text) | Value::Name(text) => text.clone(),
        Value::Truth(truth) => truth.to_string(),
        Value::Table(table) => in_full(table),
    }
}

/// A table as it is written.
pub(super) fn in_full(table: &Table) -> String {
    let named = table.named.iter().map(|(name, value)| format!("{name} = {}", shown(value)));
    format!("{{{}}}", table.listed.iter().map(shown).chain(named).collect::<Vec<_>>().join(", "))
}

/// What of a table was used, and so what is left of it.
pub(super) struct Rest<'t> {
    table: &'t Table,
    /// What stands before its names.
    prefix: &'static str,
    /// Names that something was made of.
    pub(super) used: Vec<&'t str>,
    /// How many of those without a name.
    listed: usize,
}

impl<'t> Rest<'t> {
    pub(super) fn new(table: &'t Table, prefix: &'static str) -> Rest<'t> {
        Rest { table, prefix, used: Vec::new(), listed: 0 }
    }

    /// The first value without a name was used.
    pub(super) fn first_is_used(&mut self) {
        self.listed = 1;
    }

    /// Everything else, with the reason why it is left out.
    pub(super) fn left(&self) -> Vec<(String, String)> {
        let Rest { table, prefix, used, listed } = self;
        let mut left = Vec::new();
        for (at, (name, value)) in table.named.iter().enumerate() {
            let is_last = table.named[at + 1..].iter().all(|(other, _)| other != name);
            if !is_last {
                left.push((
                    format!("{prefix}{name} = {}", shown(value)),
                    "left out: a later one replaces it".to_owned(),
                ));
            } else if !used.contains(&name.as_str()) {
                left.push((format!("{prefix}{name} = {}", shown(value)), why_left(prefix, name).to_owned()));
            }
        }
        let unnamed = table.listed.iter().skip(*listed);
        left.extend(unnamed.map(|value| (format!("{prefix}{}", shown(value)), "left out: it has no name".to_owned())));
        left
    }
}

fn why_left(prefix: &str, name: &str) -> &'static str {
    match name {
        _ if !prefix.is_empty() && name == "binary" => "not taken over: rsync is the one in PATH",
        _ if !prefix.is_empty() => "not taken over: there is no equal, or it is switched off",
        "excludeFrom" => "the file was not read: copy its patterns into exclude",
        "crontab" => "`sersync gen-schedule` writes what starts passes",
        "delay" => "left out: no number of seconds",
        _ => SETTINGS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("not taken over: there is no equal", |(_, why)| *why),
    }
}
