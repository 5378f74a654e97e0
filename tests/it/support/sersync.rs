//! Runs the program as a user does: its arguments, its exit code, and everything that it says.

use std::ffi::OsStr;
use std::fmt::{self, Debug, Write as _};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{SOON, events, holds_within, process};

/// A command that has not ended after this long hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What is handed on of the environment: where programs are, the language, and where coverage is written.
const KEPT: [&str; 4] = ["PATH", "LANG", "TMPDIR", "LLVM_PROFILE_FILE"];

/// Writes a configuration file into the directory. It asks for the event source that the test runs with, if for any.
pub(crate) fn config(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("sersync.toml");
    std::fs::write(&path, events::asked_for(text)).expect("write the configuration");
    path
}

/// A run that is being prepared. It sees no configuration and no state but what the test gives it.
#[derive(Debug)]
pub(crate) struct Sersync {
    command: Command,
    limit: Duration,
    private: TempDir,
}

impl Sersync {
    /// The program with these arguments, a state directory of its own and an empty home.
    pub(crate) fn new<S: AsRef<OsStr>>(args: &[S]) -> Self {
        Self::of(env!("CARGO_BIN_EXE_sersync"), args)
    }

    /// The program as somebody without privileges runs it: a copy in this directory, which everybody may enter then.
    pub(crate) fn as_nobody<S: AsRef<OsStr>>(dir: &TempDir, args: &[S]) -> Self {
        let program = dir.path().join("sersync");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        std::fs::copy(env!("CARGO_BIN_EXE_sersync"), &program).expect("a copy of the program");
        let sersync = if super::is_root() {
            Self::of("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program)
        } else {
            Self::of(program.to_str().expect("a path"), &[""; 0])
        };
        sersync.args(args)
    }

    /// Any other program under the same conditions.
    pub(crate) fn of<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Self {
        let private = tempfile::Builder::new().prefix("sersync-").tempdir().expect("a temp dir");
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(KEPT.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
        // An own home as well: the real one may hold a configuration.
        for (variable, name) in [("HOME", "home"), ("STATE_DIRECTORY", "state")] {
            let dir = private.path().join(name);
            std::fs::create_dir(&dir).expect("a directory");
            command.env(variable, dir);
        }
        Sersync { command, limit: LIMIT, private }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: &[S]) -> Self {
        self.command.args(args);
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// A state directory that outlives the run, for several runs that belong together.
    pub(crate) fn state_dir(self, dir: &Path) -> Self {
        self.env("STATE_DIRECTORY", dir)
    }

    /// Where it is started.
    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// The same on a terminal of its own, of this size, which is both standard output and standard error.
    pub(crate) fn on_terminal(mut self, columns: u16, rows: u16) -> Self {
        let mut line = format!("stty cols {columns} rows {rows} && exec").into_bytes();
        for word in std::iter::once(self.command.get_program()).chain(self.command.get_args()) {
            line.extend_from_slice(b" '");
            line.extend(word.as_bytes().iter().flat_map(|b| if *b == b'\'' { b"'\\''".to_vec() } else { vec![*b] }));
            line.push(b'\'');
        }
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command"]).arg(OsStr::from_bytes(&line)).arg("/dev/null");
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.envs(self.command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        self.command = command;
        self
    }

    /// How long `run` may take.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end. A run that exceeds the limit is killed, and the test with it.
    pub(crate) fn run(self) -> Output {
        let limit = self.limit;
        let running = self.spawn();
        if process::ends_within(&running.child, limit) {
            return running.collect();
        }
        let what = running.what.clone();
        panic!("{what} hangs: it was killed after {limit:?}\n{}", running.kill());
    }

    /// Starts it and lets it run.
    pub(crate) fn spawn(mut self) -> Running {
        let what = describe(&self.command);
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = Collector::new(child.stdout.take().expect("a pipe"));
        let stderr = Collector::new(child.stderr.take().expect("a pipe"));
        Running { what, child, stdout, stderr, private: self.private }
    }
}

/// A run that goes on. When the value goes, the process is ended.
#[derive(Debug)]
pub(crate) struct Running {
    what: String,
    child: Child,
    stdout: Collector,
    stderr: Collector,
    /// Its state and home, which must last as long as it runs.
    private: TempDir,
}

impl Running {
    /// Its process id, for tests that look at the process from outside.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error until now.
    pub(crate) fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to standard output until now.
    pub(crate) fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// Waits until standard error holds the text. An end of the process is an end of the waiting too.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str, limit: Duration) {
        let mut ended = false;
        let found = holds_within(limit, || {
            // In this order: what is written just before the end is still seen.
            let gone = process::ends_within(&self.child, Duration::ZERO) && self.stderr.is_complete();
            let found = self.stderr.text().contains(text);
            ended = gone && !found;
            found || gone
        });
        let why = if ended { "the process has ended".to_owned() } else { format!("{limit:?} have passed") };
        assert!(found && !ended, "{}: no {text:?} in the log, and {why}:\n{}", self.what, self.stderr.text());
    }

    /// Sends any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }

    /// Types on the terminal that it runs on.
    pub(crate) fn type_in(&self, keys: &str) {
        let mut keyboard = self.child.stdin.as_ref().expect("a terminal");
        keyboard.write_all(keys.as_bytes()).expect("type");
    }

    /// Asks it to end, waits for that and returns what it said.
    #[track_caller]
    pub(crate) fn terminate(self) -> Output {
        self.signal(Signal::TERM);
        self.wait(SOON)
    }

    /// Waits for an end that comes by itself.
    #[track_caller]
    pub(crate) fn wait(self, limit: Duration) -> Output {
        if process::ends_within(&self.child, limit) {
            return self.collect();
        }
        let what = self.what.clone();
        panic!("{what} does not end: it was killed after {limit:?}\n{}", self.kill());
    }

    /// Kills it: no last words, no tidying up.
    pub(crate) fn kill(self) -> Output {
        self.signal(Signal::KILL);
        self.collect()
    }

    fn collect(mut self) -> Output {
        let status = self.child.wait().expect("wait");
        Output::new(self.what.clone(), status, self.stdout.rest(), self.stderr.rest())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already reaped when its output was collected; then there is nothing to signal.
        if matches!(self.child.try_wait(), Ok(None)) {
            // A chance to end its own children first.
            process::signal(&self.child, Signal::TERM);
            if !process::ends_within(&self.child, SOON) {
                process::signal(&self.child, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// What is left of a run.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    what: String,
}

impl Output {
    fn new(what: String, status: ExitStatus, stdout: String, stderr: String) -> Self {
        Output { code: status.code(), signal: status.signal(), stdout, stderr, what }
    }

    /// Panics, with all that was said, unless it ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert!(self.code == Some(code), "wanted exit code {code}\n{self}");
        self
    }

    /// Panics unless this signal ended it.
    #[track_caller]
    pub(crate) fn signal(self, signal: Signal) -> Self {
        assert!(self.signal == Some(signal.as_raw()), "wanted signal {}\n{self}", signal.as_raw());
        self
    }

    /// Panics when it said anything at all.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert!(self.stdout.is_empty() && self.stderr.is_empty(), "wanted silence\n{self}");
        self
    }

    /// Panics unless standard output holds the text.
    #[track_caller]
    pub(crate) fn stdout_has(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "wanted {text:?} on stdout\n{self}");
        self
    }

    /// Panics unless standard error holds the text.
    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "wanted {text:?} on stderr\n{self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Output { code, signal, stdout, stderr, what } = self;
        write!(f, "{what}\ncode {code:?}, signal {signal:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut line = program.display().to_string();
    for arg in command.get_args() {
        // In quotes and escaped: an argument may hold anything.
        let arg: &dyn Debug = &arg;
        write!(line, " {arg:?}").unwrap();
    }
    line
}

/// Reads a pipe in a thread of its own, so that the process never waits for the test.
#[derive(Debug)]
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => shared.lock().unwrap().extend_from_slice(&buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => panic!("read from the program: {error}"),
                }
            }
        });
        Collector { bytes, thread }
    }

    fn is_complete(&self) -> bool {
        self.thread.is_finished()
    }

    /// What was read until now. Bytes that are not UTF-8 are replaced.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Everything, once the process has ended. A child that it left behind may hold the pipe open for ever: that is
    /// waited for only so long.
    fn rest(&self) -> String {
        holds_within(SOON, || self.is_complete());
        self.text()
    }
}
