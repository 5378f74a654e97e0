//! How soon changes are on the mirror, and what watching costs: sersync, lsyncd and inotifywait, one after the other on the
//! same tree and the same daemon.
//!
//! Every bar of the real-time engine is measured here. The figures of `benches/RESULTS.md` are written here, and none of them
//! decides anything. `BENCH_SCALE` makes the trees smaller; see `benches/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench that cannot go on has nobody to tell but its user, and its figures are small"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, MODULE};
use support::memory::Memory;
use support::table::{Align, Table, publish};
use support::trees::{Shape, Tree};
use support::watcher::Watcher;
use support::{check_interrupted, machine, number, seconds, statistics};

/// The tree in which changes are made: 200,000 files in 21,000 directories.
const LARGE: Shape = Shape { levels: &[20, 50, 20], scale: 1.0, files: 10 };
/// The tree that is set up for watching: 312,000 directories, 8 levels deep. The scale is that of its second level.
const DEEP: &[usize] = &[4, 4, 5, 5, 5, 5, 5, 5];
/// Longer than this nobody waits for a burst.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a program may take until it is ready.
const START: Duration = Duration::from_secs(120);
/// How often setting up is measured.
const ROUNDS: usize = 3;

/// The tools that mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Fanotify,
    Inotify,
    Lsyncd,
    /// It only watches, and is what the shell scripts stand on.
    Inotifywait,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Fanotify => "sersync, fanotify",
            Tool::Inotify => "sersync, inotify",
            Tool::Lsyncd => "lsyncd",
            Tool::Inotifywait => "inotifywait",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Tool::Fanotify => "fanotify",
            Tool::Inotify => "inotify",
            Tool::Lsyncd => "lsyncd",
            Tool::Inotifywait => "inotifywait",
        }
    }
}

/// What is measured of a tool that mirrors.
#[derive(Debug, Default)]
struct Figures {
    /// The number of files, whether they were made or deleted, and the time until that was on the mirror.
    bursts: Vec<(usize, &'static str, Option<Duration>)>,
    /// Bytes sent for a directory that was renamed.
    renamed: Option<u64>,
    /// Wake-ups and ticks of the processor while nothing happened, in [`IDLE`].
    idle: Option<(u64, u64)>,
}

/// For how long nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// The files of the directory that is renamed: 1 GiB in all.
const RENAMED: (usize, usize) = (1024, 1 << 20);

/// Everything that is there while it runs. What is declared first is dropped first: the directory comes last.
struct Bench {
    daemon: Daemon,
    /// Where the mirrors are.
    _far: Option<Memory>,
    scale: f64,
    notes: Vec<String>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mirror(&self, tool: Tool) -> PathBuf {
        self.daemon.module().join(tool.short())
    }

    /// The tool on a tree, with a mirror on the daemon.
    fn command(&self, tool: Tool, source: &Path, delay: &str) -> Command {
        let (name, address) = (tool.short(), self.daemon.address());
        match tool {
            Tool::Fanotify | Tool::Inotify => {
                let config = self.path(&format!("{name}.toml"));
                let text = format!(
                    "[watch]\ndelay = '{delay}'\nbackend = '{name}'\nstart = 'none'\n[targets.bench]\nmodule = '{MODULE}'\n\
                     hosts = ['{address}']\n[sources.{name}]\npath = '{}'\ntargets = ['bench']\n",
                    source.display()
                );
                fs::write(&config, text).expect("a configuration");
                let mut command = Command::new(env!("CARGO_BIN_EXE_sersync"));
                command.args(["watch", "-v", "-c"]).arg(config);
                command.env_remove("SERSYNC_CONFIG").env("STATE_DIRECTORY", self.path("state"));
                command
            }
            Tool::Lsyncd => {
                let config = self.path("lsyncd.lua");
                let text = format!(
                    "settings {{ nodaemon = true }}\n\
                     sync {{ default.rsync, source = '{}', target = 'rsync://{address}/{MODULE}/{name}/', delay = 1, \
                     rsync = {{ archive = true }} }}\n",
                    source.display()
                );
                fs::write(&config, text).expect("a configuration");
                let mut command = Command::new("lsyncd");
                command.arg(config);
                command
            }
            Tool::Inotifywait => {
                let mut command = Command::new("inotifywait");
                command.args(["-m", "-r", "-e", "modify,attrib,move,create,delete"]).arg(source);
                command
            }
        }
    }

    /// What a tool says when it is ready.
    fn ready(tool: Tool) -> &'static str {
        match tool {
            Tool::Fanotify => "by fanotify",
            Tool::Inotify => "by inotify",
            Tool::Lsyncd => "finished.",
            Tool::Inotifywait => "Watches established.",
        }
    }

