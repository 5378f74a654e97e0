//! How long a full pass takes: sersync, rsync by itself and fpsync (of Debian's package `fpart`), side by side.
//!
//! Every tool has a mirror of its own on the same daemon. In each round the state is made the same for all of them,
//! then they run one after the other, and every round begins with another one. A first round is not timed: in it the
//! memory is measured. The figures of `benches/RESULTS.md` are written here, and none of them decides anything.
//!
//! `BENCH_RUNS` is the number of rounds, `BENCH_SCALE` makes the tree smaller; see `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a bench that cannot go on has nobody to tell but its user, and its figures are small"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, MODULE};
use support::machine;
use support::proxy::Proxy;
use support::run::{Peak, Wanted, run};
use support::statistics::{difference, median_time, ratio};
use support::table::{Align, Table, publish};
use support::trees::{FILE, Shape, Tree, clear, compare};
use support::{number, seconds};

/// The round-trip time of the slow line.
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// Rounds on the slow line, where waiting varies less than work does.
const ROUNDS_FAR: usize = 3;
/// From this share of the processors on, what others do shows in the figures.
const BUSY: f64 = 0.1;
/// A tree that is as large as those that matter: 200,000 files in 21,000 directories.
const LARGE: Shape = Shape { levels: &[20, 50, 20], scale: 1.0, files: 10 };
/// A tree for which the start of the programs is all that counts.
const SMALL: Shape = Shape { levels: &[10], scale: 1.0, files: 10 };

/// The tools that are compared. The others are compared with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Rsync,
    Sersync,
    Fpsync,
    /// rsync that keeps what it replaces, as sersync does.
    RsyncWithHistory,
}

impl Tool {
    const ALL: [Tool; 4] = [Tool::Rsync, Tool::Sersync, Tool::Fpsync, Tool::RsyncWithHistory];

    /// Whether the tool has something to show there: fpsync is left out on the slow line, and a history where nothing is
    /// replaced.
    fn takes_part(self, work: Work, line: Line) -> bool {
        match self {
            Tool::Rsync | Tool::Sersync => true,
            Tool::Fpsync => line == Line::Loopback,
            Tool::RsyncWithHistory => work == Work::OnePercent && line == Line::Loopback,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tool::Rsync => "rsync",
            Tool::Sersync => "sersync",
            Tool::Fpsync => "fpsync",
            Tool::RsyncWithHistory => "rsync --backup",
        }
    }
}

/// What there is to do for a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Initial,
    Nothing,
    OnePercent,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Initial => "initial copy",
            Work::Nothing => "nothing changed",
            Work::OnePercent => "1% changed",
        }
    }
}

/// Where the daemon is, and so which tools and how many rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Loopback,
    Far,
}

impl Line {
    fn name(self) -> &'static str {
        match self {
            Line::Loopback => "loopback",
            Line::Far => "40 ms",
        }
    }
}

/// One tool in one measurement.
#[derive(Debug)]
struct Series {
    tool: Tool,
    times: Vec<Duration>,
    peak: Peak,
}

/// One piece of work, done by all tools.
#[derive(Debug)]
struct Measurement {
    tree: &'static str,
    work: Work,
    line: Line,
    series: Vec<Series>,
    /// The share of the processors that others used before each run, on average.
    used_by_others: f64,
}

impl Measurement {
    fn times(&self, tool: Tool) -> Option<&[Duration]> {
        self.series.iter().find(|series| series.tool == tool).map(|series| series.times.as_slice())
    }
}

