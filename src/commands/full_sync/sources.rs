//! What a pass does for each source around its mirrors: `before`, the guards, and at the end `after`. The mirrors of a
//! source wait for its `before`; other sources do not.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, PoisonError};

use log::{error, info};

use super::{FullSyncArgs, note};
use crate::commands::at_once;
use crate::commands::setup::Setup;
use crate::config::settings::Source;
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::hooks::{Hooks, Purpose};
use crate::mirror::Mirror;
use crate::mutex::lock;
use crate::notify::Notifier;
use crate::pass::summary::Summary;
use crate::rsync::children::Children;
use crate::state::lock::Lock;

/// A pass over sources.
pub(super) struct Sources<'a> {
    pub(super) setup: &'a Setup,
    pub(super) args: &'a FullSyncArgs,
    pub(super) children: &'a Children,
    pub(super) hooks: &'a Hooks,
    pub(super) notifier: &'a Notifier,
    /// Works on one mirror.
    pub(super) mirror: &'a (dyn Fn(&Mirror) -> Summary + Sync),
}

/// One source and what came of it so far.
struct Group<'a> {
    source: &'a Source,
    mirrors: &'a [Mirror],
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    summaries: Vec<Summary>,
    /// Held from the first hook to the last. Without it no hook was run, and none will be.
    lock: Option<Lock>,
}

impl Sources<'_> {
    /// Works on all of them; the results of a source are sent when it is done.
    pub(super) fn run(&self, done: &Sender<Summary>) {
        let mirrors = &self.setup.mirrors;
        let groups: Vec<Group<'_>> = mirrors
            .chunk_by(|a, b| a.source.name == b.source.name)
            .map(|mirrors| Group { source: &mirrors[0].source, mirrors, gathered: Mutex::default() })
            .collect();
        let tasks = Tasks::new(&groups);
        at_once::pool(mirrors.len(), || {
            while let Some(task) = tasks.next() {
                for summary in self.perform(task, &tasks) {
                    // The receiver lives until all is done.
                    let _ = done.send(summary);
                }
            }
        });
    }

    /// Does one task; the results of the source when it was the last one.
    fn perform<'w>(&self, task: Task<'w>, tasks: &Tasks<'w>) -> Vec<Summary> {
        let (group, results) = match task {
            Task::Begin(group) => match self.begin(group) {
                Ok(()) => {
                    tasks.add(group);
                    return Vec::new();
                }
                Err(why) => (group, group.mirrors.iter().map(|mirror| Summary::not_begun(mirror, &why)).collect()),
            },
            Task::Mirror(group, mirror) => (group, vec![(self.mirror)(mirror)]),
        };
        let mut gathered = lock(&group.gathered);
        if gathered.lock.is_none() {
            // With hooks, it is only known what came of it when the last one has run.
            self.note(group, &results);
        }
        gathered.summaries.extend(results);
        if gathered.summaries.len() < group.mirrors.len() {
            return Vec::new();
        }
        let Gathered { mut summaries, lock } = std::mem::take(&mut *gathered);
        if let Some(lock) = lock {
            self.after(group.source, &mut summaries);
            lock.end();
            self.note(group, &summaries);
        }
        tasks.finished();
        summaries
    }

    fn note(&self, group: &Group<'_>, summaries: &[Summary]) {
        // What a signal has ended is no failure that anybody has to be told of.
        let notifier = (!self.hooks.are_over()).then_some(self.notifier);
        for summary in summaries {
            if let Some(mirror) = group.mirrors.iter().find(|mirror| mirror.to_string() == summary.mirror) {
                note(self.setup, self.args, mirror, summary, notifier);
            }
        }
    }

    /// Gets the source ready; why it must not be mirrored now.
    fn begin(&self, group: &Group<'_>) -> Result<(), Failure> {
        let hooked = self.before(group.source)?;
        lock(&group.gathered).lock = hooked;
        // Not earlier: a hook may mount the source, or fill it.
        let empty = EmptySource::of(self.args.writing.allow_empty);
        guard::check_source(group.source, empty)?;
        group.mirrors.iter().try_for_each(guard::check_apart)
    }

    /// Runs the hook before the source. When it has hooks, the lock that they need comes back.
    fn before(&self, source: &Source) -> Result<Option<Lock>, Failure> {
        let settings = &self.setup.settings.full_sync;
        if settings.before.is_empty() && settings.after.is_empty() {
            return Ok(None);
        }
        if self.args.writing.dry_run {
            info!("source `{}`: the hooks of [full-sync] are not run, because this is a dry run", source.name);
            return Ok(None);
        }
        let wait = self.args.writing.lock_wait;
        let lock = Lock::take_for_hooks(&self.setup.state, source, wait, || self.children.is_closed())?;
        match self.hooks.run(Purpose::Before, &settings.before, source, settings.hook_timeout) {
            Ok(()) => Ok(Some(lock)),
            Err(why) => {
                lock.end();
                Err(Failure::new(Exit::Partial, format!("{why}; the source was not mirrored")))
            }
        }
    }

    /// Runs the hook after the source. Its failure is one of every mirror that had none.
    fn after(&self, source: &Source, summaries: &mut [Summary]) {
        let settings = &self.setup.settings.full_sync;
        let exit = Exit::merge(summaries.iter().map(|summary| summary.exit));
        let Err(why) = self.hooks.run(Purpose::After(exit), &settings.after, source, settings.hook_timeout) else {
            return;
        };
        let why = format!("{why}, after the source was worked on");
        if summaries.iter().all(|summary| summary.why.is_some()) {
            error!("source `{}`: {why}", source.name);
        }
        for summary in summaries.iter_mut().filter(|summary| summary.why.is_none()) {
            summary.why = Some(why.clone());
            if summary.exit == Exit::Done {
                summary.exit = Exit::Partial;
            }
        }
    }
}

/// What one thread does next.
#[derive(Clone, Copy)]
enum Task<'w> {
    /// The source, up to its mirrors.
    Begin(&'w Group<'w>),
    /// One mirror; with the last one, the end of the source.
    Mirror(&'w Group<'w>, &'w Mirror),
}

/// What is still to be done.
struct Tasks<'w> {
    state: Mutex<Waiting<'w>>,
    changed: Condvar,
}

struct Waiting<'w> {
    tasks: VecDeque<Task<'w>>,
    /// Sources that are not done. While there are any, there may be more tasks.
    unfinished: usize,
}

impl<'w> Tasks<'w> {
    fn new(groups: &'w [Group<'w>]) -> Self {
        let waiting = Waiting { tasks: groups.iter().map(Task::Begin).collect(), unfinished: groups.len() };
        Tasks { state: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Waits for a task; none when all sources are done.
    fn next(&self) -> Option<Task<'w>> {
        let waits = |waiting: &mut Waiting<'w>| waiting.tasks.is_empty() && waiting.unfinished > 0;
        let state = self.changed.wait_while(lock(&self.state), waits);
        state.unwrap_or_else(PoisonError::into_inner).tasks.pop_front()
    }

    /// Adds the mirrors of a source. They come first, so that what was begun ends soon, with all that its hooks hold.
    fn add(&self, group: &'w Group<'w>) {
        let mut state = lock(&self.state);
        for mirror in group.mirrors.iter().rev() {
            state.tasks.push_front(Task::Mirror(group, mirror));
        }
        self.changed.notify_all();
    }

    /// A source is done.
    fn finished(&self) {
        lock(&self.state).unfinished -= 1;
        self.changed.notify_all();
    }
}
