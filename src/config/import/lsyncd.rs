//! What a configuration of lsyncd comes to, as far as it is made of literal `sync{default.rsync...}` blocks. Pure.

use std::path::Path;
use std::time::Duration;

use super::draft::{self, Draft, Section};
use super::lua::{Chunk, Table, Value};
use super::options;
use crate::config::settings::Host;
use crate::config::units::Span;
use crate::config::{names, paths};
use crate::tree::exclude::Excludes;

/// Settings that need no equal, with the reason.
const SETTINGS: [(&str, &str); 11] = [
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
    ("maxDelays", "not needed: a batch takes all changes that there are"),
];

/// Where a block goes.
enum Place {
    Daemon { user: Option<String>, host: Host, module: String, name: Option<String> },
    Directory { root: String, name: String },
}

pub(super) fn map(chunk: &Chunk) -> Draft {
    let mut draft = Draft::default();
    let mut delays = Vec::new();
    for (name, table) in &chunk.tables {
        match name.as_str() {
            "sync" => sync(table, &mut draft, &mut delays),
            "settings" => settings(table, &mut draft),
            _ => draft.say(&format!("Line {}: {name}: not known, and left out", table.line)),
        }
    }
    if let (Some(least), Some(most)) = (delays.iter().min(), delays.iter().max()) {
        let note = if least == most { "" } else { "the shortest of several: there is one for all sources" };
        draft.watch.set("delay", Span(Duration::from_secs(*least)).to_string(), note);
        if *least > 10 {
            draft.watch.set("max-delay", Span(Duration::from_secs(*least)).to_string(), "");
        }
    }
    for (line, words) in &chunk.skipped {
        let words: String = words.chars().take(100).collect();
        if !words.trim().is_empty() {
            draft.say(&format!("Line {line} is not literal, and was not executed: {}", words.trim()));
        }
    }
    draft
}

fn settings(table: &Table, draft: &mut Draft) {
    for (name, value) in &table.named {
        let why = SETTINGS.iter().find(|(known, _)| known == name).map_or("not known, and left out", |(_, why)| *why);
        draft.watch.comment(&format!("settings.{name} = {}", shown(value)), why);
    }
    for value in &table.listed {
        draft.say(&format!("Line {}: settings: {}: left out: it has no name", table.line, shown(value)));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{text}\""),
        Value::Number(text) | Value::Name(text) => text.clone(),
        Value::Truth(truth) => truth.to_string(),
        Value::Table(table) => {
            let named = table.named.iter().map(|(name, value)| format!("{name} = {}", shown(value)));
            format!("{{{}}}", named.chain(table.listed.iter().map(shown)).collect::<Vec<_>>().join(", "))
        }
    }
}

fn sync(table: &Table, draft: &mut Draft, delays: &mut Vec<u64>) {
    let source = table.text("source").unwrap_or_default();
    let leave_out = |draft: &mut Draft, why: &str| {
        draft.say(&format!("Line {}: sync{{source=\"{source}\"}}: left out: {why}", table.line));
    };
    let kind = match table.listed.first() {
        Some(Value::Name(name)) => name.as_str(),
        _ => "",
    };
    let target = match kind {
        "default.rsync" | "default.direct" => table.text("target").unwrap_or_default(),
        "default.rsyncssh" => {
            return leave_out(
                draft,
                "default.rsyncssh goes over ssh, and the other end has to be an rsync daemon here",
            );
        }
        _ => return leave_out(draft, "only default.rsync and default.direct are understood"),
    };
    if let Err(why) = draft::is_text(source).and_then(|()| paths::absolute(source)) {
        return leave_out(draft, &why);
    }
    let place = match draft::is_text(target).and_then(|()| place(target)) {
        Ok(place) => place,
        Err(why) => return leave_out(draft, &format!("target \"{target}\": {why}")),
    };
    let own = Path::new(source).file_name().map_or("root".into(), |name| name.to_string_lossy()).into_owned();
    let (name, moved) = match &place {
        Place::Daemon { name: Some(name), .. } | Place::Directory { name, .. } => (draft::usable(name), false),
        Place::Daemon { name: None, .. } => (draft::usable(&own), true),
    };
    let other = draft.sources().iter().find(|(other, _)| *other == name).and_then(|(_, section)| section.get("path"));
    if other.is_some_and(|path| path.as_str() != Some(source)) {
        return leave_out(draft, &format!("another source has the name {name}"));
    }
    let target_name = add_target(draft, &place);
    let section = draft.source(&name);
    section.set("path", source, "");
    section.add("targets", [target_name.clone()]);
    if moved {
        section.comment(
            &format!("target = \"{target}\""),
            &format!("the files were in the module itself, and go to {name}/ in it now: move them there before the first pass"),
        );
    }
    let mut rest = Rest::new(table, "");
    rest.used.extend(["source", "target"]);
    rest.first_is_used();
    block(table, section, &mut rest);
    let delay = table.text("delay").and_then(|delay| delay.parse().ok()).filter(|delay| options::is_short(*delay));
    if let Some(delay) = delay {
        rest.used.push("delay");
        delays.push(delay);
    }
    let mut left = Vec::new();
    if let Some(Value::Table(rsync)) = table.get("rsync") {
        rest.used.push("rsync");
        let (words, mut overrides) = (options_of(rsync, &mut left), Section::default());
        let patterns = options::take_over(&words, &mut overrides);
        draft.source(&name).add("exclude", patterns);
        merge(draft, &target_name, &overrides);
    }
    left.extend(rest.left());
    for (what, why) in left {
        let section = draft.source(&name);
        section.comment(&format!("line {}: {what}", table.line), &why);
    }
}

