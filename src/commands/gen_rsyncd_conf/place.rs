//! Where the files of a server go, and where they are when they are in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ETC, GenRsyncdConfArgs, User};
use crate::generated::{File, marked};
use crate::server::plan::{Module, Plan};
use crate::server::{logrotate, rsyncd_conf};

/// Who writes these files.
pub(super) const COMMAND: &str = "gen-rsyncd-conf";

/// The snippet for logrotate, below the directory of all files.
const LOGROTATE: &str = "logrotate.d/rsyncd";

/// Where the files are written, and where they are when they are in use.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) out: PathBuf,
    pub(super) installed: PathBuf,
}

impl Place {
    pub(super) fn new(out: Option<&Path>, installed: Option<&Path>) -> Place {
        let out = out.unwrap_or(Path::new(ETC));
        // The daemon may be started anywhere.
        let out = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
        Place { installed: installed.map_or_else(|| out.clone(), Path::to_owned), out }
    }

    /// Whether the files are used where they are written: on this host.
    pub(super) fn is_here(&self) -> bool {
        self.out == self.installed
    }

    pub(super) fn plan(&self, port: u16, args: &GenRsyncdConfArgs, modules: BTreeMap<String, Module>) -> Plan {
        Plan {
            address: args.address.map(|address| address.to_string()),
            port,
            log_file: args.log_file.clone(),
            run_dir: args.run_dir.clone(),
            secrets_file: self.installed.join("rsyncd.secrets"),
            modules,
        }
    }

    pub(super) fn rsyncd_conf(&self, plan: &Plan) -> File {
        let text = marked(COMMAND, &rsyncd_conf(plan));
        File { path: self.out.join("rsyncd.conf"), text, mode: 0o644, secret: false }
    }

    pub(super) fn logrotate(&self, plan: &Plan) -> File {
        let text = marked(COMMAND, &logrotate(&plan.log_file));
        File { path: self.out.join(LOGROTATE), text, mode: 0o644, secret: false }
    }

    /// What else is beside the files that the daemon itself reads, where they are in use, each with what it is.
    pub(super) fn others(&self, users: &[User]) -> Vec<(&'static str, PathBuf)> {
        let clients = users.iter().map(|user| ("password for clients", self.installed.join(client_name(user))));
        let own = [("rsyncd.conf", "rsyncd.conf"), ("rotation of its log", LOGROTATE)];
        own.map(|(what, name)| (what, self.installed.join(name))).into_iter().chain(clients).collect()
    }

    /// The copy of the file that the clients of a user read.
    pub(super) fn client_file(&self, user: &User) -> PathBuf {
        self.out.join(client_name(user))
    }

    /// The file with all passwords.
    pub(super) fn secrets_file(&self) -> PathBuf {
        self.out.join("rsyncd.secrets")
    }

    /// What a path is when all links in it are followed, as far as it is there; on another host nobody knows.
    pub(super) fn real(&self, path: &Path) -> PathBuf {
        let followed = |above: &Path| Some(above.canonicalize().ok()?.join(path.strip_prefix(above).ok()?));
        path.ancestors().filter(|_| self.is_here()).find_map(followed).unwrap_or_else(|| path.to_owned())
    }
}

/// The file for the clients of a user, under the path that it has there below /etc.
fn client_name(user: &User) -> PathBuf {
    match &user.password_file {
        Some(file) => file
            .strip_prefix(ETC)
            .map_or_else(|_| Path::new("sersync").join(file.file_name().unwrap_or_default()), Path::to_owned),
        None => format!("sersync/{}.passwd", user.name).into(),
    }
}
