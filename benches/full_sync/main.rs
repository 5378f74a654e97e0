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

#[path = "../support/mod.rs"]
mod support;

mod measuring;
mod report;
mod tool;

use measuring::Bench;
use support::table::{Measured, publish};
use support::trees::{FILE, Shape, Tree};
use support::{machine, number};
use tool::{Line, Work};

/// Rounds on the slow line, where waiting varies less than work does.
const ROUNDS_FAR: usize = 3;
/// A tree that is as large as those that matter: 200,000 files in 21,000 directories.
const LARGE: Shape = Shape { levels: &[20, 50, 20], scale: 1.0, files: 10 };
/// A tree for which the start of the programs is all that counts.
const SMALL: Shape = Shape { levels: &[10], scale: 1.0, files: 10 };

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

    let part = report::report(&bench, shape, in_memory);
    publish(
        "full-sync",
        &part,
        if shape.total_files() >= LARGE.total_files() { Measured::All } else { Measured::Less },
    );
}
