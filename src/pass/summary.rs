//! The result of a pass over one mirror, for people and for programs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use chrono::Utc;
use log::{error, info};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;
use crate::report::json::{self, Fields, Object, field, with_path};
use crate::report::text::{self, bytes, count};
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::tally::Tally;
use crate::state::condition::{FailingPath, MOST_NAMED};
use crate::state::passes::{Ended, Reached};

/// More failing paths than this are counted only.
const NAMED: usize = 100;
/// How a message about a source begins, which all its mirrors have in common.
const OF_A_SOURCE: &str = "source `";

/// The object of a mirror after a pass.
pub static OBJECT: Object = Object {
    kind: "mirror",
    printed: "one for each mirror",
    fields: &[&field::RESULT, &field::DONE, &[field::SECONDS, ("failing", "the paths that failed, a list")]],
    sometimes: &field::FAILING,
};

/// What became of one mirror.
#[derive(Debug)]
pub struct Summary {
    /// The mirror, as `NAME@ENDPOINT`.
    pub mirror: String,
    /// The exit code that this mirror alone would give.
    pub exit: Exit,
    /// Why it failed as a whole.
    pub why: Option<String>,
    /// The paths that failed.
    pub failing: Failing,
    /// What was done.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
    /// How much was looked at, where that was decided.
    pub reached: Option<Reached>,
}

impl Summary {
    /// The result of a run that came to an outcome.
    #[must_use]
    pub fn new(mirror: &Mirror, outcome: Outcome, tally: Tally, took: Duration) -> Self {
        let (exit, why, failing) = match outcome {
            Outcome::Done => (Exit::Done, None, Failing::default()),
            Outcome::Partial(failing) => (Exit::Partial, None, failing),
            Outcome::Transient(trouble)
            | Outcome::Busy(trouble)
            | Outcome::Aborted(trouble)
            | Outcome::Permanent(trouble) => (trouble.exit, Some(trouble.why), Failing::default()),
            Outcome::Stopped => (Exit::Partial, Some("stopped before it was done".to_owned()), Failing::default()),
            Outcome::Limited => {
                (Exit::Refused, Some("more is to be deleted than may be".to_owned()), Failing::default())
            }
            Outcome::NoMissingArgs => (Exit::Failed, Some("the daemon cannot delete".to_owned()), Failing::default()),
        };
        Summary { mirror: mirror.to_string(), exit, why, failing, tally, took, reached: None }
    }

    /// The result for a mirror on which nothing was begun.
    #[must_use]
    pub fn not_begun(mirror: &Mirror, failure: &Failure) -> Self {
        Summary {
            mirror: mirror.to_string(),
            exit: failure.exit,
            why: Some(failure.message.clone()),
            failing: Failing::default(),
            tally: Tally::default(),
            took: Duration::ZERO,
            reached: None,
        }
    }

    /// Logs what failed in all of them; what is said of a source is said once for all its mirrors.
    pub fn log_all(summaries: &[Summary]) {
        let mut told = BTreeSet::new();
        for summary in summaries {
            let of_source = summary.why.as_deref().filter(|why| why.starts_with(OF_A_SOURCE));
            if of_source.is_none_or(|why| told.insert(why)) {
                summary.log_errors();
            }
        }
    }

    /// Logs what failed; nothing when all went well.
    pub fn log_errors(&self) {
        let mirror = &self.mirror;
        if let Some(why) = &self.why {
            // Failures that name their source or lock themselves are not prefixed twice.
            if why.starts_with(OF_A_SOURCE) || why.starts_with(mirror) {
                error!(mirror; "{why}");
            } else {
                error!(mirror; "{mirror}: {why}");
            }
        }
        for (path, why) in self.failing.paths.iter().take(NAMED) {
            let Fields { path: name, path_hex } = json::fields(path);
            error!(mirror, path = name, path_hex; "{mirror}: {}: {why}", text::path(path));
        }
        for why in self.failing.unattributed.iter().take(NAMED) {
            error!(mirror; "{mirror}: {why}");
        }
        if self.failing.len() > NAMED {
            error!(mirror; "{mirror}: {} failed in all", count(self.failing.len(), "path"));
        }
    }

    /// Logs the result as a line, with its figures as fields.
    pub fn log_result(&self, cause: &str, line: &str) {
        let Tally { bytes, sent, attributes, .. } = self.tally;
        let (mirror, paths, exit) = (&self.mirror, self.tally.changes() + attributes, u64::from(self.exit.code()));
        let (failing, seconds) = (self.failing.len(), self.took.as_secs_f64());
        info!(mirror, cause, paths, bytes, sent, seconds, exit, failing; "{line}");
    }

    /// The first of the paths that failed. What has no name stands for the source.
    #[must_use]
    pub fn failing_paths(&self) -> Vec<FailingPath> {
        let named = self.failing.paths.iter().map(|(path, why)| (path.clone().into_os_string(), why));
        let unnamed = self.failing.unattributed.iter().map(|why| (OsString::new(), why));
        let all = named.chain(unnamed).take(MOST_NAMED);
        all.map(|(path, why)| FailingPath { path, why: why.clone() }).collect()
    }

    /// What is to be remembered of it.
    #[must_use]
    pub fn ended(&self, reached: Reached) -> Ended {
        let Tally { created, updated, deleted, attributes, bytes, sent, runs } = self.tally;
        let paths = self.failing.paths.iter().map(|(path, why)| format!("{}: {why}", text::path(path)));
        let first = paths.chain(self.failing.unattributed.iter().cloned()).next();
        Ended {
            at: Utc::now(),
            seconds: self.took.as_secs_f64(),
            reached,
            exit: self.exit.code(),
            error: self.why.clone().or(first),
            failing: self.failing.len(),
            created,
            updated,
            deleted,
            attributes,
            bytes,
            sent,
            rsync_runs: runs,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Tally { created, updated, deleted, attributes, sent, .. } = self.tally;
        let state = match self.exit {
            Exit::Done => String::new(),
            Exit::Partial if self.why.is_none() => format!(", {} FAILED", count(self.failing.len(), "path")),
            _ => ", FAILED".to_owned(),
        };
        format!(
            "{}: {created} created, {updated} updated, {deleted} deleted, {attributes} attributes, {} sent in {:.1} s{state}",
            self.mirror,
            bytes(sent),
            self.took.as_secs_f64(),
        )
    }

    /// What failed, an object for each path.
    #[must_use]
    pub fn failing_json(&self) -> Vec<Value> {
        (self.failing.paths.iter())
            .map(|(path, why)| with_path(json!({ "why": why }), path))
            .chain(self.failing.unattributed.iter().map(|why| json!({ "why": why })))
            .collect()
    }

    /// One JSON object for programs.
    #[must_use]
    pub fn json(&self) -> String {
        let mut object = json!({
            "type": "mirror",
            "mirror": self.mirror,
            "exit": self.exit.code(),
            "error": self.why,
            "seconds": self.took.as_secs_f64(),
            "failing": self.failing_json(),
        });
        self.tally.add_to(&mut object);
        json::line(&object)
    }
}
