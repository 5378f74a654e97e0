//! Completions for the user's shell, and the files that packages ship.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::report;

/// The manual's date: that of the last change of its text, so that it is the same wherever it is made.
const DATE: &str = "2026-11-23";

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
    pages(&root, &man)?;
    for shell in Shell::value_variants().iter().filter(|shell| matches!(shell, Shell::Bash | Shell::Zsh | Shell::Fish))
    {
        clap_complete::generate_to(*shell, &mut Cli::command(), "sersync", &completions)
            .with_context(|| format!("cannot write the completion for {shell}"))?;
    }
    Ok(Exit::Done)
}

/// A page for the command and for each visible one below it.
fn pages(command: &clap::Command, dir: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let path = dir.join(format!("{name}.8"));
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let page = Man::new(command.clone().name(name)).section("8").date(DATE).manual("sersync manual");
    page.render(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
    for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        pages(subcommand, dir)?;
    }
    Ok(())
}
