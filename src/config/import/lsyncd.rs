//! What a configuration of lsyncd comes to, as far as it is made of literal `sync{default.rsync...}` blocks. Pure.

mod place;
mod rest;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use self::place::{Place, place, target_of};
use self::rest::{Rest, SETTINGS, in_full, shown};
use super::draft::{self, Draft, Section};
use super::lua::{self, Chunk, Table, Value};
use super::{Importer, options};
use crate::config::paths;
use crate::config::units::Span;
use crate::exclude::Excludes;

pub(super) const IMPORTER: Importer = Importer {
    word: "lsyncd",
    looks_like: |text| text.lines().any(begins_block),
    mirror: "`sync{default.rsync, source=..., target=...}` that is literal and goes to an rsync daemon",
    draft: |text| Ok(map(&lua::parse(text))),
};

/// Whether a line begins with a call that only a configuration of lsyncd has.
fn begins_block(line: &str) -> bool {
    let line = line.trim_start();
    ["sync", "settings"].iter().any(|word| {
        let rest = line.strip_prefix(word).map(str::trim_start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '(', '-']))
    })
}

fn map(chunk: &Chunk) -> Draft {
    let mut draft = Draft::default();
    let mut delays = Vec::new();
    for (name, table) in &chunk.tables {
        match name.as_str() {
            "sync" => sync(table, &mut draft, &mut delays),
            "settings" => settings(table, &mut draft),
            _ => draft.say(&format!("Line {}: {name} {}: not known, and left out", table.line, in_full(table))),
        }
    }
    if let Some(least) = delays.iter().map(|(_, delay)| *delay).min() {
        let others: Vec<_> = delays.iter().filter(|(_, delay)| *delay != least).collect();
        let note = if others.is_empty() { "" } else { "the shortest of several: there is one for all sources" };
        draft.watch.set("delay", Span(Duration::from_secs(least)).to_string(), note);
        if least > 10 {
            draft.watch.set("max-delay", Span(Duration::from_secs(least)).to_string(), "");
        }
        for (line, delay) in others {
            draft.watch.comment(&format!("Line {line}: delay = {delay}"), "there is one for all sources, the shortest");
        }
    }
    for (line, words) in &chunk.skipped {
        if !words.trim().is_empty() {
            draft.say(&format!("Line {line} is not literal, and was not executed: {}", words.trim()));
        }
    }
    draft
}

fn settings(table: &Table, draft: &mut Draft) {
    for (name, value) in &table.named {
        let why = SETTINGS.iter().find(|(known, _)| known == name).map_or("not known, and left out", |(_, why)| *why);
        draft.watch.comment(&format!("Line {}: settings.{name} = {}", table.line, shown(value)), why);
    }
    for value in &table.listed {
        draft.say(&format!("Line {}: settings: {}: left out: it has no name", table.line, shown(value)));
    }
}

/// A block that can be taken over.
struct Block<'t> {
    source: &'t str,
    target: &'t str,
    place: Place,
    /// The name that the source gets.
    name: String,
    /// Whether it was in the module itself, which nothing is here.
    moved: bool,
}

