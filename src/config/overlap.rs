//! Whether sources and targets get into each other's way: files that would be mirrored twice, mirrors that would mirror
//! themselves, and mirrors that would delete each other.
//!
//! Paths are compared as they are written. What symlinks and mounts make of them is for the run to find out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings::{Place, Settings, Source};

use crate::report::text;

/// A problem of one source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// The name of the source.
    pub(super) source: String,
    /// What is wrong and what to do.
    pub(super) message: String,
}

/// One root that mirrors are made in. Two targets may have the same one.
#[derive(Clone, PartialEq, Eq)]
enum MirrorRoot<'a> {
    Daemon { host: String, module: &'a str },
    Directory(&'a Path),
}

impl fmt::Display for MirrorRoot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MirrorRoot::Daemon { host, module } => write!(f, "rsync://{host}/{module}"),
            MirrorRoot::Directory(path) => f.write_str(&text::path(path)),
        }
    }
}

/// Everything that does not go together. Targets that are not defined are passed over.
pub(super) fn conflicts(settings: &Settings) -> Vec<Conflict> {
    let map = Map::new(settings);
    let mut found = Vec::new();
    for source in settings.sources.values() {
        let mut note = |message: String| found.push(Conflict { source: source.name.clone(), message });
        mirrored_twice(settings, source, &mut note);
        mirrors_itself(settings, source, &mut note);
        nested(settings, &map, source, &mut note);
        inside_a_mirror(settings, &map, source, &mut note);
    }
    found
}

/// What is where: only what lies above a path can be in its way, so nobody has to be compared with all others.
struct Map<'a> {
    sources: BTreeMap<&'a Path, Vec<&'a Source>>,
    /// The local directories in which a mirror or its history is kept, each with the first source that is kept there.
    kept: BTreeMap<PathBuf, &'a Source>,
}

impl<'a> Map<'a> {
    fn new(settings: &'a Settings) -> Self {
        let mut map = Map { sources: BTreeMap::new(), kept: BTreeMap::new() };
        for source in settings.sources.values() {
            map.sources.entry(&source.path).or_default().push(source);
            for (_, root) in directories(settings, source) {
                for kept in kept_in(root, &source.name) {
                    map.kept.entry(kept).or_insert(source);
                }
            }
        }
        map
    }
}

/// The endpoints of a source, each with the name of the target.
fn endpoints<'a>(settings: &'a Settings, source: &'a Source) -> Vec<(&'a str, MirrorRoot<'a>)> {
    let targets = source.targets.iter().filter_map(|name| settings.targets.get(name));
    let each = targets.flat_map(|target| {
        let endpoints = match &target.place {
            Place::Directory(path) => vec![MirrorRoot::Directory(path)],
            Place::Daemon { module, hosts } => {
                // The case of a host name has no meaning.
                let endpoint = |host: String| MirrorRoot::Daemon { host: host.to_lowercase(), module };
                hosts.iter().map(|host| endpoint(host.to_string())).collect()
            }
        };
        endpoints.into_iter().map(|endpoint| (target.name.as_str(), endpoint))
    });
    each.collect()
}

/// The local directories among the endpoints of a source, each with the name of the target.
fn directories<'a>(settings: &'a Settings, source: &'a Source) -> Vec<(&'a str, &'a Path)> {
    let local = |(name, endpoint)| match endpoint {
        MirrorRoot::Directory(path) => Some((name, path)),
        MirrorRoot::Daemon { .. } => None,
    };
    endpoints(settings, source).into_iter().filter_map(local).collect()
}

fn mirrored_twice(settings: &Settings, source: &Source, note: &mut impl FnMut(String)) {
    let endpoints = endpoints(settings, source);
    for (at, (second, endpoint)) in endpoints.iter().enumerate() {
        let same = endpoints[..at].iter().find(|(first, other)| other == endpoint && first != second);
        if let Some((first, _)) = same {
            let name = &source.name;
            note(format!(
                "source `{name}` goes twice to {endpoint}, by the targets `{first}` and `{second}`; leave one out"
            ));
        }
    }
}

