//! Which targets of a configuration a server is for, and on which port it listens. Pure.

use crate::config::settings::{Host, Place, Settings, Target};

/// The targets that are modules on this server: those that were named, or all, and of these the ones on `host`.
///
/// # Errors
/// One line when a name is not that of a daemon's target, or none is left.
pub fn targets<'a>(settings: &'a Settings, names: &[String], host: Option<&Host>) -> Result<Vec<&'a Target>, String> {
    for name in names {
        if let Place::Directory(_) = settings.target(name)?.place {
            return Err(format!("target `{name}` is a directory, which needs no daemon"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_host_chooses_its_targets_and_its_port() {
        let text = "[targets.t]\nmodule = 'm'\nhosts = ['h', 'i:8730']\n[targets.u]\nmodule = 'n'\nhosts = ['h']\n\
                    [sources.a]\npath = '/a'\ntargets = ['t']\n";
        let settings = parse(text, "x").unwrap();
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
}
