//! The variables by which the container of the bash sersync is set up as a server. Pure.
//!
//! The defaults are the original's, but for the password, which everybody knows, and for the list of those who may
//! connect, which was everybody.

use std::ffi::OsString;
use std::path::PathBuf;

use super::plan::{Module, PRIVATE};
use super::{passwords, safety};
use crate::config::{allowed, server};

/// What the variables come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Container {
    /// The name of the module.
    pub module_name: String,
    /// The module.
    pub module: Module,
    /// The user.
    pub user: String,
    /// The password; a new one is made when there is none.
    pub password: Option<String>,
    /// What somebody should know, a line each.
    pub warnings: Vec<String>,
}

/// Reads the variables.
///
/// # Errors
/// One line when a value cannot be what it is for.
pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Container, String> {
    let mut warnings = Vec::new();
    // Changing what is not text would be worse than refusing it: nobody would know the password.
    let text = |name: &str| {
        let text = variable(name).map(|value| value.into_string().map_err(|_| format!("{name} is not UTF-8")));
        text.transpose()
    };
    let given = |name: &str| text(name).map(|text| text.filter(|value| !value.is_empty()));
    let wrong = |name: &'static str| move |why: String| format!("{name}: {why}");
    let user = given("RSYNCD_USER")?.unwrap_or_else(|| "rsync".to_owned());
    safety::check_user(&user).map_err(wrong("RSYNCD_USER"))?;
    let module_name = given("RSYNCD_MOD_NAME")?.unwrap_or_else(|| "data".to_owned());
    server::module_name(&module_name).map_err(wrong("RSYNCD_MOD_NAME"))?;
    let path: PathBuf = match given("RSYNCD_PATH")? {
        Some(path) => server::directory(&path).map_err(wrong("RSYNCD_PATH"))?,
        None => "/data".into(),
    };
    let max_connections = match given("RSYNCD_MAX_CONN")? {
        Some(number) => {
            number.parse().ok().filter(|most| *most > 0 && *most <= i32::MAX.unsigned_abs()).ok_or_else(|| {
                format!("RSYNCD_MAX_CONN: \"{}\" is not a number of connections; at least 1", number.escape_debug())
            })?
        }
        None => 300,
    };
    let list = given("RSYNCD_HOSTS_ALLOW")?.unwrap_or_else(|| PRIVATE.join(" "));
    let allowed = list.split([',', ' ', '\t']).filter(|host| !host.is_empty()).map(allowed::allow);
    let hosts_allow = allowed.collect::<Result<Vec<String>, String>>().map_err(wrong("RSYNCD_HOSTS_ALLOW"))?;
    if hosts_allow.is_empty() {
        return Err("RSYNCD_HOSTS_ALLOW names no host; leave it out for all private networks".to_owned());
    }
    let password = password(&user, text("RSYNCD_PASSWD")?, &mut warnings)?;
    let module = Module {
        path,
        sources: Vec::new(),
        users: vec![user.clone()],
        hosts_allow,
        max_connections,
        reason: String::new(),
        uid: "root".to_owned(),
        gid: "root".to_owned(),
        timeout: std::time::Duration::from_secs(600),
    };
    Ok(Container { module_name, module, user, password, warnings })
}

fn password(user: &str, given: Option<String>, warnings: &mut Vec<String>) -> Result<Option<String>, String> {
    match given {
        None => Ok(None),
        Some(password) if password.is_empty() => {
            warnings.push("RSYNCD_PASSWD is empty: a password of its own is made instead".to_owned());
            Ok(None)
        }
        Some(password) => {
            passwords::check(&password).map_err(|why| format!("RSYNCD_PASSWD {why}"))?;
            if let Some(weakness) = passwords::weakness(user, &password) {
                warnings.push(format!("RSYNCD_PASSWD {weakness}: leave it out, and a good one is made"));
            }
            Ok(Some(password))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn read_all(variables: &[(&str, &str)]) -> Result<Container, String> {
        let variables = variables.to_vec();
        read(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn without_any_the_defaults_hold_but_not_the_password_that_everybody_knows() {
        let container = read_all(&[]).unwrap();
        assert_eq!(
            (container.module_name.as_str(), container.user.as_str(), container.password),
            ("data", "rsync", None)
        );
        assert_eq!(
            (container.module.max_connections, container.module.hosts_allow),
            (300, PRIVATE.map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn what_is_given_is_taken_and_what_is_weak_is_said() {
        let container = read_all(&[
            ("RSYNCD_USER", "backup"),
            ("RSYNCD_PASSWD", "Ki13W@yYZvbJ"),
            ("RSYNCD_MOD_NAME", "filebackup"),
            ("RSYNCD_PATH", "/srv/x"),
            ("RSYNCD_MAX_CONN", "9"),
            ("RSYNCD_HOSTS_ALLOW", "10.0.0.0/8,192.168.0.1"),
        ])
        .unwrap();
        assert_eq!(container.password.as_deref(), Some("Ki13W@yYZvbJ"));
        assert_eq!(container.warnings.len(), 1);
        assert_eq!(container.module.hosts_allow, ["10.0.0.0/8", "192.168.0.1"]);
        assert!(read_all(&[("RSYNCD_PASSWD", "")]).unwrap().warnings[0].contains("is empty"));
    }

    #[test]
    fn what_would_become_a_line_of_the_file_is_refused() {
        for (name, value) in [
            ("RSYNCD_USER", "a\nuid = 0"),
            ("RSYNCD_MOD_NAME", "a]\n[b"),
            ("RSYNCD_PATH", "data"),
            ("RSYNCD_PATH", "/a\npre-xfer exec = /bin/sh"),
            ("RSYNCD_MAX_CONN", "-1"),
            ("RSYNCD_HOSTS_ALLOW", "*\nuid = 0"),
            ("RSYNCD_PASSWD", "a\nb:c"),
            ("RSYNCD_HOSTS_ALLOW", " , "),
            ("RSYNCD_HOSTS_ALLOW", "10.0.0.0/99"),
        ] {
            let line = read_all(&[(name, value)]).unwrap_err();
            assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
        }
        for name in ["RSYNCD_USER", "RSYNCD_PASSWD", "RSYNCD_PATH"] {
            let odd = |other: &str| (other == name).then(|| OsString::from_vec(b"/a\xff".to_vec()));
            assert_eq!(read(odd).unwrap_err(), format!("{name} is not UTF-8"));
        }
    }
}
