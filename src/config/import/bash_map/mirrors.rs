//! The sources and targets of the bash sersync. Pure.

use super::super::draft::{self, Draft};
use super::super::regex::{Matching, is_in, translate};
use super::settings::{Pair, Settings};
use crate::config::settings::Host;
use crate::config::{names, paths};

/// Sources and targets.
pub(super) fn mirrors(settings: &mut Settings<'_>, draft: &mut Draft) {
    let sources = settings.pairs("listen_dir");
    let (modules, addresses) = (settings.pairs("rsyncd_mod"), settings.pairs("rsyncd_ip"));
    let mut mirrored: Vec<(&str, &str)> = Vec::new();
    for Pair { at, key: alias, value: path } in sources {
        let is_here = |list: &str| list.split(',').any(|other| trimmed(other) == trimmed(path));
        let Some(module) = modules.iter().find(|module| is_here(module.value)).map(|module| module.key) else {
            settings.refuse("listen_dir", at, "no module in rsyncd_mod has it, so that it was not mirrored");
            continue;
        };
        let hosts = hosts(module, &addresses, settings, draft);
        let name = draft::usable(alias);
        let why = if let Err(why) = paths::absolute(path).and_then(|_| names::check(module)) {
            Some(format!("left out: {why}"))
        } else if hosts.is_empty() {
            Some(format!("rsyncd_ip has no address for the module {module}"))
        } else if mirrored.iter().any(|(other, _)| *other == trimmed(path)) {
            Some("left out: another source has this directory".to_owned())
        } else if draft.sources().iter().any(|(other, _)| *other == name) {
            Some("left out: another source has this name".to_owned())
        } else {
            None
        };
        if let Some(why) = why {
            settings.refuse("listen_dir", at, why);
            continue;
        }
        settings.used("listen_dir", at);
        mirrored.push((trimmed(path), module));
        let target = draft.target(module);
        target.set("module", module, "");
        target.add("hosts", hosts.iter().map(Host::to_string));
        let source = draft.source(&name);
        source.set("path", path, "");
        source.add("targets", [module.to_owned()]);
        if name != alias {
            source.comment(
                &format!("{}listen_dir: {alias}={path}", settings.place("listen_dir", at)),
                "the name has characters that it cannot have here: rename its directory on the target",
            );
        }
    }
    idle(&modules, &addresses, &mirrored, settings, draft);
    excludes(settings, draft);
}

/// What modules have that nobody listens to, and addresses of modules that nothing is mirrored to.
fn idle(
    modules: &[Pair<'_>],
    addresses: &[Pair<'_>],
    mirrored: &[(&str, &str)],
    settings: &mut Settings<'_>,
    draft: &mut Draft,
) {
    for Pair { at, key: module, value } in modules {
        let is_mirrored = |path: &&str| mirrored.contains(&(trimmed(path), *module));
        if value.split(',').any(|path| is_mirrored(&path)) {
            settings.used("rsyncd_mod", *at);
            for path in value.split(',').filter(|path| !path.is_empty() && !is_mirrored(path)) {
                let why = unheard(path, mirrored);
                draft.say(&format!("{}rsyncd_mod: {module}={path}: {why}", settings.place("rsyncd_mod", *at)));
            }
        } else {
            let why = value.split(',').map(|path| unheard(path, mirrored)).next().unwrap_or_default();
            settings.refuse("rsyncd_mod", *at, why);
        }
    }
    for (number, Pair { at, key: module, .. }) in addresses.iter().enumerate() {
        if addresses[..number].iter().any(|other| other.key == *module) {
            settings.refuse("rsyncd_ip", *at, "left out: the module has its addresses from an earlier one");
        } else if mirrored.iter().any(|(_, other)| other == module) {
            settings.used("rsyncd_ip", *at);
        } else {
            settings.refuse("rsyncd_ip", *at, "left out: nothing is mirrored to a module of this name");
        }
    }
}

fn unheard(path: &str, mirrored: &[(&str, &str)]) -> String {
    mirrored.iter().find(|(other, _)| *other == trimmed(path)).map_or_else(
        || "left out: no source in listen_dir that is mirrored has this directory".to_owned(),
        |(_, module)| format!("left out: the directory goes to the module {module}, which is named first"),
    )
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn hosts(module: &str, addresses: &[Pair<'_>], settings: &mut Settings<'_>, draft: &mut Draft) -> Vec<Host> {
    let Some(Pair { at, value, .. }) = addresses.iter().find(|other| other.key == module) else { return Vec::new() };
    settings.used("rsyncd_ip", *at);
    let mut hosts: Vec<Host> = Vec::new();
    for address in value.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        match draft::host(address, None) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(why) => {
                let line = format!("{}rsyncd_ip: {module}={address}: {why}", settings.place("rsyncd_ip", *at));
                if !draft.left_out().contains(&line) {
                    draft.say(&line);
                }
            }
        }
    }
    hosts
}

/// Regular expressions by the paths of sources.
fn excludes(settings: &mut Settings<'_>, draft: &mut Draft) {
    for Pair { at, key: path, value: regex } in settings.pairs("exclude_file_rule") {
        let original = format!("{}exclude_file_rule: {path}={regex}", settings.place("exclude_file_rule", at));
        let of_path = |section: &draft::Section| {
            section.get("path").and_then(toml::Value::as_str).is_some_and(|other| trimmed(other) == trimmed(path))
        };
        let Some(source) = draft.each_source().find(|section| of_path(section)) else {
            settings.refuse("exclude_file_rule", at, "left out: no source that is mirrored has this directory");
            continue;
        };
        settings.used("exclude_file_rule", at);
        match translate(regex, Matching::Part) {
            Some(_) if is_in(regex, path) => source.comment(
                &original,
                "not taken over: it also matches the path of the source itself, so that perhaps nothing was watched in real \
                 time; write what is meant into watch.exclude or exclude",
            ),
            Some(patterns) => {
                source.add("watch.exclude", patterns);
                let why = if regex.contains('.') && !regex.contains("\\.") {
                    "translated exactly: in it a point stands for any character, which was perhaps not meant"
                } else {
                    "translated exactly, for real time only, as it was"
                };
                source.comment(&original, why);
            }
            None if matches_listened(regex) => source.comment(
                &original,
                "not taken over: it matches the listened path itself (./), so that nothing was watched in real time; write what \
                 is meant into watch.exclude or exclude",
            ),
            None => source.comment(
                &original,
                "not taken over: rsync's patterns cannot say exactly this regular expression; write what is meant into \
                 watch.exclude (real time only) or exclude",
            ),
        }
    }
}

/// Whether one of the alternatives matches `./`, with which every path begins.
fn matches_listened(regex: &str) -> bool {
    let is_all = |part: &str| {
        let part = part.strip_prefix('^').unwrap_or(part);
        let part = part.strip_suffix('$').unwrap_or(part);
        matches!(part, "" | "." | ".*" | "(.*)" | ".+" | "/" | "/.*" | "./" | "./.*" | "\\." | "\\./" | "\\./.*" | "..")
    };
    regex.split('|').any(is_all)
}
