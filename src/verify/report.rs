//! The result of comparing one mirror with its source, for people and for programs.

use std::time::Duration;

use log::error;
use serde_json::{Value, json};

use super::differences::{Difference, Differences};
use super::sample::Sample;
use crate::exit::{Exit, Failure};
use crate::mirror::Mirror;
use crate::pass::summary::Summary;
use crate::report::json::{self, Object, field, with_path};
use crate::report::{Form, text};
use crate::rsync::outcome::Outcome;
use crate::rsync::tally::Tally;

/// The object of a difference.
pub static DIFFERENCE: Object = Object {
    kind: "difference",
    printed: "for each difference",
    fields: &[&[field::MIRROR, ("difference", "what it is: missing, differs, attributes or extra"), field::PATH]],
    sometimes: &[field::PATH_HEX],
};

/// The object of a mirror that was compared.
pub static OBJECT: Object = Object {
    kind: "mirror",
    printed: "one for each mirror",
    fields: &[
        &field::RESULT,
        &[
            ("compared", "entries that were compared"),
            ("missing", "entries that the mirror does not have, or as something of another kind"),
            ("differs", "files of other content"),
            ("attributes", "entries of other permissions, owner or time"),
            ("extra", "entries that only the mirror has"),
            ("not_listed", "differences beyond those that are listed"),
            ("sample", "the share that was compared; null when it was everything"),
            ("seed", "what the choice of that depends on; null without a sample"),
            field::RSYNC_RUNS,
            field::SECONDS,
            ("failing", "what could not be compared, a list"),
        ],
    ],
    sometimes: &field::FAILING,
};

/// What came out for one mirror.
#[derive(Debug)]
pub struct Report {
    /// What failed, and the exit code that this mirror alone would give.
    pub summary: Summary,
    differences: Option<Differences>,
    /// Entries of the source that were compared.
    compared: u64,
    sample: Option<Sample>,
}

impl Report {
    /// The result of a comparison that came to an outcome.
    #[must_use]
    pub(super) fn new(
        mirror: &Mirror,
        outcome: Outcome,
        differences: Differences,
        compared: u64,
        sample: Option<Sample>,
        tally: Tally,
        took: Duration,
    ) -> Self {
        let mut summary = Summary::new(mirror, outcome, tally, took);
        if summary.exit == Exit::Done && !differences.is_empty() {
            summary.exit = Exit::Partial;
        }
        Report { summary, differences: Some(differences), compared, sample }
    }

    /// The result for a mirror that was not looked at.
    #[must_use]
    pub fn not_begun(mirror: &Mirror, failure: &Failure) -> Self {
        Report { summary: Summary::not_begun(mirror, failure), differences: None, compared: 0, sample: None }
    }

    /// Logs what failed, and that there is more than was kept; nothing when all went well.
    pub fn log_errors(&self) {
        self.summary.log_errors();
        if let Some(differences) = self.differences.as_ref().filter(|differences| differences.not_kept() > 0) {
            error!(
                mirror:% = self.summary.mirror;
                "{}: too much differs: about {} more paths were neither looked at again nor listed",
                self.summary.mirror,
                differences.not_kept(),
            );
        }
    }

    /// One line for each difference, or one JSON object.
    pub fn differences(&self, form: Form) -> impl Iterator<Item = String> {
        self.differences.iter().flat_map(Differences::iter).map(move |(path, difference)| {
            let (mirror, word) = (&self.summary.mirror, difference.word());
            if form == Form::Json {
                json::line(&with_path(json!({ "type": "difference", "mirror": mirror, "difference": word }), path))
            } else {
                format!("{mirror}: {word} {}", text::path(path))
            }
        })
    }

    fn count(&self, difference: Difference) -> usize {
        self.differences.as_ref().map_or(0, |differences| differences.count(difference))
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let sample = self
            .sample
            .map_or(String::new(), |sample| format!(" (a sample of {}, seed {})", sample.share, sample.seed));
        let counts = Difference::ALL.map(|difference| format!("{} {}", self.count(difference), difference.word()));
        let Summary { mirror, failing, exit, why, took, .. } = &self.summary;
        let state = match exit {
            Exit::Done => String::new(),
            Exit::Partial if why.is_none() && failing.is_empty() => String::new(),
            Exit::Partial if why.is_none() => format!(", {} FAILED", text::count(failing.len(), "path")),
            _ => ", FAILED".to_owned(),
        };
        let (compared, counts, seconds) = (self.compared, counts.join(", "), took.as_secs_f64());
        format!("{mirror}: {compared} compared{sample}: {counts} in {seconds:.1} s{state}")
    }

    /// One JSON object for programs.
    #[must_use]
    pub fn json(&self) -> String {
        let Summary { mirror, exit, why, tally, took, .. } = &self.summary;
        let mut object = json!({
            "type": "mirror",
            "mirror": mirror,
            "exit": exit.code(),
            "error": why,
            "compared": self.compared,
            "not_listed": self.differences.as_ref().map_or(0, Differences::not_kept),
            "sample": self.sample.map(|sample| sample.share.to_string()),
            "seed": self.sample.map(|sample| sample.seed),
            "rsync_runs": tally.runs,
            "seconds": took.as_secs_f64(),
            "failing": self.summary.failing_json(),
        });
        for difference in Difference::ALL {
            object[difference.word()] = Value::from(self.count(difference));
        }
        json::line(&object)
    }
}
