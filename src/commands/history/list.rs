//! `history list`: the buckets of each history.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Local};
use log::warn;
use serde_json::json;

use super::{Answers, End, print};
use crate::cli::{Cli, HistoryListArgs};
use crate::commands::setup;
use crate::exit::Exit;
use crate::history::remote::Remote;
use crate::history::retention::{self, Unit};
use crate::report::json::{self, Object, PATH_HEX, with_path};
use crate::report::summary::Summary;
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes, count};
use crate::rsync::outcome::Outcome;

/// More foreign names than this are counted only.
const NAMED: usize = 100;

/// What is in a bucket.
#[derive(Debug, Default)]
struct Content {
    /// Files, links and special files: everything but directories.
    files: u64,
    bytes: u64,
}

/// What is in a history.
struct History {
    units: Vec<(Unit, Option<Content>)>,
    foreign: BTreeSet<PathBuf>,
}

pub(super) fn run(cli: &Cli, args: &HistoryListArgs) -> Result<End> {
    let setup = setup::prepare(cli, &args.selection)?;
    let answers = Answers::of(&setup, |remote| ask(remote, args.size))?;
    let (now, several) = (Local::now(), setup.mirrors.len() > 1);
    let mut first = true;
    for (Summary { mirror, exit, .. }, history) in &answers.all {
        let Some(history) = history else { continue };
        name_foreign(mirror, &history.foreign);
        if history.units.is_empty() {
            // What could not be read is no empty history.
            if *exit == Exit::Done {
                warn!("{mirror}: the history is empty");
            }
        } else if args.json {
            print(objects(mirror, history, &now))?;
        } else {
            let heading = several.then(|| format!("{mirror}:"));
            let gap = (several && !first).then(String::new);
            print(gap.into_iter().chain(heading).chain(table(history, &now).lines()))?;
            first = false;
        }
    }
    Ok(answers.end())
}

fn ask(remote: &mut Remote<'_>, size: bool) -> Result<(History, Outcome), Outcome> {
    if !size {
        let (units, foreign) = retention::units(&remote.buckets()?);
        let units = units.into_iter().map(|unit| (unit, None)).collect();
        return Ok((History { units, foreign }, Outcome::Done));
    }
    let mut listed = remote.list(Path::new(""), |content: &mut Content, _, _, entry| {
        if !entry.is_directory() {
            content.files += 1;
            content.bytes = content.bytes.saturating_add(entry.size);
        }
    })?;
    let outcome = listed.outcome();
    let units = listed.units.into_iter().map(|(unit, content)| (unit, Some(content))).collect();
    Ok((History { units, foreign: listed.foreign }, outcome))
}

fn name_foreign(mirror: &str, foreign: &BTreeSet<PathBuf>) {
    for path in foreign.iter().take(NAMED) {
        warn!("{mirror}: no bucket: {}", text::path(path));
    }
    if foreign.len() > NAMED {
        warn!("{mirror}: {} in all are no buckets", count(foreign.len(), "name"));
    }
}

fn table(history: &History, now: &DateTime<Local>) -> Table {
    let sized = history.units.iter().any(|(_, content)| content.is_some());
    let columns = [("BUCKET", Side::Left), ("AGE", Side::Right), ("FILES", Side::Right), ("SIZE", Side::Right)];
    let mut table = Table::new(&columns[..if sized { 4 } else { 2 }]);
    for (unit, content) in &history.units {
        let mut row = vec![unit.to_string(), retention::rough(unit.age(now))];
        row.extend(content.iter().flat_map(|content| [content.files.to_string(), bytes(content.bytes)]));
        table.push(row);
    }
    table
}

/// The object of a bucket.
pub(crate) static OBJECT: Object = Object {
    kind: "bucket",
    printed: "for each bucket and each day without buckets",
    fields: &[
        ("mirror", "the mirror, as NAME@ENDPOINT"),
        ("start", "when it begins, in local time"),
        ("age", "for how many seconds it has been there"),
        ("whole_day", "whether it is a day without buckets"),
        ("path", "where it is in the history"),
    ],
    sometimes: &[("files", "with --size: files and links in it"), ("bytes", "with --size: their size"), PATH_HEX],
};

fn objects(mirror: &str, history: &History, now: &DateTime<Local>) -> impl Iterator<Item = String> {
    history.units.iter().map(move |(unit, content)| {
        let mut object = json!({
            "type": "bucket",
            "mirror": mirror,
            "start": unit.start().format("%Y-%m-%dT%H:%M:%S").to_string(),
            "age": unit.age(now).num_seconds(),
            "whole_day": matches!(unit, Unit::Day(_)),
        });
        if let Some(content) = content {
            object["files"] = json!(content.files);
            object["bytes"] = json!(content.bytes);
        }
        json::line(&with_path(object, Path::new(&unit.to_string())))
    })
}
