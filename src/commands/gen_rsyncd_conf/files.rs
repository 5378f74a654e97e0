//! The files of a server: where they go, what is there already, and how they are put in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use log::warn;

use super::{ETC, User};
use crate::cli::GenRsyncdConfArgs;
use crate::config::password;
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, marked, private_dir};
use crate::report;
use crate::report::text;
use crate::server::plan::{Module, Plan};
use crate::server::{logrotate, passwords, rsyncd_conf};

/// Who writes these files.
const COMMAND: &str = "gen-rsyncd-conf";

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
    fn is_here(&self) -> bool {
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
        File { path: self.out.join("logrotate.d/rsyncd"), text, mode: 0o644, secret: false }
    }

    /// The copy of the file that the clients of a user read, under the path that it has there below /etc.
    pub(super) fn client_file(&self, user: &User) -> PathBuf {
        let name = match &user.password_file {
            Some(file) => file
                .strip_prefix(ETC)
                .map_or_else(|_| Path::new("sersync").join(file.file_name().unwrap_or_default()), Path::to_owned),
            None => format!("sersync/{}.passwd", user.name).into(),
        };
        self.out.join(name)
    }
}

/// Writes everything, or shows what would change.
pub(super) fn write(plan: &Plan, users: &[User], place: &Place, args: &GenRsyncdConfArgs) -> Result<()> {
    let known = known_passwords(users, place, args.force)?;
    let mut files = Vec::new();
    if !users.is_empty() {
        files.push(secrets(&known, place, args)?);
    }
    for (user, (_, password)) in users.iter().zip(&known) {
        let path = place.client_file(user);
        let text = format!("{password}\n");
        let found = match generated::read(&path).with_context(|| cannot_read(&path))? {
            Some(old) if passwords::of_client(&old) == Some(password) => Found::Same,
            Some(old) => Found::Foreign(old),
            None => Found::Nothing,
        };
        files.push((File { path, text, mode: 0o600, secret: true }, found));
    }
    for file in [place.rsyncd_conf(plan), place.logrotate(plan)] {
        let found = file.look().with_context(|| cannot_read(&file.path))?;
        files.push((file, found));
    }
    let mut paths = BTreeSet::new();
    if let Some((twice, _)) = files.iter().find(|(file, _)| !paths.insert(file.path.clone())) {
        let why = "would have to be two files: give every `password-file` a name of its own, one for each user";
        return Err(Failure::new(Exit::Usage, format!("{} {why}", text::path(&twice.path))).into());
    }
    if args.diff {
        let shown: String = files.iter().map(|(file, found)| file.diff(found, args.show)).collect();
        report::print(&shown)?;
        return Ok(());
    }
    generated::refuse_foreign(&files, args.force)?;
    let mut said = String::new();
    for (file, _) in files.iter().filter(|(file, found)| file.secret && matches!(found, Found::Same)) {
        said += &made_private(&file.path)?;
    }
    if place.is_here() {
        for module in plan.modules.values() {
            said += &module_directory(module)?;
        }
    }
    said += &generated::write(&files)?;
    if !rustix::process::geteuid().is_root() {
        let (secrets, user) = (text::path(&secrets_path(place)), rustix::process::getuid().as_raw());
        warn!("{secrets} belongs to user {user}, and a daemon of root wants root's: run `chown root {secrets}` there");
    }
    if args.show {
        for (user, password) in &known {
            let _ = writeln!(said, "password   {user}: {password}");
        }
    }
    said += &next_steps(plan, users, place);
    report::print(&said)?;
    Ok(())
}

/// Takes away from others what they could read of a file with passwords that stays as it is.
fn made_private(path: &Path) -> Result<String> {
    let failed = || format!("{} cannot be made private", text::path(path));
    let mode = fs::metadata(path).with_context(failed)?.mode() & 0o7777;
    // Nothing for the group and for others.
    if mode.trailing_zeros() >= 6 {
        return Ok(String::new());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).with_context(failed)?;
    warn!("{} could be read by others (mode {mode:04o}): consider another password", text::path(path));
    Ok(format!("private    {}\n", text::path(path)))
}

