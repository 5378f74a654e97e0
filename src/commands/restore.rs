//! `restore`: brings back a file or a tree as it was.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use chrono::{Local, TimeDelta};
use clap::Args;
use log::warn;
use serde_json::json;

use super::interrupt::Interruptible;
use super::setup::{self, Setup};
use super::{Arguments, End};
use crate::cli::{Global, Selection, exit_status};
use crate::exit::{Exit, Failure};
use crate::mirror::{Endpoint, Mirror, endpoints};
use crate::report::json::{self, Object, field, with_path};
use crate::report::{self, text};
use crate::restore::place::{self, Destination, Staging};
use crate::restore::when::When;
use crate::restore::{self, Found, Terms};
use crate::rsync::children::Children;

/// Bring back a file or a directory as it was
///
/// It is put beside the original under a name with the moment, and nothing that exists is overwritten. A directory comes back
/// as a whole: what was new since is not in it, what was deleted is. The moment is that at which the bucket that covers the
/// given time began, and is named.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub(super) struct RestoreArgs {
    /// The name of a configured source
    source: String,

    /// The file or directory: a path inside the source, or `.` for all of it
    path: PathBuf,

    /// As it was at this time: `2026-11-20 14:00`, `14:00` of today, `2026-11-20T14:00:00+01:00`, `yesterday` (a day ago), `3h ago`, `2 days ago`,
    /// or the name of a bucket as in `2026-11-20/140000`
    #[arg(long, value_name = "TIME", default_value = "now")]
    at: String,

    /// Put it into this directory, under its own name
    #[arg(long, value_name = "DIR", conflicts_with = "in_place")]
    to: Option<PathBuf>,

    /// Fetch it from this target, by its name, host or directory [default: the first one that can be asked]
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Put it in the place of the original, which is kept beside it; needs --force
    #[arg(long, requires = "force")]
    in_place: bool,

    /// Do so although the original is replaced
    #[arg(long, requires = "in_place")]
    force: bool,

    /// Only show which moment it would be, how much, and where it would go
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync restore documents letters/offer.odt --at 'yesterday'
  sersync restore documents letters --at '2026-11-20 14:00' --to /tmp/restored
  sersync restore documents . --at '3h ago' --to /srv/old -n
  sersync restore documents letters/offer.odt --at 14:00 --in-place --force

Times are in the local zone of this host. Files come back with the content, owner, mode and time of the version that is kept.
What the history cannot tell: a change of only the mode, owner or time of something is not kept as a version, and directories
have the attributes that they have now. Which files were new is known on the host that mirrors, by its state directory; on
another one, or where that was lost, files that were new since are there as well. Neither is known of what was mirrored
while no history was kept.

With --json each line is an object. sersync-restore(8) lists the fields.

";

impl Arguments for RestoreArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }
}

/// The object of what was restored.
pub(crate) static OBJECT: Object = Object {
    kind: "restored",
    printed: "one",
    fields: &[&[
        ("mirror", "the mirror that it came from, as NAME@ENDPOINT"),
        ("moment", "as of when it is, and by which bucket"),
        ("files", "files and links"),
        ("directories", "directories"),
        ("dry_run", "whether nothing was restored"),
        ("path", "where it is now"),
    ]],
    sometimes: &[field::PATH_HEX],
};

fn run(global: &Global, args: &RestoreArgs) -> Result<End> {
    let now = Local::now();
    let given = text::escaped(args.at.as_bytes());
    let at = When::parse(&args.at, now)
        .map_err(|why| Failure::new(Exit::Usage, format!("--at `{given}` is not understood: {why}")))?;
    if let When::Time(time) = at
        && time > now
    {
        return Err(Failure::new(
            Exit::Usage,
            format!("--at `{given}` is in the future; give a time that is over, or leave it out for the newest"),
        )
        .into());
    }
    let selection = Selection { sources: vec![args.source.clone()], from: None, to: Vec::new(), password_file: None };
    let setup = setup::prepare(global, &selection)?;
    let (first, others) = chosen(&setup, args)?;
    let root = &first.source.path;
    let path = within(root, &args.path)?;
    if args.in_place && path.as_os_str().is_empty() {
        let why = "the whole source cannot be restored in place: give --to DIR, and move what is there";
        return Err(Failure::new(Exit::Usage, why).into());
    }
    let children = Interruptible::install()?;
    let resolution = TimeDelta::from_std(setup.settings.history.resolution).unwrap_or(TimeDelta::MAX);
    let terms = Terms { path: &path, at, resolution, state: &setup.state };
    let result = restore(first, &others, &children, terms, args);
    match children.signal() {
        0 => result.map(|()| End::Exit(Exit::Done)),
        signal => Ok(End::Signal(signal)),
    }
}