    /// Changes of a tree that a tool mirrors.
    fn mirroring(&mut self, tool: Tool, tree: &Tree) -> Figures {
        let mut figures = Figures::default();
        copy(&tree.root, &self.daemon, tool.short());
        let command = self.command(tool, &tree.root, "1s");
        let mut watcher = Watcher::start(command, self.path("watcher.log"));
        if watcher.says(Self::ready(tool), 1, START).is_none() {
            self.notes.push(format!("{} was not ready within {START:?}: {}", tool.name(), end_of(&watcher.log())));
            return figures;
        }
        for (count, rounds) in [(1, 3), (scaled(10_000, self.scale), 2), (scaled(100_000, self.scale), 1)] {
            for round in 0..rounds {
                let burst = Burst { tree, count, mirror: self.mirror(tool), round };
                let made = burst.make();
                figures.bursts.push((count, "made", made));
                let deleted = made.and_then(|_| burst.delete());
                figures.bursts.push((count, "deleted", deleted));
                if deleted.is_none() {
                    burst.clean();
                    self.notes.push(format!("{}: {count} files: not within {LIMIT:?}", tool.name()));
                    return figures;
                }
                eprintln!("  {:18} {count:6} files: {made:?}, {deleted:?}", tool.name());
            }
        }
        figures.renamed = self.rename(tool, tree);
        thread::sleep(Duration::from_secs(2));
        let before = (watcher.wake_ups(), watcher.ticks());
        thread::sleep(IDLE);
        figures.idle = Some((watcher.wake_ups() - before.0, watcher.ticks() - before.1));
        figures
    }

    /// How many bytes a tool sends for a directory of 1 GiB that is renamed.
    fn rename(&mut self, tool: Tool, tree: &Tree) -> Option<u64> {
        let (old, new) = (tree.root.join("big"), tree.root.join("renamed"));
        let files = scaled(RENAMED.0, self.scale);
        fs::create_dir(&old).expect("a directory");
        let content = vec![b'x'; RENAMED.1];
        for number in 0..files {
            fs::write(old.join(number.to_string()), &content).expect("a file");
        }
        let mirror = self.mirror(tool);
        let whole = |dir: &str| {
            let entries = fs::read_dir(mirror.join(dir)).into_iter().flatten().flatten();
            entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")).count() == files
        };
        let there = until(LIMIT, || whole("big"));
        // The sessions that put it there have to be over, and those that are on their way.
        thread::sleep(Duration::from_secs(3));
        let before = self.daemon.received();
        fs::rename(&old, &new).expect("a rename");
        let done = there.and_then(|_| until(LIMIT, || whole("renamed") && !mirror.join("big").exists()));
        thread::sleep(Duration::from_secs(2));
        fs::remove_dir_all(&new).expect("remove a directory");
        until(LIMIT, || !mirror.join("renamed").exists());
        if done.is_none() {
            self.notes.push(format!("{}: the renamed directory was not there within {LIMIT:?}", tool.name()));
        }
        done.map(|_| self.daemon.received() - before)
    }

    /// How long it takes until a single file is on the mirror when nothing is waited for.
    fn single(&mut self, tree: &Tree) -> Vec<Duration> {
        let command = self.command(Tool::Inotify, &tree.root, "50ms");
        let mut watcher = Watcher::start(command, self.path("watcher.log"));
        watcher.says(Self::ready(Tool::Inotify), 1, START).expect("it is ready");
        let mut times = Vec::new();
        for round in 0..20 {
            let burst = Burst { tree, count: 1, mirror: self.mirror(Tool::Inotify), round };
            times.extend(burst.make());
            burst.delete();
        }
        times
    }

    /// Times and memory until everything is watched.
    fn setting_up(&mut self, tools: &[Tool], root: &Path, directories: usize) -> Vec<(Tool, Vec<Duration>, u64)> {
        let mut all: Vec<(Tool, Vec<Duration>, u64)> = tools.iter().map(|tool| (*tool, Vec::new(), 0)).collect();
        for round in 0..ROUNDS {
            let count = all.len();
            for turn in 0..count {
                let (tool, times, memory) = &mut all[(round + turn) % count];
                let command = self.command(*tool, root, "1s");
                let mut watcher = Watcher::start(command, self.path("watcher.log"));
                match watcher.says(Self::ready(*tool), 1, START) {
                    Some(time) => {
                        times.push(time);
                        *memory = watcher.memory().max(*memory);
                    }
                    None => self.notes.push(format!(
                        "{} did not watch {directories} directories within {START:?}: {}",
                        tool.name(),
                        end_of(&watcher.log())
                    )),
                }
            }
        }
        all
    }
}