impl<'t> Block<'t> {
    /// The error is why it is left out.
    fn of(table: &'t Table, draft: &Draft) -> Result<Block<'t>, String> {
        let source = table.text("source").unwrap_or_default();
        let kind = match table.listed.first() {
            Some(Value::Name(name)) => name.as_str(),
            _ => "",
        };
        let target = match kind {
            "default.rsync" | "default.direct" => table.text("target").unwrap_or_default(),
            "default.rsyncssh" => {
                let why = "default.rsyncssh goes over ssh, and the other end has to be an rsync daemon here";
                return Err(why.to_owned());
            }
            _ => return Err("only default.rsync and default.direct are understood".to_owned()),
        };
        draft::is_text(source).and_then(|()| paths::absolute(source))?;
        let place = draft::is_text(target).and_then(|()| place(target));
        let place = place.map_err(|why| format!("target \"{target}\": {why}"))?;
        let own = Path::new(source).file_name().map_or("root".into(), |name| name.to_string_lossy()).into_owned();
        let (name, moved) = match &place {
            Place::Daemon { name: Some(name), .. } | Place::Directory { name, .. } => (draft::usable(name), false),
            Place::Daemon { name: None, .. } => (draft::usable(&own), true),
        };
        let other = draft.sources().iter().find(|(other, _)| *other == name);
        let other = other.and_then(|(_, section)| section.get("path"));
        if other.is_some_and(|path| path.as_str() != Some(source)) {
            return Err(format!("another source has the name {name}"));
        }
        Ok(Block { source, target, place, name, moved })
    }
}

fn sync(table: &Table, draft: &mut Draft, delays: &mut Vec<(usize, u64)>) {
    let leave_out = |draft: &mut Draft, why: &str| {
        let why = why.strip_prefix("left out: ").unwrap_or(why);
        draft.say(&format!("Line {}: sync{}: left out: {why}", table.line, in_full(table)));
    };
    let Block { source, target, place, name, moved } = match Block::of(table, draft) {
        Ok(block) => block,
        Err(why) => return leave_out(draft, &why),
    };
    // What is its own is put together first: nothing of it may get into what another block has.
    let (mut own, (wish, mut to)) = (Section::default(), target_of(&place));
    own.set("path", source, "");
    if moved {
        own.comment(
            &format!("Line {}: target = \"{target}\"", table.line),
            &format!("the files were in the module itself, and go to {name}/ in it now: move them there before the first pass"),
        );
    }
    let mut rest = Rest::new(table, "");
    rest.used.extend(["source", "target"]);
    rest.first_is_used();
    block(table, &mut own, &mut rest);
    let delay = table.text("delay").and_then(|delay| delay.parse().ok()).filter(|delay| options::is_short(*delay));
    if delay.is_some() {
        rest.used.push("delay");
    }
    let mut left = Vec::new();
    if let Some(Value::Table(rsync)) = table.get("rsync") {
        rest.used.push("rsync");
        let mut overrides = Section::default();
        let patterns =
            options::take_over(&options_of(rsync, &mut left), &format!("Line {}: ", table.line), &mut overrides);
        own.add("exclude", patterns);
        to.take_over("rsync.", &overrides);
    }
    left.extend(rest.left());
    for (what, why) in left {
        own.comment(&format!("Line {}: {what}", table.line), &why);
    }
    let before = draft.sources().iter().find(|(other, _)| *other == name).map(|(_, section)| patterns_of(section));
    if before.is_some_and(|before| before != patterns_of(&own)) {
        return leave_out(
            draft,
            "another block has this source with other excludes, and a source has the same for all its targets: give it a \
             name of its own",
        );
    }
    if draft.goes_there_otherwise(&name, &to) {
        return leave_out(draft, "another block mirrors this source to the same place with other options");
    }
    match draft.target_like(&wish, &to) {
        Ok(target) => own.add("targets", draft.targets_of(&name).into_iter().chain([target])),
        Err(why) => return leave_out(draft, &why),
    }
    draft.source(&name).take_over("", &own);
    delays.extend(delay.map(|delay| (table.line, delay)));
}

fn patterns_of(section: &Section) -> BTreeSet<String> {
    let list = section.get("exclude").and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// What belongs to a block itself.
fn block(table: &Table, section: &mut Section, rest: &mut Rest<'_>) {
    let patterns = table.texts("exclude");
    for pattern in &patterns {
        match Excludes::new(&[pattern]) {
            Ok(_) => section.add("exclude", [pattern.clone()]),
            Err(e) => section.comment(&format!("Line {}: exclude \"{pattern}\"", table.line), &e.reason.to_string()),
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
                &format!("Line {}: delete = {}", table.line, shown(value)),
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
                &format!("Line {}: init = false", table.line),
                "start = \"none\" in [watch] does the same for all sources; it misses what changed meanwhile",
            );
        }
        _ => {}
    }
}

/// The options of rsync that a table stands for; `left` gets what is none, with the reason. Those of `_extra` come first,
/// as there, so that the others take their places.
fn options_of(rsync: &Table, left: &mut Vec<(String, String)>) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), Rest::new(rsync, "rsync."));
    for (key, value) in rsync.named.iter().filter(|(key, _)| key != "_extra") {
        // The last one of a name is the one that counts.
        if rsync.get(key) != Some(value) {
            continue;
        }
        let option = format!("--{}", key.replace('_', "-"));
        let word = match value {
            Value::Truth(true) => option,
            Value::Text(text) | Value::Number(text) if key != "binary" => format!("{option}={text}"),
            _ => continue,
        };
        words.push(word);
        rest.used.push(key);
    }
    let mut extra = Vec::new();
    if let Some(Value::Table(list)) = rsync.get("_extra") {
        extra = rsync.texts("_extra");
        if list.named.is_empty() && list.listed.len() == extra.len() {
            rest.used.push("_extra");
        }
    }
    left.extend(rest.left());
    extra.into_iter().chain(words).collect()
}
