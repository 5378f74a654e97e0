//! The modules of a server: what targets, the command line and defaults say of each, put together. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Module, PRIVATE, Wishes, default_path};
use crate::config::server;
use crate::config::settings::{Jobs, Place, Settings, Target};
use crate::rsync::probe::MOST;
use crate::server::safety;

/// What may run beside a pass of a source: a watch, and a command such as `prune-history` or `restore`.
const BESIDE: u32 = 2;
/// A daemon gives up a session that is silent for this long, but never before its client would.
const SILENCE: Duration = Duration::from_secs(600);

/// The modules for these targets. Several targets may be one module, when they agree on it.
///
/// # Errors
/// One line when they do not, or when something cannot stand in `rsyncd.conf`.
pub fn modules(settings: &Settings, targets: &[&Target], wishes: &Wishes) -> Result<BTreeMap<String, Module>, String> {
    let mut modules: BTreeMap<String, (&str, Module)> = BTreeMap::new();
    for target in targets {
        let Place::Daemon { module: name, .. } = &target.place else { continue };
        server::module_name(name).map_err(|why| format!("target `{}`: {why}", target.name))?;
        if let Some(user) = &target.rsync.user {
            safety::check_user(user).map_err(|why| format!("target `{}`: {why}", target.name))?;
        }
        let new = module(settings, target, name, wishes);
        match modules.get_mut(name) {
            None => {
                modules.insert(name.clone(), (&target.name, new));
            }
            Some((first, old)) => join(old, new).map_err(|what| {
                format!("targets `{first}` and `{}` want another {what} for the module `{name}`", target.name)
            })?,
        }
    }
    if let Some(unknown) = wishes.paths.keys().find(|name| !modules.contains_key(*name)) {
        let known: Vec<&str> = modules.keys().map(String::as_str).collect();
        return Err(format!("--module: there is no module `{unknown}`; there are: {}", known.join(", ")));
    }
    Ok(modules.into_iter().map(|(name, (_, module))| (name, module)).collect())
}

fn module(settings: &Settings, target: &Target, name: &str, wishes: &Wishes) -> Module {
    let table = &target.server;
    let sources = settings.sources.values().filter(|source| source.targets.contains(&target.name));
    let sources: Vec<String> = sources.map(|source| source.name.clone()).collect();
    let or_root = |wish: &Option<String>, set: &Option<String>| wish.clone().or_else(|| set.clone());
    let (computed, reason) = connections(&sources, target.rsync.jobs, wishes.clients);
    let set = wishes.max_connections.or(table.max_connections);
    let allowed = [&wishes.hosts_allow, &table.hosts_allow].into_iter().find(|hosts| !hosts.is_empty());
    Module {
        path: wishes.paths.get(name).or(table.path.as_ref()).cloned().unwrap_or_else(|| default_path(name)),
        sources,
        users: target.rsync.user.iter().cloned().collect(),
        hosts_allow: allowed.map_or_else(|| PRIVATE.map(str::to_owned).to_vec(), Clone::clone),
        max_connections: set.unwrap_or(computed),
        reason: if set.is_some() { String::new() } else { reason },
        uid: or_root(&wishes.uid, &table.uid).unwrap_or_else(|| "root".to_owned()),
        gid: or_root(&wishes.gid, &table.gid).unwrap_or_else(|| "root".to_owned()),
        timeout: SILENCE.max(target.rsync.timeout.saturating_mul(2)),
    }
}

/// How many connections there can be, half as many again for sessions that are just ending, and the reason.
fn connections(sources: &[String], jobs: Jobs, clients: u32) -> (u32, String) {
    let jobs = match jobs {
        Jobs::Auto => MOST,
        Jobs::Fixed(number) => number.max(1),
    };
    let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
    let number = u32::try_from(sources.len()).unwrap_or(u32::MAX).max(1);
    let most = number.saturating_mul(jobs.saturating_add(BESIDE)).saturating_mul(clients.max(1));
    let hosts = if clients > 1 { format!("{clients} hosts with ") } else { String::new() };
    let sources = if number == 1 { "1 source".to_owned() } else { format!("{number} sources") };
    let reason = format!(
        "{hosts}{sources}: {jobs} rsync clients in a pass and {BESIDE} beside it for each, and half as many again"
    );
    (most.saturating_add(most / 2).min(i32::MAX.unsigned_abs()), reason)
}

