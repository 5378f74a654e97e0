//! `restore`: brings back a file or a tree as it was.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use chrono::{Local, TimeDelta};
use log::warn;
use serde_json::json;

use super::End;
use super::interrupt::Interruptible;
use super::setup::{self, Setup};
use crate::cli::{Cli, RestoreArgs, Selection};
use crate::exit::{Exit, Failure};
use crate::mirror::{Mirror, endpoints};
use crate::report::json::{self, Object, PATH_HEX, with_path};
use crate::report::{self, text};
use crate::restore::place::{Destination, Staging};
use crate::restore::when::When;
use crate::restore::{self, Found, Terms};
use crate::rsync::children::Children;

/// The object of what was restored.
pub(crate) static OBJECT: Object = Object {
    kind: "restored",
    printed: "one",
    fields: &[
        ("mirror", "the mirror that it came from, as NAME@ENDPOINT"),
        ("moment", "as of when it is, and by which bucket"),
        ("files", "files and links"),
        ("directories", "directories"),
        ("dry_run", "whether nothing was restored"),
        ("path", "where it is now"),
    ],
    sometimes: &[PATH_HEX],
};

pub(super) fn run(cli: &Cli, args: &RestoreArgs) -> Result<End> {
    let now = Local::now();
    let at = When::parse(&args.at, now)
        .map_err(|why| Failure::new(Exit::Usage, format!("--at `{}` is not understood: {why}", args.at)))?;
    if let When::Time(time) = at
        && time > now
    {
        return Err(Failure::new(Exit::Usage, format!("--at {at} is in the future")).into());
    }
    let selection = Selection { sources: vec![args.source.clone()], from: None, to: Vec::new(), password_file: None };
    let setup = setup::prepare(cli, &selection)?;
    let mirrors = chosen(&setup, args)?;
    let root = &mirrors[0].source.path;
    let path = within(root, &args.path)?;
    if args.in_place && path.as_os_str().is_empty() {
        let why = "the whole source cannot be restored in place: give --to DIR, and move what is there";
        return Err(Failure::new(Exit::Usage, why).into());
    }
    let children = Interruptible::install()?;
    let resolution = TimeDelta::from_std(setup.settings.history.resolution).unwrap_or(TimeDelta::MAX);
    let terms = Terms { path: &path, at, resolution, state: &setup.state };
    let result = restore(&mirrors, &children, terms, args);
    match children.signal() {
        0 => result.map(|()| End::Exit(Exit::Done)),
        signal => Ok(End::Signal(signal)),
    }
}

fn restore(mirrors: &[&Mirror], children: &Children, terms: Terms<'_>, args: &RestoreArgs) -> Result<()> {
    let (mirror, found) = find(mirrors, children, terms)?;
    if found.without_journal > 0 {
        let number = text::count(found.without_journal, "bucket");
        warn!("{mirror}: which paths were new is not known here for {number}: they may be there as well");
    }
    if found.unlisted > 0 {
        let names = text::count(found.unlisted, "name");
        warn!("{mirror}: {names} in the history, in no bucket, were not looked into; sersync history list names them");
    }
    for bucket in &found.damaged {
        warn!("{mirror}: the journal of bucket {bucket} is damaged: what was new in it may be there as well");
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
            .map_err(|e| Failure::new(Exit::Failed, format!("{}: {e}", text::path(&destination.path))))?;
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
fn find<'a>(mirrors: &[&'a Mirror], children: &Children, terms: Terms<'_>) -> Result<(&'a Mirror, Found), Failure> {
    let mut last = Failure::new(Exit::Failed, "there is no mirror");
    for (number, mirror) in mirrors.iter().enumerate() {
        match restore::find(mirror, children, terms) {
            Ok(found) => return Ok((mirror, found)),
            Err(failure) if number + 1 < mirrors.len() && !children.is_closed() => {
                warn!("{}; asking another target", failure.message);
                last = failure;
            }
            Err(failure) => return Err(failure),
        }
    }
    Err(last)
}

/// The mirrors that may be asked: those of the target that is named by its name in the configuration, or by its host or
/// directory.
fn chosen<'a>(setup: &'a Setup, args: &RestoreArgs) -> Result<Vec<&'a Mirror>, Failure> {
    let named = |target: &String| setup.settings.targets.get(target).map(|target| endpoints(&target.place));
    let named = args.target.as_ref().and_then(named).unwrap_or_default();
    let is_meant = |mirror: &&Mirror| {
        let place = mirror.endpoint.to_string();
        args.target.as_ref().is_none_or(|target| {
            named.contains(&mirror.endpoint)
                || place == *target
                || place.strip_prefix(target.as_str()).is_some_and(|rest| rest.starts_with([':', '/']))
        })
    };
    let meant: Vec<&Mirror> = setup.mirrors.iter().filter(is_meant).collect();
    if meant.is_empty() {
        let known: Vec<String> = setup.mirrors.iter().map(|mirror| mirror.endpoint.to_string()).collect();
        let target = args.target.as_deref().unwrap_or_default();
        let why = format!("`{target}` is no target of `{}`; there are: {}", args.source, known.join(", "));
        return Err(Failure::new(Exit::Usage, why));
    }
    Ok(meant)
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
                let why = format!("{} is not inside the source {}", text::path(path), text::path(root));
                return Err(Failure::new(Exit::Usage, why));
            }
        }
    }
    Ok(clean)
}
