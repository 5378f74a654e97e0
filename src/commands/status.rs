//! `status`: what is mirrored, what is late and why, as far as it is written down on this host.

mod keyboard;
mod object;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Local, TimeDelta, Utc};
use clap::Args;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};

use self::keyboard::Keyboard;
pub(crate) use self::object::OBJECT;
use super::{Arguments, End, setup};
use crate::cli::{Global, Selection, exit_status, some_span};
use crate::exit::Exit;
use crate::mirror::Mirror;
use crate::report;
use crate::report::json::{self, with_path};
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes, count, escaped};
use crate::retention::rough;
use crate::state::StateDir;
use crate::state::condition::{Condition, Counters, FailingPath};
use crate::state::lock::{self, Kind};
use crate::state::passes::{Ended, Passes};
use crate::state::record::Record;
use crate::status::{Known, LATE_AFTER, Standing, stand};
use crate::tree::shard::Shard;

/// Show what is mirrored, what is late and why
///
/// Goes by what the other commands have written down in the state directory, and asks no target. Ends with 3 when something
/// is late or fails, so that it can serve as a check of a monitoring system.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES.to_owned() + &exit_status())]
pub(super) struct StatusArgs {
    #[command(flatten)]
    selection: Selection,

    /// A mirror that is behind for longer than this is late
    #[arg(long, value_name = "TIME", value_parser = some_span, default_value = LATE_AFTER)]
    max_lag: Duration,

    /// Also list the paths that fail, and why
    #[arg(long)]
    failing: bool,

    /// Show it again every two seconds, until `q` or Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Print one JSON object per mirror
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  sersync status                            all mirrors
  sersync status --failing                  with the paths that fail, and why
  sersync status --watch                    shown again every two seconds
  sersync status >/dev/null || echo late    as a check: ends with 3 when something is not well
  sersync status --max-lag 26h              where a full-sync runs every night and nothing else

BEHIND is how long ago everything had arrived; of a mirror that is live and has nothing to send it is nothing. A mirror is not
well when it is behind for longer than --max-lag, when a path fails, when its last pass failed, when a safety guard refuses it,
or when what is written down about it is empty, damaged or somebody else's. Who runs it needs to read the state directory of the
others. It changes nothing.

With --json each line is an object. sersync-status(8) lists the fields.

";

impl Arguments for StatusArgs {
    fn run(&self, global: &Global) -> Result<End> {
        run(global, self).map(End::Exit)
    }
}

/// How often it is shown again.
const AGAIN: Duration = Duration::from_secs(2);
/// Begins at the top of a terminal; the rest of a line, and what is below the last one.
const TOP: &str = "\u{1b}[H";
const REST_OF_LINE: &str = "\u{1b}[K";
const REST_OF_SCREEN: &str = "\u{1b}[J";

fn run(global: &Global, args: &StatusArgs) -> Result<Exit> {
    let (_, mirrors) = setup::select(global, &args.selection)?;
    let state = StateDir::open(global.state_dir.as_deref())?;
    let keyboard = args.watch.then(Keyboard::listen).flatten();
    let max_lag = TimeDelta::from_std(args.max_lag).unwrap_or(TimeDelta::MAX);
    loop {
        let now = Utc::now();
        let all: Vec<(&Mirror, Known)> = mirrors.iter().map(|mirror| (mirror, known(&state, mirror))).collect();
        let judged: Vec<(&Mirror, &Known, Standing)> =
            all.iter().map(|(mirror, known)| (*mirror, known, stand(known, now, max_lag))).collect();
        let mut text = if args.json { objects(&judged, now) } else { page(&judged, now, Failing::of(args.failing)) };
        if !args.json && all.iter().all(|(_, known)| known.is_nothing()) {
            let place = text::path(state.path());
            let _ =
                writeln!(text, "Nothing is written down in {place}; --state-dir DIR names another state directory.");
        }
        if !args.watch {
            report::print(&text)?;
            let well = judged.iter().all(|(_, _, standing)| standing.wrong.is_empty());
            return Ok(if well { Exit::Done } else { Exit::Partial });
        }
        let text = format!("{}\n{text}", Local::now().format("%Y-%m-%d %H:%M:%S"));
        let shown = if io::stdout().is_terminal() { on_screen(&text) } else { text + "\n" };
        if io::stdout().write_all(shown.as_bytes()).and_then(|()| io::stdout().flush()).is_err() {
            // Nobody is looking any more.
            return Ok(Exit::Done);
        }
        match &keyboard {
            Some(keyboard) if keyboard.asks_for_the_end_within(AGAIN) => return Ok(Exit::Done),
            Some(_) => {}
            None => thread::sleep(AGAIN),
        }
    }
}

/// The text over what the screen showed before: nothing flickers, and nothing that scrolled away before is lost. What does not
/// fit is counted.
fn on_screen(text: &str) -> String {
    let rows = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    let room = if rows > 2 { rows - 2 } else { usize::MAX };
    let mut lines: Vec<String> = text.lines().take(room).map(|line| format!("{line}{REST_OF_LINE}\n")).collect();
    let more = text.lines().count() - lines.len();
    if more > 0 {
        lines.push(format!("... and {}{REST_OF_LINE}\n", count(more, "more line")));
    }
    format!("{TOP}{}{REST_OF_SCREEN}", lines.concat())
}

/// All that is written down about a mirror. What cannot be read is said, and the rest is shown.
fn known(state: &StateDir, mirror: &Mirror) -> Known {
    let mut unreadable = Vec::new();
    let mut noted = |e: io::Error| {
        let why = e.to_string();
        if !unreadable.contains(&why) {
            unreadable.push(why);
        }
    };
    let is_watched = lock::is_held(state, mirror, Kind::Watch).map_err(&mut noted).unwrap_or_default();
    let is_passing = lock::is_held(state, mirror, Kind::Pass).map_err(&mut noted).unwrap_or_default();
    let condition = Condition::load(state, mirror).map_err(&mut noted).unwrap_or_default();
    let passes = Passes::load(state, mirror).map_err(&mut noted).unwrap_or_default();
    let record = Record::read(state, mirror, Shard::WHOLE).map_err(&mut noted).unwrap_or_default();
    let stamp = record.map(|record| record.stamp.time);
    Known { is_watched, is_passing, condition, passes, stamp, unreadable }
}

/// What is said of failing paths.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failing {
    /// How many there are.
    Counted,
    /// Each of them.
    Named,
}

