//! What is measured of each tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::burst::{Burst, LIMIT};
use crate::support::daemon::{Daemon, MODULE};
use crate::support::memory::Memory;
use crate::support::trees::Tree;
use crate::support::until;
use crate::support::watcher::Watcher;
use crate::tool::Tool;

/// How long a program may take until it is ready.
const START: Duration = Duration::from_secs(120);
/// How often setting up is measured.
const ROUNDS: usize = 3;
/// For how long nothing happens.
const IDLE: Duration = Duration::from_secs(5);
/// The files of the directory that is renamed: 1 GiB in all.
const RENAMED: (usize, usize) = (1024, 1 << 20);

/// What is measured of a tool that mirrors.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The number of files, whether they were made or deleted, and the time until that was on the mirror.
    pub(crate) bursts: Vec<(usize, &'static str, Option<Duration>)>,
    /// Bytes sent for a directory that was renamed.
    pub(crate) renamed: Option<u64>,
    /// Wake-ups and ticks of the processor while nothing happened, in [`IDLE`].
    pub(crate) idle: Option<(u64, u64)>,
}

/// How long a tool took in each round until everything was watched, and the most memory that it had then, in KiB.
pub(crate) type SetUp = (Tool, Vec<Duration>, u64);

/// Everything that is there while it runs. What is declared first is dropped first: the directory comes last.
pub(crate) struct Bench {
    pub(crate) daemon: Daemon,
    /// Where the mirrors are.
    pub(crate) _far: Option<Memory>,
    pub(crate) scale: f64,
    pub(crate) notes: Vec<String>,
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
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

    /// Changes of a tree that a tool mirrors.
    pub(crate) fn mirroring(&mut self, tool: Tool, tree: &Tree) -> Figures {
        let mut figures = Figures::default();
        copy(&tree.root, &self.daemon, tool.short());
        let command = self.command(tool, &tree.root, "1s");
        let mut watcher = Watcher::start(command, self.path("watcher.log"));
        if watcher.says(tool.ready(), 1, START).is_none() {
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
    pub(crate) fn single(&mut self, tree: &Tree) -> Vec<Duration> {
        let command = self.command(Tool::Inotify, &tree.root, "50ms");
        let mut watcher = Watcher::start(command, self.path("watcher.log"));
        watcher.says(Tool::Inotify.ready(), 1, START).expect("it is ready");
        let mut times = Vec::new();
        for round in 0..20 {
            let burst = Burst { tree, count: 1, mirror: self.mirror(Tool::Inotify), round };
            times.extend(burst.make());
            burst.delete();
        }
        times
    }

    /// Times and memory until everything is watched.
    pub(crate) fn setting_up(&mut self, tools: &[Tool], root: &Path, directories: usize) -> Vec<SetUp> {
        let mut all: Vec<SetUp> = tools.iter().map(|tool| (*tool, Vec::new(), 0)).collect();
        for round in 0..ROUNDS {
            let count = all.len();
            for turn in 0..count {
                let (tool, times, memory) = &mut all[(round + turn) % count];
                let command = self.command(*tool, root, "1s");
                let mut watcher = Watcher::start(command, self.path("watcher.log"));
                match watcher.says(tool.ready(), 1, START) {
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

fn copy(source: &Path, daemon: &Daemon, name: &str) {
    let (from, to) = (format!("{}/", source.display()), format!("rsync://{}/{MODULE}/{name}/", daemon.address()));
    let status = Command::new("rsync").args(["-a", "--delete", &from, &to]).status().expect("rsync");
    assert!(status.success(), "rsync: {status}");
}

pub(crate) fn scaled(count: usize, scale: f64) -> usize {
    ((count as f64 * scale) as usize).max(1)
}

fn end_of(log: &str) -> String {
    log.lines().last().unwrap_or_default().to_owned()
}