/// `inner` lies in another source and goes to the same place.
fn nested(settings: &Settings, map: &Map<'_>, inner: &Source, note: &mut impl FnMut(String)) {
    let mine = endpoints(settings, inner);
    for outer in inner.path.ancestors().filter_map(|path| map.sources.get(path)).flatten() {
        let Ok(inside) = inner.path.strip_prefix(&outer.path) else { continue };
        let same = inside.as_os_str().is_empty();
        // Of two sources with the same path, the later one is told.
        if inner.name == outer.name || (same && inner.name < outer.name) || excludes(outer, inside) {
            continue;
        }
        let theirs = endpoints(settings, outer);
        let shared = mine.iter().find(|(_, mine)| theirs.iter().any(|(_, other)| other == mine));
        let Some((_, endpoint)) = shared else { continue };
        let (outer, inner) = (&outer.name, text::path(&inner.path));
        note(if same {
            format!("{inner} is also the source `{outer}`, and both go to {endpoint}; make one source of the two")
        } else {
            let pattern = pattern(inside);
            format!(
                "{inner} is inside the source `{outer}`, and both go to {endpoint}: its files would be mirrored twice; \
                 add \"{pattern}\" to `exclude` of [sources.{outer}]"
            )
        });
    }
}

/// A target of the source lies in the source, or the source in what the target holds.
fn mirrors_itself(settings: &Settings, source: &Source, note: &mut impl FnMut(String)) {
    for (target, directory) in directories(settings, source) {
        let (name, path, shown) = (&source.name, text::path(&source.path), text::path(directory));
        if directory == source.path {
            note(format!("source `{name}` would mirror itself: {path} is also the directory of the target `{target}`"));
        } else if let Ok(inside) = directory.strip_prefix(&source.path) {
            if !excludes(source, inside) {
                let pattern = pattern(inside);
                note(format!(
                    "source `{name}` would mirror itself: {shown} of the target `{target}` is inside {path}; \
                     use another directory, or add \"{pattern}\" to `exclude`"
                ));
            }
        } else if let Some(kept) =
            kept_in(directory, &source.name).into_iter().find(|kept| source.path.starts_with(kept))
        {
            let kept = text::path(&kept);
            note(format!("source `{name}` would mirror itself: {path} is inside {kept} of the target `{target}`"));
        }
    }
}

/// A target of the source lies where some source is mirrored: that mirror would delete it as something that its source lacks.
fn inside_a_mirror(settings: &Settings, map: &Map<'_>, source: &Source, note: &mut impl FnMut(String)) {
    for (target, directory) in directories(settings, source) {
        for (kept, other) in directory.ancestors().filter_map(|path| map.kept.get_key_value(path)) {
            let (shown, kept, other) = (text::path(directory), text::path(kept), &other.name);
            note(format!(
                "{shown} of the target `{target}` is inside {kept}, where the source `{other}` is kept; \
                 use a directory elsewhere"
            ));
        }
    }
}

/// The directories in which a target keeps a mirror and its history.
fn kept_in(root: &Path, name: &str) -> [PathBuf; 2] {
    [root.join(name), root.join(super::names::HISTORY)]
}

/// Whether the source leaves out a directory inside it, by an anchored pattern for it or for a directory above it.
fn excludes(source: &Source, inside: &Path) -> bool {
    let above = inside.ancestors().filter(|path| !path.as_os_str().is_empty());
    above.map(pattern).any(|wanted| {
        source.exclude.iter().any(|written| *written == wanted || Some(written.as_str()) == wanted.strip_suffix('/'))
    })
}

