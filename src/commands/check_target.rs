//! `check-target`: whether the endpoints can be mirrored to, all of them at the same time.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use super::interrupt::Interruptible;
use super::{Arguments, End, at_once, setup};
use crate::check::target;
use crate::cli::{Global, exit_status};
use crate::config::settings::Target;
use crate::exit::{Exit, Failure};
use crate::mirror::{Endpoint, endpoints};
use crate::report::findings;
use crate::report::{self, text};
use crate::rsync::version;

/// Find out whether targets can be mirrored to, and how well
///
/// For every endpoint: whether its name resolves and its port answers, how far it is, which protocol it speaks, whether the
/// module is there and lets us in, whether it can be written to, deletes and keeps a history, how it stores symbolic links,
/// whether its clock is right, and whether small sessions stall. For this a few small files are mirrored there under a name
/// that no source can have, and removed again. What does not work is said with what to do about it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct CheckTargetArgs {
    /// Names of configured targets [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// Print one JSON object per check
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync check-target                      all hosts of all targets, and local directories
  sersync check-target backup1 --json       one target, for programs

The result of each check is ok, hint (it works, and could be better), warn (it works, but not as it should), bad or skipped.
The exit status is that of the worst: 3 for a warning, and for what is bad what a pass would end with, or 1 when that
differs.

With --json each line is an object. sersync-check-target(8) lists the fields.

";

impl Arguments for CheckTargetArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }
}

fn run(global: &Global, args: &CheckTargetArgs) -> Result<End> {
    let settings = setup::load(global)?;
    for name in &args.targets {
        settings.target(name).map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    version::check()?;
    let chosen = |target: &&Target| args.targets.is_empty() || args.targets.contains(&target.name);
    let targets = settings.targets.values().filter(chosen);
    let all: Vec<(&Target, Endpoint)> = targets
        .flat_map(|target| endpoints(&target.place).into_iter().map(move |endpoint| (target, endpoint)))
        .collect();
    let children = Interruptible::install()?;
    let results = at_once::all(&all, None, |(target, endpoint)| target::check(target, endpoint, &children));
    if children.signal() != 0 {
        // What was found half-way says more of the signal than of the targets.
        return Ok(End::Signal(children.signal()));
    }
    let mut shown = String::new();
    for (at, ((target, endpoint), findings)) in all.iter().zip(&results).enumerate() {
        let name = text::escaped(endpoint.to_string().as_bytes());
        if args.json {
            // Writing to a string cannot fail.
            for finding in findings {
                let mut object = finding.json(Some(&name));
                object["target"] = target.name.clone().into();
                let _ = writeln!(shown, "{}", report::json::line(&object));
            }
        } else {
            let gap = if at == 0 { "" } else { "\n" };
            let _ = writeln!(shown, "{gap}{name} (target `{}`):", target.name);
            for line in findings::table(findings) {
                let _ = writeln!(shown, "{line}");
            }
        }
    }
    report::print(&shown)?;
    Ok(End::Exit(findings::worst(results.iter().flatten())))
}
