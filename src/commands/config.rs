//! `config check`, `config show`, `config example` and `config import`.

use std::fs;
use std::path::Path;

use anyhow::Result;
use log::warn;

use super::setup;
use crate::cli::{Cli, ConfigArgs, ConfigCommand};
use crate::config::import::{self, Format};
use crate::config::{self, EXAMPLE, password, show};
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;
use crate::report;
use crate::report::text::{self, count};

/// A configuration that is bigger than this is none.
const BIGGEST: u64 = 256 << 10;

pub(super) fn run(cli: &Cli, args: &ConfigArgs) -> Result<Exit> {
    match &args.command {
        ConfigCommand::Check => {
            let settings = setup::load(cli)?;
            let mirrors = Mirror::select(&settings, &[])?;
            for file in setup::password_files(&mirrors) {
                match missing(file) {
                    Some(next) => warn!("{}", next.message),
                    None => password::check(file)?,
                }
            }
            let sources = count(settings.sources.len(), "source");
            report::print(&format!("valid: {sources}, {}\n", count(mirrors.len(), "mirror")))?;
        }
        ConfigCommand::Show { json: true } => report::print(&(show::as_json(&setup::load(cli)?)? + "\n"))?,
        ConfigCommand::Show { json: false } => report::print(&show::as_toml(&setup::load(cli)?)?)?,
        ConfigCommand::Example => report::print(EXAMPLE)?,
        ConfigCommand::Import { file, format } => {
            let written = imported(file, *format)?;
            report::print(&written)?;
            // It is valid; an import that is not would not have been returned.
            let settings = config::parse(&written, "").map_err(Failure::from)?;
            for next in setup::password_files(&Mirror::select(&settings, &[])?).into_iter().filter_map(missing) {
                warn!("{}", next.message);
            }
        }
    }
    Ok(Exit::Done)
}

fn imported(file: &Path, format: Option<Format>) -> Result<String> {
    let shown = text::path(file);
    let unreadable = |why: String| Failure::new(Exit::Failed, format!("cannot read {shown}: {why}"));
    let metadata = fs::metadata(file).map_err(|e| unreadable(e.to_string()))?;
    // Reading a pipe or a device might never end.
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file; copy what is in it into one".to_owned()).into());
    }
    let size = metadata.len();
    if size > BIGGEST {
        return Err(unreadable(format!("{} are too much for a configuration", text::bytes(size))).into());
    }
    let bytes = fs::read(file).map_err(|e| unreadable(e.to_string()))?;
    // Comments in an old encoding are no reason to refuse the rest.
    let text = String::from_utf8_lossy(&bytes);
    Ok(import::import(&text, &shown, format.unwrap_or_else(|| import::guess(&text))).map_err(Failure::from)?)
}

/// What to do about a password file that is not there yet: a configuration may well be right before it is.
fn missing(file: &Path) -> Option<Failure> {
    if matches!(file.try_exists(), Ok(false)) { password::check(file).err() } else { None }
}
