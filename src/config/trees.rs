//! The second stage for `[targets.NAME]` and `[sources.NAME]`, one at a time; how they go together is checked in
//! [`super::overlap`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::error::Problems;
use super::settings::{Host, Place, Rsync, Source, Target};
use super::written::{self, Named, Texts};
use super::{names, paths, server, suggest, tables};
use crate::exclude::Excludes;
use crate::report::text;

/// Checks the targets. One that is wrong is left out, which does no harm since its problem is noted.
pub(super) fn targets(
    problems: &mut Problems,
    written: Option<&Named<written::Target>>,
    base: &Rsync,
) -> BTreeMap<String, Target> {
    if written.is_none_or(BTreeMap::is_empty) {
        problems.general("there is no target; add a table [targets.NAME] with `module` and `hosts`, or with `path`");
    }
    let mut targets = BTreeMap::new();
    for (name, target) in written.into_iter().flatten() {
        let usable = names::check(name.get_ref()).map_err(|why| problems.at(name.span(), why)).is_ok();
        let rsync = tables::rsync(problems, target.rsync.as_ref(), base);
        let server = server::table(problems, name.get_ref(), target);
        if let Some(place) = place(problems, name, target)
            && usable
        {
            let name = name.get_ref().clone();
            targets.insert(name.clone(), Target { name, place, rsync, server });
        }
    }
    targets
}

fn place(problems: &mut Problems, name: &Spanned<String>, target: &written::Target) -> Option<Place> {
    let shown = name.get_ref();
    match (&target.module, &target.hosts, &target.path) {
        (Some(module), Some(hosts), None) => {
            let module = problems.take("module", Some(module), |module| names::check(module).map(|()| module.clone()));
            let hosts = self::hosts(problems, hosts);
            Some(Place::Daemon { module: module?, hosts })
        }
        (None, None, Some(path)) => {
            let directory = problems.take("path", Some(path), |path| paths::absolute(path))?;
            Some(Place::Directory(directory))
        }
        (None, None, None) => {
            problems.at(name.span(), format!("target `{shown}` is nowhere; add `module` and `hosts`, or `path`"));
            None
        }
        (_, _, Some(path)) => {
            let message =
                format!("target `{shown}` has a `path` and a daemon; keep either `path` or `module` and `hosts`");
            problems.at(path.span(), message);
            None
        }
        (Some(module), None, None) => {
            problems.at(module.span(), format!("target `{shown}` has no hosts; add `hosts = [\"HOST\"]`"));
            None
        }
        (None, Some(hosts), None) => {
            problems.at(hosts.span(), format!("target `{shown}` has no module; add `module = \"NAME\"`"));
            None
        }
    }
}

fn hosts(problems: &mut Problems, written: &Spanned<Texts>) -> Vec<Host> {
    if written.get_ref().is_empty() {
        problems.at(written.span(), "`hosts`: the list is empty; name at least one host");
    }
    let mut hosts: Vec<Host> = Vec::new();
    for text in written.get_ref() {
        let Some(host) = problems.take("hosts", Some(text), |text| text.parse::<Host>()) else { continue };
        // The case of a host name has no meaning.
        if hosts.iter().any(|other| other.to_string().eq_ignore_ascii_case(&host.to_string())) {
            problems.at(text.span(), format!("`hosts`: {host} is listed twice; leave one out"));
        }
        hosts.push(host);
    }
    hosts
}

/// Checks the sources against the targets that are written, whether those are right or not.
pub(super) fn sources(problems: &mut Problems, written: &written::Config) -> BTreeMap<String, Source> {
    if written.sources.as_ref().is_none_or(BTreeMap::is_empty) {
        problems.general("there is no source; add a table [sources.NAME] with `path` and `targets`");
    }
    let known: Vec<&str> = written.targets.iter().flatten().map(|(name, _)| name.get_ref().as_str()).collect();
    let mut sources = BTreeMap::new();
    for (name, source) in written.sources.iter().flatten() {
        let usable = names::check_alias(name.get_ref()).map_err(|why| problems.at(name.span(), why)).is_ok();
        let targets = used_targets(problems, name, source.targets.as_ref(), &known);
        let path = root(problems, name, source);
        // Without a path there is nothing that the rest could be checked against.
        let Some(path) = path else { continue };
        let real_time = source.watch.as_ref().and_then(|watch| watch.exclude.as_ref());
        let name = name.get_ref().clone();
        let source = Source {
            exclude: patterns(problems, "exclude", source.exclude.as_ref(), &path),
            watch_exclude: patterns(problems, "watch.exclude", real_time, &path),
            one_file_system: source.one_file_system.unwrap_or(true),
            marker: problems.take("marker", source.marker.as_ref(), |marker| paths::marker(marker, &path)),
            name: name.clone(),
            path,
            targets,
        };
        if usable {
            sources.insert(name, source);
        }
    }
    sources
}

fn root(problems: &mut Problems, name: &Spanned<String>, source: &written::Source) -> Option<PathBuf> {
    if source.path.is_none() {
        let message = format!("source `{}` has no path; add `path = \"/DIRECTORY\"`", name.get_ref());
        problems.at(name.span(), message);
    }
    problems.take("path", source.path.as_ref(), |path| paths::absolute(path))
}

fn used_targets(
    problems: &mut Problems,
    name: &Spanned<String>,
    written: Option<&Spanned<Texts>>,
    known: &[&str],
) -> Vec<String> {
    let source = name.get_ref();
    let Some(written) = written else {
        problems.at(name.span(), format!("source `{source}` goes nowhere; add `targets = [\"NAME\"]`"));
        return Vec::new();
    };
    if written.get_ref().is_empty() {
        problems.at(written.span(), format!("source `{source}` goes nowhere; name a target in `targets`"));
    }
    let mut targets: Vec<String> = Vec::new();
    for target in written.get_ref() {
        let word = target.get_ref();
        if targets.contains(word) {
            problems.at(target.span(), format!("`targets`: `{word}` is listed twice; leave one out"));
        } else if known.contains(&word.as_str()) {
            targets.push(word.clone());
        } else {
            let hint = if known.is_empty() { "; there are none".to_owned() } else { suggest::hint(word, known) };
            problems.at(target.span(), format!("`targets`: there is no target `{}`{hint}", word.escape_debug()));
        }
    }
    targets
}

fn patterns(problems: &mut Problems, key: &str, written: Option<&Texts>, source: &Path) -> Vec<String> {
    let check = |pattern: &String| {
        Excludes::new(&[pattern]).map_err(|error| format!("\"{}\": {}", pattern.escape_debug(), error.reason))?;
        relative_to_source(pattern, source)?;
        Ok(pattern.clone())
    };
    written.into_iter().flatten().filter_map(|pattern| problems.take(key, Some(pattern), check)).collect()
}

/// Patterns are anchored at the source, so that one with the full path of something inside it would never match.
fn relative_to_source(pattern: &str, source: &Path) -> Result<(), String> {
    match Path::new(pattern).strip_prefix(source) {
        Ok(inside) if inside.as_os_str().is_empty() => {
            Err(format!("\"{pattern}\" is the source itself; patterns start there and name what is inside"))
        }
        Ok(inside) if source != Path::new("/") => {
            let slash = if pattern.ends_with('/') { "/" } else { "" };
            let inside = text::path(inside);
            Err(format!("\"{pattern}\" can never match: patterns start at the source; write \"/{inside}{slash}\""))
        }
        _ => Ok(()),
    }
}
