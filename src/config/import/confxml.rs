//! What `confxml.xml` of the C++ sersync comes to. Pure.

mod mirrors;
mod read;

use std::time::Duration;

use roxmltree::{Document, Node};

use self::mirrors::mirrors;
use self::read::{Read, line};
use super::draft::Draft;
use super::options;
use super::regex::{Matching, translate};
use super::{Importer, bash};
use crate::config::units::Span;
use crate::config::{names, paths};

/// Elements below one another are read up to here: the tree of a document that nests deeper is not even built.
const DEEPEST: usize = 60;

pub(super) const IMPORTER: Importer = Importer {
    word: "xml",
    looks_like: |text| text.trim_start_matches('\u{feff}').trim_start().starts_with('<'),
    mirror: "`<localpath watch=...>` with a `<remote ip=... name=...>`",
    draft: map,
};

/// Reads the document.
///
/// # Errors
/// `LINE:COLUMN: why`, when it is none.
fn map(text: &str) -> Result<Draft, String> {
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
        read.leftovers(&document, &mut draft);
        return Ok(draft);
    }
    if let Some(rsync) = rsync {
        connection(rsync, &read, &mut draft);
    }
    let left_out = filter(root, &read, &mut draft);
    passes(root, &read, &left_out, &mut draft);
    events(root, &read);
    unneeded(root, &read);
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

fn connection(rsync: Node<'_, '_>, read: &Read, draft: &mut Draft) {
    // The C++ sersync wrote what comes below behind these, so that it took their places.
    if let Some(common) = child(rsync, &["commonParams"])
        && let Some(params) = read.take(common, "params", |params| Ok(params.to_owned()))
    {
        let line = line(common);
        // They went through a shell.
        if let Some(words) = bash::words(&params) {
            let patterns = options::take_over(&words, &format!("Line {line}: "), &mut draft.rsync);
            draft.each_source().for_each(|source| source.add("exclude", patterns.clone()));
        } else {
            draft.rsync.comment(
                &format!("Line {line}: <commonParams params=\"{params}\">"),
                "not taken over: a shell would compute something in there, or run more than rsync",
            );
        }
    }
    if let Some(auth) = child(rsync, &["auth"]).filter(|auth| read.is_on(*auth)) {
        if let Some(user) = read.take(auth, "users", names::check_user) {
            draft.rsync.set_from(&origin(auth, "users"), "user", user, "");
        }
        if let Some(file) = read.take(auth, "passwordfile", |file| paths::absolute(file).map(|_| file.to_owned())) {
            draft.rsync.set_from(&origin(auth, "passwordfile"), "password-file", file, "");
        }
    }
    if let Some(timeout) = child(rsync, &["timeout"]).filter(|timeout| read.is_on(*timeout)) {
        let seconds = read.take(timeout, "time", |text| {
            let seconds = text.parse().ok().filter(|seconds| *seconds > 0 && options::is_short(*seconds));
            seconds.ok_or_else(|| "no number of seconds from 1 on that is a time to wait".to_owned())
        });
        if let Some(seconds) = seconds {
            let span = Span(Duration::from_secs(seconds)).to_string();
            draft.rsync.set_from(&origin(timeout, "time"), "timeout", span, "");
        }
    }
    if let Some(ssh) = child(rsync, &["ssh"]).filter(|ssh| read.is_on(*ssh)) {
        let why = "not taken over: the other end has to be an rsync daemon; `sersync gen-rsyncd-conf` sets one up";
        draft.rsync.comment(&origin(ssh, "start"), why);
    }
}

/// What an attribute says, with its line.
fn origin(node: Node<'_, '_>, name: &str) -> String {
    let value = node.attribute(name).unwrap_or_default();
    format!("Line {}: <{} {name}=\"{value}\">", line(node), node.tag_name().name())
}

/// The expressions, each with its line.
fn expressions<'a>(node: Node<'a, '_>, read: &Read) -> Vec<(usize, &'a str)> {
    node.children()
        .filter(|child| child.has_tag_name("exclude"))
        .inspect(|child| read.used(*child, "expression"))
        .filter_map(|child| Some((line(child), child.attribute("expression")?)))
        .collect()
}

/// What is left out in real time: regular expressions. Returns the patterns that they come to.
fn filter(root: Node<'_, '_>, read: &Read, draft: &mut Draft) -> Vec<String> {
    let mut all = Vec::new();
    let Some(filter) = child(root, &["filter"]).filter(|filter| read.is_on(*filter)) else { return all };
    for (line, expression) in expressions(filter, read) {
        let original = format!("Line {line}: <filter><exclude expression=\"{expression}\">");
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
    let original = format!(
        "Line {}: <crontab start=\"{}\" schedule=\"{schedule}\">",
        line(crontab),
        crontab.attribute("start").unwrap_or_default()
    );
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
    for (line, pattern) in expressions(filter, read) {
        let anchored = pattern.trim_start_matches('/');
        if left_out.iter().any(|other| other == pattern || other.trim_start_matches('/') == anchored) {
            draft.each_source().for_each(|source| source.add("exclude", [pattern.to_owned()]));
        } else {
            draft.full_sync.comment(
                &format!("Line {line}: <crontabfilter><exclude expression=\"{pattern}\">"),
                "not taken over: it was left out of full passes only, and mirrored in real time; write it into exclude of the \
                 source to leave it out everywhere",
            );
        }
    }
}

/// Kinds of events that were switched on or off.
fn events(root: Node<'_, '_>, read: &Read) {
    let Some(inotify) = child(root, &["inotify"]) else { return };
    for event in inotify.children().filter(Node::is_element) {
        let why = match (event.tag_name().name(), event.attribute("start").map(str::trim)) {
            ("delete", Some("false")) => {
                "not taken over: what is deleted in a source is deleted on its mirrors, and kept in their history for keep-days"
            }
            ("createFolder" | "closeWrite" | "moveFrom" | "moveTo", Some("false")) => {
                "not taken over: all changes are mirrored, since the mirror would differ without them"
            }
            _ => "not needed: all changes are mirrored, whatever kind they are of",
        };
        read.explain(event, why);
    }
}

/// What there is no need for.
fn unneeded(root: Node<'_, '_>, read: &Read) {
    for (names, why) in [
        (&["host"][..], "not needed: it was for the socket plugin, and there is none here"),
        (&["debug"], "use -v, -vv or -vvv"),
        (&["fileSystem"], "not needed: file systems without types of entries are asked for them"),
        (
            &["sersync", "failLog"],
            "not needed: what fails is tried again by itself, and named. The script there was writable for everybody and run \
             as root: remove it",
        ),
        (&["sersync", "plugin"], "no equal: `after` in [full-sync] runs a program after a pass"),
    ] {
        if let Some(node) = child(root, names) {
            read.explain(node, why);
        }
    }
}
