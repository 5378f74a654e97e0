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

#[path = "../support/mod.rs"]
mod support;

mod burst;
mod measuring;
mod report;
mod tool;

use std::fs;

use measuring::{Bench, Figures};
use report::Results;
use support::daemon::Daemon;
use support::memory::Memory;
use support::table::{Measured, publish};
use support::trees::{Shape, Tree};
use support::{machine, number, statistics};
use tool::Tool;

/// The tree in which changes are made: 200,000 files in 21,000 directories.
const LARGE: Shape = Shape { levels: &[20, 50, 20], scale: 1.0, files: 10 };
/// The tree that is set up for watching: 312,000 directories, 8 levels deep. The scale is that of its second level.
const DEEP: &[usize] = &[4, 4, 5, 5, 5, 5, 5, 5];

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
    let lsyncd = machine::version("lsyncd", "--version");
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
    let watching = watching(directories, lsyncd.is_some(), &mut bench.notes);
    let set_up = bench.setting_up(&watching, &deep.root, directories);

    let results = Results { shape, directories, in_memory, used_by_others, lsyncd, figures, set_up, single };
    publish("watch", &results.report(&bench), if scale >= 1.0 { Measured::All } else { Measured::Less });
}

/// The tools that can watch so many directories, and what has to be known of that.
fn watching(directories: usize, with_lsyncd: bool, notes: &mut Vec<String>) -> Vec<Tool> {
    let mut watching = vec![Tool::Fanotify];
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    let limit = limit.trim();
    if !limit.parse().is_ok_and(|limit: usize| limit > directories) {
        notes.push(format!(
            "{directories} directories cannot be watched by inotify: fs.inotify.max_user_watches is {limit}."
        ));
        return watching;
    }
    watching.push(Tool::Inotify);
    match machine::version("inotifywait", "--help") {
        Some(_) => watching.push(Tool::Inotifywait),
        None => notes.push("inotifywait is not installed, so it is not measured.".to_owned()),
    }
    if with_lsyncd {
        watching.push(Tool::Lsyncd);
        notes.push("lsyncd says that it is ready after it has compared the tree with its mirror.".to_owned());
    }
    watching
}
