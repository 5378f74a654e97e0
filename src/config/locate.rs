//! Where the configuration file is looked for: `-c FILE`, `$SERSYNC_CONFIG`, then the system's and the user's place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ConfigError;

use crate::report::text;

/// Names a configuration file from the environment.
pub const VARIABLE: &str = "SERSYNC_CONFIG";

/// The system's configuration file.
pub const SYSTEM: &str = "/etc/sersync/sersync.toml";

/// The configuration file to use; `option` is the argument of `-c`. A file that was named is returned whether or not it
/// exists, so that loading it says what is wrong with it.
///
/// # Errors
///
/// When none was named and none is in the usual places; the line lists them.
pub fn locate(option: Option<&Path>) -> Result<PathBuf, ConfigError> {
    choose(option, |name| std::env::var_os(name), Path::exists)
}

/// The configuration file that was named, by `-c` or in the environment, if any was.
#[must_use]
pub fn named(option: Option<&Path>) -> Option<PathBuf> {
    named_by(option, |name| std::env::var_os(name))
}

fn named_by(option: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let variable = || variable(VARIABLE).filter(|value| !value.is_empty());
    option.map(Path::to_owned).or_else(|| variable().map(PathBuf::from))
}

fn choose(
    option: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Result<PathBuf, ConfigError> {
    if let Some(named) = named_by(option, &variable) {
        return Ok(named);
    }
    // An empty variable counts as an unset one, as everywhere.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification wants a relative directory to be ignored.
    let own = variable("XDG_CONFIG_HOME").filter(|directory| directory.is_absolute());
    let own = own.or_else(|| variable("HOME").map(|home| home.join(".config")));
    let mut places = vec![PathBuf::from(SYSTEM)];
    places.extend(own.map(|directory| directory.join("sersync/sersync.toml")));
    if let Some(found) = places.iter().find(|place| exists(place)) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = places.iter().map(|place| text::path(place)).collect();
    Err(ConfigError::line(format!(
        "no configuration found (looked at {}); name one with -c FILE, begin with what \
         `sersync config example` prints, or go without: --from PATH --to DEST",
        looked.join(" and ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(option: Option<&str>, variables: &[(&str, &str)], files: &[&str]) -> Result<String, String> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        choose(option.map(Path::new), variable, |path| files.iter().any(|file| Path::new(file) == path))
            .map(|path| path.display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_named_wins_even_if_it_is_missing() {
        assert_eq!(chosen(Some("x"), &[(VARIABLE, "y")], &[SYSTEM]).unwrap(), "x");
        assert_eq!(chosen(None, &[(VARIABLE, "y")], &[SYSTEM]).unwrap(), "y");
        assert_eq!(chosen(None, &[(VARIABLE, "")], &[SYSTEM]).unwrap(), SYSTEM);
    }

    #[test]
    fn the_systems_place_comes_before_the_users() {
        let own = "/home/a/.config/sersync/sersync.toml";
        assert_eq!(chosen(None, &[("HOME", "/home/a")], &[SYSTEM, own]).unwrap(), SYSTEM);
        assert_eq!(chosen(None, &[("HOME", "/home/a")], &[own]).unwrap(), own);
        assert_eq!(chosen(None, &[("HOME", "/home/a"), ("XDG_CONFIG_HOME", "relative")], &[own]).unwrap(), own);
        let xdg = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/c")];
        assert_eq!(chosen(None, &xdg, &["/c/sersync/sersync.toml", own]).unwrap(), "/c/sersync/sersync.toml");
    }

    #[test]
    fn without_any_the_line_says_where_it_looked_and_how_to_go_on() {
        assert_eq!(
            chosen(None, &[("HOME", "/home/a")], &[]).unwrap_err(),
            "no configuration found (looked at /etc/sersync/sersync.toml and /home/a/.config/sersync/sersync.toml); \
             name one with -c FILE, begin with what `sersync config example` prints, or go without: --from PATH --to DEST"
        );
    }
}
