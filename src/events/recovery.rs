//! What was missed is found by looking at the source alone: the kernel's queue was full, or there were not enough watches.

use std::path::{Path, PathBuf};

use log::{info, warn};

use super::session::{Missed, Scene};
use super::{Arrival, Sink};
use crate::dirty::{DirtySet, Mark, Node};
use crate::exclude::Is;
use crate::moment::Moment;
use crate::report::text::count;
use crate::tree::{changed, file_system};

/// Makes everything dirty that may have changed unreported.
pub(super) fn recover(scene: &Scene<'_>, missed: &Missed) {
    match missed {
        Missed::Nothing => {}
        Missed::Since(moment) => changed_since(scene, moment, &[PathBuf::new()]),
        Missed::Everything => {
            // There may be another directory now, with files of the same sizes and times. What cannot be read, comparing it shows.
            deliver_suspects(scene, &changed::with_times_that_were_set(scene.reach).unwrap_or_default());
            scene.sink.directory(Path::new(""), Mark::Deep);
        }
    }
}

/// Tells of files that rsync may take for what they were. They come before what covers them: with a directory that is compared
/// as a whole, nothing would be left to tell which of its files changed.
fn deliver_suspects(scene: &Scene<'_>, suspects: &[PathBuf]) {
    for path in suspects.iter().filter(|path| !scene.excludes.excludes_entry(path, Is::Other)) {
        scene.sink.content(path);
    }
}

/// Makes dirty what changed since a moment at and below these directories, which do not lie in one another.
pub(super) fn changed_since(scene: &Scene<'_>, moment: &Moment, below: &[PathBuf]) {
    let name = &scene.source.name;
    let everything = || below.iter().for_each(|path| scene.sink.directory(path, Mark::Deep));
    if !moment.is_sound(&Moment::now()) {
        warn!("source `{name}`: the clock was set back, so everything that may have changed is compared");
        return everything();
    }
    if !file_system::uses_our_clock(&scene.source.path) {
        warn!(
            "source `{name}`: its times come from another machine's clock, so everything that may have changed is compared"
        );
        return everything();
    }
    match changed::scan_by_times(scene.reach, moment.in_files(), below) {
        Ok(found) => {
            info!("source `{name}`: found {} that changed meanwhile", count(found.dirty.len(), "path"));
            deliver_suspects(scene, &found.suspects);
            deliver(scene.sink, &found.dirty);
        }
        Err(e) => {
            warn!("source `{name}`: what changed cannot be looked for, so all of it is compared: {e}");
            everything();
        }
    }
}

fn deliver(sink: &dyn Sink, dirty: &DirtySet) {
    deliver_node(sink, &mut PathBuf::new(), dirty.root());
}

/// `path` is the same again when this returns.
fn deliver_node(sink: &dyn Sink, path: &mut PathBuf, node: &Node) {
    match node.mark() {
        None => {}
        Some(Mark::Path) => {
            sink.content(path);
            sink.mark(path, Mark::Path);
        }
        Some(Mark::Shallow) => sink.directory(path, Mark::Shallow),
        Some(Mark::Deep) => {
            sink.directory(path, Mark::Deep);
            // In this order, since another one may have been there before.
            sink.arrived(path, Arrival::Renamed);
        }
    }
    for (name, child) in node.children() {
        path.push(name);
        deliver_node(sink, path, child);
        path.pop();
    }
}
