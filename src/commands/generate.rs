//! `generate`: the files that packages ship, made of the command line.

mod manual;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Arguments, Cli, End};
use crate::cli::Global;
use crate::exit::Exit;
use crate::report::text;

/// Write manual pages and completions
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Where `man` and `completions` are
    dir: PathBuf,
}

impl Arguments for GenerateArgs {
    fn run(&self, _: &Global) -> Result<End> {
        all(&self.dir).map(End::Exit)
    }
}

/// Writes `man/*.8` and `completions/*` below `dir`.
fn all(dir: &Path) -> Result<Exit> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    for dir in [&man, &completions] {
        fs::create_dir_all(dir).with_context(|| text::cannot_be("made", dir))?;
    }
    let mut root = Cli::command();
    root.build();
    pages(&root, &root, &man)?;
    for shell in Shell::value_variants().iter().filter(|shell| matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish))
    {
        clap_complete::generate_to(*shell, &mut offered(), "sersync", &completions)
            .with_context(|| format!("the completion for {shell} cannot be written"))?;
    }
    Ok(Exit::Done)
}

/// The command line without what is hidden: not every shell's generator leaves that out, and clap can take no command away.
pub(super) fn offered() -> clap::Command {
    let all = Cli::command();
    let commands: Vec<_> = manual::visible(&all).cloned().collect();
    clap::Command::new("sersync")
        .version(env!("CARGO_PKG_VERSION"))
        .after_long_help(all.get_after_long_help().cloned().unwrap_or_default())
        .args(all.get_arguments().cloned())
        .subcommands(commands)
}

/// A page for the command and for each visible one below it.
fn pages(root: &clap::Command, command: &clap::Command, dir: &Path) -> Result<()> {
    let path = dir.join(format!("{}.8", manual::name(command)));
    let page = manual::page(root, command)?;
    fs::write(&path, page).with_context(|| text::cannot_be("written", &path))?;
    manual::visible(command).try_for_each(|subcommand| pages(root, subcommand, dir))
}
