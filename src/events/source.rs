//! A running event source: one session after the other, by whichever interface of the kernel fits, until it is stopped.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Local;
use log::{error, info, warn};
use rustix::io::Errno;

use super::fanotify::{self, CannotOpen};
use super::inotify;
use super::session::{Ended, Missed, ROOT_CHECK, Scene, Session, Stop};
use super::{Sink, Waker};
use crate::config::settings::{Backend, Source};
use crate::exit::{Exit, Failure};
use crate::guard::{self, EmptySource};
use crate::report::fold::{Fold, Say};
use crate::state::record::Moment;
use crate::tree::Reach;
use crate::tree::exclude::Excludes;

/// A running event source.
#[derive(Debug)]
pub struct EventSource {
    stop: Arc<Stop>,
    supervisor: JoinHandle<()>,
}

/// How often a missing root is looked for.
const ROOT_RETRY: Duration = Duration::from_secs(1);
/// Sessions do not begin sooner than this after one another.
const LEAST_SESSION: Duration = Duration::from_secs(1);

impl EventSource {
    /// Starts watching by the given interface. The sink hears when every directory is watched.
    ///
    /// # Errors
    /// When threads or descriptors cannot be had, and when fanotify is asked for where it cannot be used.
    pub fn start(
        source: Arc<Source>,
        backend: Backend,
        excludes: Excludes,
        sink: Arc<dyn Sink>,
    ) -> anyhow::Result<EventSource> {
        let stop = Arc::new(Stop::new()?);
        if backend == Backend::Fanotify {
            check_fanotify(&scene(&source, &excludes, sink.as_ref(), &stop))?;
        }
        let supervisor = thread::Builder::new().name(format!("events {}", source.name)).spawn({
            let stop = Arc::clone(&stop);
            move || supervise(&source, backend, &excludes, sink.as_ref(), &stop)
        })?;
        Ok(EventSource { stop, supervisor })
    }

    /// Delivers what has happened up to now, and ends.
    pub fn stop(&self) {
        self.stop.request();
    }

    /// What makes it report what has happened up to now.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.stop.waker.clone()
    }

    /// Whether everything has been delivered after [`EventSource::stop`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.supervisor.is_finished()
    }
}

fn scene<'a>(source: &'a Source, excludes: &'a Excludes, sink: &'a dyn Sink, stop: &'a Stop) -> Scene<'a> {
    Scene { source, excludes, reach: Reach::of_source(source, excludes), sink, stop }
}

/// That fanotify is asked for where it can never work is better said before anything begins. Anything else that is wrong
/// may be better later.
fn check_fanotify(scene: &Scene<'_>) -> Result<(), Failure> {
    match fanotify::open(*scene) {
        Err(CannotOpen::Unable(why)) => {
            let cure = "set `backend` in [watch] to \"auto\" or \"inotify\"";
            Err(Failure::new(Exit::Failed, format!("fanotify cannot be used: {why}; {cure}")))
        }
        Ok(_) | Err(CannotOpen::Failed(_)) => Ok(()),
    }
}

