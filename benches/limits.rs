//! How much `watch` takes: changes per second without falling behind, files in one directory, endpoints of one source, and how
//! soon all is well again after an outage; each with the memory that it took.
//!
//! `tests/it/limits.rs` shows that nothing is lost at any of these; here is how long it takes. `BENCH_SCALE` makes it smaller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench that cannot go on has nobody to tell but its user, and its figures are small"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, MODULE};
use support::memory::Memory;
use support::table::{Align, Measured, Table, publish};
use support::trees::{Shape, Tree};
use support::watcher::Watcher;
use support::{check_interrupted, machine, number, seconds, until};

/// Longer than this nobody waits for anything here.
const LIMIT: Duration = Duration::from_secs(600);
/// The tree in which changes are made: 200,000 files in 21,000 directories.
const LARGE: Shape = Shape { levels: &[20, 50, 20], scale: 1.0, files: 10 };
/// For how long changes are made at each speed.
const STREAM: Duration = Duration::from_secs(15);
/// Changes per second.
const SPEEDS: [u32; 4] = [1_000, 3_000, 10_000, 30_000];
/// Endpoints of one source.
const ENDPOINTS: [usize; 3] = [1, 8, 32];
/// How long the daemon is away, and how many files change meanwhile.
const OUTAGES: [(u64, usize); 3] = [(10, 10_000), (60, 10_000), (60, 100_000)];

/// A place with the mirrors on a file system of their own.
struct Place {
    _far: Option<Memory>,
    scale: f64,
    dir: tempfile::TempDir,
}

/// A daemon with its mirrors, which go with it: all of them together would not fit into memory.
struct Far {
    daemon: Daemon,
    _dir: tempfile::TempDir,
}

