//! Hooks: the operator's programs that run before and after the pass of a source, and those that are told how a mirror does.
//!
//! They are run without a shell, with a bare environment, in a session of their own. A hook that takes too long, or that
//! runs when this program is told to end, is ended with everything that it started: its whole process group gets SIGTERM,
//! and SIGKILL when that did not help.

mod output;
mod purpose;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use log::{error, info};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::config::settings::Source;
use crate::config::units::Span;
use crate::mutex::lock;
use crate::report::text;
use crate::rsync::children::{describe, detach};
use output::Output;
pub use purpose::{Over, Purpose};

/// The variables that a hook sees of the environment of this program: what a script needs to find its way.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// How long a hook may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether a hook has ended or has to.
const TICK: Duration = Duration::from_millis(50);

/// Whom a hook is about.
#[derive(Debug, Clone, Copy)]
enum About<'a> {
    Source(&'a str),
    Mirror(&'a str),
}

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            About::Source(name) => write!(f, "source `{name}`"),
            About::Mirror(name) => f.write_str(name),
        }
    }
}

/// All hooks that run now, so that they can be ended from another thread.
#[derive(Debug, Default)]
pub struct Hooks {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// Their process groups. Each leader is reaped only after its group has left the set, so that no number in it can
    /// belong to somebody else.
    groups: HashSet<Pid>,
    over: Over,
}

impl Hooks {
    /// Runs a hook to its end; nothing happens when `argv` is empty. What it prints goes to the log.
    ///
    /// # Errors
    /// One line with the hook, its source and how it ended, unless that was with 0.
    pub fn run(&self, purpose: Purpose, argv: &[String], source: &Source, timeout: Duration) -> Result<(), String> {
        let mut variables = vec![
            ("SERSYNC_SOURCE", OsString::from(&source.name)),
            ("SERSYNC_PATH", source.path.clone().into_os_string()),
        ];
        if let Purpose::After(exit) = purpose {
            variables.push(("SERSYNC_EXIT", exit.code().to_string().into()));
        }
        self.run_about(purpose, argv, About::Source(&source.name), variables, timeout)
    }

    /// Tells something about a mirror, by the hook with this key.
    ///
    /// # Errors
    /// One line with the hook, the mirror and how it ended, unless that was with 0.
    pub fn notify(
        &self,
        key: &'static str,
        argv: &[String],
        mirror: &str,
        variables: Vec<(&'static str, OsString)>,
        timeout: Duration,
    ) -> Result<(), String> {
        self.run_about(Purpose::Notice(key), argv, About::Mirror(mirror), variables, timeout)
    }

    fn run_about(
        &self,
        purpose: Purpose,
        argv: &[String],
        about: About<'_>,
        variables: Vec<(&'static str, OsString)>,
        timeout: Duration,
    ) -> Result<(), String> {
        let Some(program) = argv.first() else { return Ok(()) };
        let key = purpose.key();
        let shown = text::escaped(program.as_bytes());
        info!("{about}: running the `{key}` hook {shown}");
        let begun = Instant::now();
        self.run_command(purpose, &mut command(argv, variables), timeout, &format!("{about}: {key}"))
            .map_err(|how| format!("the `{key}` hook {shown} of {about} {how}"))?;
        info!("{about}: the `{key}` hook is done after {:.1} s", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Ends the hooks that run although they have no time any more, in order, and lets no further one start.
    pub fn stop(&self, over: Over) {
        let mut running = self.lock();
        running.over = running.over.max(over);
    }

    /// Ends all hooks at once.
    pub fn kill(&self) {
        let mut running = self.lock();
        running.over = Over::Everything;
        for group in &running.groups {
            // One that ended in the meantime needs no signal.
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    /// Runs it; the error is how it ended.
    fn run_command(
        &self,
        purpose: Purpose,
        command: &mut Command,
        timeout: Duration,
        prefix: &str,
    ) -> Result<(), String> {
        let mut child = self.start(purpose, command)?;
        let group = Pid::from_child(&child);
        let begun = Instant::now();
        let mut output = Output::new(&mut child, |line| info!("{prefix}: {line}"));
        let mut ending: Option<(String, Instant)> = None;
        loop {
            output.listen(TICK);
            let exited = has_exited(group);
            match &ending {
                None if exited => break,
                None => {
                    let why = if self.lock().over.includes(purpose) {
                        Some(format!("was ended, because {} is", purpose.work()))
                    } else if begun.elapsed() >= timeout {
                        Some(format!(
                            "was ended, because it took longer than `{}` ({})",
                            purpose.limit(),
                            Span(timeout)
                        ))
                    } else {
                        None
                    };
                    if let Some(why) = why {
                        // It may be ending by itself right now.
                        let _ = kill_process_group(group, Signal::TERM);
                        ending = Some((why, Instant::now()));
                    }
                }
                // While somebody has the pipes open, some of what it started is still busy ending.
                Some((_, since)) if since.elapsed() < GRACE && !(exited && output.is_closed()) => {}
                Some(_) => {
                    // Whoever is left, if anybody.
                    let _ = kill_process_group(group, Signal::KILL);
                    break;
                }
            }
        }
        output.finish();
        self.lock().groups.remove(&group);
        let status = child.wait().map_err(|e| format!("cannot be waited for: {e}"))?;
        let how = match ending {
            Some((why, _)) => why,
            None if status.success() => return Ok(()),
            None => describe(status),
        };
        for line in output.last_lines() {
            error!("{prefix}: {line}");
        }
        Err(how)
    }

    fn start(&self, purpose: Purpose, command: &mut Command) -> Result<Child, String> {
        // Started under the lock, so that none slips through while the others are being ended.
        let mut running = self.lock();
        if running.over.includes(purpose) {
            return Err(format!("was not run, because {} was ended", purpose.work()));
        }
        let child = command.spawn().map_err(|e| format!("cannot be started: {e}"))?;
        running.groups.insert(Pid::from_child(&child));
        Ok(child)
    }

    /// Whether they are all to end.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.lock().over == Over::Everything
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        lock(&self.running)
    }
}

fn command(argv: &[String], variables: Vec<(&'static str, OsString)>) -> Command {
    let mut command = Command::new(argv.first().map_or("", String::as_str));
    command.args(argv.iter().skip(1)).env_clear().current_dir("/");
    for name in KEPT_ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(variables);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // When this process is killed, the hook is asked to end: the next run starts it anew.
    detach(&mut command, Signal::TERM);
    command
}

/// Whether the process has ended. It is not reaped, so that its number stays its own.
fn has_exited(process: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(process), options) {
        Ok(status) => status.is_some(),
        Err(e) if io::Error::from(e).kind() == io::ErrorKind::Interrupted => false,
        // There is nothing to wait for; reaping it will say why.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests;