/// The password of each user: as given, else as it is at the server or for its clients already, else a new one. Where the
/// two that are there differ, nobody can know which one is right.
fn known_passwords(users: &[User], place: &Place, force: bool) -> Result<Vec<(String, String)>> {
    let path = secrets_path(place);
    let secrets = generated::read(&path).with_context(|| cannot_read(&path))?.unwrap_or_default();
    let known = users.iter().map(|user| {
        let file = place.client_file(user);
        let text = generated::read(&file).with_context(|| cannot_read(&file))?.unwrap_or_default();
        let (at_server, at_client) = (passwords::of_user(&secrets, &user.name), passwords::of_client(&text));
        if let (Some(one), Some(other), None, false) = (at_server, at_client, &user.password, force)
            && one != other
        {
            let (path, file) = (text::path(&path), text::path(&file));
            let why = format!("{path} and {file} have another password for `{}`: remove the wrong one, or take that of {path} with --force", user.name);
            return Err(Failure::new(Exit::Refused, why).into());
        }
        let in_use = || in_use(user.password_file.as_deref());
        let known = user.password.clone().or_else(|| at_server.or(at_client).map(str::to_owned)).or_else(in_use);
        let password = known.map_or_else(passwords::fresh, Ok).context("the kernel gives no random numbers")?;
        Ok((user.name.clone(), password))
    });
    known.collect()
}

/// The password that this host already uses as a client.
pub(super) fn in_use(file: Option<&Path>) -> Option<String> {
    let file = file.filter(|file| password::check(file).is_ok())?;
    let text = fs::read_to_string(file).ok()?;
    passwords::of_client(&text).map(str::to_owned)
}

fn secrets_path(place: &Place) -> PathBuf {
    place.out.join("rsyncd.secrets")
}

/// The file with all passwords. It stays as it is when the users are in it, whatever else is.
fn secrets(known: &[(String, String)], place: &Place, args: &GenRsyncdConfArgs) -> Result<(File, Found)> {
    let path = secrets_path(place);
    let old = generated::read(&path).with_context(|| cannot_read(&path))?;
    let text = marked(COMMAND, &passwords::secrets(old.as_deref().unwrap_or_default(), known));
    let file = File { path, text, mode: 0o600, secret: true };
    let has = |old: &str| known.iter().all(|(user, password)| passwords::of_user(old, user) == Some(password));
    let found = match old {
        Some(old) if has(&old) => Found::Same,
        _ => file.look().with_context(|| cannot_read(&file.path))?,
    };
    if found == Found::Same && !args.diff {
        be_private(&file.path);
    }
    Ok((file, found))
}

/// A file that is kept was perhaps made by hand, and rsync refuses one that others can read.
fn be_private(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o7777);
    if mode & 0o077 != 0 {
        let shown = text::path(path);
        warn!("{shown}: is accessible by others (mode {mode:o}); run `chmod 600 {shown}`");
    }
}

/// Makes the directory of a module, where it is missing, for the user who writes to it.
fn module_directory(module: &Module) -> Result<String> {
    let (path, shown) = (&module.path, text::path(&module.path));
    let made = private_dir(path).with_context(|| format!("cannot make the directory {shown}"))?;
    if !made {
        return Ok(format!("unchanged  {shown}/\n"));
    }
    let ids = (id_of(&module.uid, "/etc/passwd"), id_of(&module.gid, "/etc/group"));
    let given = match ids {
        (Some(uid), Some(gid)) => chown(path, Some(uid), Some(gid)),
        _ => Err(io::Error::other("there is no such user or group on this host")),
    };
    if let Err(e) = given {
        let (uid, gid) = (&module.uid, &module.gid);
        warn!("{shown}: cannot be given to {uid}:{gid}: {e}; run `chown {uid}:{gid} {shown}` as root");
    }
    Ok(format!("made       {shown}/\n"))
}

/// The number of a user or group, by a number or by its name in a file of names and numbers.
fn id_of(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string(file).ok()?;
    let fields = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    fields.split(':').nth(1)?.parse().ok()
}

/// What is left to do by hand.
fn next_steps(plan: &Plan, users: &[User], place: &Place) -> String {
    let mut said = String::from("\nWhat is left to do:\n");
    let installed = &place.installed;
    if !place.is_here() {
        let (out, to) = (text::path(&place.out), text::path(installed));
        let _ = writeln!(said, "  put these files in place on the server:   rsync -rp {out}/ SERVER:{to}/");
        for module in plan.modules.values() {
            let (uid, gid, path) = (&module.uid, &module.gid, text::path(&module.path));
            let _ = writeln!(
                said,
                "  make the module's directory there:        install -d -m 700 -o {uid} -g {gid} {path}"
            );
        }
    }
    let conf = text::path(&installed.join("rsyncd.conf"));
    let start = if installed == Path::new(ETC) {
        "systemctl enable --now rsync (rsyncd on Fedora and its kin)".to_owned()
    } else {
        format!("rsync --daemon --config={conf}")
    };
    let _ = writeln!(said, "  start the daemon:                         {start}");
    for user in users {
        let here = place.client_file(user);
        let there = user.password_file.as_deref().map_or_else(|| "FILE".to_owned(), text::path);
        let from = text::path(&here);
        let _ = writeln!(said, "  give the password to each client:         scp -p {from} CLIENT:{there}");
    }
    said.push_str("  see from a client whether all is well:    sersync check-target\n");
    said
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", text::path(path))
}
