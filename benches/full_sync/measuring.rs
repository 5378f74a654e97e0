//! How it is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, MODULE};
use crate::support::machine;
use crate::support::proxy::Proxy;
use crate::support::run::{Peak, Wanted, run};
use crate::support::trees::{Tree, clear, compare};
use crate::tool::{Line, Tool, Work};

/// The round-trip time of the slow line.
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// One tool in one measurement.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) tool: Tool,
    pub(crate) times: Vec<Duration>,
    pub(crate) peak: Peak,
}

/// One piece of work, done by all tools.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) tree: &'static str,
    pub(crate) work: Work,
    pub(crate) line: Line,
    pub(crate) series: Vec<Series>,
    /// The share of the processors that others used before each run, on average.
    pub(crate) used_by_others: f64,
}

impl Measurement {
    pub(crate) fn times(&self, tool: Tool) -> Option<&[Duration]> {
        self.series.iter().find(|series| series.tool == tool).map(|series| series.times.as_slice())
    }
}

/// Everything that is there while it runs. What is declared first is dropped first: the directory comes last.
pub(crate) struct Bench {
    pub(crate) proxy: Proxy,
    pub(crate) daemon: Daemon,
    pub(crate) tools: Vec<Tool>,
    /// Why a tool is left out or its figures are not worth much.
    pub(crate) notes: Vec<String>,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(place: &Path) -> Bench {
        let dir = tempfile::Builder::new().prefix("sersync-bench-").tempdir_in(place).expect("a temp dir");
        let daemon = Daemon::start(dir.path());
        let proxy = Proxy::start(daemon.address(), ROUND_TRIP);
        let (mut tools, mut notes) = (Tool::ALL.to_vec(), Vec::new());
        if machine::version("fpsync", "-h").is_none() {
            tools.retain(|tool| *tool != Tool::Fpsync);
            notes.push("fpsync is not installed (Debian's package is `fpart`), so it is not measured.".to_owned());
        }
        Bench { proxy, daemon, tools, notes, measurements: Vec::new(), dir }
    }

    /// A directory for what a tool remembers.
    fn private(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        dir
    }

    fn mirror(&self, tree: &str, tool: Tool) -> PathBuf {
        self.daemon.module().join(format!("{tree}-{}", tool.name().replace(' ', "")))
    }

    fn command(&self, tool: Tool, source: &Path, tree: &str, line: Line) -> Command {
        let address = match line {
            Line::Loopback => self.daemon.address(),
            Line::Far => self.proxy.address(),
        };
        let url = format!("rsync://{address}/{MODULE}/{tree}-{}", tool.name().replace(' ', ""));
        let contents = format!("{}/", source.display());
        let mut command;
        match tool {
            Tool::Rsync => {
                command = Command::new("rsync");
                command.args(["-rlptDgo", "--delete", &contents, &format!("{url}/")]);
            }
            Tool::RsyncWithHistory => {
                command = Command::new("rsync");
                command.args(["-rlptDgo", "--delete", "--backup", "--backup-dir=/history-backup/rsync"]);
                command.args([&contents, &format!("{url}/")]);
            }
            Tool::Sersync => {
                command = Command::new(env!("CARGO_BIN_EXE_sersync"));
                command.args(["full-sync", "--to", &url, "--from"]).arg(source);
                // Neither the settings nor the state of whoever runs this.
                command.env_remove("SERSYNC_CONFIG").env("STATE_DIRECTORY", self.private("state"));
            }
            Tool::Fpsync => {
                let private = self.private("fpsync");
                command = Command::new("fpsync");
                command.args(["-n", "2", "-E", "-o", "-lptgoD", "-t"]).arg(&private).arg("-d").arg(&private);
                command.args([&contents, &format!("{url}/")]);
            }
        }
        command
    }

    /// One piece of work, in all rounds.
    pub(crate) fn measure(&mut self, name: &'static str, tree: &mut Tree, work: Work, line: Line, rounds: usize) {
        let begun = Instant::now();
        let mut tools = self.tools.clone();
        tools.retain(|tool| tool.takes_part(work, line));
        let mut series: Vec<Series> =
            tools.iter().map(|tool| Series { tool: *tool, times: Vec::new(), peak: Peak::default() }).collect();
        let mut used_by_others = Vec::new();
        let log = self.dir.path().join("client.log");
        for round in 0..=rounds {
            if work == Work::OnePercent {
                tree.change_one_percent();
            }
            let count = series.len();
            for turn in 0..count {
                let series = &mut series[(round + turn) % count];
                if !self.tools.contains(&series.tool) {
                    continue;
                }
                if work == Work::Initial {
                    clear(&self.mirror(name, series.tool));
                    // Nobody has seen it before.
                    clear(&self.private("state"));
                }
                self.settle();
                used_by_others.push(machine::used_by_others());
                let wanted = if round == 0 { Wanted::Memory } else { Wanted::Time };
                let command = self.command(series.tool, &tree.root, name, line);
                match run(command, wanted, &log) {
                    Ok((_, peak)) if round == 0 => series.peak = peak,
                    Ok((time, _)) => series.times.push(time),
                    Err(why) if series.tool == Tool::Fpsync => {
                        self.tools.retain(|tool| *tool != Tool::Fpsync);
                        self.notes.push(format!("fpsync failed ({}) and is left out: {why}", work.name()));
                    }
                    Err(why) => panic!("{}: {}: {why}", series.tool.name(), work.name()),
                }
            }
        }
        series.retain(|series| self.tools.contains(&series.tool));
        for series in &series {
            if let Err(why) = compare(&tree.root, &self.mirror(name, series.tool)) {
                self.notes.push(format!(
                    "After \"{}\" {}'s mirror is not right: {why}",
                    work.name(),
                    series.tool.name()
                ));
            }
        }
        let used_by_others = used_by_others.iter().sum::<f64>() / used_by_others.len() as f64;
        let measurement = Measurement { tree: name, work, line, series, used_by_others };
        eprintln!("  {:7} {:16} {:9} {:4.0} s", name, work.name(), line.name(), begun.elapsed().as_secs_f64());
        self.measurements.push(measurement);
    }

    /// What one run leaves behind must not weigh on the next one.
    fn settle(&self) {
        let history = self.daemon.module().join("history-backup");
        if history.exists() {
            fs::remove_dir_all(&history).expect("remove the history");
        }
        let dir = fs::File::open(self.dir.path()).expect("the temp dir");
        rustix::fs::syncfs(&dir).expect("syncfs");
    }

    pub(crate) fn find(&self, tree: &str, work: Work, line: Line) -> Option<&Measurement> {
        self.measurements.iter().find(|m| m.tree == tree && m.work == work && m.line == line)
    }
}
