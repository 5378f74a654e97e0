//! What is written down of it.

use std::fmt::Write as _;
use std::time::Duration;

use crate::SMALL;
use crate::measuring::{Bench, Series};
use crate::support::statistics::{difference, median_time, ratio};
use crate::support::table::{Align, Table};
use crate::support::trees::Shape;
use crate::support::{machine, seconds};
use crate::tool::{Line, Tool, Work};

/// From this share of the processors on, what others do shows in the figures.
const BUSY: f64 = 0.1;

/// Everything.
pub(crate) fn report(bench: &Bench, shape: Shape, in_memory: bool) -> String {
    let mut part = format!("## Full pass\n\n{}\n", conditions(bench, shape, in_memory));
    let _ = write!(part, "{}\n### Times\n\n{}\n", bars(bench, in_memory).text(), times(bench, "large").text());
    let _ = write!(part, "Of the small tree:\n\n{}\n", times(bench, "small").text());
    let _ = write!(
        part,
        "A ratio is the median of the ratios of each round. \"40 ms\" is the round-trip time of a proxy before the \
         daemon; fpsync is not measured there. \"others\" is how much of the processors others used, between the runs.\
         \n\n### Memory\n\nOf the client and what it starts, seen from outside every 5 ms in a round of its own: the \
         highest `VmHWM` of a single process, and the highest sum of `VmRSS` (pages that processes share count more \
         than once). The daemon's processes do not count.\n\n{}",
        memory(bench).text()
    );
    for note in &bench.notes {
        let _ = write!(part, "\nNote: {note}\n");
    }
    part
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