/// The pattern that matches exactly one directory.
fn pattern(inside: &Path) -> String {
    let path = inside.display().to_string();
    // For rsync a backslash is an escape only where there is something to match with.
    let special = path.contains(['*', '?', '[']);
    let escaped = path.chars().flat_map(|c| {
        let escape = special && matches!(c, '*' | '?' | '[' | '\\');
        escape.then_some('\\').into_iter().chain([c])
    });
    format!("/{}/", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    /// Two sources `a` and `b` with the given tables' content, and two targets.
    fn check(a: &str, b: &str, usb: &str, other: &str) -> Result<(), String> {
        let text = format!(
            "[targets.nas]\nmodule = 'm'\nhosts = ['h']\n[targets.usb]\npath = '{usb}'\n[targets.other]\n{other}\n\
             [sources.a]\n{a}\n[sources.b]\n{b}\n"
        );
        parse(&text, "f").map(|_| ()).map_err(|error| error.to_string())
    }

    fn nas(path: &str, more: &str) -> String {
        format!("path = '{path}'\ntargets = ['nas']\n{more}")
    }

    const FAR: &str = "path = '/far'";

    #[test]
    fn nested_sources_need_an_exclude_or_different_endpoints() {
        let inner = nas("/data/x/y", "");
        assert!(check(&nas("/data", ""), &inner, "/usb", FAR).unwrap_err().contains("add \"/x/y/\" to `exclude`"));
        for pattern in ["/x/y/", "/x/y", "/x/"] {
            assert_eq!(check(&nas("/data", &format!("exclude = ['{pattern}']")), &inner, "/usb", FAR), Ok(()));
        }
        assert!(check(&nas("/data", "exclude = ['y/']"), &inner, "/usb", FAR).is_err());
        assert_eq!(check("path = '/data'\ntargets = ['usb']", &inner, "/usb", FAR), Ok(()));
        assert_eq!(check(&nas("/data/x/yy", ""), &inner, "/usb", FAR), Ok(()));
        assert!(check(&inner, &inner, "/usb", FAR).unwrap_err().contains("make one source of the two"));
    }

    #[test]
    fn glob_characters_of_a_nested_source_are_escaped() {
        let line = check(&nas("/data", ""), &nas("/data/[x]", ""), "/usb", FAR).unwrap_err();
        assert!(line.contains(r#"add "/\[x]/" to"#), "{line}");
        assert_eq!(check(&nas("/data", r"exclude = ['/\[x]/']"), &nas("/data/[x]", ""), "/usb", FAR), Ok(()));
    }

    #[test]
    fn the_same_endpoint_is_recognised_under_two_names() {
        let both = "path = '/data'\ntargets = ['nas', 'other']";
        let elsewhere = nas("/elsewhere", "");
        let again = "module = 'm'\nhosts = ['i', 'H:873']";
        let line = check(both, &elsewhere, "/usb", again).unwrap_err();
        assert!(line.contains("goes twice to rsync://h/m, by the targets `nas` and `other`"), "{line}");
        assert_eq!(check(both, &elsewhere, "/usb", "module = 'm'\nhosts = ['h:874']"), Ok(()));
        assert!(check("path = '/data'\ntargets = ['usb', 'other']", &elsewhere, "/far", FAR).is_err());
    }

    #[test]
    fn a_source_cannot_mirror_itself() {
        let elsewhere = nas("/elsewhere", "");
        let a = |path: &str, more: &str| format!("path = '{path}'\ntargets = ['usb']\n{more}");
        for path in ["/", "/mnt", "/mnt/usb", "/mnt/usb/a", "/mnt/usb/a/b", "/mnt/usb/history-backup/x"] {
            assert!(check(&a(path, ""), &elsewhere, "/mnt/usb", FAR).unwrap_err().contains("mirror itself"), "{path}");
        }
        assert_eq!(check(&a("/", "exclude = ['/mnt/usb/']"), &elsewhere, "/mnt/usb", FAR), Ok(()));
        assert_eq!(check(&a("/mnt/usb/c", ""), &elsewhere, "/mnt/usb", FAR), Ok(()));
    }

    #[test]
    fn a_target_cannot_lie_in_a_mirror() {
        let a = "path = '/data'\ntargets = ['usb']";
        let b = "path = '/elsewhere'\ntargets = ['other']";
        for path in ["/usb/a", "/usb/a/deep", "/usb/history-backup"] {
            let line = check(a, b, "/usb", &format!("path = '{path}'")).unwrap_err();
            assert!(line.contains("where the source `a` is kept"), "{line}");
        }
        assert_eq!(check(a, b, "/usb", "path = '/usb/c'"), Ok(()));
    }
}
