//! What the daemon of a server has to offer for the targets that are kept there. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::safety;
use crate::config::server;
use crate::config::settings::{Host, Jobs, Place, Settings, Target};
use crate::rsync::probe::MOST;

/// The networks that nobody on the internet is in: who is allowed where nothing is said.
pub const PRIVATE: [&str; 7] =
    ["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

/// What may run beside a pass of a source: a watcher, and a command such as `prune-history` or `restore`.
const BESIDE: u32 = 2;
/// A daemon gives up a session that is silent for this long, but never before its client would.
const SILENCE: Duration = Duration::from_secs(600);

/// One daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it listens; everywhere when absent.
    pub address: Option<String>,
    /// On which port.
    pub port: u16,
    /// Where it logs.
    pub log_file: PathBuf,
    /// Where the locks are that count connections.
    pub run_dir: PathBuf,
    /// Where the passwords are.
    pub secrets_file: PathBuf,
    /// Its modules, by name.
    pub modules: BTreeMap<String, Module>,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its directory.
    pub path: PathBuf,
    /// The sources that are mirrored there.
    pub sources: Vec<String>,
    /// Who may write to it; everybody when empty.
    pub users: Vec<String>,
    /// From where.
    pub hosts_allow: Vec<String>,
    /// How many connections are served at the same time.
    pub max_connections: u32,
    /// How that number came about.
    pub reason: String,
    /// Who the daemon is when it writes.
    pub uid: String,
    /// Its group.
    pub gid: String,
    /// A session that is silent for this long is given up.
    pub timeout: Duration,
}

/// What the command line says instead of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The directories of modules.
    pub paths: BTreeMap<String, PathBuf>,
    /// Who may connect.
    pub hosts_allow: Vec<String>,
    /// How many may connect at the same time.
    pub max_connections: Option<u32>,
    /// Who the daemon is when it writes.
    pub uid: Option<String>,
    /// Its group.
    pub gid: Option<String>,
    /// How many hosts mirror with this configuration.
    pub clients: u32,
}

/// The targets that are modules on this server: those that were named, or all, and of these the ones on `host`.
///
/// # Errors
/// One line when a name is not that of a daemon's target, or none is left.
pub fn targets<'a>(settings: &'a Settings, names: &[String], host: Option<&Host>) -> Result<Vec<&'a Target>, String> {
    for name in names {
        match settings.targets.get(name).map(|target| &target.place) {
            Some(Place::Daemon { .. }) => {}
            Some(Place::Directory(_)) => return Err(format!("target `{name}` is a directory, which needs no daemon")),
            None => {
                let known: Vec<&str> = settings.targets.keys().map(String::as_str).collect();
                return Err(format!(
                    "there is no target `{name}` in the configuration; known are: {}",
                    known.join(", ")
                ));
            }
        }
    }
    let chosen = |target: &&Target| match &target.place {
        Place::Daemon { hosts, .. } => host.is_none_or(|host| hosts.contains(host)),
        Place::Directory(_) => false,
    };
    let all = settings.targets.values().filter(|target| names.is_empty() || names.contains(&target.name));
    let chosen: Vec<&Target> = all.filter(chosen).collect();
    match (chosen.is_empty(), host) {
        (false, _) => Ok(chosen),
        (true, Some(host)) => Err(format!("no target has the host {host}; write it as in `hosts`")),
        (true, None) => Err("no target is on a daemon: all are directories of this host".to_owned()),
    }
}

/// The one port on which all these targets expect their daemon.
///
/// # Errors
/// One line when they expect several.
pub fn port(targets: &[&Target], host: Option<&Host>) -> Result<u16, String> {
    let hosts = targets.iter().flat_map(|target| match &target.place {
        Place::Daemon { hosts, .. } => hosts.as_slice(),
        Place::Directory(_) => &[],
    });
    let mut ports: Vec<u16> =
        hosts.filter(|each| host.is_none_or(|host| *each == host)).map(|host| host.port).collect();
    ports.sort_unstable();
    ports.dedup();
    if let [port] = ports[..] {
        return Ok(port);
    }
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    Err(format!(
        "the targets expect daemons on the ports {}: say for which host this is, by --host HOST[:PORT] as in `hosts`",
        ports.join(", ")
    ))
}

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
    let (mut by_path, mut all) = (BTreeMap::new(), BTreeMap::new());
    for (name, (_, module)) in modules {
        if let Some(other) = by_path.insert(module.path.clone(), name.clone()) {
            let path = module.path.display();
            return Err(format!("the modules `{other}` and `{name}` have the same directory {path}; give one another"));
        }
        all.insert(name, module);
    }
    for (path, name) in &by_path {
        let above = path.ancestors().skip(1).find_map(|above| by_path.get_key_value(above));
        if let Some((above, other)) = above {
            let (path, above) = (path.display(), above.display());
            return Err(format!(
                "the directory of the module `{name}`, {path}, lies in that of `{other}`, {above}, which would delete what is \
                 in it; give one another"
            ));
        }
    }
    Ok(all)
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

/// Where a module is when nothing is said.
#[must_use]
pub fn default_path(module: &str) -> PathBuf {
    Path::new("/srv/sersync").join(module)
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
    fn a_host_chooses_its_targets_and_its_port() {
        let settings =
            settings("[targets.t]\nmodule = 'm'\nhosts = ['h', 'i:8730']\n[targets.u]\nmodule = 'n'\nhosts = ['h']\n");
        let names = |host: Option<&str>| -> Vec<String> {
            let host = host.map(|host| host.parse().unwrap());
            targets(&settings, &[], host.as_ref()).unwrap().iter().map(|target| target.name.clone()).collect()
        };
        assert_eq!((names(None), names(Some("i:8730"))), (vec!["t".to_owned(), "u".to_owned()], vec!["t".to_owned()]));
        let (all, host) = (targets(&settings, &[], None).unwrap(), "i:8730".parse().unwrap());
        assert!(port(&all, None).unwrap_err().contains("873, 8730"));
        assert_eq!(port(&all, Some(&host)), Ok(8730));
        assert!(targets(&settings, &["x".to_owned()], None).unwrap_err().contains("known are: t, u"));
        assert!(targets(&settings, &[], Some(&"j".parse().unwrap())).is_err());
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
        let same = settings(
            "[targets.t]\nmodule = 'm'\nhosts = ['h']\nserver.path = '/x'\n[targets.u]\nmodule = 'n'\nhosts = ['h']\nserver.path = '/x'\n",
        );
        assert!(planned(&same, &Wishes::default()).unwrap_err().contains("same directory /x"));
    }
}
