//! The second stage: what was written becomes [`Settings`], or a list of everything that is wrong with it.

use super::error::{Problem, Problems};
use super::settings::{Rsync, Settings};
use super::{overlap, tables, trees, written};

/// Checks everything and fills in the defaults.
pub(super) fn settings(written: &written::Config) -> Result<Settings, Vec<Problem>> {
    let mut problems = Problems::default();
    let rsync = tables::rsync(&mut problems, written.rsync.as_ref(), &Rsync::default());
    let settings = Settings {
        watch: tables::watch(&mut problems, written.watch.as_ref()),
        full_sync: tables::full_sync(&mut problems, written.full_sync.as_ref()),
        history: tables::history(&mut problems, written.history.as_ref()),
        metrics: tables::metrics(&mut problems, written.metrics.as_ref()),
        notify: tables::notify(&mut problems, written.notify.as_ref()),
        targets: trees::targets(&mut problems, written.targets.as_ref(), &rsync),
        sources: trees::sources(&mut problems, written),
        rsync,
    };
    for conflict in overlap::conflicts(&settings) {
        let source = written.sources.iter().flatten().find(|(name, _)| *name.get_ref() == conflict.source);
        match source.and_then(|(_, source)| source.path.as_ref()) {
            Some(path) => problems.at(path.span(), conflict.message),
            None => problems.general(conflict.message),
        }
    }
    problems.finish(settings)
}
