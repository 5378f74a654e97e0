//! `check-target`: whether the endpoints can be mirrored to, all of them at the same time.

use std::fmt::Write as _;
use std::thread;

use anyhow::Result;

use super::interrupt::Interruptible;
use super::{End, setup};
use crate::check::target;
use crate::cli::{CheckTargetArgs, Cli};
use crate::config::settings::Target;
use crate::exit::{Exit, Failure};
use crate::mirror::{Endpoint, endpoints};
use crate::report::findings::{self, Finding};
use crate::report::{self, text};
use crate::rsync::version;

/// Endpoints that are looked at at the same time.
const MOST: usize = 16;

pub(super) fn run(cli: &Cli, args: &CheckTargetArgs) -> Result<End> {
    let settings = setup::load(cli)?;
    if let Some(unknown) = args.targets.iter().find(|name| !settings.targets.contains_key(*name)) {
        let known: Vec<&str> = settings.targets.keys().map(String::as_str).collect();
        let why = format!("there is no target `{unknown}` in the configuration; known are: {}", known.join(", "));
        return Err(Failure::new(Exit::Usage, why).into());
    }
    version::check()?;
    let chosen = |target: &&Target| args.targets.is_empty() || args.targets.contains(&target.name);
    let targets = settings.targets.values().filter(chosen);
    let all: Vec<(&Target, Endpoint)> = targets
        .flat_map(|target| endpoints(&target.place).into_iter().map(move |endpoint| (target, endpoint)))
        .collect();
    let children = Interruptible::install()?;
    let mut results: Vec<Vec<Finding>> = Vec::new();
    for part in all.chunks(MOST) {
        thread::scope(|scope| {
            let check = |(target, endpoint): &(&Target, Endpoint)| target::check(target, endpoint, &children);
            let running: Vec<_> = part.iter().map(|one| scope.spawn(move || check(one))).collect();
            results.extend(running.into_iter().map(|one| one.join().unwrap_or_default()));
        });
    }
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
