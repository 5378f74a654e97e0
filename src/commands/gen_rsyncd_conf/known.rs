//! The passwords that users have already, and new ones for those who have none.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::User;
use super::place::Place;
use crate::config::password;
use crate::exit::{Exit, Failure};
use crate::generated;
use crate::report::text;
use crate::server::passwords;

/// The password of each user: as given, else as it is at the server or for its clients already, else a new one. Where the
/// two that are there differ, nobody can know which one is right.
pub(super) fn of_all(users: &[User], place: &Place, force: bool) -> Result<Vec<(String, String)>> {
    let path = place.secrets_file();
    let secrets = generated::read(&path).with_context(|| text::cannot_be("read", &path))?.unwrap_or_default();
    let known = users.iter().map(|user| {
        let file = place.client_file(user);
        let text = generated::read(&file).with_context(|| text::cannot_be("read", &file))?.unwrap_or_default();
        let (at_server, at_client) = (passwords::of_user(&secrets, &user.name), passwords::of_client(&text));
        if let (Some(one), Some(other), None, false) = (at_server, at_client, &user.password, force)
            && one != other
        {
            let (path, file) = (text::path(&path), text::path(&file));
            let why = format!("{path} and {file} have another password for `{}`; remove the wrong one, or take that of {path} with --force", user.name);
            return Err(Failure::new(Exit::Refused, why).into());
        }
        let in_use = || in_use(user.password_file.as_deref());
        let known = user.password.clone().or_else(|| at_server.or(at_client).map(str::to_owned)).or_else(in_use);
        let password = known.map_or_else(passwords::fresh, Ok).context("the kernel gives no random numbers")?;
        passwords::check(&password).map_err(|why| {
            let why = format!("the password of `{}` {why}; take it out of {}, and a new one is made", user.name, text::path(&file));
            Failure::new(Exit::Refused, why)
        })?;
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
