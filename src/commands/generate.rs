//! Completions for the user's shell, and the files that packages ship.

mod manual;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::report;

pub(super) fn completions(shell: Shell) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sersync", &mut text);
    report::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Writes `man/*.8` and `completions/*` below `dir`.
pub(super) fn all(dir: &Path) -> Result<Exit> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    for dir in [&man, &completions] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let mut root = Cli::command();
    root.build();
    pages(&root, &root, &man)?;
    for shell in Shell::value_variants().iter().filter(|shell| matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish))
    {
        clap_complete::generate_to(*shell, &mut Cli::command(), "sersync", &completions)
            .with_context(|| format!("cannot write the completion for {shell}"))?;
    }
    Ok(Exit::Done)
}

/// A page for the command and for each visible one below it.
fn pages(root: &clap::Command, command: &clap::Command, dir: &Path) -> Result<()> {
    let path = dir.join(format!("{}.8", manual::name(command)));
    let page = manual::page(root, command)?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    manual::visible(command).try_for_each(|subcommand| pages(root, subcommand, dir))
}