fn restore(
    first: &Mirror,
    others: &[&Mirror],
    children: &Children,
    terms: Terms<'_>,
    args: &RestoreArgs,
) -> Result<()> {
    let (mirror, found) = find(first, others, children, terms)?;
    if found.without_journal > 0 {
        let number = text::count(found.without_journal, "bucket");
        warn!(mirror:%; "{mirror}: which paths were new is not known here for {number}: they may be there as well");
    }
    if found.unlisted > 0 {
        let names = text::count(found.unlisted, "name");
        warn!(mirror:%; "{mirror}: {names} in the history, in no bucket, were not looked into; sersync history list names them");
    }
    for bucket in &found.damaged {
        warn!(mirror:%; "{mirror}: the journal of bucket {bucket} is damaged: what was new in it may be there as well");
    }
    let whole = terms.path.as_os_str().is_empty();
    let original = if whole { mirror.source.path.clone() } else { mirror.source.path.join(terms.path) };
    let destination = match &args.to {
        Some(dir) => Destination::in_directory(dir, &original),
        None if args.in_place => Destination::in_place(&original, found.moment),
        None => Destination::beside(&original, found.moment),
    };
    destination.check(&mirror.source.path)?;
    if !args.dry_run {
        let staging = Staging::new(&mirror.source.path, &destination)
            .map_err(|e| Failure::new(Exit::Failed, place::cannot_write(&destination.path, &e)))?;
        restore::fetch(mirror, children, &found, &staging)?;
        // What was replaced before it was fetched has come as its successor.
        if restore::find(mirror, children, terms)?.entries != found.entries {
            let why = format!("{mirror}: it was changed while it was fetched, so nothing is restored; try again");
            return Err(Failure::new(Exit::Partial, why).into());
        }
        staging.put(terms.path, &destination)?;
    }
    let (files, directories) = found.counts();
    let line = if args.json {
        let object = json!({
            "type": "restored",
            "mirror": mirror.to_string(),
            "moment": found.moment.to_string(),
            "files": files,
            "directories": directories,
            "dry_run": args.dry_run,
        });
        json::line(&with_path(object, &destination.path))
    } else {
        let verb = if args.dry_run { "would restore" } else { "restored" };
        let everything = terms.path.as_os_str().is_empty();
        let what = if everything { "everything".to_owned() } else { text::path(terms.path) };
        let (files, directories) = (text::count(files, "file"), text::count(directories, "directory"));
        let to = text::path(&destination.path);
        let aside = destination.aside.filter(|_| original.exists() && !args.dry_run);
        let aside = aside.map_or(String::new(), |aside| format!("; what was there is {} now", text::path(&aside)));
        format!("{mirror}: {verb} {what} as it was at {} to {to}: {files}, {directories}{aside}", found.moment)
    };
    report::print(&(line + "\n"))?;
    Ok(())
}

/// The first mirror that can be asked, and what it has.
fn find<'a>(
    first: &'a Mirror,
    others: &[&'a Mirror],
    children: &Children,
    terms: Terms<'_>,
) -> Result<(&'a Mirror, Found), Failure> {
    let mut mirror = first;
    for other in others {
        match restore::find(mirror, children, terms) {
            Err(failure) if !children.is_closed() => warn!("{}; asking another target", failure.message),
            result => return result.map(|found| (mirror, found)),
        }
        mirror = other;
    }
    restore::find(mirror, children, terms).map(|found| (mirror, found))
}

/// The mirrors that may be asked: those of the target that is named by its name in the configuration, or by its host or
/// directory. The first one, and those that are asked after it.
fn chosen<'a>(setup: &'a Setup, args: &RestoreArgs) -> Result<(&'a Mirror, Vec<&'a Mirror>), Failure> {
    let named = |target: &String| setup.settings.targets.get(target).map(|target| endpoints(&target.place));
    let named = args.target.as_ref().and_then(named).unwrap_or_default();
    let is_meant = |mirror: &&Mirror| {
        let place = mirror.endpoint.to_string();
        args.target.as_ref().is_none_or(|target| {
            named.contains(&mirror.endpoint)
                || place == *target
                || matches!(&mirror.endpoint, Endpoint::Directory(path) if path == Path::new(target))
                || place.strip_prefix(target.as_str()).is_some_and(|rest| rest.starts_with([':', '/']))
        })
    };
    let mut meant = setup.mirrors.iter().filter(is_meant);
    if let Some(first) = meant.next() {
        return Ok((first, meant.collect()));
    }
    let known: Vec<String> = setup.mirrors.iter().map(|mirror| mirror.endpoint.to_string()).collect();
    let target = args.target.as_deref().unwrap_or_default();
    let why = format!(
        "`{}` is no target of `{}`; there are: {}",
        text::escaped(target.as_bytes()),
        text::escaped(args.source.as_bytes()),
        known.join(", ")
    );
    Err(Failure::new(Exit::Usage, why))
}

/// The path relative to the source.
fn within(root: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let mut clean = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let why =
                    format!("{} is not inside the source {}; give a path that is", text::path(path), text::path(root));
                return Err(Failure::new(Exit::Usage, why));
            }
        }
    }
    Ok(clean)
}
