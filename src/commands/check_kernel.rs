//! `check-kernel`: whether this host can watch its sources, and the limits of the kernel raised where it cannot.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use log::warn;
use serde_json::json;

use super::setup;
use crate::check::kernel::{self, Kernel, sysctl};
use crate::cli::{CheckKernelArgs, Cli};
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, marked};
use crate::mirror::Mirror;
use crate::report::json::Object;
use crate::report::{self, findings, text};

/// Who writes the drop-in.
const COMMAND: &str = "check-kernel";

/// The object of something that was mended.
pub(crate) static DONE: Object = Object {
    kind: "done",
    printed: "with --fix, for each change",
    fields: &[("done", "what was changed")],
    sometimes: &[],
};

pub(super) fn run(cli: &Cli, args: &CheckKernelArgs) -> Result<Exit> {
    let settings = setup::load(cli)?;
    // For the sake of its words about names that are not configured.
    Mirror::select(&settings, &args.sources)?;
    let mut kernel = kernel::check(&settings, &args.sources, &args.root);
    if args.sysctl {
        report::print(&drop_in(&args.root, &kernel)?.text)?;
        // What the file cannot do has to be done by hand.
        for finding in kernel.findings.iter().filter(|finding| finding.check == kernel::AT_START) {
            warn!("{}: {}", finding.found, finding.remedy.as_deref().unwrap_or_default());
        }
        return Ok(Exit::Done);
    }
    let mut said = String::new();
    if args.fix {
        for done in fix(&args.root, &kernel)? {
            let _ = if args.json {
                writeln!(said, "{}", json!({ "type": "done", "done": done }))
            } else {
                writeln!(said, "{done}")
            };
        }
        kernel = kernel::check(&settings, &args.sources, &args.root);
    }
    if args.json {
        for finding in &kernel.findings {
            let _ = writeln!(said, "{}", report::json::line(&finding.json(None)));
        }
    } else {
        for line in findings::table(&kernel.findings) {
            let _ = writeln!(said, "{line}");
        }
    }
    report::print(&said)?;
    Ok(findings::worst(&kernel.findings))
}

fn drop_in(root: &Path, kernel: &Kernel) -> Result<File> {
    let path = sysctl::place(root).context("cannot find /etc/sysctl.d")?;
    // A link is somebody's, and may lead anywhere.
    let old = if path.is_symlink() { None } else { generated::read(&path).with_context(|| cannot_read(&path))? };
    let text = marked(COMMAND, &sysctl::drop_in(&kernel.wanted, &old.unwrap_or_default(), &kernel.boot));
    Ok(File { path, text, mode: 0o644, secret: false })
}

/// Raises what is too low; a line for each thing that was done.
fn fix(root: &Path, kernel: &Kernel) -> Result<Vec<String>> {
    let mut done = Vec::new();
    if kernel.wanted.is_empty() {
        return Ok(done);
    }
    let file = drop_in(root, kernel)?;
    let shown = text::path(&file.path);
    let refused = |e: io::Error| {
        let remedy = if e.kind() == io::ErrorKind::PermissionDenied { "; run it as root" } else { "" };
        Failure::new(Exit::Failed, format!("cannot write {shown}: {e}{remedy}"))
    };
    if file.path.is_symlink() {
        let why = format!("{shown} is a symbolic link, and nothing is changed: remove it, and try again");
        return Err(Failure::new(Exit::Refused, why).into());
    }
    match file.look().map_err(refused)? {
        Found::Same => {}
        Found::Foreign(_) => {
            let why = format!(
                "{shown} was written or edited by somebody else, and nothing is changed: rename it, and try again"
            );
            return Err(Failure::new(Exit::Refused, why).into());
        }
        Found::Nothing | Found::Ours(_) => {
            generated::place(&file).map_err(refused)?;
            done.push(format!("written {shown}"));
        }
    }
    for wanted in &kernel.wanted {
        let raised = sysctl::raise(root, wanted).map_err(|e| {
            let key = wanted.key;
            Failure::new(Exit::Failed, format!("{key} cannot be raised: {e}; in a container, raise it on the host"))
        })?;
        if raised {
            done.push(format!("raised {} to {}", wanted.key, wanted.value));
        }
    }
    Ok(done)
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", text::path(path))
}
