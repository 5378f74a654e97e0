//! `config check`, `config show`, `config example` and `config import`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use log::warn;

use super::{Arguments, End, setup};
use crate::cli::{Global, exit_status};
use crate::config::import::{self, Format};
use crate::config::{self, EXAMPLE, password, show};
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;
use crate::report;
use crate::report::text::{self, count};

/// Check or show the configuration
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    command: ConfigCommand,
}

const EXAMPLES: &str = "\
Examples:
  sersync config check                      name every mistake, with its line and what to do
  sersync -c new.toml config check          before it is put in place
  sersync config show --json                what the configuration comes to, for programs
  sersync config example >sersync.toml      to begin with
  sersync config import /usr/local/sersync/etc/sersync.conf >sersync.toml
                                            from the bash sersync; read the comments in it

";

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is valid, and what is wrong with it
    Check,
    /// Print a configuration with every key, its default and what it means
    Example,
    /// Print the configuration that another program's comes to
    ///
    /// FILE is `sersync.conf` of the bash sersync, `confxml.xml` of the C++ sersync, or a configuration of lsyncd that is made of
    /// literal `sync{default.rsync, ...}` blocks. It is only read, and nothing in it is executed. What has no equal, or would
    /// endanger a mirror, is in the result as a comment with the reason. The result is valid.
    Import {
        /// The file
        file: PathBuf,

        #[arg(long, value_name = "FORMAT", help = whose())]
        format: Option<Format>,
    },
    /// Print the validated configuration with all defaults filled in
    Show {
        /// As JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

impl Arguments for ConfigArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self).map(End::Exit)
    }
}

/// A configuration that is bigger than this is none.
const BIGGEST: u64 = 256 << 10;

fn run(global: &Global, args: &ConfigArgs) -> Result<Exit> {
    match &args.command {
        ConfigCommand::Check => {
            let settings = setup::load(global)?;
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
        ConfigCommand::Show { json: true } => report::print(&(show::as_json(&setup::load(global)?)? + "\n"))?,
        ConfigCommand::Show { json: false } => report::print(&show::as_toml(&setup::load(global)?)?)?,
        ConfigCommand::Example => report::print(EXAMPLE)?,
        ConfigCommand::Import { file, format } => {
            let written = imported(file, *format)?;
            report::print(&written)?;
            // It is valid; an import that is not would not have been returned.
            let settings = config::parse(&written, "").map_err(Failure::from)?;
            // What is there may have been right for another program only.
            for file in setup::password_files(&Mirror::select(&settings, &[])?) {
                if let Err(next) = password::check(file) {
                    warn!("{}", next.message);
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn imported(file: &Path, format: Option<Format>) -> Result<String> {
    let shown = text::path(file);
    let unreadable = |why: String| Failure::new(Exit::Failed, format!("{shown} cannot be read: {why}"));
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

/// The help of --format.
fn whose() -> String {
    let words: Vec<&str> = Format::all().map(Format::word).collect();
    let (last, others) = words.split_last().unwrap_or((&"", &[]));
    format!("Whose it is: {} or {last} [default: what it looks like]", others.join(", "))
}

/// What to do about a password file that is not there yet: a configuration may well be right before it is.
fn missing(file: &Path) -> Option<Failure> {
    if matches!(file.try_exists(), Ok(false)) { password::check(file).err() } else { None }
}
