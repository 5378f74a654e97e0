//! What a pass goes by: the source as it is, and what changed in it when only that is compared.

use std::io;

use rustix::fs::FileType;

use super::{Extent, Terms};
use crate::dirty::DirtySet;
use crate::executor::Executor;
use crate::tree::changed::{self, Changes};
use crate::tree::known::Collector;
use crate::tree::{Reach, walk};

/// What of the source the mirror takes, from the root that is held.
pub(super) fn reach<'a>(executor: &'a Executor<'_>) -> Reach<'a> {
    let mirror = executor.mirror();
    Reach::of(mirror, &mirror.excludes).at(executor.root())
}

/// Walks the source; what changed in it is only looked for when the terms say so.
pub(super) fn look(executor: &Executor<'_>, terms: Terms<'_>) -> io::Result<Changes> {
    let reach = reach(executor);
    if let Extent::Changed(last, known) = terms.extent {
        return changed::scan(reach, last.since(), known, &last.moved);
    }
    if let Some((last, known)) = terms.contents {
        let changes = changed::scan(reach, last.since(), known, &last.moved)?;
        return Ok(Changes { dirty: DirtySet::new(1), ..changes });
    }
    let collector = Collector::new(reach.root)?;
    let census = walk::census(reach, &|entry| {
        if entry.kind == FileType::Directory {
            collector.add(entry);
        }
        0
    })?;
    Ok(Changes { census, dirty: DirtySet::new(1), directories: collector.finish(), suspects: Vec::new() })
}
