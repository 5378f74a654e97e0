//! `history list`: the buckets of each history.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Local};
use clap::Args;
use log::warn;
use serde_json::json;

use super::{Answers, End, print};
use crate::cli::{Global, Selection, exit_status};
use crate::commands::setup;
use crate::exit::Exit;
use crate::history::remote::Remote;
use crate::pass::summary::Summary;
use crate::report::json::{self, Object, field, with_path};
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes, count};
use crate::retention::{self, Unit};
use crate::rsync::outcome::Outcome;

/// List the buckets of each mirror's history
///
/// The history of a mirror is in `history-backup/NAME/YYYY-MM-DD/HHMMSS[-n]/` beside it; each such directory is a bucket,
/// and its name is the moment from which on it collects what is replaced or deleted. A day directory with no bucket in it
/// (of a system that kept one directory for each day) is listed as a whole. Other names are named in a warning. Each
/// endpoint is asked once, all at the same time, and nothing is changed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct HistoryListArgs {
    #[command(flatten)]
    selection: Selection,

    /// Also show how many files are in each bucket and how big they are together, for which the endpoint lists every file
    #[arg(long)]
    size: bool,

    /// Print one JSON object per bucket
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync history list                      all sources on all their targets
  sersync history list documents --size     also how much is in each bucket

Times are in the local time of the host that mirrors; for what another host has written, set TZ to its time zone. The time
limit is `timeout` in [full-sync].

With --json each line is an object. sersync-history-list(8) lists the fields.

";

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

pub(super) fn run(global: &Global, args: &HistoryListArgs) -> Result<End> {
    let setup = setup::prepare(global, &args.selection)?;
    let answers = Answers::of(&setup, |remote| if args.size { ask_for_all(remote) } else { ask_for_names(remote) })?;
    let (now, several) = (Local::now(), setup.mirrors.len() > 1);
    let mut first = true;
    for (Summary { mirror, exit, .. }, history) in &answers.all {
        let Some(history) = history else { continue };
        name_foreign(mirror, &history.foreign);
        if history.units.is_empty() {
            // What could not be read is no empty history.
            if *exit == Exit::Done {
                warn!(mirror:%; "{mirror}: the history is empty");
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

fn ask_for_names(remote: &mut Remote<'_>) -> Result<(History, Outcome), Outcome> {
    let (units, foreign) = retention::units(&remote.buckets()?);
    let units = units.into_iter().map(|unit| (unit, None)).collect();
    Ok((History { units, foreign }, Outcome::Done))
}

/// With the sizes of what is in them, for which all of it has to be listed.
fn ask_for_all(remote: &mut Remote<'_>) -> Result<(History, Outcome), Outcome> {
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
        warn!(mirror:%; "{mirror}: no bucket: {}", text::path(path));
    }
    if foreign.len() > NAMED {
        warn!(mirror:%; "{mirror}: {} in all are no buckets", count(foreign.len(), "name"));
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
    fields: &[&[
        field::MIRROR,
        ("start", "when it begins, in local time"),
        ("age", "for how many seconds it has been there"),
        ("whole_day", "whether it is a day without buckets"),
        ("path", "where it is in the history"),
    ]],
    sometimes: &[
        ("files", "with --size: files and links in it"),
        ("bytes", "with --size: their size"),
        field::PATH_HEX,
    ],
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
