//! What a pass does for each source around its mirrors: `before`, the guards, and at the end `after`. The mirrors of a
//! source wait for its `before`; other sources do not.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use log::{error, info};

use super::note;
use crate::cli::FullSyncArgs;
use crate::commands::setup::Setup;
use crate::config::settings::Source;
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::hooks::{Hooks, Moment};
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::summary::Summary;
use crate::rsync::children::Children;
use crate::state::lock::Lock;

/// Sources and mirrors that are worked on at the same time; each mirror is an rsync with its daemon's processes.
const MOST_AT_ONCE: usize = 16;

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
struct Work<'a> {
    source: &'a Source,
    mirrors: &'a [Mirror],
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    summaries: Vec<Summary>,
    /// Held from the first hook to the last. Without it no hook was run, and none will be.
    lock: Option<Lock>,
}

impl Sources<'_> {
    /// Works on all of them; the results of a source are sent when it is done.
    pub(super) fn run(&self, done: &Sender<Summary>) {
        let mirrors = &self.setup.mirrors;
        let work: Vec<Work<'_>> = mirrors
            .chunk_by(|a, b| a.source.name == b.source.name)
            .map(|mirrors| Work { source: &mirrors[0].source, mirrors, progress: Mutex::default() })
            .collect();
        let queue = Queue::new(&work);
        thread::scope(|scope| {
            for _ in 0..mirrors.len().min(MOST_AT_ONCE) {
                scope.spawn(|| {
                    while let Some(task) = queue.next() {
                        for summary in self.perform(task, &queue) {
                            // The receiver lives until all is done.
                            let _ = done.send(summary);
                        }
                    }
                });
            }
        });
    }

    /// Does one task; the results of the source when it was the last one.
    fn perform<'w>(&self, task: Task<'w>, queue: &Queue<'w>) -> Vec<Summary> {
        let (work, results) = match task {
            Task::Begin(work) => match self.begin(work) {
                Ok(()) => {
                    queue.add(work);
                    return Vec::new();
                }
                Err(why) => (work, work.mirrors.iter().map(|mirror| Summary::not_begun(mirror, &why)).collect()),
            },
            Task::Mirror(work, mirror) => (work, vec![(self.mirror)(mirror)]),
        };
        let mut progress = lock(&work.progress);
        if progress.lock.is_none() {
            // With hooks, it is only known what came of it when the last one has run.
            self.note(work, &results);
        }
        progress.summaries.extend(results);
        if progress.summaries.len() < work.mirrors.len() {
            return Vec::new();
        }
        let Progress { mut summaries, lock } = std::mem::take(&mut *progress);
        if let Some(lock) = lock {
            self.after(work.source, &mut summaries);
            lock.end();
            self.note(work, &summaries);
        }
        queue.finished();
        summaries
    }

    fn note(&self, work: &Work<'_>, summaries: &[Summary]) {
        // What a signal has ended is no failure that anybody has to be told of.
        let notifier = (!self.hooks.are_over()).then_some(self.notifier);
        for summary in summaries {
            if let Some(mirror) = work.mirrors.iter().find(|mirror| mirror.to_string() == summary.mirror) {
                note(self.setup, self.args, mirror, summary, notifier);
            }
        }
    }

    /// Gets the source ready; why it must not be mirrored now.
    fn begin(&self, work: &Work<'_>) -> Result<(), Failure> {
        let hooked = self.before(work.source)?;
        lock(&work.progress).lock = hooked;
        // Not earlier: a hook may mount the source, or fill it.
        let empty = if self.args.writing.allow_empty { EmptySource::Allowed } else { EmptySource::Refused };
        guard::check_source(work.source, empty)?;
        work.mirrors.iter().try_for_each(guard::check_apart)
    }

    /// Runs the hook before the source. When it has hooks, the lock that they need comes back.
    fn before(&self, source: &Source) -> Result<Option<Lock>, Failure> {
        let settings = &self.setup.settings.full_sync;
        if settings.before.is_empty() && settings.after.is_empty() {
            return Ok(None);
        }
        if self.args.writing.dry_run {
            info!("{}: the hooks of [full-sync] are not run, because this is a dry run", source.name);
            return Ok(None);
        }
        let wait = self.args.writing.lock_wait;
        let lock = Lock::take_for_hooks(&self.setup.state, source, wait, || self.children.is_closed())?;
        match self.hooks.run(Moment::Before, &settings.before, source, settings.hook_timeout) {
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
        let Err(why) = self.hooks.run(Moment::After(exit), &settings.after, source, settings.hook_timeout) else {
            return;
        };
        let why = format!("{why}, after the source was worked on");
        if summaries.iter().all(|summary| summary.why.is_some()) {
            error!("{}: {why}", source.name);
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
    Begin(&'w Work<'w>),
    /// One mirror; with the last one, the end of the source.
    Mirror(&'w Work<'w>, &'w Mirror),
}

/// What is still to be done.
struct Queue<'w> {
    state: Mutex<Tasks<'w>>,
    changed: Condvar,
}

struct Tasks<'w> {
    waiting: VecDeque<Task<'w>>,
    /// Sources that are not done. While there are any, there may be more tasks.
    unfinished: usize,
}

impl<'w> Queue<'w> {
    fn new(work: &'w [Work<'w>]) -> Self {
        let tasks = Tasks { waiting: work.iter().map(Task::Begin).collect(), unfinished: work.len() };
        Queue { state: Mutex::new(tasks), changed: Condvar::new() }
    }

    /// Waits for a task; none when all sources are done.
    fn next(&self) -> Option<Task<'w>> {
        let waits = |tasks: &mut Tasks<'w>| tasks.waiting.is_empty() && tasks.unfinished > 0;
        let state = self.changed.wait_while(lock(&self.state), waits);
        state.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }

    /// Adds the mirrors of a source. They come first, so that what was begun ends soon, with all that its hooks hold.
    fn add(&self, work: &'w Work<'w>) {
        let mut state = lock(&self.state);
        for mirror in work.mirrors.iter().rev() {
            state.waiting.push_front(Task::Mirror(work, mirror));
        }
        self.changed.notify_all();
    }

    /// A source is done.
    fn finished(&self) {
        lock(&self.state).unfinished -= 1;
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
