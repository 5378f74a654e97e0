//! `verify`: compares every mirror that was asked for with its source, all endpoints at once, and changes nothing.

use std::collections::BTreeMap;
use std::io;

use anyhow::Result;
use chrono::{Datelike, Local};
use clap::Args;

use super::at_once::{self, Limit};
use super::interrupt::Interruptible;
use super::setup::{self, Setup};
use super::{Arguments, End, is_shown};
use crate::cli::{Global, Logging, Selection, exit_status};
use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::report::progress::{Bars, Conditions};
use crate::report::{self, Form, logger};
use crate::verify::report::Report;
use crate::verify::sample::{Sample, Share};
use crate::verify::{self, Pace};

/// Compare mirrors with their sources, content included, and list what differs
///
/// Nothing is changed on either side. What differs is looked at again before it is listed, so that a file that is just
/// being mirrored is not called different. Each line of the list is `MIRROR: WORD PATH`, where the word is `missing` (the
/// mirror does not have it, or has something of another kind there), `differs` (the content), `attributes` (permissions,
/// owner, group or time only) or `extra` (only the mirror has it). Ends with 0 when all is the same, with 3 when not;
/// without a terminal it prints nothing when all is the same.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    logging: Logging,

    /// Compare only this share of the files, chosen by chance, such as 5%; at least one. What only the mirror has is not
    /// looked for then, and neither are differences of anything but files
    #[arg(long, value_name = "SHARE")]
    sample: Option<Share>,

    /// What the choice of --sample depends on: the same number chooses the same files [default: the date as YYYYMMDD, so that
    /// each day has other files; -v shows it]
    #[arg(long, value_name = "N", requires = "sample")]
    seed: Option<u64>,

    /// Compare a source that is empty, which otherwise counts as not mounted
    #[arg(long)]
    allow_empty: bool,

    /// Show no progress bars, which otherwise are shown when stderr is a terminal and neither -q, -v nor --json is given
    #[arg(long)]
    no_progress: bool,

    /// Print one JSON object per difference and one per mirror
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync verify                            everything, all sources on all their targets
  sersync verify file-backup --sample 5%    other files of one source each day
  sersync verify --sample 5% --seed 7       the same files each time
  sersync full-sync --checksum              to mend what differs, with the old versions kept

All files are read on both sides, or those of the sample. The time limit is `timeout` in [full-sync]. At most 100,000
differences of one mirror are listed; what is beyond is counted.

With --json each line is an object. sersync-verify(8) lists the fields.

";

impl Arguments for VerifyArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self)
    }

    fn logging(&self) -> Logging {
        self.logging.clone()
    }
}

/// The list is written in portions of this size, in bytes.
const PORTION: usize = 64 * 1024;

/// What is said when the time is over.
const TOO_LATE: &str = "the comparison takes longer than `timeout` in [full-sync]: stopping it";

fn run(global: &Global, args: &VerifyArgs) -> Result<End> {
    let setup = setup::prepare(global, &args.selection)?;
    let children = Interruptible::install()?;
    let refused = guard_sources(&setup, args);
    let pace = Pace::of(&setup.settings.watch);
    let sample = args.sample.map(|share| Sample::new(share, args.seed.unwrap_or_else(today)));
    let limit = Limit { time: setup.settings.full_sync.timeout, too_late: TOO_LATE, children: &children };
    let bars = Bars::new(Conditions { wanted: !args.json && !args.no_progress, lists: false });
    let mut reports = at_once::all(&setup.mirrors, Some(&limit), |mirror| match refused.get(&mirror.source.name) {
        Some(failure) => Report::not_begun(mirror, failure),
        None => verify::run(mirror, &children, pace, sample, bars.begin(&mirror.to_string()).meter()),
    });
    // They go before the results are printed.
    drop(bars);
    reports.sort_by(|a, b| a.summary.mirror.cmp(&b.summary.mirror));
    let show = is_shown(Mode::Real);
    for report in &reports {
        print(report, Form::of(args.json), show)?;
    }
    Ok(match children.signal() {
        0 => End::Exit(Exit::merge(reports.iter().map(|report| report.summary.exit))),
        signal => End::Signal(signal),
    })
}

/// The sources that must not be compared now, with the reason: an unmounted one would be called different altogether.
fn guard_sources(setup: &Setup, args: &VerifyArgs) -> BTreeMap<String, Failure> {
    let empty = EmptySource::of(args.allow_empty);
    let checked = setup.mirrors.iter().map(|mirror| (mirror, guard::check_source(&mirror.source, empty)));
    checked.filter_map(|(mirror, result)| Some((mirror.source.name.clone(), result.err()?))).collect()
}

/// The default seed: another one each day, and easy to give again.
fn today() -> u64 {
    let date = Local::now().date_naive();
    u64::try_from(date.year()).unwrap_or_default() * 10_000 + u64::from(date.month() * 100 + date.day())
}

fn print(result: &Report, form: Form, show: bool) -> io::Result<()> {
    result.log_errors();
    if logger::is_kept() {
        result.summary.log_result("verify", &result.line());
    }
    let summary = match form {
        Form::Json => Some(result.json()),
        Form::Lines => show.then(|| result.line()),
    };
    let mut text = String::new();
    for line in result.differences(form).chain(summary) {
        text.push_str(&line);
        text.push('\n');
        if text.len() >= PORTION {
            report::print(&std::mem::take(&mut text))?;
        }
    }
    report::print(&text)
}
