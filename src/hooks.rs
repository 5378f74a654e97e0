//! Hooks: the operator's programs that run before and after the pass of a source, and those that are told how a mirror does.
//!
//! They are run without a shell, with a bare environment, in a session of their own. A hook that takes too long, or that
//! runs when this program is told to end, is ended with everything that it started: its whole process group gets SIGTERM,
//! and SIGKILL when that did not help.

mod output;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::config::settings::Source;
use crate::config::units::Span;
use crate::exit::Exit;
use crate::report::text;
use crate::rsync::children::{describe, detach};
use output::Output;

/// The variables that a hook sees of the environment of this program: what a script needs to find its way.
const KEPT_ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// How long a hook may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether a hook has ended or has to.
const TICK: Duration = Duration::from_millis(50);

/// What a hook is run for.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// Before anything is done with the source.
    Before,
    /// When all its mirrors are done, with what they come to.
    After(Exit),
    /// When there is something to tell about a mirror, by the key of the hook.
    Notice(&'static str),
}

impl Moment {
    /// The name of its key in the configuration.
    fn key(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::After(_) => "after",
            Moment::Notice(key) => key,
        }
    }

    /// During what it is run.
    fn work(self) -> &'static str {
        match self {
            Moment::Before | Moment::After(_) => "the pass",
            Moment::Notice(_) => "sersync",
        }
    }

    /// The key that limits its time.
    fn limit(self) -> &'static str {
        match self {
            Moment::Before | Moment::After(_) => "hook-timeout",
            Moment::Notice(_) => "timeout` in `[notify]",
        }
    }
}

/// Whom a hook is about.
#[derive(Debug, Clone, Copy)]
struct About<'a> {
    name: &'a str,
    /// What that is the name of.
    kind: &'static str,
}

/// Which hooks have no time any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// None.
    #[default]
    Nothing,
    /// Those before a source: no source is begun any more. Those after one clean up, and still run.
    Beginnings,
    /// All of them: this program is told to end.
    Everything,
}

impl Over {
    fn includes(self, moment: Moment) -> bool {
        match moment {
            Moment::Before => self >= Over::Beginnings,
            Moment::After(_) | Moment::Notice(_) => self >= Over::Everything,
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
    pub fn run(&self, moment: Moment, argv: &[String], source: &Source, timeout: Duration) -> Result<(), String> {
        let mut variables = vec![
            ("SERSYNC_SOURCE", OsString::from(&source.name)),
            ("SERSYNC_PATH", source.path.clone().into_os_string()),
        ];
        if let Moment::After(exit) = moment {
            variables.push(("SERSYNC_EXIT", exit.code().to_string().into()));
        }
        let about = About { name: &source.name, kind: "source" };
        self.run_about(moment, argv, about, variables, timeout)
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
        self.run_about(Moment::Notice(key), argv, About { name: mirror, kind: "mirror" }, variables, timeout)
    }

    fn run_about(
        &self,
        moment: Moment,
        argv: &[String],
        about: About<'_>,
        variables: Vec<(&'static str, OsString)>,
        timeout: Duration,
    ) -> Result<(), String> {
        let Some(program) = argv.first() else { return Ok(()) };
        let (key, About { name, kind }) = (moment.key(), about);
        let shown = text::escaped(program.as_bytes());
        info!("{name}: running the `{key}` hook {shown}");
        let begun = Instant::now();
        self.run_command(moment, &mut command(argv, variables), timeout, &format!("{name}: {key}"))
            .map_err(|how| format!("the `{key}` hook {shown} of {kind} `{name}` {how}"))?;
        info!("{name}: the `{key}` hook is done after {:.1} s", begun.elapsed().as_secs_f64());
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
        moment: Moment,
        command: &mut Command,
        timeout: Duration,
        prefix: &str,
    ) -> Result<(), String> {
        let mut child = self.start(moment, command)?;
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
                    let why = if self.lock().over.includes(moment) {
                        Some(format!("was ended, because {} is", moment.work()))
                    } else if begun.elapsed() >= timeout {
                        Some(format!("was ended, because it took longer than `{}` ({})", moment.limit(), Span(timeout)))
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

    fn start(&self, moment: Moment, command: &mut Command) -> Result<Child, String> {
        // Started under the lock, so that none slips through while the others are being ended.
        let mut running = self.lock();
        if running.over.includes(moment) {
            return Err(format!("was not run, because {} was ended", moment.work()));
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
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            name: "n".into(),
            path: "/p".into(),
            targets: vec![],
            exclude: vec![],
            watch_exclude: vec![],
            marker: None,
            one_file_system: true,
        }
    }

    fn run(hooks: &Hooks, moment: Moment, argv: &[&str]) -> Result<(), String> {
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        hooks.run(moment, &argv, &source(), Duration::from_secs(600))
    }

    #[test]
    fn an_empty_list_is_no_hook() {
        assert_eq!(run(&Hooks::default(), Moment::Before, &[]), Ok(()));
    }

    #[test]
    fn each_end_has_its_words() {
        let hooks = Hooks::default();
        let ended = |argv: &[&str]| run(&hooks, Moment::Before, argv).unwrap_err();
        assert_eq!(
            ended(&["/nowhere/x\n"]),
            "the `before` hook /nowhere/x\\n of source `n` cannot be started: No such file or directory (os error 2)"
        );
        assert!(ended(&["/bin/sh", "-c", "exit 7"]).ends_with(" exited with 7"));
        assert!(ended(&["/bin/sh", "-c", "kill -9 $$"]).ends_with(" was killed by signal 9"));
    }

    #[test]
    fn a_pass_that_is_over_begins_nothing_but_cleans_up() {
        let hooks = Hooks::default();
        hooks.stop(Over::Beginnings);
        assert!(run(&hooks, Moment::Before, &["/bin/true"]).unwrap_err().contains("was not run"));
        assert_eq!(run(&hooks, Moment::After(Exit::Partial), &["/bin/true"]), Ok(()));
        hooks.stop(Over::Everything);
        assert!(run(&hooks, Moment::After(Exit::Partial), &["/bin/true"]).is_err());
    }
}
