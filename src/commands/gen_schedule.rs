//! `gen-schedule`: crontab lines or timers for everything that has to run regularly.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::{Arguments, End, setup};
use crate::cli::{Global, exit_status};
use crate::config::{locate, server};
use crate::exit::{Exit, Failure};
use crate::generated::{self, File, Found, Secrets, marked};
use crate::mirror::Mirror;
use crate::report::{self, text};
use crate::schedule;

/// Write crontab lines or timers of systemd for what has to run regularly
///
/// A `full-sync` for each source as often as `every` in [full-sync] says, at different times; `prune-history` every day, if a
/// history is kept; and every week a `verify` that compares some of the files. `every` may be an interval that no crontab can
/// say: then the pass is started more often, with --if-older-than. Without --out it only prints them.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
#[command(group = clap::ArgGroup::new("form").required(true).args(["cron", "systemd"]))]
#[allow(clippy::struct_excessive_bools, reason = "these are the switches of a command line")]
pub(super) struct GenScheduleArgs {
    /// Names of configured sources [default: all]
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// Lines of a crontab
    #[arg(long)]
    cron: bool,

    /// Services and timers of systemd
    #[arg(long)]
    systemd: bool,

    /// Who runs it. In a crontab this adds the field that the files of /etc/cron.d have [default there: root]
    #[arg(long, value_name = "USER", value_parser = server::account)]
    user: Option<String>,

    /// Write into this directory: /etc/cron.d, or /etc/systemd/system
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Only show what --out would change, as a patch
    #[arg(long, requires = "out")]
    diff: bool,

    /// Also replace files that somebody else has written or edited
    #[arg(long, requires = "out")]
    force: bool,

    /// The program that is started [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,

    /// What the times depend on, so that many hosts do not begin at once [default: the name of this host]
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  sersync gen-schedule --cron               lines for `crontab -e`
  sersync gen-schedule --cron --out /etc/cron.d
                                            a file of its own there, for root
  sersync gen-schedule --systemd --out /etc/systemd/system
                                            services and timers, which are named for `systemctl enable --now`

Passes that are due once a day or less often begin between 1 and 5 o'clock. A source that is taken out of the configuration
leaves its timer behind: disable it, and remove its two files.

";

impl Arguments for GenScheduleArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self).map(End::Exit)
    }
}

/// Who writes these files.
const COMMAND: &str = "gen-schedule";

fn run(global: &Global, args: &GenScheduleArgs) -> Result<Exit> {
    let settings = setup::load(global)?;
    // For the sake of its words about names that are not configured.
    Mirror::select(&settings, &args.sources)?;
    let seed = args.seed.clone().unwrap_or_else(host_name);
    let jobs = schedule::jobs(&settings, &args.sources, &seed);
    let program = program(global, args)?;
    let out = args.out.as_deref();
    let bodies = if args.systemd {
        let units = schedule::units(&jobs, &program, args.user.as_deref());
        units.into_iter().map(|unit| (unit.name, unit.text)).collect()
    } else {
        // The files of /etc/cron.d say in each line who runs it.
        let user = match &args.user {
            Some(user) => Some(name_of(user)?),
            None => out.map(|_| "root".to_owned()),
        };
        vec![("sersync".to_owned(), schedule::crontab(&jobs, &program, user.as_deref()))]
    };
    let Some(out) = out else {
        print(args, &bodies)?;
        return Ok(Exit::Done);
    };
    let _lock = if args.diff { None } else { generated::lock(out, COMMAND)? };
    let of = of(global, args)?;
    let mut files = Vec::new();
    for (name, body) in bodies {
        let body = format!("{of}\n{body}");
        let file = File { path: out.join(name), text: marked(COMMAND, &body), mode: 0o644, secret: false };
        let found = file.look().with_context(|| text::cannot_be("read", &file.path))?;
        files.push((file, found));
    }
    if args.diff {
        let shown: String = files.iter().map(|(file, found)| file.diff(found, Secrets::Hidden)).collect();
        report::print(&shown)?;
        return Ok(Exit::Done);
    }
    generated::refuse_foreign(&files, args.force)?;
    refuse_other(&files, &of, args)?;
    generated::clear(files.iter().map(|(file, _)| file.path.as_path()))
        .context("what an earlier run left cannot be removed")?;
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
fn of(global: &Global, args: &GenScheduleArgs) -> Result<String> {
    let config = locate::locate(global.config.as_deref()).map_err(Failure::from)?;
    let config = std::path::absolute(&config).with_context(|| text::cannot_be("found", &config))?;
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
                "{path} is a schedule of something else, and nothing is changed (\"{other}\"); give this one another --out, or \
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
fn program(global: &Global, args: &GenScheduleArgs) -> Result<Vec<String>> {
    let program = match &args.program {
        Some(program) if !program.is_absolute() => {
            let why = format!(
                "--program {}: write its whole path; cron and systemd look in none of ours",
                text::path(program)
            );
            return Err(Failure::new(Exit::Usage, why).into());
        }
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(|e| {
            let why = format!("where this program is cannot be found out: {e}; say it by --program");
            Failure::new(Exit::Failed, why)
        })?,
    };
    // Of quotes and the like systemd makes something else in the first word of a command line than in the others.
    if args.systemd && program.as_os_str().as_encoded_bytes().iter().any(|byte| b"'\"\\$".contains(byte)) {
        let why = format!(
            "{}: systemd starts no program whose path has a quote, a backslash or a dollar sign: put it elsewhere, and say \
             where by --program",
            text::path(&program)
        );
        return Err(Failure::new(Exit::Usage, why).into());
    }
    let mut words = vec![program];
    let config = locate::locate(global.config.as_deref()).map_err(Failure::from)?;
    // Of several, as systemd sets them, the first is the one for state.
    let from_environment = || {
        let dirs = std::env::var_os("STATE_DIRECTORY").filter(|dirs| !dirs.is_empty())?;
        std::env::split_paths(&dirs).next()
    };
    let state = global.state_dir.clone().or_else(from_environment);
    for (option, path) in [("-c", Some(config)), ("--state-dir", state)] {
        let Some(path) = path.filter(|path| path != Path::new(locate::SYSTEM)) else { continue };
        let path = std::path::absolute(&path).with_context(|| text::cannot_be("found", &path))?;
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

/// The name of a user. cron knows no numbers, and ignores a file with one as a whole.
fn name_of(user: &str) -> Result<String, Failure> {
    let Ok(number) = user.parse::<u32>() else { return Ok(user.to_owned()) };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.get(2).is_some_and(|uid| uid.parse() == Ok(number)));
    found.and_then(|fields| fields.first().map(|name| (*name).to_owned())).ok_or_else(|| {
        let why = format!(
            "--user {user}: cron knows users by name only, and /etc/passwd has none with this number: name one"
        );
        Failure::new(Exit::Usage, why)
    })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
