//! A line of the screen, and what it says.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::super::text;
use super::Begun;
use crate::meter::{Following, Reading, Stage};

/// A mirror of which it is known how much there is to do.
const BAR: &str = "{prefix} [{wide_bar}] {human_pos}/{human_len}{msg}";
/// One of which it is not.
pub(super) const SPINNER: &str = "{prefix} {spinner} {msg}";
/// The line for the mirrors that have none.
pub(super) const REST: &str = "{msg}";

/// One line of the screen.
pub(super) struct Bar {
    pub(super) mirror: Arc<Begun>,
    pub(super) line: ProgressBar,
    /// The stage that it has been made for.
    shown: Option<Stage>,
}

impl Bar {
    /// One that shows nothing yet.
    pub(super) fn new(mirror: &Arc<Begun>, line: ProgressBar) -> Bar {
        Bar { mirror: Arc::clone(mirror), line, shown: None }
    }

    pub(super) fn update(&mut self, room: usize) {
        let Reading { stage, looked, sent, following } = self.mirror.meter.read();
        let bar = &self.line;
        bar.set_prefix(format!("{:room$}", shortened(&self.mirror.name, room)));
        if self.shown.replace(stage) != Some(stage) {
            if let Stage::Comparing(Some(total)) = stage {
                bar.set_style(style(BAR));
                bar.set_length(total);
            } else {
                bar.set_style(style(SPINNER));
                bar.unset_length();
            }
            bar.set_position(looked);
            // The time that passed until here says nothing about the rest.
            bar.reset_eta();
        }
        bar.set_position(looked);
        bar.set_message(match stage {
            Stage::Waiting => {
                following.map_or_else(|| "waiting".to_owned(), |following| followed(following, Utc::now()))
            }
            Stage::Looking => "looking at the source".to_owned(),
            Stage::Comparing(Some(total)) => numbers(sent, bar.per_sec(), (looked < total).then(|| bar.eta())),
            Stage::Comparing(None) => format!("comparing what changed{}", numbers(sent, 0.0, None)),
            Stage::Again => "looking again at what differs".to_owned(),
        });
        bar.tick();
    }
}

/// How a mirror does that is watched.
fn followed(following: Following, now: DateTime<Utc>) -> String {
    let Following { state, pending, failing, changes, bytes, last, behind_since } = following;
    let ago = |moment: DateTime<Utc>| {
        let time = (now - moment).to_std().unwrap_or_default();
        format!("{:#}", HumanDuration(Duration::from_secs(time.as_secs())))
    };
    let mut text = format!("{state}  {pending} pending");
    // Writing to a string cannot fail.
    if failing > 0 {
        let _ = write!(text, "  {failing} FAILING");
    }
    if let Some(since) = behind_since.filter(|since| (now - *since).num_seconds() > 0) {
        let _ = write!(text, "  {} behind", ago(since));
    }
    let _ = write!(text, "  {changes} sent  {}", text::bytes(bytes));
    if let Some(last) = last {
        let _ = write!(text, "  last {} ago", ago(last));
    }
    text
}

/// What was sent, how many entries are compared in a second, and how long it takes from here, each if there is any.
fn numbers(sent: u64, rate: f64, left: Option<Duration>) -> String {
    let mut numbers = String::new();
    // Writing to a string cannot fail.
    if sent > 0 {
        let _ = write!(numbers, "  {}", text::bytes(sent));
    }
    if rate >= 0.5 {
        let _ = write!(numbers, "  {rate:.0}/s");
        if let Some(left) = left {
            let _ = write!(numbers, "  {:#}", HumanDuration(left));
        }
    }
    numbers
}

/// The end of a long name: mirrors of one source differ there.
fn shortened(name: &str, room: usize) -> String {
    let excess = name.chars().count().saturating_sub(room);
    if excess == 0 { name.to_owned() } else { "..".chars().chain(name.chars().skip(excess + 2)).collect() }
}

/// No colours, and nothing but ASCII: it is the same on every terminal.
pub(super) fn style(template: &str) -> ProgressStyle {
    // The templates are those above, and tests show that they are right.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.tick_chars("|/-\\ ").progress_chars("#>-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ends() {
        assert_eq!(shortened("data@127.0.0.1/m", 16), "data@127.0.0.1/m");
        assert_eq!(shortened("data@127.0.0.1/m", 10), "...0.0.1/m");
        assert_eq!(shortened("文件文件", 3), "..件");
    }

    #[test]
    fn numbers_that_are_not_known_are_left_out() {
        assert_eq!(numbers(0, 0.0, Some(Duration::ZERO)), "");
        assert_eq!(numbers(2048, 12.4, Some(Duration::from_secs(90))), "  2.0 KiB  12/s  2m");
        assert_eq!(numbers(0, 12.4, None), "  12/s");
    }

    #[test]
    fn what_is_watched_is_a_line() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let before = |seconds| Some(now - chrono::TimeDelta::seconds(seconds));
        let well =
            Following { state: "live", pending: 0, failing: 0, changes: 0, bytes: 0, last: None, behind_since: None };
        assert_eq!(followed(well, now), "live  0 pending  0 sent  0 B");
        let ill = Following {
            state: "backing off",
            pending: 7,
            failing: 1,
            changes: 34,
            bytes: 2048,
            last: before(3),
            behind_since: before(130),
        };
        let line = "backing off  7 pending  1 FAILING  2m behind  34 sent  2.0 KiB  last 3s ago";
        assert_eq!(followed(ill, now), line);
    }

    #[test]
    fn the_templates_are_right() {
        for template in [BAR, SPINNER, REST] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
