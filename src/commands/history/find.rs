//! `history find`: the versions of some paths that are in the histories of a source.

use std::path::PathBuf;

use anyhow::Result;
use chrono::NaiveDateTime;
use log::warn;
use serde_json::json;

use super::{Answers, End, print};
use crate::cli::{Cli, HistoryFindArgs, Selection};
use crate::commands::setup;
use crate::exit::Exit;
use crate::history::pattern::Pattern;
use crate::history::remote::Remote;
use crate::history::retention::Unit;
use crate::report::json::{self, Object, PATH_HEX, with_path};
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes};
use crate::rsync::listing::Kind;
use crate::rsync::outcome::Outcome;

/// One version, where it is and what it is.
#[derive(Debug)]
struct Version {
    path: PathBuf,
    kind: Kind,
    size: u64,
    modified: Option<NaiveDateTime>,
}

pub(super) fn run(cli: &Cli, args: &HistoryFindArgs) -> Result<End> {
    let pattern = Pattern::new(&args.pattern)?;
    let selection = Selection {
        sources: args.source.iter().cloned().collect(),
        from: args.from.clone(),
        to: args.to.clone(),
        password_file: args.password_file.clone(),
    };
    let setup = setup::prepare(cli, &selection)?;
    let answers = Answers::of(&setup, |remote| ask(remote, &pattern))?;
    let mut found: Vec<(&Version, Unit, &str)> = Vec::new();
    for (summary, answer) in &answers.all {
        let Some((units, foreign)) = answer else { continue };
        if *foreign > 0 {
            let names = text::count(*foreign, "name");
            warn!("{}: {names} in no bucket were not looked into; sersync history list names them", summary.mirror);
        }
        for (unit, versions) in units {
            found.extend(versions.iter().map(|version| (version, *unit, summary.mirror.as_str())));
        }
    }
    found.sort_by(|(one, in_one, at), (other, in_other, other_at)| {
        let by_time = || (in_one.start(), in_one, at).cmp(&(in_other.start(), in_other, other_at));
        one.path.as_os_str().cmp(other.path.as_os_str()).then_with(by_time)
    });
    if args.json {
        print(found.iter().map(|(version, unit, mirror)| object(version, *unit, mirror)))?;
    } else if !found.is_empty() {
        print(table(&found).lines())?;
    }
    let end = answers.end();
    // Where some mirror could not be asked, nobody can tell.
    if found.is_empty() && end == End::Exit(Exit::Done) {
        warn!("no version of `{}` is in the history", text::path(pattern.text()));
    }
    Ok(end)
}

/// What each bucket has, and how many names are in none.
type Found = (Vec<(Unit, Vec<Version>)>, usize);

fn ask(remote: &mut Remote<'_>, pattern: &Pattern) -> Result<(Found, Outcome), Outcome> {
    let mut listed = remote.list(&pattern.place(), |versions: &mut Vec<Version>, _, path, entry| {
        // A directory has no versions: what is in it has.
        if !entry.is_directory() && pattern.matches(path) {
            let (kind, size, modified) = (entry.kind, entry.size, entry.modified);
            versions.push(Version { path: path.to_owned(), kind, size, modified });
        }
    })?;
    let outcome = listed.outcome();
    Ok(((listed.units, listed.foreign.len()), outcome))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File => "file",
        Kind::Link => "link",
        Kind::Special => "special",
    }
}

fn table(found: &[(&Version, Unit, &str)]) -> Table {
    // The path comes last, since it may be long.
    let mut table = Table::new(&[
        ("BUCKET", Side::Left),
        ("MODIFIED", Side::Left),
        ("SIZE", Side::Right),
        ("KIND", Side::Left),
        ("MIRROR", Side::Left),
        ("PATH", Side::Left),
    ]);
    for (version, unit, mirror) in found {
        let modified =
            version.modified.map_or("unknown".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string());
        let (size, kind, path) = (bytes(version.size), word(version.kind).to_owned(), text::path(&version.path));
        table.push(vec![unit.to_string(), modified, size, kind, (*mirror).to_owned(), path]);
    }
    table
}

/// The object of a version.
pub(crate) static OBJECT: Object = Object {
    kind: "version",
    printed: "for each version that was found",
    fields: &[
        ("mirror", "the mirror, as NAME@ENDPOINT"),
        ("bucket", "the bucket or day that it is in"),
        ("modified", "when its content was changed, in local time; null when that is not known"),
        ("size", "its size in bytes"),
        ("kind", "what it is: file, link or special"),
        ("path", "the path within the source"),
    ],
    sometimes: &[PATH_HEX],
};

fn object(version: &Version, unit: Unit, mirror: &str) -> String {
    let object = json!({
        "type": "version",
        "mirror": mirror,
        "bucket": unit.to_string(),
        "modified": version.modified.map(|time| time.format("%Y-%m-%dT%H:%M:%S").to_string()),
        "size": version.size,
        "kind": word(version.kind),
    });
    json::line(&with_path(object, &version.path))
}
