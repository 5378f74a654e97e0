//! The result of pruning one history, for people and for programs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Local;
use log::{info, warn};
use serde_json::json;

use crate::executor::Mode;
use crate::exit::{Exit, Failure};
use crate::metrics::Textfiles;
use crate::metrics::history::{Disk, Known};
use crate::mirror::Mirror;
use crate::pass::summary::Summary;
use crate::report::Form;
use crate::report::json::{self, Object, field, with_path};
use crate::report::text::{self, count};
use crate::retention::{Plan, Unit, Verdict};
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::tally::Tally;

/// More foreign names than this are counted only.
const NAMED: usize = 100;

/// The object of a part of the history.
pub static BUCKET: Object = Object {
    kind: "bucket",
    printed: "for each bucket, each day without buckets and each other name",
    fields: &[&[
        field::MIRROR,
        ("action", "what becomes of it: remove, keep or leave (another name)"),
        ("reason", "why"),
        ("path", "where it is in the history"),
    ]],
    sometimes: &[field::PATH_HEX],
};

/// The object of a history.
pub static OBJECT: Object = Object {
    kind: "mirror",
    printed: "one for each mirror",
    fields: &[
        &field::RESULT,
        &[
            ("dry_run", "whether nothing was changed"),
            ("kept", "buckets and days that stay"),
            ("removed", "buckets and days that are gone, or would be"),
            ("left_alone", "other names"),
            ("deleted", "entries in what was removed"),
            field::RSYNC_RUNS,
            field::SECONDS,
            ("failing", "what could not be removed, a list"),
        ],
    ],
    sometimes: &field::FAILING,
};

/// What came out for one history.
#[derive(Debug)]
pub struct Report {
    /// What failed, and the exit code that this history alone would give.
    pub summary: Summary,
    plan: Plan,
    /// What is gone.
    removed: BTreeSet<Unit>,
    mode: Mode,
    disk: Disk,
}

impl Report {
    /// The result of a run that came to an outcome.
    #[must_use]
    pub(super) fn new(
        mirror: &Mirror,
        outcome: Outcome,
        plan: Option<Plan>,
        removed: BTreeSet<Unit>,
        mode: Mode,
        tally: Tally,
        took: Duration,
    ) -> Self {
        let (summary, plan) = (Summary::new(mirror, outcome, tally, took), plan.unwrap_or_default());
        Report { summary, plan, removed, mode, disk: Disk::default() }
    }

    /// The result for a history that was not touched.
    #[must_use]
    pub fn not_begun(mirror: String, failure: &Failure) -> Self {
        let (failing, tally, took) = (Failing::default(), Tally::default(), Duration::ZERO);
        let summary = Summary {
            mirror,
            exit: failure.exit,
            why: Some(failure.message.clone()),
            failing,
            tally,
            took,
            reached: None,
        };
        Report { summary, plan: Plan::default(), removed: BTreeSet::new(), mode: Mode::Real, disk: Disk::default() }
    }

    /// The result of a run on the backup server itself.
    #[must_use]
    pub(super) fn local(summary: Summary, plan: Plan, removed: BTreeSet<Unit>, mode: Mode, disk: Disk) -> Self {
        Report { summary, plan, removed, mode, disk }
    }

    /// Writes down for monitoring what is known of the history now.
    pub fn note(&self, metrics: &Textfiles) {
        // What did not run, because another pass did, says nothing about the history; a dry run changes nothing.
        if self.mode == Mode::DryRun || self.summary.exit == Exit::Locked {
            return;
        }
        let [kept, _, _] = self.counts();
        let buckets = self.summary.why.is_none().then_some(kept);
        let now = Local::now();
        let oldest = self.oldest().map(|unit| now.to_utc() - unit.age(&now));
        let known = Known { at: now.to_utc(), exit: self.summary.exit.code(), buckets, oldest, disk: self.disk };
        metrics.history(&self.summary.mirror, &known);
    }

    /// The oldest that is left and has something in it.
    fn oldest(&self) -> Option<Unit> {
        let is_left = |(unit, verdict): &&(Unit, Verdict)| *verdict != Verdict::Emptied && !self.removed.contains(unit);
        self.plan.decisions.iter().find(is_left).map(|(unit, _)| *unit)
    }

    /// Logs what failed and which names were left alone because they are not ours.
    pub fn log(&self) {
        self.summary.log_errors();
        let mirror = &self.summary.mirror;
        for path in self.plan.foreign.iter().take(NAMED) {
            warn!(mirror:%; "{mirror}: left alone, since it is no bucket: {}", text::path(path));
        }
        if self.plan.foreign.len() > NAMED {
            warn!(mirror:%; "{mirror}: {} were left alone in all", count(self.plan.foreign.len(), "name"));
        }
        for unit in &self.removed {
            info!(mirror:%; "{mirror}: removed {unit}");
        }
    }

    /// One JSON object for each bucket, day or other name; or one line for each, in a dry run only.
    pub fn decisions(&self, form: Form) -> impl Iterator<Item = String> {
        let mirror = &self.summary.mirror;
        let all = if form == Form::Json || self.mode == Mode::DryRun { &self.plan } else { const { &Plan::EMPTY } };
        let decided = all.decisions.iter().map(move |(unit, verdict)| {
            let action = if verdict.removes() { "remove" } else { "keep" };
            (action, PathBuf::from(unit.to_string()), verdict.to_string())
        });
        let foreign = all.foreign.iter().filter(move |_| form == Form::Json);
        let foreign = foreign.map(|path| ("leave", path.clone(), "no bucket".to_owned()));
        decided.chain(foreign).map(move |(action, path, reason)| {
            if form == Form::Json {
                let object = json!({ "type": "bucket", "mirror": mirror, "action": action, "reason": reason });
                json::line(&with_path(object, &path))
            } else {
                format!("{mirror}: {action} {}: {reason}", text::path(&path))
            }
        })
    }

    fn counts(&self) -> [usize; 3] {
        let removed = match self.mode {
            Mode::Real => self.removed.len(),
            Mode::DryRun => self.plan.removed().count(),
        };
        [self.plan.decisions.len() - removed, removed, self.plan.foreign.len()]
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Summary { mirror, failing, exit, why, took, .. } = &self.summary;
        let [kept, removed, foreign] = self.counts();
        let state = match (exit.code(), why) {
            (0, _) => String::new(),
            (_, None) => format!(", {} FAILED", count(failing.len(), "path")),
            _ => ", FAILED".to_owned(),
        };
        let (kept, foreign, took) = (count(kept, "bucket"), count(foreign, "other name"), took.as_secs_f64());
        let word = if self.mode == Mode::DryRun { "to remove" } else { "removed" };
        format!("{mirror}: {kept} kept, {removed} {word}, {foreign} left alone in {took:.1} s{state}")
    }

    /// One JSON object for programs.
    #[must_use]
    pub fn json(&self) -> String {
        let Summary { mirror, exit, why, tally, took, .. } = &self.summary;
        let [kept, removed, foreign] = self.counts();
        json::line(&json!({
            "type": "mirror",
            "mirror": mirror,
            "exit": exit.code(),
            "error": why,
            "dry_run": self.mode == Mode::DryRun,
            "kept": kept,
            "removed": removed,
            "left_alone": foreign,
            "deleted": tally.deleted,
            "rsync_runs": tally.runs,
            "seconds": took.as_secs_f64(),
            "failing": self.summary.failing_json(),
        }))
    }
}