/// Everything that is there while it runs. What is declared first is dropped first: the directory comes last.
struct Bench {
    proxy: Proxy,
    daemon: Daemon,
    tools: Vec<Tool>,
    /// Why a tool is left out or its figures are not worth much.
    notes: Vec<String>,
    measurements: Vec<Measurement>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(place: &Path) -> Bench {
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
    fn measure(&mut self, name: &'static str, tree: &mut Tree, work: Work, line: Line, rounds: usize) {
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

    fn find(&self, tree: &str, work: Work, line: Line) -> Option<&Measurement> {
        self.measurements.iter().find(|m| m.tree == tree && m.work == work && m.line == line)
    }
}

/// What sersync should reach with the large tree at its full size, and what it does.
fn bars(bench: &Bench, in_memory: bool) -> Table {
    let mut table = Table::new(&[
        ("bar", Align::Left),
        ("at most", Align::Right),
        ("measured", Align::Right),
        ("verdict", Align::Left),
    ]);
    let of = |tree, work, line| {
        let measurement = bench.find(tree, work, line)?;
        Some((measurement.times(Tool::Sersync)?, measurement.times(Tool::Rsync)?))
    };
    let verdict = |met: bool| if met { "met" } else { "not met" }.to_owned();
    for (work, line, most) in [
        (Work::Nothing, Line::Loopback, 0.50),
        (Work::OnePercent, Line::Loopback, 0.55),
        (Work::Initial, Line::Loopback, 0.85),
        (Work::Nothing, Line::Far, 0.20),
    ] {
        let Some((times, reference)) = of("large", work, line) else { continue };
        let ratio = ratio(times, reference);
        let judged = work != Work::Initial || in_memory;
        let verdict = if judged { verdict(ratio <= most) } else { "not judged: holds for tmpfs".to_owned() };
        let what = format!("{}, {}: ratio to rsync", work.name(), line.name());
        table.row([what, format!("{most:.2}"), format!("{ratio:.3}"), verdict]);
    }
    for work in [Work::Nothing, Work::Initial] {
        let Some((times, reference)) = of("small", work, Line::Loopback) else { continue };
        let slower = difference(times, reference) * 1000.0;
        let what = format!("{} files, {}: slower than rsync by", SMALL.total_files(), work.name());
        table.row([what, "20 ms".to_owned(), format!("{slower:.1} ms"), verdict(slower <= 20.0)]);
    }
    table
}

fn times(bench: &Bench, tree: &str) -> Table {
    let mut table = Table::new(&[
        ("work", Align::Left),
        ("line", Align::Left),
        ("tool", Align::Left),
        ("median", Align::Right),
        ("fastest", Align::Right),
        ("slowest", Align::Right),
        ("rounds", Align::Right),
        ("ratio to rsync", Align::Right),
        ("others", Align::Right),
    ]);
    for measurement in bench.measurements.iter().filter(|measurement| measurement.tree == tree) {
        let reference = measurement.times(Tool::Rsync).expect("rsync is always measured");
        for Series { tool, times, .. } in &measurement.series {
            let extreme = |time: Option<&Duration>| seconds(time.expect("at least one round").as_secs_f64());
            table.row([
                measurement.work.name().to_owned(),
                measurement.line.name().to_owned(),
                tool.name().to_owned(),
                seconds(median_time(times)),
                extreme(times.iter().min()),
                extreme(times.iter().max()),
                times.len().to_string(),
                format!("{:.3}", ratio(times, reference)),
                format!("{:.0}%", measurement.used_by_others * 100.0),
            ]);
        }
    }
    table
}

fn memory(bench: &Bench) -> Table {
    let mut table = Table::new(&[
        ("work", Align::Left),
        ("line", Align::Left),
        ("tool", Align::Left),
        ("biggest process", Align::Right),
        ("all together", Align::Right),
    ]);
    let mebibytes = |kibibytes: u64| format!("{:.1} MiB", kibibytes as f64 / 1024.0);
    for measurement in bench.measurements.iter().filter(|measurement| measurement.tree == "large") {
        for Series { tool, peak, .. } in &measurement.series {
            table.row([
                measurement.work.name().to_owned(),
                measurement.line.name().to_owned(),
                tool.name().to_owned(),
                mebibytes(peak.biggest),
                mebibytes(peak.together),
            ]);
        }
    }
    table
}

/// What the figures hold for.
fn conditions(bench: &Bench, shape: Shape, in_memory: bool) -> String {
    let version = |program, argument| machine::version(program, argument).unwrap_or_else(|| "missing".to_owned());
    let mut text = format!("* Date: {}\n", chrono::Utc::now().format("%Y-%m-%d"));
    let _ = writeln!(text, "* Machine: {}", machine::describe());
    let others = bench.measurements.iter().map(|measurement| measurement.used_by_others).fold(0.0, f64::max);
    if others > BUSY {
        let others = others * 100.0;
        let _ =
            writeln!(text, "* **The machine was busy: others used up to {others:.0}% of the processors (\"others\")**");
    }
    let _ = write!(text, "* Versions: sersync {}, rsync {}", env!("CARGO_PKG_VERSION"), version("rsync", "--version"));
    if bench.tools.contains(&Tool::Fpsync) {
        let _ = write!(text, ", fpsync {}", version("fpsync", "-h"));
    }
    let _ = writeln!(
        text,
        "\n* Trees: {} files of 4 KiB in {} directories, and a small one of {} files in {} directories; \
         sources and mirrors are on {}",
        shape.total_files(),
        shape.directories(),
        SMALL.total_files(),
        SMALL.directories(),
        if in_memory { "tmpfs" } else { "the disk of the temporary directory: there was no room on a tmpfs" },
    );
    text + "* Commands: `rsync -rlptDgo --delete SRC/ URL/`, `sersync full-sync --from SRC --to URL` with default \
            settings (so with history), `fpsync -n 2 -E -o -lptgoD SRC/ URL/`. All write to one rsync daemon on the \
            same machine\n"
}

fn main() {
    // `cargo test --benches` runs it as well, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    support::catch_signals();
    let scale = number("BENCH_SCALE", 1.0).min(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let rounds = number("BENCH_RUNS", 5.0).ceil() as usize;
    let shape = Shape { scale, ..LARGE };
    // The source and three mirrors, and what a file and a part of a directory take beside the content.
    let room = 4 * shape.total_files() as u64 * (FILE as u64 + 2048);
    let (place, in_memory) = machine::place_for(room);

    eprintln!("Measuring in {} ({} files)", place.display(), shape.total_files());
    let mut bench = Bench::new(&place);
    let mut large = Tree::create(bench.dir.path().join("large"), shape);
    for (line, rounds) in [(Line::Loopback, rounds), (Line::Far, rounds.min(ROUNDS_FAR))] {
        for work in [Work::Initial, Work::Nothing, Work::OnePercent] {
            bench.measure("large", &mut large, work, line, rounds);
        }
    }
    // These take little time, and vary more.
    let mut small = Tree::create(bench.dir.path().join("small"), SMALL);
    for work in [Work::Initial, Work::Nothing] {
        bench.measure("small", &mut small, work, Line::Loopback, 2 * rounds + 1);
    }

    let mut part = format!("## Full pass\n\n{}\n", conditions(&bench, shape, in_memory));
    let _ = write!(part, "{}\n### Times\n\n{}\n", bars(&bench, in_memory).text(), times(&bench, "large").text());
    let _ = write!(part, "Of the small tree:\n\n{}\n", times(&bench, "small").text());
    let _ = write!(
        part,
        "A ratio is the median of the ratios of each round. \"40 ms\" is the round-trip time of a proxy before the \
         daemon; fpsync is not measured there. \"others\" is how much of the processors others used, between the runs.\
         \n\n### Memory\n\nOf the client and what it starts, seen from outside every 5 ms in a round of its own: the \
         highest `VmHWM` of a single process, and the highest sum of `VmRSS` (pages that processes share count more \
         than once). The daemon's processes do not count.\n\n{}",
        memory(&bench).text()
    );
    for note in &bench.notes {
        let _ = write!(part, "\nNote: {note}\n");
    }
    println!("{part}");
    if shape.total_files() < LARGE.total_files() {
        eprintln!("A smaller tree was measured: benches/RESULTS.md stays as it is.");
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    publish(
        &file,
        "# Results\n\nWritten by `make bench`; see [README.md](README.md) for how to read it.\n",
        "full-sync",
        &part,
    );
    eprintln!("Written to {}", file.display());
}
