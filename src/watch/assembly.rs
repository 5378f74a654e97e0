//! How the engine is put together: a worker for each mirror, an event source for each source tree, and what both leave out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};

use super::queue::{Queue, ToQueues};
use super::worker::{Published, Worker};
use super::{Engine, News};
use crate::config::settings::Source;
use crate::events::source::EventSource;
use crate::exclude::Excludes;
use crate::executor::Executor;
use crate::exit::{Exit, Failure};
use crate::history::keeper::Keeper;
use crate::meter::Meter;
use crate::mirror::Mirror;
use crate::rsync::argv::{pattern_for, pattern_for_directory};
use crate::state::lock::Lock;

impl Engine<'_> {
    /// The worker of a mirror.
    pub(super) fn worker<'a>(
        &'a self,
        mirror: &'a Mirror,
        queue: &Arc<Queue>,
        lock: Option<Lock>,
        meter: Option<&'a Meter>,
    ) -> Result<Worker<'a>, Failure> {
        let history = match self.settings.history.keep_days {
            0 => Keeper::none(),
            _ => Keeper::new(self.state.clone(), self.settings.history.resolution),
        };
        let patterns = self.real_time_patterns(&mirror.source)?;
        Ok(Worker {
            executor: Executor::new(mirror, self.children, self.mode, history).metered(meter),
            children: self.children,
            queue: Arc::clone(queue),
            excludes: compiled(&patterns)?,
            patterns: patterns.iter().map(OsString::from).collect(),
            settings: &self.settings.watch,
            state: self.state,
            lock,
            batches: self.bounds.batches,
            empty: self.empty,
            drain_timeout: self.bounds.drain_timeout,
            on_item: self.on_item,
            on_batch: self.on_batch,
            metrics: self.metrics,
            notifier: self.notifier,
            published: Published::default(),
        })
    }

    /// One event source per source tree, which delivers to all its mirrors.
    pub(super) fn start_sources(
        &self,
        mirrors: &[Mirror],
        queues: &[Arc<Queue>],
        tell: &Sender<News>,
    ) -> Result<Vec<EventSource>> {
        let mut by_source: BTreeMap<&str, (&Arc<Source>, Vec<Arc<Queue>>)> = BTreeMap::new();
        for (mirror, queue) in mirrors.iter().zip(queues) {
            by_source.entry(&mirror.source.name).or_insert((&mirror.source, Vec::new())).1.push(Arc::clone(queue));
        }
        let start = |(source, queues): (&Arc<Source>, Vec<Arc<Queue>>)| {
            let excludes = compiled(&self.real_time_patterns(source)?)?;
            let sink = Arc::new(ToQueues::new(queues.clone(), tell.clone()));
            let events = EventSource::start(Arc::clone(source), self.settings.watch.backend, excludes, sink)
                .with_context(|| format!("source `{}`: its event source cannot be started", source.name))?;
            for queue in &queues {
                queue.set_waker(events.waker());
            }
            Ok(events)
        };
        by_source.into_values().map(start).collect()
    }

    /// What is left out in real time. So is what this program writes, should it lie inside the source: every batch changes it,
    /// which would be a reason for the next batch.
    fn real_time_patterns(&self, source: &Source) -> Result<Vec<String>, Failure> {
        let mut patterns: Vec<String> = source.exclude.iter().chain(&source.watch_exclude).cloned().collect();
        let state = self.state.within(&source.path).map(|inside| pattern_for_directory(&inside));
        let log = self.log_file.and_then(|file| {
            let (file, source) = (file.canonicalize().ok()?, source.path.canonicalize().ok()?);
            Some(pattern_for(file.strip_prefix(source).ok()?))
        });
        let own = [("state directory", state), ("log file", log)];
        let own = own.into_iter().filter_map(|(what, pattern)| pattern.map(|pattern| (what, pattern)));
        let metrics = self.metrics.patterns_within(&source.path).into_iter().map(|pattern| ("`textfile-dir`", pattern));
        for (what, pattern) in own.chain(metrics) {
            patterns.push(pattern.into_string().map_err(|_| {
                let why = format!("the {what} lies inside the source under a name that is not UTF-8");
                Failure::new(Exit::Failed, format!("source `{}`: {why}; choose another place for it", source.name))
            })?);
        }
        Ok(patterns)
    }
}

fn compiled(patterns: &[String]) -> Result<Excludes, Failure> {
    Excludes::new(patterns).map_err(|e| Failure::new(Exit::Config, e.to_string()))
}
