//! `completions`: the tab completion for the user's shell.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use super::generate::offered;
use super::{Arguments, End};
use crate::cli::Global;
use crate::exit::Exit;
use crate::report;

/// Print the tab completion for a shell
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  sersync completions bash >~/.local/share/bash-completion/completions/sersync
";

impl Arguments for CompletionsArgs {
    fn run(&self, _: &Global) -> Result<End> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut offered(), "sersync", &mut text);
        report::print(&String::from_utf8_lossy(&text))?;
        Ok(End::Exit(Exit::Done))
    }
}
