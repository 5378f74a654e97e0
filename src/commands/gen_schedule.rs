//! `gen-schedule`: crontab lines or timers for everything that has to run regularly.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::setup;
use crate::cli::{Cli, GenScheduleArgs};
use crate::config::locate;
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, marked};
use crate::mirror::Mirror;
use crate::report::{self, text};
use crate::schedule;

/// Who writes these files.
const COMMAND: &str = "gen-schedule";

pub(super) fn run(cli: &Cli, args: &GenScheduleArgs) -> Result<Exit> {
    let settings = setup::load(cli)?;
    // For the sake of its words about names that are not configured.
    Mirror::select(&settings, &args.sources)?;
    let seed = args.seed.clone().unwrap_or_else(host_name);
    let jobs = schedule::jobs(&settings, &args.sources, &seed);
    let program = program(cli, args)?;
    let out = args.out.as_deref();
    let bodies = if args.systemd {
        let units = schedule::units(&jobs, &program, args.user.as_deref());
        units.into_iter().map(|unit| (unit.name, unit.text)).collect()
    } else {
        // The files of /etc/cron.d say in each line who runs it.
        let user = args.user.as_deref().or_else(|| out.map(|_| "root"));
        vec![("sersync".to_owned(), schedule::crontab(&jobs, &program, user))]
    };
    let Some(out) = out else {
        print(args, &bodies)?;
        return Ok(Exit::Done);
    };
    let _lock = if args.diff { None } else { generated::lock(out, COMMAND)? };
    let of = of(cli, args)?;
    let mut files = Vec::new();
    for (name, body) in bodies {
        let body = format!("{of}\n{body}");
        let file = File { path: out.join(name), text: marked(COMMAND, &body), mode: 0o644, secret: false };
        let found = file.look().with_context(|| format!("cannot read {}", text::path(&file.path)))?;
        files.push((file, found));
    }
    if args.diff {
        let shown: String = files.iter().map(|(file, found)| file.diff(found, false)).collect();
        report::print(&shown)?;
        return Ok(Exit::Done);
    }
    generated::refuse_foreign(&files, args.force)?;
    refuse_other(&files, &of, args)?;
    generated::clear(files.iter().map(|(file, _)| file.path.as_path()))
        .context("cannot remove what an earlier run left")?;
    let mut said = String::new();
    let written = generated::write(&files, &mut said);
    if written.is_ok() {
        said += &next_steps(args, &files);
    }
    report::print(&said)?;
    written?;
    Ok(Exit::Done)
}

/// What the line begins with that says of what a schedule is.
const OF: &str = "# Of the configuration ";

/// The line that says of which configuration and of which sources a schedule is.
fn of(cli: &Cli, args: &GenScheduleArgs) -> Result<String> {
    let config = locate::locate(cli.config.as_deref()).map_err(Failure::from)?;
    let config = std::path::absolute(&config).with_context(|| format!("cannot find {}", text::path(&config)))?;
    let mut names = args.sources.clone();
    names.sort();
    names.dedup();
    let names: Vec<String> = names.iter().map(|name| text::escaped(name.as_bytes())).collect();
    let sources = if names.is_empty() { "all".to_owned() } else { names.join(" ") };
    Ok(format!("{OF}{}, sources: {sources}.", text::path(&config)))
}

/// Refuses to replace the schedule of another configuration, or of other sources, unless it is forced.
fn refuse_other(files: &[(File, Found)], of: &str, args: &GenScheduleArgs) -> Result<(), Failure> {
    for (file, found) in files {
        let Found::Ours(old) = found else { continue };
        let other = old.lines().find(|line| line.starts_with(OF)).filter(|other| *other != of && !args.force);
        if let Some(other) = other {
            let (path, other) = (text::path(&file.path), text::escaped(other.trim_start_matches("# ").as_bytes()));
            let why = format!(
                "{path} is a schedule of something else, and nothing is changed (\"{other}\"): give this one another --out, or \
                 replace it by --force"
            );
            return Err(Failure::new(Exit::Refused, why));
        }
    }
    Ok(())
}

/// Prints the lines of a crontab as they are, and units with the names of their files.
fn print(args: &GenScheduleArgs, bodies: &[(String, String)]) -> Result<()> {
    let mut shown = String::new();
    for (at, (name, body)) in bodies.iter().enumerate() {
        if args.systemd {
            let gap = if at == 0 { "" } else { "\n" };
            let _ = writeln!(shown, "{gap}# /etc/systemd/system/{name}");
        }
        shown.push_str(body);
    }
    Ok(report::print(&shown)?)
}

/// What is left to do by hand.
fn next_steps(args: &GenScheduleArgs, files: &[(File, Found)]) -> String {
    if !args.systemd {
        return String::new();
    }
    let names = files.iter().filter_map(|(file, _)| file.path.file_name()?.to_str());
    let timers: Vec<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "timer"))
        .map(|n| format!("'{n}'"))
        .collect();
    format!("\nStart them with: systemctl daemon-reload && systemctl enable --now {}\n", timers.join(" "))
}

/// The program with the options that lead it to the same configuration and state.
fn program(cli: &Cli, args: &GenScheduleArgs) -> Result<Vec<String>> {
    let program = match &args.program {
        Some(program) if !program.is_absolute() => {
            let why = format!(
                "--program {}: write its whole path; cron and systemd look in none of ours",
                text::path(program)
            );
            return Err(Failure::new(Exit::Usage, why).into());
        }
        Some(program) => program.clone(),
        None => std::env::current_exe().context("cannot find out where this program is; say it by --program")?,
    };
    let mut words = vec![program];
    let config = locate::locate(cli.config.as_deref()).map_err(Failure::from)?;
    // Of several, as systemd sets them, the first is the one for state.
    let from_environment = || {
        let dirs = std::env::var_os("STATE_DIRECTORY").filter(|dirs| !dirs.is_empty())?;
        std::env::split_paths(&dirs).next()
    };
    let state = cli.state_dir.clone().or_else(from_environment);
    for (option, path) in [("-c", Some(config)), ("--state-dir", state)] {
        let Some(path) = path.filter(|path| path != Path::new(locate::SYSTEM)) else { continue };
        let path = std::path::absolute(&path).with_context(|| format!("cannot find {}", text::path(&path)))?;
        words.extend([PathBuf::from(option), path]);
    }
    let usable = |word: PathBuf| {
        let shown = text::path(&word);
        let word = word.into_os_string().into_string().ok().filter(|word| !word.chars().any(char::is_control));
        word.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{shown}: no crontab and no unit can hold this name; rename it"))
        })
    };
    Ok(words.into_iter().map(usable).collect::<Result<Vec<String>, Failure>>()?)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
