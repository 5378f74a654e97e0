//! What became of a batch of changes.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mirror::Mirror;
use crate::report::json::{Object, field};
use crate::report::text::bytes;
use crate::rsync::tally::Tally;

/// Why something was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It changed.
    Changes,
    /// It changed while a pass was running, and could not get in its way.
    BesidePass,
    /// It had failed before.
    Retry,
    /// It had to wait for the end of a pass, or was sent while that was running.
    AfterPass,
    /// The watch had begun, and the mirror was compared.
    CatchUp,
}

impl Occasion {
    /// The word in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Occasion::Changes => "changes",
            Occasion::BesidePass => "beside-pass",
            Occasion::Retry => "retry",
            Occasion::AfterPass => "after-pass",
            Occasion::CatchUp => "catch-up",
        }
    }
}

/// The object of a batch.
pub static OBJECT: Object = Object {
    kind: "batch",
    printed: "for everything that was sent",
    fields: &[
        &[
            field::MIRROR,
            (
                "occasion",
                "why it was sent: changes, beside-pass (while a pass ran), after-pass (what had to wait for its end), retry (what had failed), or \
             catch-up (the comparison in the beginning)",
            ),
        ],
        &field::DONE,
        &[field::SECONDS],
    ],
    sometimes: &[],
};

/// Something that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// Why.
    pub occasion: Occasion,
    /// What was done.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
}

impl Batch {
    /// One that was begun then and is done now.
    #[must_use]
    pub fn done(occasion: Occasion, tally: Tally, begun: Instant) -> Batch {
        Batch { occasion, tally, took: begun.elapsed() }
    }

    /// One JSON object for programs.
    #[must_use]
    pub fn json(&self, mirror: &Mirror) -> Value {
        let mut object = json!({
            "type": "batch",
            "mirror": mirror.to_string(),
            "occasion": self.occasion.word(),
            "seconds": self.took.as_secs_f64(),
        });
        self.tally.add_to(&mut object);
        object
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { created, updated, deleted, attributes, sent, .. } = self.tally;
        f.write_str(match self.occasion {
            Occasion::Changes => "changed: ",
            Occasion::BesidePass => "beside a pass: ",
            Occasion::Retry => "again what had failed: ",
            Occasion::AfterPass => "after a pass: ",
            Occasion::CatchUp => "caught up: ",
        })?;
        let (size, sent, took) = (bytes(self.tally.bytes), bytes(sent), self.took.as_secs_f64());
        write!(f, "{created} created, {updated} updated, {deleted} deleted, ")?;
        // A directory changes with nearly everything else, so that alone is no news beside that.
        if attributes > 0 && self.tally.changes() == 0 {
            write!(f, "{attributes} attributes, ")?;
        }
        write!(f, "{size} in files, {sent} sent in {took:.2} s")
    }
}