/// Runs one session after the other until the source is stopped.
fn supervise(source: &Source, backend: Backend, excludes: &Excludes, sink: &dyn Sink, stop: &Stop) {
    let name = &source.name;
    let mut missed = Missed::Nothing;
    let mut mounted = false;
    let mut fold = Fold::default();
    while !stop.is_requested() {
        let begun = Instant::now();
        mounted |= guard::is_mounted(&source.path);
        let mut reported = None;
        let ended = open(scene(source, excludes, sink, stop), backend).and_then(|(kind, mut session)| {
            let ended = session.run(&missed);
            reported = session.reported();
            Ok((kind, ended?))
        });
        match ended {
            Ok((_, Ended::Stopped)) => return,
            Ok((kind, Ended::Overflow)) => {
                missed = since(missed, reported);
                sink.overflowed();
                let (why, told) = ("changes came faster than they were read", missed.told());
                match fold.failed(why, Instant::now(), Local::now()) {
                    Say::Reason => warn!(
                        "source `{name}`: {why}, so what changed {told} is looked for; if this is usual, raise the limit: \
                         sysctl fs.{kind}.max_queued_events=1000000"
                    ),
                    Say::Still(how) => warn!("source `{name}`: {why}, and what changed {told} is looked for; {how}"),
                    Say::Nothing => info!("source `{name}`: {why}, and what changed {told} is looked for"),
                }
            }
            Ok((_, Ended::Unable)) => missed = since(missed, reported),
            Ok((_, Ended::RootLost)) => {
                sink.watching(None);
                warn!("source `{name}` ({}): the directory is gone or replaced; waiting for it", source.path.display());
                if !wait_for_root(source, mounted, stop) {
                    return;
                }
                info!("source `{name}`: the directory is back; everything is compared once");
                missed = Missed::Everything;
            }
            Err(e) => {
                let why = explain(&e);
                match fold.failed(&why, Instant::now(), Local::now()) {
                    Say::Reason => error!("source `{name}`: {why}; trying again"),
                    Say::Still(how) => error!("source `{name}`: {why}; {how}"),
                    Say::Nothing => {}
                }
                missed = Missed::Everything;
                stop.pause(ROOT_CHECK);
            }
        }
        if begun.elapsed() > ROOT_CHECK * 2 {
            // It went well for a while, so what comes next is news.
            fold.worked();
        }
        sink.degraded(None);
        sink.watches(0);
        // Whatever makes it fail again and again, it costs little.
        stop.pause(LEAST_SESSION.saturating_sub(begun.elapsed()));
    }
}

/// A session that ended had reported everything up to a moment, or was never as far as to report what was missed before.
fn since(missed: Missed, reported: Option<Moment>) -> Missed {
    reported.map_or(missed, Missed::Since)
}

impl Missed {
    fn told(&self) -> String {
        match self {
            Missed::Since(moment) => format!("since {}", moment.time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S")),
            Missed::Nothing | Missed::Everything => "meanwhile".to_owned(),
        }
    }
}

/// Opens the interface that is asked for, or the one that works.
fn open<'a>(scene: Scene<'a>, backend: Backend) -> io::Result<(&'static str, Box<dyn Session + 'a>)> {
    let asked_for = "as `backend` says";
    let why = match backend {
        Backend::Inotify => asked_for.to_owned(),
        Backend::Auto | Backend::Fanotify => match fanotify::open(scene) {
            Ok(session) => {
                let able = "this process may, and the file system can";
                let why = if backend == Backend::Auto { able } else { asked_for };
                info!("source `{}`: watching by fanotify: {why}", scene.source.name);
                return Ok(("fanotify", Box::new(session)));
            }
            Err(CannotOpen::Failed(e)) => return Err(e),
            Err(CannotOpen::Unable(why)) if backend == Backend::Fanotify => {
                return Err(io::Error::other(format!("fanotify cannot be used: {why}")));
            }
            Err(CannotOpen::Unable(why)) => format!("fanotify cannot be used: {why}"),
        },
    };
    Ok(("inotify", Box::new(inotify::open(scene, why)?)))
}

/// Waits until the root may be mirrored; false when the source was stopped before. Where it was `mounted`, what is below the
/// mount point is not it.
fn wait_for_root(source: &Source, mounted: bool, stop: &Stop) -> bool {
    loop {
        if stop.is_requested() {
            return false;
        }
        let there =
            guard::check_mounted(source, mounted).and_then(|()| guard::check_source(source, EmptySource::Refused));
        if there.is_ok() {
            return true;
        }
        stop.pause(ROOT_RETRY);
    }
}

fn explain(e: &io::Error) -> String {
    match Errno::from_io_error(e) {
        Some(Errno::MFILE) => format!(
            "its changes cannot be watched: {e}; raise the limit: sysctl fs.inotify.max_user_instances=1024 (or the limit \
             of open files)"
        ),
        _ => format!("its changes cannot be watched: {e}"),
    }
}
