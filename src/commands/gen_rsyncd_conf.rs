//! `gen-rsyncd-conf`: everything that a backup server needs for the targets that are kept there.

mod args;
mod directories;
mod files;
mod known;
mod place;
mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use log::warn;

pub(super) use self::args::GenRsyncdConfArgs;
use self::place::Place;
use super::{Arguments, End, setup};
use crate::cli::Global;
use crate::config;
use crate::config::settings::{Settings, Target};
use crate::exit::{Exit, Failure};
use crate::generated::Secrets;
use crate::report;
use crate::report::text;
use crate::server::plan::{self, Plan, Wishes};
use crate::server::{apart, environment, passwords, safety};

/// Where the files of a server are when nothing else is said.
const ETC: &str = "/etc";

/// A user with what is known of the password.
#[derive(Debug)]
struct User {
    name: String,
    /// The file from which clients read it, by its path there.
    password_file: Option<PathBuf>,
    /// What was given for it.
    password: Option<String>,
}

impl Arguments for GenRsyncdConfArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self).map(End::Exit)
    }
}

fn run(global: &Global, args: &GenRsyncdConfArgs) -> Result<Exit> {
    let usage = |why: String| Failure::new(Exit::Usage, text::escaped(why.as_bytes()));
    for (at, module) in args.module.iter().enumerate() {
        if args.module[..at].iter().any(|other| other.name == module.name) {
            return Err(usage(format!("--module: `{}` is named twice; name it once", module.name)).into());
        }
    }
    let place = Place::new(args.out.as_deref(), args.installed_in.as_deref());
    // They are written into rsyncd.conf.
    for dir in [&place.out, &place.installed] {
        let name = dir.to_str().ok_or_else(|| usage(format!("{} is not UTF-8", text::path(dir))))?;
        config::server::directory(name).map_err(|why| usage(format!("--out and --installed-in: {why}")))?;
    }
    let (plan, users) = if args.from_env {
        from_environment(args, &place).map_err(usage)?
    } else {
        let settings = setup::load(global)?;
        from_settings(&settings, args, &place).map_err(usage)?
    };
    apart::check(&plan, &place.others(&users), |path| place.real(path)).map_err(usage)?;
    for line in safety::warnings(&plan.modules) {
        warn!("{line}");
    }
    match &args.out {
        None => print(&plan, &users, &place, Secrets::of(args.show))?,
        Some(_) => files::write(&plan, &users, &place, args)?,
    }
    Ok(Exit::Done)
}

fn from_settings(settings: &Settings, args: &GenRsyncdConfArgs, place: &Place) -> Result<(Plan, Vec<User>), String> {
    let targets = plan::targets(settings, &args.targets, args.host.as_ref())?;
    let port = match args.port {
        Some(port) => port,
        None => plan::port(&targets, args.host.as_ref())?,
    };
    let wishes = Wishes {
        paths: args.module.iter().map(|module| (module.name.clone(), module.path.clone())).collect(),
        hosts_allow: args.hosts_allow.clone(),
        max_connections: args.max_connections,
        uid: args.uid.clone(),
        gid: args.gid.clone(),
        clients: args.clients,
    };
    let modules = plan::modules(settings, &targets, &wishes)?;
    Ok((place.plan(port, args, modules), users(&targets)?))
}

/// The users of these targets, each once.
fn users(targets: &[&Target]) -> Result<Vec<User>, String> {
    let mut users: BTreeMap<&str, Option<&Path>> = BTreeMap::new();
    for target in targets {
        let Some(name) = &target.rsync.user else { continue };
        let file = target.rsync.password_file.as_deref();
        if let Some(other) = users.insert(name, file)
            && other != file
        {
            return Err(format!(
                "the user `{name}` has several password files, but one password on a server; give a target another `user`, or \
                 the same `password-file`"
            ));
        }
    }
    let user = |(name, file): (&str, Option<&Path>)| User {
        name: name.to_owned(),
        password_file: file.map(Path::to_owned),
        password: None,
    };
    Ok(users.into_iter().map(user).collect())
}

fn from_environment(args: &GenRsyncdConfArgs, place: &Place) -> Result<(Plan, Vec<User>), String> {
    let mut container = environment::read(|name| std::env::var_os(name))?;
    container.warnings.iter().for_each(|line| warn!("{line}"));
    let module = &mut container.module;
    for wish in &args.module {
        if wish.name != container.module_name {
            return Err(format!("--module: there is no module `{}`; there is: {}", wish.name, container.module_name));
        }
        module.path.clone_from(&wish.path);
    }
    if !args.hosts_allow.is_empty() {
        module.hosts_allow.clone_from(&args.hosts_allow);
    }
    module.max_connections = args.max_connections.unwrap_or(module.max_connections);
    for (wish, value) in [(&args.uid, &mut module.uid), (&args.gid, &mut module.gid)] {
        if let Some(wish) = wish {
            value.clone_from(wish);
        }
    }
    let plan = place.plan(args.port.unwrap_or(873), args, [(container.module_name, container.module)].into());
    let user = User { name: container.user, password_file: None, password: container.password };
    Ok((plan, vec![user]))
}

/// Prints `rsyncd.conf`, and the other files as comments after it, so that what is printed can be used as it is.
fn print(plan: &Plan, users: &[User], place: &Place, secrets: Secrets) -> Result<()> {
    let mut text = place.rsyncd_conf(plan).text;
    text.push_str("\n# The other files, which are written by --out DIR:\n");
    let mut block = |path: &Path, mode: u32, body: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "#\n# {} (mode {mode:04o})", text::path(path));
        for line in body.lines() {
            let _ = writeln!(text, "#   {line}");
        }
    };
    let mut known = Vec::new();
    for user in users {
        let given = user.password.clone().or_else(|| known::in_use(user.password_file.as_deref()));
        known.push(match (given, secrets) {
            (_, Secrets::Hidden) => "<password: a new one is made by --out, and shown by --show>".to_owned(),
            (Some(password), Secrets::Shown) => password,
            (None, Secrets::Shown) => passwords::fresh()?,
        });
    }
    let secrets = users.iter().zip(&known).map(|(user, password)| format!("{}:{password}\n", user.name));
    if !users.is_empty() {
        block(&plan.secrets_file, 0o600, &secrets.collect::<String>());
    }
    for (user, password) in users.iter().zip(&known) {
        block(&place.client_file(user), 0o600, password);
    }
    let rotation = place.logrotate(plan);
    block(&rotation.path, rotation.mode, &rotation.text);
    report::print(&text)?;
    Ok(())
}