impl Failing {
    /// As `--failing` has it.
    fn of(named: bool) -> Failing {
        if named { Failing::Named } else { Failing::Counted }
    }
}

fn page(judged: &[(&Mirror, &Known, Standing)], now: DateTime<Utc>, failing: Failing) -> String {
    let mut table = Table::new(&[
        ("MIRROR", Side::Left),
        ("STATE", Side::Left),
        ("BEHIND", Side::Right),
        ("PENDING", Side::Right),
        ("FAILING", Side::Right),
        ("LAST FULL PASS", Side::Left),
    ]);
    for (mirror, known, standing) in judged {
        let since = standing.since.map_or(String::new(), |since| format!(" for {}", rough(passed(since, now))));
        table.push(vec![
            escaped(mirror.to_string().as_bytes()),
            format!("{}{since}", standing.state.word()),
            standing.lag.map_or_else(|| "?".to_owned(), rough),
            standing.pending.to_string(),
            standing.failing.to_string(),
            known.passes.full.as_ref().map_or_else(|| "none".to_owned(), |pass| told(pass, now)),
        ]);
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    for (mirror, known, standing) in judged {
        let mirror = escaped(mirror.to_string().as_bytes());
        let mut say = |what: &str| lines.push(format!("{mirror}: {what}"));
        if !standing.wrong.is_empty() {
            say(&escaped(standing.wrong.join("; ").as_bytes()));
        }
        if let Some(error) = &standing.error {
            say(&format!("{} ago: {}", rough(passed(error.at, now)), escaped(error.why.as_bytes())));
        }
        let condition = known.condition.as_ref().filter(|_| known.is_watched);
        if let Some(why) = condition.and_then(|condition| condition.degraded.as_ref()) {
            say(&format!("degraded: {}", escaped(why.as_bytes())));
        }
        let unwritten = condition.map_or(0, |condition| condition.counters.unwritten);
        if unwritten > 0 {
            say(&format!(
                "metrics could not be written {}",
                count(usize::try_from(unwritten).unwrap_or(usize::MAX), "time")
            ));
        }
        for path in standing.failing_paths.iter().filter(|_| failing == Failing::Named) {
            say(&format!("failing: {}: {}", text::path(&path.path()), escaped(path.why.as_bytes())));
        }
        let more = standing.failing - standing.failing_paths.len();
        if failing == Failing::Named && more > 0 {
            say(&format!("{} fail: see the log", count(more, "more path")));
        }
    }
    lines.join("\n") + "\n"
}

/// A pass in a few words.
fn told(pass: &Ended, now: DateTime<Utc>) -> String {
    let took = format!("{} ago, {:.1} s", rough(passed(pass.at, now)), pass.seconds);
    let paths = usize::try_from(pass.created + pass.updated).unwrap_or(usize::MAX);
    let result = if pass.is_good() { String::new() } else { format!(", exit {}", pass.exit) };
    format!("{took}, {} and {} sent{result}", count(paths, "path"), bytes(pass.bytes))
}

fn passed(since: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
    (now - since).max(TimeDelta::zero())
}

/// What a watch has done since it began.
fn since_start(condition: &Condition) -> Value {
    let Counters { tally, errors, retries, overflows, unwritten } = condition.counters;
    json!({
        "batches": condition.batches,
        "created": tally.created,
        "updated": tally.updated,
        "deleted": tally.deleted,
        "attributes": tally.attributes,
        "bytes": tally.bytes,
        "sent": tally.sent,
        "rsync_runs": tally.runs,
        "errors": errors,
        "retries": retries,
        "overflows": overflows,
        "unwritten_metrics": unwritten,
    })
}

fn objects(judged: &[(&Mirror, &Known, Standing)], now: DateTime<Utc>) -> String {
    let object = |(mirror, known, standing): &(&Mirror, &Known, Standing)| {
        let failing = |path: &FailingPath| with_path(json!({ "why": path.why }), &path.path());
        let condition = known.condition.as_ref().filter(|_| known.is_watched);
        json::line(&json!({
            "type": "mirror",
            "mirror": mirror.to_string(),
            "state": standing.state.word(),
            "since": standing.since,
            "lag_seconds": standing.lag.map(|lag| lag.num_seconds()),
            "pending": standing.pending,
            "failing": standing.failing,
            "failing_paths": standing.failing_paths.iter().map(failing).collect::<Vec<Value>>(),
            "degraded": condition.and_then(|condition| condition.degraded.clone()),
            "behind_since": condition.and_then(|condition| condition.behind_since),
            "last_batch": condition.and_then(|condition| condition.last_batch),
            "inotify_watches": condition.map(|condition| condition.inotify_watches),
            "since_start": condition.map(since_start),
            "error": standing.error.as_ref().map(|error| json!({ "why": error.why, "at": error.at })),
            "wrong": standing.wrong,
            "well": standing.wrong.is_empty(),
            "last_pass": known.passes.last,
            "last_good_pass": known.passes.good,
            "last_full_pass": known.passes.full,
            "now": now,
        }))
    };
    judged.iter().map(|judged| object(judged) + "\n").collect()
}
