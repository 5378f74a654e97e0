//! `status`: what is mirrored, what is late and why, as far as it is written down on this host.

mod object;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Local, TimeDelta, Utc};
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};

pub(crate) use self::object::OBJECT;
use super::setup;
use crate::cli::{Cli, StatusArgs};
use crate::exit::Exit;
use crate::history::retention::rough;
use crate::mirror::Mirror;
use crate::report;
use crate::report::json::{self, with_path};
use crate::report::table::{Side, Table};
use crate::report::text::{self, bytes, count, escaped};
use crate::state::StateDir;
use crate::state::condition::{Condition, Counters, FailingPath};
use crate::state::lock::{self, Kind};
use crate::state::passes::{Ended, Passes};
use crate::state::record::Record;
use crate::status::{Known, Standing, stand};
use crate::tree::shard::Shard;

/// How often it is shown again.
const AGAIN: Duration = Duration::from_secs(2);
/// Begins at the top of a terminal; the rest of a line, and what is below the last one.
const TOP: &str = "\u{1b}[H";
const REST_OF_LINE: &str = "\u{1b}[K";
const REST_OF_SCREEN: &str = "\u{1b}[J";

pub(super) fn run(cli: &Cli, args: &StatusArgs) -> Result<Exit> {
    let (_, mirrors) = setup::select(cli, &args.selection)?;
    let state = StateDir::open(cli.state_dir.as_deref())?;
    let max_lag = TimeDelta::from_std(args.max_lag).unwrap_or(TimeDelta::MAX);
    loop {
        let now = Utc::now();
        let all: Vec<(&Mirror, Known)> = mirrors.iter().map(|mirror| (mirror, known(&state, mirror))).collect();
        let judged: Vec<(&Mirror, &Known, Standing)> =
            all.iter().map(|(mirror, known)| (*mirror, known, stand(known, now, max_lag))).collect();
        let mut text = if args.json { objects(&judged, now) } else { page(&judged, now, args.failing) };
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
        thread::sleep(AGAIN);
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
    let mut unreadable = None;
    let mut noted = |e: io::Error| unreadable = Some(e.to_string());
    let is_watched = lock::is_held(state, mirror, Kind::Watch).map_err(&mut noted).unwrap_or_default();
    let is_passing = lock::is_held(state, mirror, Kind::Pass).map_err(&mut noted).unwrap_or_default();
    let condition = Condition::load(state, mirror).map_err(&mut noted).unwrap_or_default();
    let passes = Passes::load(state, mirror).map_err(&mut noted).unwrap_or_default();
    let stamp = Record::load(state, mirror, Shard::WHOLE).map(|record| record.stamp.time);
    Known { is_watched, is_passing, condition, passes, stamp, unreadable }
}

fn page(judged: &[(&Mirror, &Known, Standing)], now: DateTime<Utc>, failing: bool) -> String {
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
        let paths = condition.into_iter().flat_map(|condition| &condition.failing_paths);
        for path in paths.filter(|_| failing) {
            say(&format!("failing: {}: {}", text::path(&path.path()), escaped(path.why.as_bytes())));
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
            "failing_paths": condition.map(|it| it.failing_paths.iter().map(failing).collect::<Vec<Value>>()),
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
