//! `config check` and `config show`.

use anyhow::Result;

use super::setup;
use crate::cli::{Cli, ConfigArgs, ConfigCommand};
use crate::config::{password, show};
use crate::exit::Exit;
use crate::mirror::Mirror;
use crate::report;
use crate::report::text::count;

pub(super) fn run(cli: &Cli, args: &ConfigArgs) -> Result<Exit> {
    let settings = setup::load(cli)?;
    match args.command {
        ConfigCommand::Check => {
            let mirrors = Mirror::select(&settings, &[])?;
            for file in setup::password_files(&mirrors) {
                password::check(file)?;
            }
            let sources = count(settings.sources.len(), "source");
            report::print(&format!("valid: {sources}, {}\n", count(mirrors.len(), "mirror")))?;
        }
        ConfigCommand::Show { json: true } => report::print(&(show::as_json(&settings)? + "\n"))?,
        ConfigCommand::Show { json: false } => report::print(&show::as_toml(&settings)?)?,
    }
    Ok(Exit::Done)
}
