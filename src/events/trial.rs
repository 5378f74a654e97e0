//! Whether fanotify could watch a source: tried out, since only the kernel knows for sure.

use std::path::Path;
use std::time::Instant;

use super::fanotify::{self, CannotOpen};
use super::session::{Scene, Stop};
use super::{Arrival, Identity, Mark, Sink};
use crate::config::settings::Source;
use crate::state::record::Moment;
use crate::tree::Reach;
use crate::tree::exclude::Excludes;

/// What keeps fanotify from watching this source from this process; nothing when it can. What was opened for the trial is
/// closed again.
#[must_use]
pub fn fanotify_obstacle(source: &Source, excludes: &Excludes) -> Option<String> {
    let stop = match Stop::new() {
        Ok(stop) => stop,
        Err(e) => return Some(e.to_string()),
    };
    let scene = Scene { source, excludes, reach: Reach::of_source(source, excludes), sink: &Nobody, stop: &stop };
    match fanotify::open(scene) {
        Ok(_) => None,
        Err(CannotOpen::Unable(why)) => Some(why),
        Err(CannotOpen::Failed(e)) => Some(e.to_string()),
    }
}

/// Nobody is told anything: no event is ever read.
struct Nobody;

impl Sink for Nobody {
    fn mark(&self, _: &Path, _: Mark) {}
    fn content(&self, _: &Path) {}
    fn directory(&self, _: &Path, _: Mark) {}
    fn moved(&self, _: Option<&Path>, _: &Path) {}
    fn arrived(&self, _: &Path, _: Arrival) {}
    fn reported_until(&self, _: Moment) {}
    fn delivered(&self, _: Instant) {}
    fn degraded(&self, _: Option<&str>) {}
    fn overflowed(&self) {}
    fn watches(&self, _: usize) {}
    fn watching(&self, _: Option<Identity>) {}
}
