//! `check-kernel`: whether this host can watch its sources, and the limits of the kernel raised where it cannot.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use log::warn;
use serde_json::json;

use super::{Arguments, End, setup};
use crate::check::kernel::{self, Kernel, sysctl};
use crate::cli::{Global, exit_status};
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, marked};
use crate::mirror::Mirror;
use crate::report::json::Object;
use crate::report::{self, findings, text};

/// Find out whether this host can watch its sources
///
/// The directories of the sources are counted, and the limits of the kernel are compared with what that needs. It says how
/// each source would be watched, and why; what changes on its file system can be seen; and what is known of this host's
/// rsync. What should be changed is said with the command for it. Ends with 0 when all is well, with 3 when something could
/// be better, and with 1 when something will not work.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct CheckKernelArgs {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Print the file for /etc/sysctl.d that raises what is too low, and nothing else
    #[arg(long, conflicts_with_all = ["fix", "json"])]
    sysctl: bool,

    /// Raise what is too low, at once and in /etc/sysctl.d/60-sersync.conf; nothing is ever lowered. For root
    #[arg(long)]
    fix: bool,

    /// Look at the host whose root directory this is, with its /proc, /etc and sources
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: PathBuf,

    /// Print one JSON object per check
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync check-kernel                      all sources
  sersync check-kernel --fix                raise what is too low, now and for every start
  sersync check-kernel --sysctl >/etc/sysctl.d/60-sersync.conf && sysctl --system
                                            the same by hand
  sersync check-kernel --json               for programs

Limits for watches and queues hold for all processes of a user together: run it as the user who runs watch.

With --json each line is an object. sersync-check-kernel(8) lists the fields.

";

impl Arguments for CheckKernelArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self).map(End::Exit)
    }
}

/// Who writes the drop-in.
const COMMAND: &str = "check-kernel";

/// The object of something that was mended.
pub(crate) static DONE: Object = Object {
    kind: "done",
    printed: "with --fix, for each change",
    fields: &[&[("done", "what was changed")]],
    sometimes: &[],
};

fn run(global: &Global, args: &CheckKernelArgs) -> Result<Exit> {
    let settings = setup::load(global)?;
    // For the sake of its words about names that are not configured.
    Mirror::select(&settings, &args.sources)?;
    if !args.root.is_dir() {
        let why = format!("--root: {} is no directory; name the root directory of a host", text::path(&args.root));
        return Err(Failure::new(Exit::Usage, why).into());
    }
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
    let path = sysctl::place(root).context("/etc/sysctl.d cannot be found")?;
    // A link is somebody's, and may lead anywhere.
    let old = if path.is_symlink() {
        None
    } else {
        generated::read(&path).with_context(|| text::cannot_be("read", &path))?
    };
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
    let refused =
        |e: io::Error| Failure::new(Exit::Failed, format!("{shown} cannot be written: {}", generated::advised(e)));
    if file.path.is_symlink() {
        let why = format!("{shown} is a symbolic link, and nothing is changed; remove it, and try again");
        return Err(Failure::new(Exit::Refused, why).into());
    }
    match file.look().map_err(refused)? {
        Found::Same => {}
        Found::Foreign(_) => {
            let why = format!(
                "{shown} was written or edited by somebody else, and nothing is changed; rename it, and try again"
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
            // A container has this part of /proc for reading only.
            let remedy = match e.kind() {
                io::ErrorKind::PermissionDenied => "run it as root",
                _ => "in a container, raise it on the host",
            };
            Failure::new(Exit::Failed, format!("{} cannot be raised: {e}; {remedy}", wanted.key))
        })?;
        if raised {
            done.push(format!("raised {} to {}", wanted.key, wanted.value));
        }
    }
    Ok(done)
}