/// Adds what another target wants of the same module.
fn join(old: &mut Module, new: Module) -> Result<(), &'static str> {
    for (what, same) in [
        ("path", old.path == new.path),
        ("hosts-allow", old.hosts_allow == new.hosts_allow),
        ("uid", old.uid == new.uid),
        ("gid", old.gid == new.gid),
        ("user", old.users.is_empty() == new.users.is_empty()),
    ] {
        if !same {
            return Err(what);
        }
    }
    let more: Vec<String> = new.sources.into_iter().filter(|source| !old.sources.contains(source)).collect();
    if !more.is_empty() && !old.reason.is_empty() {
        old.max_connections = old.max_connections.saturating_add(new.max_connections);
        old.reason = format!("{}; and {}", old.reason, new.reason);
    }
    old.sources.extend(more);
    old.users.extend(new.users);
    old.users.sort();
    old.users.dedup();
    old.timeout = old.timeout.max(new.timeout);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::targets;
    use super::*;
    use crate::config::parse;

    fn settings(targets: &str) -> Settings {
        let sources = "[sources.a]\npath = '/a'\ntargets = ['t']\n[sources.b]\npath = '/b'\ntargets = ['t']\n";
        parse(&format!("[rsync]\nuser = 'u'\n{targets}\n{sources}"), "x").unwrap()
    }

    fn planned(settings: &Settings, wishes: &Wishes) -> Result<BTreeMap<String, Module>, String> {
        modules(settings, &targets(settings, &[], None).unwrap(), wishes)
    }

    #[test]
    fn connections_come_from_sources_jobs_and_clients() {
        let settings = settings("[targets.t]\nmodule = 'm'\nhosts = ['h', 'i']\nrsync.jobs = 4\n");
        let wishes = Wishes { clients: 1, ..Wishes::default() };
        let module = &planned(&settings, &wishes).unwrap()["m"];
        assert_eq!((module.max_connections, module.sources.as_slice()), (18, ["a", "b"].map(str::to_owned).as_slice()));
        assert!(module.reason.starts_with("2 sources: 4 rsync clients"), "{}", module.reason);
        let wishes = Wishes { clients: 10, ..Wishes::default() };
        assert_eq!(planned(&settings, &wishes).unwrap()["m"].max_connections, 180);
        let wishes = Wishes { max_connections: Some(7), ..Wishes::default() };
        assert_eq!(planned(&settings, &wishes).unwrap()["m"].max_connections, 7);
        assert_eq!(connections(&[], Jobs::Auto, u32::MAX).0, i32::MAX.unsigned_abs());
    }

    #[test]
    fn targets_of_one_module_have_to_agree() {
        let two = |more: &str| {
            settings(&format!(
                "[targets.t]\nmodule = 'm'\nhosts = ['h']\n[targets.u]\nmodule = 'm'\nhosts = ['i']\n{more}"
            ))
        };
        let wishes = Wishes { clients: 1, ..Wishes::default() };
        assert_eq!(planned(&two(""), &wishes).unwrap()["m"].users, ["u"]);
        let error = planned(&two("server.path = '/x'\n"), &wishes).unwrap_err();
        assert_eq!(error, "targets `t` and `u` want another path for the module `m`");
    }

    #[test]
    fn what_cannot_stand_in_the_file_is_refused() {
        let odd = settings("[targets.t]\nmodule = 'Global'\nhosts = ['h']\n");
        assert!(planned(&odd, &Wishes::default()).unwrap_err().contains("another use"));
        let wishes = Wishes { paths: [("x".to_owned(), "/x".into())].into(), ..Wishes::default() };
        let plain = settings("[targets.t]\nmodule = 'm'\nhosts = ['h']\n");
        assert!(planned(&plain, &wishes).unwrap_err().contains("there are: m"));
    }
}
