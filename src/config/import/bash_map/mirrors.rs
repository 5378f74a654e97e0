//! The sources and targets of the bash sersync. Pure.

use super::super::draft::{self, Draft};
use super::super::regex::{Matching, translate};
use super::Settings;
use crate::config::settings::Host;
use crate::config::{names, paths};

/// Sources and targets.
pub(super) fn mirrors(settings: &mut Settings<'_>, draft: &mut Draft) {
    let sources = settings.pairs("listen_dir");
    let (modules, addresses) = (settings.pairs("rsyncd_mod"), settings.pairs("rsyncd_ip"));
    for (alias, path) in sources {
        let original = format!("listen_dir: {alias}={path}");
        let is_here = |list: &str| list.split(',').any(|other| trimmed(other) == trimmed(path));
        let Some((module, _)) = modules.iter().find(|(_, paths)| is_here(paths)) else {
            draft.say(&format!("{original}: no module in rsyncd_mod has it, so that it was not mirrored"));
            continue;
        };
        let hosts: Vec<Host> = hosts(module, &addresses, draft);
        if let Err(why) = paths::absolute(path).and_then(|_| names::check(module)) {
            draft.say(&format!("{original}: left out: {why}"));
            continue;
        }
        if hosts.is_empty() {
            draft.say(&format!("{original}: rsyncd_ip has no address for the module {module}"));
            continue;
        }
        let name = draft::usable(alias);
        let same = |(_, section): &(String, draft::Section)| {
            section.get("path").and_then(toml::Value::as_str).is_some_and(|other| trimmed(other) == trimmed(path))
        };
        if draft.sources().iter().any(same) {
            draft.say(&format!("{original}: left out: another source has this directory"));
            continue;
        }
        if draft.sources().iter().any(|(other, _)| *other == name) {
            draft.say(&format!("{original}: left out: another source has this name"));
            continue;
        }
        let target = draft.target(module);
        target.set("module", *module, "");
        target.add("hosts", hosts.iter().map(Host::to_string));
        let source = draft.source(&name);
        source.set("path", path, "");
        source.add("targets", [(*module).to_owned()]);
        if name != alias {
            source.comment(
                &original,
                "the name has characters that it cannot have here: rename its directory on the target",
            );
        }
    }
    excludes(settings, draft);
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn hosts(module: &str, addresses: &[(&str, &str)], draft: &mut Draft) -> Vec<Host> {
    let list = addresses.iter().find(|(other, _)| *other == module).map_or("", |(_, list)| list);
    let mut hosts: Vec<Host> = Vec::new();
    for address in list.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        match draft::host(address, None) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(why) => draft.say(&format!("rsyncd_ip: {module}={address}: {why}")),
        }
    }
    hosts
}

/// Regular expressions by the paths of sources.
fn excludes(settings: &mut Settings<'_>, draft: &mut Draft) {
    for (path, regex) in settings.pairs("exclude_file_rule") {
        let original = format!("exclude_file_rule: {path}={regex}");
        let of_path = |section: &draft::Section| {
            section.get("path").and_then(toml::Value::as_str).is_some_and(|other| trimmed(other) == trimmed(path))
        };
        let Some(source) = draft.each_source().find(|section| of_path(section)) else { continue };
        match translate(regex, Matching::Part) {
            Some(patterns) => {
                source.add("watch.exclude", patterns);
                let why = if regex.contains('.') && !regex.contains("\\.") {
                    "translated exactly: in it a point stands for any character, which was perhaps not meant"
                } else {
                    "translated exactly, for real time only, as it was"
                };
                source.comment(&original, why);
            }
            None => source.comment(
                &original,
                "not taken over: rsync's patterns cannot say exactly this regular expression; write what is meant into \
                 watch.exclude (real time only) or exclude",
            ),
        }
    }
}
