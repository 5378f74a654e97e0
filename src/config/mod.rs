//! The configuration, in two stages: what was written, and the validated [`settings`] that come of it.
//!
//! Reading a file is [`locate`] -> [`load`] -> [`Settings`]; without a file, [`adhoc`] makes the same settings from
//! `--from` and `--to`. Every problem becomes one line that says what is wrong, where, and what to do about it.

pub mod adhoc;
pub mod allowed;
mod defaults;
mod error;
mod example;
mod explain;
mod extra_args;
mod host;
pub mod import;
pub mod locate;
mod names;
mod overlap;
pub mod password;
mod paths;
pub mod server;
pub mod settings;
pub mod show;
mod suggest;
mod tables;
mod trees;
pub mod units;
mod validate;
mod written;

use std::fs;
use std::path::Path;

pub use error::ConfigError;
pub use example::EXAMPLE;
use settings::Settings;

use crate::report::text;

/// Reads and checks a configuration file.
///
/// # Errors
///
/// When the file cannot be read, is not TOML, or says something that cannot be done; every line of the error names the
/// file as it was given.
pub fn load(file: &Path) -> Result<Settings, ConfigError> {
    let name = text::path(file);
    let bytes = fs::read(file).map_err(|error| ConfigError::unreadable(&name, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| ConfigError::not_text(&name, &error))?;
    parse(&text, &name)
}

/// Checks the text of a configuration; `file_name` only serves the error lines.
///
/// # Errors
///
/// When the text is not TOML, or says something that cannot be done.
pub fn parse(text: &str, file_name: &str) -> Result<Settings, ConfigError> {
    // A byte order mark is no part of the text, and would shift every column of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let written =
        toml::from_str(text).map_err(|error| ConfigError::at(text, file_name, vec![explain::explain(text, error)]))?;
    validate::settings(&written).map_err(|problems| ConfigError::at(text, file_name, problems))
}