/// New files, a hundred in each of as many directories of a tree as that takes.
struct Burst<'a> {
    tree: &'a Tree,
    count: usize,
    mirror: PathBuf,
    round: usize,
}

impl Burst<'_> {
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let round = self.round;
        let directory = |number: usize| {
            let path = self.tree.shape.path(number % 20_000 * self.tree.shape.files % self.tree.shape.total_files());
            path.parent().expect("a directory").to_owned()
        };
        (0..self.count).map(move |number| directory(number / 100).join(format!("burst-{round}-{number}")))
    }

    fn make(&self) -> Option<Duration> {
        let files: Vec<PathBuf> = self.files().map(|file| self.tree.root.join(file)).collect();
        for file in &files {
            fs::write(file, "new").expect("a file");
        }
        self.until_each_has(100)
    }

    fn delete(&self) -> Option<Duration> {
        self.clean();
        self.until_each_has(0)
    }

    fn clean(&self) {
        for file in self.files() {
            fs::remove_file(self.tree.root.join(file)).expect("remove a file");
        }
    }

    /// How long it takes until every directory of the mirror has so many of the files, or all of them that are to be in it.
    /// Each is looked at until it has, one after the other: reading all of them again and again would take a processor
    /// from what is measured.
    fn until_each_has(&self, number: usize) -> Option<Duration> {
        let mut wanted: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for file in self.files() {
            let found = wanted.entry(file.parent().expect("a directory").to_owned()).or_default();
            *found = (*found + 1).min(number);
        }
        until(LIMIT, || {
            while let Some(dir) = wanted.first_entry() {
                let entries = fs::read_dir(self.mirror.join(dir.key())).into_iter().flatten().flatten();
                let is_ours = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"burst-");
                if entries.filter(is_ours).count() != *dir.get() {
                    return false;
                }
                dir.remove();
            }
            true
        })
    }
}

