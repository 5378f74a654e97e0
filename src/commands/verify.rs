//! `verify`: compares every mirror that was asked for with its source, all endpoints at once, and changes nothing.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Result;
use chrono::{Datelike, Local};
use log::{Level, log_enabled};

use super::setup::{self, Setup};
use super::{End, at_once};
use crate::cli::{Cli, VerifyArgs};
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::report::progress::{Bars, Conditions};
use crate::report::{self, screen};
use crate::rsync::children::Children;
use crate::signals::{self, Hangup};
use crate::verify::report::Report;
use crate::verify::sample::Sample;
use crate::verify::{self, Pace};

/// The list is written in portions of this size, in bytes.
const PORTION: usize = 64 * 1024;

/// What is said when the time is over.
const TOO_LATE: &str = "the comparison takes longer than `timeout` in [full-sync]: stopping it";

pub(super) fn run(cli: &Cli, args: &VerifyArgs) -> Result<End> {
    let setup = setup::prepare(cli, &args.selection)?;
    let children = Arc::new(Children::default());
    let ended_by = Arc::new(AtomicI32::new(0));
    {
        let (children, ended_by) = (Arc::clone(&children), Arc::clone(&ended_by));
        let on_first = {
            let children = Arc::clone(&children);
            move |signal| {
                ended_by.store(signal, Ordering::Relaxed);
                children.stop();
            }
        };
        let at_once = move || {
            screen::end();
            children.stop();
        };
        signals::install(Hangup::Ends, on_first, at_once)?;
    }
    let refused = guard_sources(&setup, args);
    let pace = Pace::of(&setup.settings.watch);
    let sample = args.sample.map(|share| Sample::new(share, args.seed.unwrap_or_else(today)));
    let timeout = setup.settings.full_sync.timeout;
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists: false });
    let mut reports =
        at_once::all(&setup.mirrors, &children, timeout, TOO_LATE, |mirror| match refused.get(&mirror.source.name) {
            Some(failure) => Report::not_begun(mirror, failure),
            None => verify::run(mirror, &children, pace, sample, bars.begin(mirror).meter()),
        });
    // They go before the results are printed.
    drop(bars);
    reports.sort_by(|a, b| a.summary.mirror.cmp(&b.summary.mirror));
    let show = log_enabled!(Level::Info) || (io::stdout().is_terminal() && log_enabled!(Level::Warn));
    for report in &reports {
        print(report, args.json, show)?;
    }
    Ok(match ended_by.load(Ordering::Relaxed) {
        0 => End::Exit(Exit::merge(reports.iter().map(|report| report.summary.exit))),
        signal => End::Signal(signal),
    })
}

/// The sources that must not be compared now, with the reason: an unmounted one would be called different altogether.
fn guard_sources(setup: &Setup, args: &VerifyArgs) -> BTreeMap<String, Failure> {
    let empty = if args.allow_empty { EmptySource::Allowed } else { EmptySource::Refused };
    let checked = setup.mirrors.iter().map(|mirror| (mirror, guard::check_source(&mirror.source, empty)));
    checked.filter_map(|(mirror, result)| Some((mirror.source.name.clone(), result.err()?))).collect()
}

/// The default seed: another one each day, and easy to give again.
fn today() -> u64 {
    let date = Local::now().date_naive();
    u64::try_from(date.year()).unwrap_or_default() * 10_000 + u64::from(date.month() * 100 + date.day())
}

fn print(result: &Report, as_json: bool, show: bool) -> io::Result<()> {
    result.log_errors();
    let summary = if as_json { Some(result.json()) } else { show.then(|| result.line()) };
    let mut text = String::new();
    for line in result.differences(as_json).chain(summary) {
        text.push_str(&line);
        text.push('\n');
        if text.len() >= PORTION {
            report::print(&std::mem::take(&mut text))?;
        }
    }
    report::print(&text)
}
