//! `history find`: the versions of some paths that are in the histories of a source.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use chrono::NaiveDateTime;
use clap::Args;
use log::warn;
use serde_json::json;

use super::{Answers, End, print};
use crate::cli::{Global, Selection, exit_status};
use crate::commands::setup;
use crate::exit::Exit;
use crate::history::pattern::Pattern;
use crate::history::remote::Remote;
use crate::report::json::{self, Object, field, with_path};
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes};
use crate::retention::Unit;
use crate::rsync::listing::Kind;
use crate::rsync::outcome::Outcome;

/// Find the versions of files that are in the history
///
/// Each line is one version of a file or link that was replaced or deleted, sorted by path and then by time: the bucket it
/// is in, when it was last modified, its size, its kind, the endpoint and the path. What the mirror has now is not listed.
///
/// PATTERN is a path relative to the source, of a file or of a directory, which means everything below it. It may have
/// wildcards, as `exclude` in the configuration: `*` and `?` stand for anything but a slash, `**` also for slashes. A
/// pattern without a slash is a name anywhere; any other begins at the source, unless it begins with `**`. A name with
/// wildcards in it is also found when it is given as it is. Each endpoint is asked once, all at the same time. Nothing
/// found is no failure.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status(), allow_missing_positional = true)]
pub(super) struct HistoryFindArgs {
    /// Name of a configured source
    #[arg(value_name = "SOURCE", required_unless_present = "from", conflicts_with_all = ["from", "to"])]
    source: Option<String>,

    /// What to look for: a path relative to the source, or a pattern
    #[arg(value_name = "PATTERN", required = true)]
    pattern: OsString,

    /// A directory that is mirrored without a configuration file, instead of SOURCE; needs --to
    #[arg(long, value_name = "DIR", requires = "to")]
    from: Option<PathBuf>,

    /// Where it goes: rsync://[USER@]HOST[:PORT]/MODULE/NAME, or a directory /.../NAME or ./.../NAME. May be repeated
    #[arg(long, value_name = "URL|DIR", requires = "from")]
    to: Vec<OsString>,

    /// The file that holds the password for --to (first line; not accessible by others)
    #[arg(long, value_name = "FILE", requires = "to")]
    password_file: Option<PathBuf>,

    /// Print one JSON object per version
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync history find documents report.txt  files of this name, anywhere
  sersync history find documents 2026/june   exactly this file, or all that is in this directory
  sersync history find documents '*.txt'     all names that end so
  sersync history find documents '/2026/**.txt' --json
                                             only those in one directory, for programs

Buckets are named in the local time of the host that wrote them; other times are in that of this host, or of TZ. The time
limit is `timeout` in [full-sync].

With --json each line is an object. sersync-history-find(8) lists the fields.

";

/// One version, where it is and what it is.
#[derive(Debug)]
struct Version {
    path: PathBuf,
    kind: Kind,
    size: u64,
    modified: Option<NaiveDateTime>,
}

pub(super) fn run(global: &Global, args: &HistoryFindArgs) -> Result<End> {
    let pattern = Pattern::new(&args.pattern)?;
    let selection = Selection {
        sources: args.source.iter().cloned().collect(),
        from: args.from.clone(),
        to: args.to.clone(),
        password_file: args.password_file.clone(),
    };
    let setup = setup::prepare(global, &selection)?;
    let answers = Answers::of(&setup, |remote| ask(remote, &pattern))?;
    let mut found: Vec<(&Version, Unit, &str)> = Vec::new();
    for (summary, answer) in &answers.all {
        let Some((units, foreign)) = answer else { continue };
        if *foreign > 0 {
            let names = text::count(*foreign, "name");
            warn!(mirror:% = summary.mirror; "{}: {names} in no bucket were not looked into; sersync history list names them", summary.mirror);
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
    fields: &[&[
        field::MIRROR,
        ("bucket", "the bucket or day that it is in"),
        ("modified", "when its content was changed, in local time; null when that is not known"),
        ("size", "its size in bytes"),
        ("kind", "what it is: file, link or special"),
        ("path", "the path within the source"),
    ]],
    sometimes: &[field::PATH_HEX],
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
