//! What became of a batch of changes.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::executor::Tally;
use crate::mirror::Mirror;
use crate::report::json::Object;
use crate::report::text::bytes;

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
        ("mirror", "the mirror, as NAME@ENDPOINT"),
        (
            "occasion",
            "why it was sent: changes, beside-pass (while a pass ran), after-pass (what had to wait for its end), retry (what had failed), or \
             catch-up (the comparison in the beginning)",
        ),
        ("created", "entries that were made"),
        ("updated", "entries whose content was sent"),
        ("deleted", "entries that were deleted"),
        ("attributes", "entries of which only permissions, owner or time changed"),
        ("bytes", "the size of the files that were sent"),
        ("sent", "bytes that went over the wire"),
        ("rsync_runs", "how many rsync processes it took"),
        ("seconds", "how long it took"),
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
        json!({
            "type": "batch",
            "mirror": mirror.to_string(),
            "occasion": self.occasion.word(),
            "created": self.tally.created,
            "updated": self.tally.updated,
            "deleted": self.tally.deleted,
            "attributes": self.tally.attributes,
            "bytes": self.tally.bytes,
            "sent": self.tally.sent,
            "rsync_runs": self.tally.runs,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { created, updated, deleted, attributes, sent, .. } = self.tally;
        f.write_str(match self.occasion {
            Occasion::Changes => "",
            Occasion::BesidePass => "beside a pass: ",
            Occasion::Retry => "again what had failed: ",
            Occasion::AfterPass => "after a pass: ",
            Occasion::CatchUp => "caught up: ",
        })?;
        let (sent, took) = (bytes(sent), self.took.as_secs_f64());
        write!(f, "{created} created, {updated} updated, {deleted} deleted, ")?;
        // A directory changes with nearly everything else, so that alone is no news beside that.
        if attributes > 0 && self.tally.changes() == 0 {
            write!(f, "{attributes} attributes, ")?;
        }
        write!(f, "{sent} sent in {took:.2} s")
    }
}
