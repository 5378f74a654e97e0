//! What is watched, and where it goes.

use std::path::Path;

use roxmltree::Node;

use super::super::draft::{self, Draft, Section};
use super::read::Read;
use super::{child, children};
use crate::config::settings::Host;
use crate::config::{names, paths};

/// What is watched: the name of the source, and the hosts for each module.
struct Watched<'d> {
    path: &'d str,
    name: String,
    targets: Vec<(&'d str, Vec<Host>)>,
}

pub(super) fn mirrors(root: Node<'_, '_>, read: &Read, port: Option<u16>, draft: &mut Draft) {
    let Some(sersync) = child(root, &["sersync"]) else { return };
    let mut all: Vec<Watched<'_>> = Vec::new();
    for node in children(sersync, "localpath") {
        let path = node.attribute("watch").unwrap_or_default().trim();
        if let Err(why) = draft::is_text(path).and_then(|()| paths::absolute(path)) {
            read.refuse(node, "watch", &why);
            children(node, "remote").for_each(|remote| read.refuse_all(remote, "its localpath is left out"));
            continue;
        }
        read.used(node, "watch");
        let wish = Path::new(path).file_name().map_or("root".into(), |name| name.to_string_lossy());
        let name = draft::usable(&wish);
        if all.iter().any(|other| other.name == name && other.path != path) {
            let why = format!("another source has the name {name}");
            read.refuse(node, "watch", &why);
            children(node, "remote").for_each(|remote| read.refuse_all(remote, &why));
            continue;
        }
        let at = all.iter().position(|other| other.path == path).unwrap_or_else(|| {
            all.push(Watched { path, name, targets: Vec::new() });
            all.len() - 1
        });
        for remote in children(node, "remote") {
            let (ip, module) =
                (remote.attribute("ip").unwrap_or_default(), remote.attribute("name").unwrap_or_default());
            let host = draft::host(ip.trim(), port).and_then(|host| names::check(module).map(|()| host));
            let targets = &mut all[at].targets;
            match (host, targets.iter_mut().find(|(other, _)| *other == module)) {
                (Ok(host), Some((_, hosts))) if hosts.contains(&host) => {}
                (Ok(host), Some((_, hosts))) => hosts.push(host),
                (Ok(host), None) => targets.push((module, vec![host])),
                (Err(why), _) => {
                    read.refuse_all(remote, &why);
                    continue;
                }
            }
            read.used(remote, "ip");
            read.used(remote, "name");
        }
    }
    for Watched { path, name, targets } in all {
        for (module, hosts) in targets {
            // The same module of other hosts is another target.
            let mut target = Section::default();
            target.set("module", module, "");
            target.add("hosts", hosts.iter().map(Host::to_string));
            match draft.target_like(module, &target) {
                Ok(target) => {
                    let source = draft.source(&name);
                    source.set("path", path, "");
                    source.add("targets", [target]);
                }
                Err(why) => draft.say(&format!("<localpath watch=\"{path}\">: the module {module} is left out: {why}")),
            }
        }
    }
}