impl Deref for Far {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for Far {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

impl Place {
    fn new(scale: f64) -> Place {
        let (place, _) = machine::place_for((8_000_000_000.0 * scale) as u64);
        let dir = tempfile::Builder::new().prefix("sersync-bench-").tempdir_in(place).expect("a temp dir");
        let far = dir.path().join("far");
        fs::create_dir(&far).expect("a directory");
        Place { _far: Memory::mount(&far), scale, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn daemon(&self) -> Far {
        let dir = tempfile::tempdir_in(self.path("far")).expect("a directory");
        Far { daemon: Daemon::start(dir.path()), _dir: dir }
    }

    fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(1)
    }

    /// A watch of this source with a mirror on each of the daemons, which have to be equal to it.
    fn watch(&self, source: &Path, daemons: &[&Daemon], backend: &str) -> Watcher {
        let hosts: Vec<String> = daemons.iter().map(|daemon| format!("'{}'", daemon.address())).collect();
        let text = format!(
            "[watch]\ndelay = '1s'\nbackend = '{backend}'\nstart = 'none'\n[targets.bench]\nmodule = '{MODULE}'\n\
             hosts = [{}]\n[sources.name]\npath = '{}'\ntargets = ['bench']\n",
            hosts.join(", "),
            source.display()
        );
        let config = self.path("sersync.toml");
        fs::write(&config, text).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sersync"));
        command.args(["watch", "-v", "-c"]).arg(config);
        command.env_remove("SERSYNC_CONFIG").env("STATE_DIRECTORY", self.path("state"));
        let mut watcher = Watcher::start(command, self.path("watcher.log"));
        watcher.says(&format!("by {backend}"), 1, LIMIT).unwrap_or_else(|| panic!("{}", watcher.log()));
        watcher
    }
}

fn mirror(daemon: &Daemon) -> PathBuf {
    daemon.module().join("name")
}

fn copy(source: &Path, daemon: &Daemon) {
    let (from, to) = (format!("{}/", source.display()), format!("rsync://{}/{MODULE}/name/", daemon.address()));
    let status = Command::new("rsync").args(["-a", "--delete", &from, &to]).status().expect("rsync");
    assert!(status.success(), "rsync: {status}");
}

/// How long it takes until all of these files are on the mirror. Each is looked at until it is there.
fn arrived(files: &[PathBuf], mirror: &Path) -> Duration {
    let mut left = files.iter().peekable();
    let all = || {
        while left.next_if(|file| mirror.join(file).exists()).is_some() {}
        left.peek().is_none()
    };
    until(LIMIT, all).unwrap_or_else(|| panic!("not there within {LIMIT:?}"))
}

fn mebibytes(watcher: &Watcher) -> String {
    format!("{:.1} MiB", watcher.memory() as f64 / 1024.0)
}

/// New files all over a tree, so many in a second.
fn stream(place: &Place, tree: &Tree, table: &mut Table) {
    let daemon = place.daemon();
    copy(&tree.root, &daemon);
    for backend in ["fanotify", "inotify"] {
        for speed in SPEEDS {
            let watcher = place.watch(&tree.root, &[&daemon], backend);
            let (begun, mut files) = (Instant::now(), Vec::new());
            let length = STREAM.mul_f64(place.scale);
            while begun.elapsed() < length {
                check_interrupted();
                let due = (begun.elapsed().as_secs_f64() * f64::from(speed)) as usize;
                while files.len() < due && begun.elapsed() < length {
                    let near = tree.shape.path(files.len() * 7919 % tree.shape.total_files());
                    let file = near.with_file_name(format!("{backend}-{speed}-{}", files.len()));
                    fs::write(tree.root.join(&file), "new").expect("a file");
                    files.push(file);
                }
                thread::sleep(Duration::from_millis(1));
            }
            let reached = files.len() as f64 / begun.elapsed().as_secs_f64();
            let behind = arrived(&files, &mirror(&daemon));
            let overflows = watcher.log().matches("faster than they were read").count();
            eprintln!("  {backend} {speed}/s: {behind:?}");
            table.row([
                backend.to_owned(),
                format!("{reached:.0}"),
                files.len().to_string(),
                seconds(behind.as_secs_f64()),
                overflows.to_string(),
                mebibytes(&watcher),
            ]);
            for file in files {
                fs::remove_file(tree.root.join(file)).expect("remove a file");
            }
            drop(watcher);
            copy(&tree.root, &daemon);
        }
    }
}

/// A million files in one directory: a pass over it, and one file more.
fn crowded(place: &Place, table: &mut Table) {
    for count in [100_000, 1_000_000].map(|count| place.scaled(count)) {
        let (daemon, source) = (place.daemon(), place.path("crowded"));
        fs::create_dir(&source).expect("a directory");
        for number in 0..count {
            check_interrupted();
            fs::write(source.join(number.to_string()), "").expect("a file");
        }
        copy(&source, &daemon);
        let watcher = place.watch(&source, &[&daemon], "fanotify");
        fs::write(source.join("one more"), "").expect("a file");
        let made = arrived(&["one more".into()], &mirror(&daemon));
        fs::remove_file(source.join("one more")).expect("remove a file");
        let gone = until(LIMIT, || !mirror(&daemon).join("one more").exists()).expect("it goes");
        table.row([count.to_string(), seconds(made.as_secs_f64()), seconds(gone.as_secs_f64()), mebibytes(&watcher)]);
        drop(watcher);
        fs::remove_dir_all(&source).expect("remove a directory");
    }
}

/// The same burst for more and more endpoints.
fn endpoints(place: &Place, table: &mut Table) {
    let source = place.path("endpoints");
    for count in ENDPOINTS {
        fs::create_dir(&source).expect("a directory");
        let daemons: Vec<Far> = (0..count).map(|_| place.daemon()).collect();
        // An empty source is none.
        fs::write(source.join("first"), "1").expect("a file");
        for daemon in &daemons {
            copy(&source, daemon);
        }
        let watcher = place.watch(&source, &daemons.iter().map(|daemon| &**daemon).collect::<Vec<_>>(), "fanotify");
        let files: Vec<PathBuf> = (0..1000).map(|number| PathBuf::from(number.to_string())).collect();
        for file in &files {
            fs::write(source.join(file), "new").expect("a file");
        }
        let begun = Instant::now();
        for daemon in &daemons {
            arrived(&files, &mirror(daemon));
        }
        table.row([count.to_string(), seconds(begun.elapsed().as_secs_f64()), mebibytes(&watcher)]);
        drop(watcher);
        fs::remove_dir_all(&source).expect("remove a directory");
    }
}

/// A daemon that is away for some time in which files change.
fn outages(place: &Place, tree: &Tree, table: &mut Table) {
    for (number, (away, count)) in OUTAGES.into_iter().enumerate() {
        let (away, count) = (Duration::from_secs(away).mul_f64(place.scale.max(0.1)), place.scaled(count));
        let mut daemon = place.daemon();
        copy(&tree.root, &daemon);
        let watcher = place.watch(&tree.root, &[&daemon], "fanotify");
        daemon.stop();
        let begun = Instant::now();
        let files: Vec<PathBuf> = (0..count)
            .map(|at| tree.shape.path(at * 7919 % tree.shape.total_files()).with_file_name(format!("{number}-{at}")))
            .collect();
        for file in &files {
            fs::write(tree.root.join(file), "new").expect("a file");
        }
        while begun.elapsed() < away {
            check_interrupted();
            thread::sleep(Duration::from_millis(20));
        }
        daemon.start_again();
        let time = arrived(&files, &mirror(&daemon));
        eprintln!("  away for {away:?}, {count} changes: {time:?}");
        table.row([seconds(away.as_secs_f64()), count.to_string(), seconds(time.as_secs_f64()), mebibytes(&watcher)]);
        drop(watcher);
        for file in files {
            fs::remove_file(tree.root.join(file)).expect("remove a file");
        }
    }
}

fn main() {
    // `cargo test --benches` runs it as well, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    support::catch_signals();
    let scale = number("BENCH_SCALE", 1.0).min(1.0);
    let place = Place::new(scale);
    eprintln!("Measuring limits in {}", place.dir.path().display());
    let others = machine::used_by_others();
    let columns = |names: &[&'static str]| {
        let right: Vec<(&str, Align)> = names.iter().map(|name| (*name, Align::Right)).collect();
        Table::new(&right)
    };
    let mut text = format!("## Limits of watch\n\n* Date: {}\n", chrono::Utc::now().format("%Y-%m-%d"));
    let _ = writeln!(
        text,
        "* Machine: {}\n* Others used {:.0}% of the processors before it began",
        machine::describe(),
        others * 100.0
    );
    let tree = Tree::create(place.path("tree"), Shape { scale, ..LARGE });
    let _ = writeln!(
        text,
        "* Trees: on tmpfs; {} files in {} directories where nothing else is said; a delay of 1 s\n",
        tree.shape.total_files(),
        tree.shape.directories()
    );

    let mut table =
        columns(&["event source", "new files per second", "files", "all there after the last", "overflows", "memory"]);
    stream(&place, &tree, &mut table);
    let _ = writeln!(text, "### A steady stream of changes\n\n{}", table.text());
    let mut table = columns(&["away", "files changed", "all there after its return", "memory"]);
    outages(&place, &tree, &mut table);
    let _ = writeln!(text, "### An outage of the daemon\n\n{}", table.text());
    fs::remove_dir_all(&tree.root).expect("remove the tree");
    let mut table = columns(&["files in one directory", "one more is there after", "it is gone after", "memory"]);
    crowded(&place, &mut table);
    let _ = writeln!(text, "### Files in one directory\n\n{}", table.text());
    let mut table = columns(&["endpoints", "1,000 new files are on all after", "memory"]);
    endpoints(&place, &mut table);
    let _ = writeln!(text, "### Endpoints of one source\n\nAll daemons are on the same machine.\n\n{}", table.text());
    publish("limits", &text, if scale >= 1.0 { Measured::All } else { Measured::Less });
}