/// What belongs to a block itself.
fn block(table: &Table, section: &mut Section, rest: &mut Rest<'_>) {
    let patterns = table.texts("exclude");
    for pattern in &patterns {
        match Excludes::new(&[pattern]) {
            Ok(_) => section.add("exclude", [pattern.clone()]),
            Err(e) => section.comment(&format!("exclude \"{pattern}\""), &e.reason.to_string()),
        }
    }
    let all = match table.get("exclude") {
        Some(Value::Table(list)) => list.named.is_empty() && list.listed.len() == patterns.len(),
        other => matches!(other, Some(Value::Text(_))),
    };
    if all {
        rest.used.push("exclude");
    }
    match table.get("delete") {
        Some(Value::Truth(true)) => rest.used.push("delete"),
        Some(value) => {
            rest.used.push("delete");
            section.comment(
                &format!("delete = {}", shown(value)),
                "not taken over: what is deleted in the source is deleted on the mirror, and kept in its history for keep-days",
            );
        }
        None => {}
    }
    match table.get("init") {
        Some(Value::Truth(true)) => rest.used.push("init"),
        Some(Value::Truth(false)) => {
            rest.used.push("init");
            section.comment(
                "init = false",
                "start = \"none\" in [watch] does the same for all sources; it misses what changed meanwhile",
            );
        }
        _ => {}
    }
}

/// The options of rsync that a table stands for; `left` gets what is none, with the reason.
fn options_of(rsync: &Table, left: &mut Vec<(String, String)>) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), Rest::new(rsync, "rsync."));
    for (key, value) in &rsync.named {
        let option = format!("--{}", key.replace('_', "-"));
        let taken = match value {
            Value::Table(extra) if key == "_extra" => {
                words.extend(rsync.texts("_extra"));
                extra.named.is_empty() && extra.listed.len() == rsync.texts("_extra").len()
            }
            Value::Truth(true) => {
                words.push(option);
                true
            }
            Value::Text(text) | Value::Number(text) if !matches!(key.as_str(), "binary" | "_extra") => {
                words.push(format!("{option}={text}"));
                true
            }
            _ => false,
        };
        if taken {
            rest.used.push(key);
        }
    }
    left.extend(rest.left());
    words
}

/// What of a table was used, and so what is left of it.
struct Rest<'t> {
    table: &'t Table,
    /// What stands before its names.
    prefix: &'static str,
    /// Names that something was made of.
    used: Vec<&'t str>,
    /// How many of those without a name.
    listed: usize,
}

impl<'t> Rest<'t> {
    fn new(table: &'t Table, prefix: &'static str) -> Rest<'t> {
        Rest { table, prefix, used: Vec::new(), listed: 0 }
    }

    /// The first value without a name was used.
    fn first_is_used(&mut self) {
        self.listed = 1;
    }

    /// Everything else, with the reason why it is left out.
    fn left(&self) -> Vec<(String, String)> {
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

/// Sets what a target has of its own; the same for all targets is written for each.
fn merge(draft: &mut Draft, target: &str, overrides: &Section) {
    draft.target(target).take_over("rsync.", overrides);
}

/// The target for a place: an existing one, or a new one with a name of its own.
fn add_target(draft: &mut Draft, place: &Place) -> String {
    let (wish, keys): (String, Vec<(&str, toml::Value)>) = match place {
        Place::Daemon { host, module, .. } => {
            (module.clone(), vec![("module", module.as_str().into()), ("hosts", vec![host.to_string()].into())])
        }
        Place::Directory { root, .. } => {
            let name = Path::new(root).file_name().map_or("directory".into(), |name| name.to_string_lossy());
            (draft::usable(&name), vec![("path", root.as_str().into())])
        }
    };
    let same = |section: &Section| keys.iter().all(|(key, value)| section.get(key) == Some(value));
    if let Some((name, _)) = draft.targets().iter().find(|(_, section)| same(section)) {
        return name.clone();
    }
    let numbered = (2..1000).map(|number| format!("{wish}-{number}"));
    let mut names = std::iter::once(wish.clone()).chain(numbered);
    let taken = |name: &String| draft.targets().iter().any(|(other, _)| other == name);
    let name = names.find(|name| !taken(name)).unwrap_or(wish);
    let section = draft.target(&name);
    for (key, value) in keys {
        section.set(key, value, "");
    }
    if let Place::Daemon { user: Some(user), .. } = place {
        section.set("rsync.user", user.as_str(), "");
    }
    name
}

/// `[user@]host::module[/path]`, `rsync://[user@]host[:port]/module[/path]`, or a directory.
fn place(target: &str) -> Result<Place, String> {
    if let Some(rest) = target.strip_prefix("rsync://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        return daemon(authority, path);
    }
    if let Some((host, path)) = target.split_once("::") {
        return daemon(host, path);
    }
    if target.starts_with('/') {
        let path = paths::absolute(target)?;
        let (Some(root), Some(name)) = (path.parent(), path.file_name()) else {
            return Err("the directory has no name".to_owned());
        };
        return Ok(Place::Directory { root: root.display().to_string(), name: name.to_string_lossy().into_owned() });
    }
    Err("is neither an rsync daemon nor a directory; over ssh nothing is mirrored".to_owned())
}

fn daemon(authority: &str, path: &str) -> Result<Place, String> {
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let user = user.map(names::check_user).transpose()?;
    let host = draft::host(host, None)?;
    let (module, below) = path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), ""));
    names::check(module)?;
    if below.contains('/') {
        return Err("mirrors are directories of the module itself; give the directory a module of its own".to_owned());
    }
    Ok(Place::Daemon { user, host, module: module.to_owned(), name: (!below.is_empty()).then(|| below.to_owned()) })
}
