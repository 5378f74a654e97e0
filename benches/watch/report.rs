//! What is written down of it.

use std::fmt::Write as _;
use std::time::Duration;

use crate::burst::LIMIT;
use crate::measuring::{Bench, Figures, SetUp, scaled};
use crate::support::table::{Align, Table};
use crate::support::trees::Shape;
use crate::support::{machine, seconds, statistics};
use crate::tool::Tool;

/// Everything that was measured, and what it holds for.
pub(crate) struct Results {
    /// The tree in which changes are made.
    pub(crate) shape: Shape,
    /// How many directories were set up for watching.
    pub(crate) directories: usize,
    pub(crate) in_memory: bool,
    pub(crate) used_by_others: f64,
    pub(crate) lsyncd: Option<String>,
    pub(crate) figures: Vec<(Tool, Figures)>,
    pub(crate) set_up: Vec<SetUp>,
    /// Until a single file is on the mirror, in seconds.
    pub(crate) single: f64,
}

impl Results {
    pub(crate) fn report(&self, bench: &Bench) -> String {
        let mut text = self.conditions();
        let _ = writeln!(text, "{}", self.bars(bench).text());
        let _ = writeln!(
            text,
            "### Bursts\n\nFrom the last change to the whole burst on the mirror, with a delay of 1 s.\n\n{}",
            self.bursts(bench).text()
        );
        let _ = writeln!(
            text,
            "### Setting up\n\nFrom the start of the program until {} directories are watched, and its memory then \
             (`VmHWM`).\n\n{}",
            self.directories,
            self.setting_up().text()
        );
        let _ = writeln!(text, "### Renaming and idling\n\n{}", self.renaming_and_idling().text());
        for note in &bench.notes {
            let _ = writeln!(text, "Note: {note}\n");
        }
        text
    }

    fn conditions(&self) -> String {
        let mut text = format!("## Watching\n\n* Date: {}\n", chrono::Utc::now().format("%Y-%m-%d"));
        let _ = writeln!(text, "* Machine: {}", machine::describe());
        let _ = writeln!(
            text,
            "* Versions: sersync {}, rsync {}, lsyncd {}",
            env!("CARGO_PKG_VERSION"),
            machine::version("rsync", "--version").unwrap_or_else(|| "missing".to_owned()),
            self.lsyncd.as_deref().unwrap_or("missing")
        );
        let _ = writeln!(
            text,
            "* Trees: {} files in {} directories on {}, in which bursts of files are made and deleted, a hundred in a directory; \
             and {} directories on the disk of the temporary directory, which are set up for watching",
            self.shape.total_files(),
            self.shape.directories(),
            if self.in_memory { "tmpfs" } else { "the disk of the temporary directory" },
            self.directories,
        );
        let _ = writeln!(text, "* Others used {:.0}% of the processors before it began\n", self.used_by_others * 100.0);
        text
    }

    fn bursts(&self, bench: &Bench) -> Table {
        let mut table = Table::new(&[
            ("files", Align::Right),
            ("what", Align::Left),
            ("tool", Align::Left),
            ("until it is on the mirror", Align::Right),
        ]);
        for count in [1, scaled(10_000, bench.scale), scaled(100_000, bench.scale)] {
            let has = |figures: &Figures| figures.bursts.iter().any(|(number, _, _)| *number == count);
            for what in ["made", "deleted"] {
                for (tool, figures) in self.figures.iter().filter(|(_, figures)| has(figures)) {
                    let median = time(median(figures, count, what));
                    table.row([count.to_string(), what.to_owned(), tool.name().to_owned(), median]);
                }
            }
        }
        table
    }

    fn setting_up(&self) -> Table {
        let mut table = Table::new(&[
            ("tool", Align::Left),
            ("median", Align::Right),
            ("fastest", Align::Right),
            ("slowest", Align::Right),
            ("memory", Align::Right),
        ]);
        for (tool, times, memory) in self.set_up.iter().filter(|(_, times, _)| !times.is_empty()) {
            let extreme = |time: Option<&Duration>| seconds(time.expect("a round").as_secs_f64());
            table.row([
                tool.name().to_owned(),
                seconds(statistics::median_time(times)),
                extreme(times.iter().min()),
                extreme(times.iter().max()),
                format!("{:.1} MiB", *memory as f64 / 1024.0),
            ]);
        }
        table
    }

    fn renaming_and_idling(&self) -> Table {
        let mut table = Table::new(&[
            ("tool", Align::Left),
            ("sent for a renamed directory of 1 GiB", Align::Right),
            ("wake-ups in 5 s of nothing", Align::Right),
            ("processor time then", Align::Right),
        ]);
        for (tool, figures) in &self.figures {
            let unknown = || "?".to_owned();
            table.row([
                tool.name().to_owned(),
                figures.renamed.map_or_else(unknown, |bytes| format!("{:.3} MB", bytes as f64 / 1e6)),
                figures.idle.map_or_else(unknown, |(wake_ups, _)| wake_ups.to_string()),
                figures.idle.map_or_else(unknown, |(_, ticks)| format!("{} ms", ticks * 10)),
            ]);
        }
        table
    }

    /// What sersync should reach with trees of full size, and what it does.
    fn bars(&self, bench: &Bench) -> Table {
        let mut table = Table::new(&[
            ("bar", Align::Left),
            ("at most", Align::Right),
            ("measured", Align::Right),
            ("verdict", Align::Left),
        ]);
        for tool in [Tool::Fanotify, Tool::Inotify] {
            self.bars_of(tool, bench, &mut table);
        }
        let single = self.single;
        table.row([
            "a single file, delay 50 ms".to_owned(),
            "120 ms".to_owned(),
            seconds(single),
            verdict(single <= 0.12),
        ]);
        let watched = |tool| self.set_up.iter().find(|(other, times, _)| *other == tool && !times.is_empty());
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

    /// Those of mirroring with one of our event sources.
    fn bars_of(&self, tool: Tool, bench: &Bench, table: &mut Table) {
        let of = |tool| self.figures.iter().find(|(other, _)| *other == tool).map(|(_, figures)| figures);
        let (ten, hundred) = (scaled(10_000, bench.scale), scaled(100_000, bench.scale));
        let Some(own) = of(tool) else { return };
        let name = tool.name();
        let lsyncd = of(Tool::Lsyncd).and_then(|peer| median(peer, ten, "made"));
        if let (Some(own), Some(lsyncd)) = (median(own, ten, "made"), lsyncd) {
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
}

fn verdict(met: bool) -> String {
    if met { "met" } else { "not met" }.to_owned()
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