/// How long it takes until something is so; nothing when that is longer than the limit.
fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        check_interrupted();
        if condition() {
            return Some(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn copy(source: &Path, daemon: &Daemon, name: &str) {
    let (from, to) = (format!("{}/", source.display()), format!("rsync://{}/{MODULE}/{name}/", daemon.address()));
    let status = Command::new("rsync").args(["-a", "--delete", &from, &to]).status().expect("rsync");
    assert!(status.success(), "rsync: {status}");
}

fn scaled(count: usize, scale: f64) -> usize {
    ((count as f64 * scale) as usize).max(1)
}

fn end_of(log: &str) -> String {
    log.lines().last().unwrap_or_default().to_owned()
}

fn time(time: Option<f64>) -> String {
    time.map_or_else(|| format!("more than {} s", LIMIT.as_secs()), seconds)
}

/// The median of the bursts of so many files; nothing when one took too long.
fn median(figures: &Figures, count: usize, what: &str) -> Option<f64> {
    let times: Option<Vec<Duration>> =
        figures.bursts.iter().filter(|(n, w, _)| *n == count && *w == what).map(|(_, _, time)| *time).collect();
    times.filter(|times| !times.is_empty()).map(|times| statistics::median_time(&times))
}

fn main() {
    // `cargo test --benches` runs it as well, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    support::catch_signals();
    let scale = number("BENCH_SCALE", 1.0).min(1.0);
    let shape = Shape { scale, ..LARGE };
    let (place, in_memory) = machine::place_for((8_000_000_000.0 * scale) as u64);
    eprintln!("Measuring watchers in {} ({} files)", place.display(), shape.total_files());
    let dir = tempfile::Builder::new().prefix("sersync-bench-").tempdir_in(place).expect("a temp dir");
    let mut notes = Vec::new();
    let far = dir.path().join("far");
    fs::create_dir(&far).expect("a directory");
    let mounted = Memory::mount(&far);
    if mounted.is_none() {
        notes.push(
            "Without root the mirrors are on the source's file system, so that fanotify reports them too.".to_owned(),
        );
    }
    let mut bench = Bench { daemon: Daemon::start(&far), _far: mounted, scale, notes, dir };
    let used_by_others = machine::used_by_others();
    let has = |program, argument| machine::version(program, argument);
    let lsyncd = has("lsyncd", "--version");
    let mut tools = vec![Tool::Fanotify, Tool::Inotify];
    match &lsyncd {
        Some(_) => tools.push(Tool::Lsyncd),
        None => bench.notes.push("lsyncd is not installed, so it is not measured.".to_owned()),
    }
    let tree = Tree::create(bench.path("tree"), shape);
    let figures: Vec<(Tool, Figures)> = tools.iter().map(|tool| (*tool, bench.mirroring(*tool, &tree))).collect();
    let single = statistics::median_time(&bench.single(&tree));
    fs::remove_dir_all(&tree.root).expect("remove the tree");

    // On a disk, where directories are what they are in earnest.
    let disk = tempfile::Builder::new().prefix("sersync-bench-").tempdir().expect("a temp dir");
    let deep = Tree::directories(disk.path().join("deep"), Shape { levels: DEEP, scale, files: 1 });
    let directories = deep.shape.directories();
    let mut watching = vec![Tool::Fanotify];
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    if limit.trim().parse().is_ok_and(|limit: usize| limit > directories) {
        watching.push(Tool::Inotify);
        match has("inotifywait", "--help") {
            Some(_) => watching.push(Tool::Inotifywait),
            None => bench.notes.push("inotifywait is not installed, so it is not measured.".to_owned()),
        }
        if lsyncd.is_some() {
            watching.push(Tool::Lsyncd);
            bench.notes.push("lsyncd says that it is ready after it has compared the tree with its mirror.".to_owned());
        }
    } else {
        bench.notes.push(format!(
            "{directories} directories cannot be watched by inotify: fs.inotify.max_user_watches is {}.",
            limit.trim()
        ));
    }
    let set_up = bench.setting_up(&watching, &deep.root, directories);

    let part = report(&bench, &figures, &set_up, single, (shape, directories, in_memory, used_by_others, lsyncd));
    println!("{part}");
    if scale < 1.0 {
        eprintln!("A smaller tree was measured: benches/RESULTS.md stays as it is.");
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    publish(
        &file,
        "# Results\n\nWritten by `make bench`; see [README.md](README.md) for how to read it.\n",
        "watch",
        &part,
    );
    eprintln!("Written to {}", file.display());
}

type Conditions = (Shape, usize, bool, f64, Option<String>);

fn report(
    bench: &Bench,
    figures: &[(Tool, Figures)],
    set_up: &[(Tool, Vec<Duration>, u64)],
    single: f64,
    (shape, directories, in_memory, used_by_others, lsyncd): Conditions,
) -> String {
    let mut text = format!("## Watching\n\n* Date: {}\n", chrono::Utc::now().format("%Y-%m-%d"));
    let _ = writeln!(text, "* Machine: {}", machine::describe());
    let _ = writeln!(
        text,
        "* Versions: sersync {}, rsync {}, lsyncd {}",
        env!("CARGO_PKG_VERSION"),
        machine::version("rsync", "--version").unwrap_or_else(|| "missing".to_owned()),
        lsyncd.unwrap_or_else(|| "missing".to_owned())
    );
    let _ = writeln!(
        text,
        "* Trees: {} files in {} directories on {}, in which bursts of files are made and deleted, a hundred in a directory; \
         and {directories} directories on the disk of the temporary directory, which are set up for watching",
        shape.total_files(),
        shape.directories(),
        if in_memory { "tmpfs" } else { "the disk of the temporary directory" }
    );
    let _ = writeln!(text, "* Others used {:.0}% of the processors before it began\n", used_by_others * 100.0);
    let _ = writeln!(text, "{}", bars(bench, figures, set_up, single).text());

    let mut table = Table::new(&[
        ("files", Align::Right),
        ("what", Align::Left),
        ("tool", Align::Left),
        ("until it is on the mirror", Align::Right),
    ]);
    for count in [1, scaled(10_000, bench.scale), scaled(100_000, bench.scale)] {
        for what in ["made", "deleted"] {
            for (tool, figures) in
                figures.iter().filter(|(_, figures)| figures.bursts.iter().any(|(n, _, _)| *n == count))
            {
                table.row([
                    count.to_string(),
                    what.to_owned(),
                    tool.name().to_owned(),
                    time(median(figures, count, what)),
                ]);
            }
        }
    }
    let _ = writeln!(
        text,
        "### Bursts\n\nFrom the last change to the whole burst on the mirror, with a delay of 1 s.\n\n{}",
        table.text()
    );

    let mut table = Table::new(&[
        ("tool", Align::Left),
        ("median", Align::Right),
        ("fastest", Align::Right),
        ("slowest", Align::Right),
        ("memory", Align::Right),
    ]);
    for (tool, times, memory) in set_up.iter().filter(|(_, times, _)| !times.is_empty()) {
        let extreme = |time: Option<&Duration>| seconds(time.expect("a round").as_secs_f64());
        table.row([
            tool.name().to_owned(),
            seconds(statistics::median_time(times)),
            extreme(times.iter().min()),
            extreme(times.iter().max()),
            format!("{:.1} MiB", *memory as f64 / 1024.0),
        ]);
    }
    let _ = writeln!(
        text,
        "### Setting up\n\nFrom the start of the program until {directories} directories are watched, and its memory then (`VmHWM`).\n\n{}",
        table.text()
    );

    let mut table = Table::new(&[
        ("tool", Align::Left),
        ("sent for a renamed directory of 1 GiB", Align::Right),
        ("wake-ups in 5 s of nothing", Align::Right),
        ("processor time then", Align::Right),
    ]);
    for (tool, figures) in figures {
        let unknown = || "?".to_owned();
        table.row([
            tool.name().to_owned(),
            figures.renamed.map_or_else(unknown, |bytes| format!("{:.3} MB", bytes as f64 / 1e6)),
            figures.idle.map_or_else(unknown, |(wake_ups, _)| wake_ups.to_string()),
            figures.idle.map_or_else(unknown, |(_, ticks)| format!("{} ms", ticks * 10)),
        ]);
    }
    let _ = writeln!(text, "### Renaming and idling\n\n{}", table.text());
    for note in &bench.notes {
        let _ = writeln!(text, "Note: {note}\n");
    }
    text
}

/// What sersync should reach with trees of full size, and what it does.
fn bars(bench: &Bench, figures: &[(Tool, Figures)], set_up: &[(Tool, Vec<Duration>, u64)], single: f64) -> Table {
    let mut table = Table::new(&[
        ("bar", Align::Left),
        ("at most", Align::Right),
        ("measured", Align::Right),
        ("verdict", Align::Left),
    ]);
    let verdict = |met: bool| if met { "met" } else { "not met" }.to_owned();
    let of = |tool| figures.iter().find(|(other, _)| *other == tool).map(|(_, figures)| figures);
    let watched = |tool| set_up.iter().find(|(other, times, _)| *other == tool && !times.is_empty());
    let (ten, hundred) = (scaled(10_000, bench.scale), scaled(100_000, bench.scale));
    for tool in [Tool::Fanotify, Tool::Inotify] {
        let Some(own) = of(tool) else { continue };
        let name = tool.name();
        if let (Some(own), Some(lsyncd)) =
            (median(own, ten, "made"), of(Tool::Lsyncd).and_then(|peer| median(peer, ten, "made")))
        {
            let ratio = own / lsyncd;
            table.row([
                format!("{name}: burst of {ten}: ratio to lsyncd"),
                "0.167".to_owned(),
                format!("{ratio:.3}"),
                verdict(ratio <= 1.0 / 6.0),
            ]);
        }
        let own_hundred = median(own, hundred, "made");
        table.row([
            format!("{name}: burst of {hundred}"),
            "6 s".to_owned(),
            time(own_hundred),
            verdict(own_hundred.is_some_and(|time| time <= 6.0)),
        ]);
        if let Some(bytes) = own.renamed {
            table.row([
                format!("{name}: sent for a renamed directory of 1 GiB"),
                "1 MB".to_owned(),
                format!("{:.3} MB", bytes as f64 / 1e6),
                verdict(bytes < 1_000_000),
            ]);
        }
        if let Some((wake_ups, _)) = own.idle {
            table.row([
                format!("{name}: wake-ups in 5 s of nothing"),
                "0".to_owned(),
                wake_ups.to_string(),
                verdict(wake_ups == 0),
            ]);
        }
    }
    table.row(["a single file, delay 50 ms".to_owned(), "120 ms".to_owned(), seconds(single), verdict(single <= 0.12)]);
    if let (Some((_, own, memory)), Some((_, peer, _))) = (watched(Tool::Inotify), watched(Tool::Inotifywait)) {
        let ratio = statistics::ratio(own, peer);
        table.row([
            "setting up inotify: ratio to inotifywait".to_owned(),
            "0.50".to_owned(),
            format!("{ratio:.3}"),
            verdict(ratio <= 0.5),
        ]);
        let mebibytes = *memory as f64 / 1024.0;
        table.row([
            "setting up inotify: memory".to_owned(),
            "60 MiB".to_owned(),
            format!("{mebibytes:.1} MiB"),
            verdict(mebibytes <= 60.0),
        ]);
    }
    if let Some((_, own, _)) = watched(Tool::Fanotify) {
        let time = statistics::median_time(own);
        table.row(["setting up fanotify".to_owned(), "50 ms".to_owned(), seconds(time), verdict(time <= 0.05)]);
    }
    table
}
