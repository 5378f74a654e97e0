//! The files of a server: what is there already, and how they are put in place.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, Result};
use log::warn;

use super::directories::module_directory;
use super::place::{COMMAND, Place};
use super::steps::next_steps;
use super::{GenRsyncdConfArgs, User, known};
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, Secrets, marked};
use crate::report::{self, shell, text};
use crate::server::passwords;
use crate::server::plan::Plan;

/// Writes everything, or shows what would change.
pub(super) fn write(plan: &Plan, users: &[User], place: &Place, args: &GenRsyncdConfArgs) -> Result<()> {
    for path in directories(plan, place) {
        refuse_no_directory(path)?;
    }
    // Two runs at the same time would each make passwords of their own, and leave files of both.
    let _lock = if args.diff { None } else { Some(generated::lock(&place.out, COMMAND)?) };
    let known = known::of_all(users, place, args.force)?;
    let files = files(plan, users, &known, place)?;
    if args.diff {
        let mut shown: String = files.iter().map(|(file, found)| file.diff(found, Secrets::of(args.show))).collect();
        for path in directories(plan, place).filter(|path| !path.is_dir()) {
            let _ = writeln!(shown, "{}/: would be made", text::path(path));
        }
        report::print(&shown)?;
        return Ok(());
    }
    if !args.force {
        refuse_other_password(users, &files, place)?;
    }
    generated::refuse_foreign(&files, args.force)?;
    generated::clear(files.iter().map(|(file, _)| file.path.as_path()))
        .context("what an earlier run left cannot be removed")?;
    let mut said = String::new();
    let done = put(plan, &files, place, &mut said);
    if done.is_ok() {
        if args.show {
            for (user, password) in &known {
                let _ = writeln!(said, "password   {user}: {password}");
            }
        }
        said += &next_steps(plan, users, place);
    }
    report::print(&said)?;
    done
}

/// Clients may be using the password that is there: another one that is given does not replace it unasked.
fn refuse_other_password(users: &[User], files: &[(File, Found)], place: &Place) -> Result<(), Failure> {
    for user in users.iter().filter(|user| user.password.is_some()) {
        let path = place.client_file(user);
        if files.iter().any(|(file, found)| file.path == path && matches!(found, Found::Foreign(_))) {
            let why = format!(
                "the password that is given for `{}` is not the one in {}, and nothing is changed; --force replaces that one",
                user.name,
                text::path(&path)
            );
            return Err(Failure::new(Exit::Refused, why));
        }
    }
    Ok(())
}

/// The directories that are needed on this host.
fn directories<'p>(plan: &'p Plan, place: &Place) -> impl Iterator<Item = &'p Path> {
    let modules = plan.modules.values().map(|module| module.path.as_path());
    modules.chain([plan.run_dir.as_path()]).filter(|_| place.is_here())
}

/// Something else is where a directory has to be made.
fn refuse_no_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() || !(path.exists() || path.is_symlink()) {
        return Ok(());
    }
    let what = if path.exists() { "is no directory" } else { "is a link that leads nowhere" };
    let why = format!("{} {what}, and nothing is changed; remove it, or name another directory", text::path(path));
    Err(Failure::new(Exit::Refused, why))
}

/// All files, with what is in their places.
fn files(plan: &Plan, users: &[User], known: &[(String, String)], place: &Place) -> Result<Vec<(File, Found)>> {
    let mut files = Vec::new();
    if !users.is_empty() {
        files.push(secrets(known, place)?);
    }
    for (user, (_, password)) in users.iter().zip(known) {
        let path = place.client_file(user);
        let text = format!("{password}\n");
        let found = match generated::read(&path).with_context(|| text::cannot_be("read", &path))? {
            Some(old) if passwords::of_client(&old) == Some(password) => Found::Same,
            Some(old) => Found::Foreign(old),
            None => Found::Nothing,
        };
        files.push((File { path, text, mode: 0o600, secret: true }, found));
    }
    for file in [place.rsyncd_conf(plan), place.logrotate(plan)] {
        let found = file.look().with_context(|| text::cannot_be("read", &file.path))?;
        files.push((file, found));
    }
    let mut paths = BTreeSet::new();
    if let Some((twice, _)) = files.iter().find(|(file, _)| !paths.insert(file.path.clone())) {
        let why = "would have to be two files; give every `password-file` a name of its own, one for each user";
        return Err(Failure::new(Exit::Usage, format!("{} {why}", text::path(&twice.path))).into());
    }
    Ok(files)
}

/// The file with all passwords. It stays as it is when the users are in it, whatever else is.
fn secrets(known: &[(String, String)], place: &Place) -> Result<(File, Found)> {
    let path = place.secrets_file();
    let old = generated::read(&path).with_context(|| text::cannot_be("read", &path))?;
    let text = marked(COMMAND, &passwords::secrets(old.as_deref().unwrap_or_default(), known));
    let file = File { path, text, mode: 0o600, secret: true };
    let has = |old: &str| known.iter().all(|(user, password)| passwords::of_user(old, user) == Some(password));
    let found = match old {
        Some(old) if has(&old) => Found::Same,
        _ => file.look().with_context(|| text::cannot_be("read", &file.path))?,
    };
    Ok((file, found))
}

/// Puts everything in place; what was done is `said`, also when something fails.
fn put(plan: &Plan, files: &[(File, Found)], place: &Place, said: &mut String) -> Result<()> {
    generated::write(files, said)?;
    let secret: Vec<&Path> =
        files.iter().filter(|(file, _)| file.secret).map(|(file, _)| file.path.as_path()).collect();
    for path in &secret {
        *said += &made_private(path)?;
    }
    if place.is_here() {
        for module in plan.modules.values() {
            *said += &module_directory(module)?;
        }
        let run_dir = &plan.run_dir;
        if !run_dir.is_dir() {
            let shown = text::path(run_dir);
            fs::create_dir_all(run_dir).with_context(|| format!("the directory {shown} cannot be made"))?;
            let _ = writeln!(said, "made       {shown}/");
        }
    }
    if !rustix::process::geteuid().is_root() && !secret.is_empty() {
        let words: Vec<String> = secret.iter().map(|path| shell::path(path)).collect();
        let user = rustix::process::getuid().as_raw();
        warn!(
            "the files with passwords belong to user {user}, and an rsync of root wants root's; run `chown root {}` there",
            words.join(" ")
        );
    }
    Ok(())
}

/// Takes away from others what they could read of a file with passwords, and gives it to root when root is who writes:
/// rsync takes no other.
fn made_private(path: &Path) -> Result<String> {
    let shown = text::path(path);
    let failed = || format!("{shown} cannot be made private");
    let metadata = fs::metadata(path).with_context(failed)?;
    let mut said = String::new();
    if metadata.uid() != 0 && rustix::process::geteuid().is_root() {
        chown(path, Some(0), Some(0)).with_context(failed)?;
        warn!("{shown} belonged to user {}, who could read it; consider another password", metadata.uid());
        said = format!("now root's {shown}\n");
    }
    // Nothing for the group and for others.
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).with_context(failed)?;
        warn!("{shown} could be read by others (mode {mode:04o}); consider another password");
        let _ = writeln!(said, "private    {shown}");
    }
    Ok(said)
}
