//! What `confxml.xml` of the C++ sersync comes to. Pure.

mod read;

use std::path::Path;
use std::time::Duration;

use roxmltree::{Document, Node};

use self::read::{Read, line};
use super::draft::{self, Draft};
use super::options;
use super::regex::{Matching, translate};
use crate::config::settings::Host;
use crate::config::units::Span;
use crate::config::{names, paths};

/// Elements below one another are read up to here: the tree of a document that nests deeper is not even built.
const DEEPEST: usize = 60;

/// Reads the document.
///
/// # Errors
/// `LINE:COLUMN: why`, when it is none.
pub(super) fn map(text: &str) -> Result<Draft, String> {
    if depth(text) > DEEPEST {
        return Err("1:1: elements are nested too deeply".to_owned());
    }
    // The declaration may name an encoding, but the text has been decoded already.
    let document = Document::parse(text).map_err(|e| {
        let (place, words) = (e.pos().to_string(), e.to_string());
        format!("{place}: {}", words.trim_end_matches(&place).trim_end_matches(" at "))
    })?;
    let mut draft = Draft::default();
    let root = document.root_element();
    let read = Read::default();
    let rsync = child(root, &["sersync", "rsync"]);
    let port = rsync.and_then(|rsync| child(rsync, &["userDefinedPort"])).filter(|port| read.is_on(*port));
    let port = port.and_then(|port| {
        read.take(port, "port", |text| {
            let port = text.parse().ok().filter(|port: &u16| *port > 0);
            port.ok_or_else(|| "no port: it is a number from 1 to 65535".to_owned())
        })
    });
    mirrors(root, &read, port, &mut draft);
    if draft.is_empty() {
        return Ok(draft);
    }
    if let Some(rsync) = rsync {
        connection(rsync, &read, &mut draft);
    }
    let left_out = filter(root, &read, &mut draft);
    passes(root, &read, &left_out, &mut draft);
    events(root, &read, &mut draft);
    unneeded(root, &read, &mut draft);
    read.leftovers(&document, &mut draft);
    draft.head.push(
        "The C++ sersync put the files into the module itself; here each source has a directory of its own in it. To keep what \
         is there, move it on the server before the first pass, as in: cd MODULE && mkdir NAME && mv FILES NAME/"
            .to_owned(),
    );
    Ok(draft)
}

