//! Whether the directories of a server get into each other's way: a module that lies in another one, or the daemon's own
//! files in a module, where clients could read the passwords and delete everything. Pure.

use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::report::text;

/// Checks the modules of a plan, and where its own files and these `others` are, each with what it is. `real` is what a path
/// is when all links in it are followed, where that can be known.
///
/// # Errors
/// One line with both places.
pub fn check(plan: &Plan, others: &[(&str, PathBuf)], real: impl Fn(&Path) -> PathBuf) -> Result<(), String> {
    let modules: Vec<(&String, &Path, PathBuf)> =
        plan.modules.iter().map(|(name, module)| (name, module.path.as_path(), real(&module.path))).collect();
    for (at, (name, path, place)) in modules.iter().enumerate() {
        for (other_name, other_path, other) in modules.iter().skip(at + 1) {
            let (path, other_path) = (text::path(path), text::path(other_path));
            if place == other {
                let both = if plan.modules[*name].path == plan.modules[*other_name].path {
                    format!("the same directory {path}")
                } else {
                    format!("the same directory, {path} and {other_path}")
                };
                return Err(format!("the modules `{name}` and `{other_name}` have {both}; give one another"));
            }
            let nested = |inner: &str,
                          in_path: &dyn std::fmt::Display,
                          outer: &str,
                          out_path: &dyn std::fmt::Display| {
                format!(
                    "the directory of the module `{inner}`, {in_path}, lies in that of `{outer}`, {out_path}, which would \
                     delete what is in it; give one another"
                )
            };
            if place.starts_with(other) {
                return Err(nested(name, &path, other_name, &other_path));
            }
            if other.starts_with(place) {
                return Err(nested(other_name, &other_path, name, &path));
            }
        }
    }
    let own = [("passwords", &plan.secrets_file), ("log", &plan.log_file), ("locks", &plan.run_dir)];
    for (what, own) in own.into_iter().chain(others.iter().map(|(what, path)| (*what, path))) {
        let place = real(own);
        if let Some((name, path, _)) = modules.iter().find(|(_, _, module)| place.starts_with(module)) {
            let (own, path) = (text::path(own), text::path(path));
            return Err(format!(
                "the daemon's {what}, {own}, would lie in the directory of the module `{name}`, {path}, where its clients \
                 read and delete; choose another directory for one of them"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::plan::Module;

    fn plan(modules: &[(&str, &str)], secrets: &str) -> Plan {
        let module = |path: &str| Module {
            path: path.into(),
            sources: Vec::new(),
            users: Vec::new(),
            hosts_allow: Vec::new(),
            max_connections: 1,
            reason: String::new(),
            uid: String::new(),
            gid: String::new(),
            timeout: std::time::Duration::ZERO,
        };
        Plan {
            address: None,
            port: 873,
            log_file: "/var/log/x".into(),
            run_dir: "/run".into(),
            secrets_file: secrets.into(),
            modules: modules.iter().map(|(name, path)| ((*name).to_owned(), module(path))).collect(),
        }
    }

    /// `/link` leads to `/srv/a`.
    fn real(path: &Path) -> PathBuf {
        path.strip_prefix("/link").map_or_else(|_| path.to_owned(), |below| Path::new("/srv/a").join(below))
    }

    #[test]
    fn what_lies_in_a_module_is_named_whatever_leads_there() {
        let of = |modules: &[(&str, &str)], secrets: &str| check(&plan(modules, secrets), &[], real).unwrap_err();
        assert!(of(&[("m", "/srv/a"), ("n", "/srv/a")], "/etc/s").contains("the same directory /srv/a;"));
        assert!(of(&[("m", "/srv/a"), ("n", "/link")], "/etc/s").contains("the same directory, /srv/a and /link;"));
        assert!(
            of(&[("m", "/link/x"), ("n", "/srv/a")], "/etc/s").contains("`m`, /link/x, lies in that of `n`, /srv/a,")
        );
        assert!(of(&[("m", "/srv"), ("n", "/srv/a")], "/etc/s").contains("`n`, /srv/a, lies in that of `m`, /srv,"));
        assert!(
            of(&[("m", "/srv/a")], "/link/s")
                .contains("passwords, /link/s, would lie in the directory of the module `m`")
        );
        assert!(of(&[("m", "/run")], "/etc/s").contains("locks, /run,"));
        let others = [("rotation of its log", "/etc/logrotate.d/x".into()), ("password for clients", "/link/p".into())];
        let of = |path: &str| check(&plan(&[("m", path)], "/etc/s"), &others, real).unwrap_err();
        assert!(of("/etc/logrotate.d").contains("rotation of its log, /etc/logrotate.d/x,"));
        assert!(of("/srv/a").contains("password for clients, /link/p,"));
    }

    #[test]
    fn what_is_apart_is_left_alone() {
        assert_eq!(
            check(&plan(&[("m", "/srv/a"), ("n", "/srv/ab")], "/etc/s"), &[("log", "/srv/abc".into())], real),
            Ok(())
        );
    }
}