/// How deep elements can be nested, counted roughly and at most too high.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    for (at, _) in text.match_indices('<') {
        let rest = &text[at + 1..];
        if rest.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !rest.starts_with(['!', '?']) {
            let tag = rest.split('>').next().unwrap_or_default();
            depth += usize::from(!tag.ends_with('/'));
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// The element that is reached by these names.
fn child<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Option<Node<'a, 'i>> {
    names.iter().try_fold(node, |node, name| node.children().find(|child| child.has_tag_name(*name)))
}

fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn mirrors(root: Node<'_, '_>, read: &Read, port: Option<u16>, draft: &mut Draft) {
    let Some(sersync) = child(root, &["sersync"]) else { return };
    for path in children(sersync, "localpath") {
        read.used(path, "watch");
        let watch = path.attribute("watch").unwrap_or_default().trim();
        let line = line(path);
        if let Err(why) = draft::is_text(watch).and_then(|()| paths::absolute(watch)) {
            draft.say(&format!("Line {line}: <localpath watch=\"{watch}\">: left out: {why}"));
            children(path, "remote").for_each(|remote| read.used_all(remote));
            continue;
        }
        let wish = Path::new(watch).file_name().map_or("root".into(), |name| name.to_string_lossy());
        let name = draft::usable(&wish);
        for remote in children(path, "remote") {
            read.used(remote, "ip");
            read.used(remote, "name");
            let (ip, module) =
                (remote.attribute("ip").unwrap_or_default(), remote.attribute("name").unwrap_or_default());
            let other = draft.sources().iter().find(|(other, _)| *other == name);
            let is_other = other.is_some_and(|(_, section)| section.get("path") != Some(&watch.into()));
            let host = if is_other {
                Err(format!("another source has the name {name}"))
            } else {
                draft::host(ip.trim(), port).and_then(|host| names::check(module).map(|()| host))
            };
            match host {
                Ok(host) => add(draft, &name, watch, module, &host),
                Err(why) => {
                    draft.say(&format!("Line {line}: <remote ip=\"{ip}\" name=\"{module}\"/>: left out: {why}"));
                }
            }
        }
    }
}

fn add(draft: &mut Draft, name: &str, path: &str, module: &str, host: &Host) {
    let target = draft.target(module);
    target.set("module", module, "");
    target.add("hosts", [host.to_string()]);
    let source = draft.source(name);
    source.set("path", path, "");
    source.add("targets", [module.to_owned()]);
}

fn connection(rsync: Node<'_, '_>, read: &Read, draft: &mut Draft) {
    if let Some(auth) = child(rsync, &["auth"]).filter(|auth| read.is_on(*auth)) {
        if let Some(user) = read.take(auth, "users", names::check_user) {
            draft.rsync.set("user", user, "");
        }
        if let Some(file) = read.take(auth, "passwordfile", |file| paths::absolute(file).map(|_| file.to_owned())) {
            draft.rsync.set("password-file", file, "");
        }
    }
    if let Some(timeout) = child(rsync, &["timeout"]).filter(|timeout| read.is_on(*timeout)) {
        let seconds = read.take(timeout, "time", |text| {
            let seconds = text.parse().ok().filter(|seconds| *seconds > 0 && options::is_short(*seconds));
            seconds.ok_or_else(|| "no number of seconds from 1 on that is a time to wait".to_owned())
        });
        if let Some(seconds) = seconds {
            draft.rsync.set("timeout", Span(Duration::from_secs(seconds)).to_string(), "");
        }
    }
    if child(rsync, &["ssh"]).is_some_and(|ssh| read.is_on(ssh)) {
        let why = "not taken over: the other end has to be an rsync daemon; `sersync gen-rsyncd-conf` sets one up";
        draft.rsync.comment("<ssh start=\"true\"/>", why);
    }
    let common = child(rsync, &["commonParams"]);
    if let Some(params) = common.and_then(|common| read.take(common, "params", |params| Ok(params.to_owned()))) {
        let words: Vec<String> = params.split_whitespace().map(str::to_owned).collect();
        let patterns = options::take_over(&words, &mut draft.rsync);
        draft.each_source().for_each(|source| source.add("exclude", patterns.clone()));
    }
}

fn expressions<'a>(node: Node<'a, '_>, read: &Read) -> Vec<&'a str> {
    node.children()
        .filter(|child| child.has_tag_name("exclude"))
        .inspect(|child| read.used(*child, "expression"))
        .filter_map(|child| child.attribute("expression"))
        .collect()
}

/// What is left out in real time: regular expressions. Returns the patterns that they come to.
fn filter(root: Node<'_, '_>, read: &Read, draft: &mut Draft) -> Vec<String> {
    let mut all = Vec::new();
    let Some(filter) = child(root, &["filter"]).filter(|filter| read.is_on(*filter)) else { return all };
    for expression in expressions(filter, read) {
        let original = format!("<filter><exclude expression=\"{expression}\">");
        match translate(expression, Matching::Whole) {
            Some(patterns) => {
                draft.each_source().for_each(|source| source.add("watch.exclude", patterns.clone()));
                all.extend(patterns);
            }
            None => draft.watch.comment(
                &original,
                "not taken over: rsync's patterns cannot say exactly this regular expression; write what is meant into \
                 watch.exclude (real time only) or exclude of the source, as in \"/info/\"",
            ),
        }
    }
    all
}

fn passes(root: Node<'_, '_>, read: &Read, left_out: &[String], draft: &mut Draft) {
    let Some(crontab) = child(root, &["sersync", "crontab"]) else { return };
    let schedule = crontab.attribute("schedule").unwrap_or_default();
    read.used(crontab, "schedule");
    read.used(crontab, "start");
    let original =
        format!("<crontab start=\"{}\" schedule=\"{schedule}\">", crontab.attribute("start").unwrap_or_default());
    let minutes: Option<u64> = schedule.trim().parse().ok().filter(|minutes| *minutes > 0 && *minutes <= 60 * 24 * 365);
    match minutes.filter(|_| read.is_on(crontab)) {
        Some(minutes) => {
            draft.full_sync.set("every", Span(Duration::from_secs(minutes * 60)).to_string(), "");
            let why = "`sersync gen-schedule --cron` or `--systemd` writes what starts the passes";
            draft.full_sync.comment(&original, why);
        }
        None => draft
            .full_sync
            .comment(&original, "not in use; `sersync gen-schedule` writes what starts passes, if they are wanted"),
    }
    let Some(filter) = child(crontab, &["crontabfilter"]).filter(|filter| read.is_on(*filter)) else { return };
    for pattern in expressions(filter, read) {
        let anchored = pattern.trim_start_matches('/');
        if left_out.iter().any(|other| other == pattern || other.trim_start_matches('/') == anchored) {
            draft.each_source().for_each(|source| source.add("exclude", [pattern.to_owned()]));
        } else {
            draft.full_sync.comment(
                &format!("<crontabfilter><exclude expression=\"{pattern}\">"),
                "not taken over: it was left out of full passes only, and mirrored in real time; write it into exclude of the \
                 source to leave it out everywhere",
            );
        }
    }
}

/// Kinds of events that were switched off.
fn events(root: Node<'_, '_>, read: &Read, draft: &mut Draft) {
    let Some(inotify) = child(root, &["inotify"]) else { return };
    for event in inotify.children().filter(|node| node.is_element() && !read.is_on(*node)) {
        let name = event.tag_name().name();
        let why = match name {
            "delete" => {
                "not taken over: what is deleted in a source is deleted on its mirrors, and kept in their history for keep-days"
            }
            "createFolder" | "closeWrite" | "moveFrom" | "moveTo" => {
                "not taken over: all changes are mirrored, since the mirror would differ without them"
            }
            // These were off by default, for the sake of speed only.
            _ => continue,
        };
        draft.watch.comment(&format!("<{name} start=\"false\"/>"), why);
    }
}

/// What there is no need for.
fn unneeded(root: Node<'_, '_>, read: &Read, draft: &mut Draft) {
    if let Some(log) = child(root, &["sersync", "failLog"]) {
        read.used_all(log);
        let path = log.attribute("path").unwrap_or_default();
        let why = "not needed: what fails is tried again by itself, and named. The script there was writable for everybody and \
                   run as root: remove it";
        draft.watch.comment(&format!("<failLog path=\"{path}\">"), why);
    }
    if let Some(plugin) = child(root, &["sersync", "plugin"]).filter(|plugin| read.is_on(*plugin)) {
        read.used(plugin, "name");
        let name = plugin.attribute("name").unwrap_or_default();
        draft.watch.comment(
            &format!("<plugin start=\"true\" name=\"{name}\"/>"),
            "no equal: `after` in [full-sync] runs a program after a pass",
        );
    }
    if let Some(host) = child(root, &["host"]) {
        read.used_all(host);
    }
    // Switched off they are as they are here.
    for node in ["debug", "fileSystem"].iter().filter_map(|name| child(root, &[name])) {
        read.used_all(node);
    }
    for (name, why) in [
        ("debug", "use -v, -vv or -vvv"),
        ("fileSystem", "not needed: file systems without types of entries are asked for them"),
    ] {
        if let Some(node) =
            child(root, &[name]).filter(|node| node.attributes().any(|attribute| attribute.value() == "true"))
        {
            draft.watch.comment(&format!("<{}>", node.tag_name().name()), why);
        }
    }
}
