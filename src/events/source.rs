//! A running event source: one session after the other, by whichever interface of the kernel fits, until it is stopped.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::Local;
use log::{error, info, warn};
use rustix::io::Errno;

use super::interfaces::{self, Interface};
use super::session::{Ended, Missed, ROOT_CHECK, Scene, Stop};
use super::{Sink, Waker, limits};
use crate::config::settings::{Backend, Source};
use crate::exclude::Excludes;
use crate::guard::{self, EmptySource};
use crate::kernel_limits;
use crate::moment::Moment;
use crate::mounted::is_mounted;
use crate::report::repeats::{Repeats, Say};
use crate::report::text;
use crate::tree::Reach;

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
    /// When threads or descriptors cannot be had, and when an interface is asked for that cannot be used here.
    pub fn start(
        source: Arc<Source>,
        backend: Backend,
        excludes: Excludes,
        sink: Arc<dyn Sink>,
    ) -> anyhow::Result<EventSource> {
        let stop = Arc::new(Stop::new()?);
        interfaces::check_wish(scene(&source, &excludes, sink.as_ref(), &stop), backend)?;
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

/// Runs one session after the other until the source is stopped.
fn supervise(source: &Source, backend: Backend, excludes: &Excludes, sink: &dyn Sink, stop: &Stop) {
    let name = &source.name;
    let mut missed = Missed::Nothing;
    let mut mounted = false;
    let mut repeats = Repeats::default();
    while !stop.is_requested() {
        let begun = Instant::now();
        mounted |= is_mounted(&source.path) == Some(true);
        let mut reported = None;
        let opened = interfaces::open(scene(source, excludes, sink, stop), backend);
        let ended = opened.and_then(|(interface, mut session)| {
            let ended = session.run(&missed);
            reported = session.reported();
            Ok((interface, ended?))
        });
        match ended {
            Ok((_, Ended::Stopped)) => return,
            Ok((interface, Ended::Overflow)) => {
                missed = since(missed, reported);
                sink.overflowed();
                tell_of_overflow(name, interface, &missed, &mut repeats);
            }
            Ok((_, Ended::Unable)) => missed = since(missed, reported),
            Ok((_, Ended::RootLost)) => {
                sink.watching(None);
                error!(
                    "source `{name}` ({}): the directory is gone or replaced; waiting for it",
                    text::path(&source.path)
                );
                if !wait_for_root(source, mounted, stop) {
                    return;
                }
                warn!("source `{name}`: the directory is back; everything is compared once");
                missed = Missed::Everything;
            }
            Err(e) => {
                tell_of_failure(name, &explain(&e), &mut repeats);
                missed = Missed::Everything;
                stop.pause(ROOT_CHECK);
            }
        }
        if begun.elapsed() > ROOT_CHECK * 2 {
            // It went well for a while, so what comes next is news.
            repeats.worked();
        }
        sink.degraded(None);
        sink.watches(0);
        // Whatever makes it fail again and again, it costs little.
        stop.pause(LEAST_SESSION.saturating_sub(begun.elapsed()));
    }
}

fn tell_of_overflow(name: &str, interface: &Interface, missed: &Missed, repeats: &mut Repeats) {
    let (why, told) = ("changes came faster than they were read", missed.told());
    match repeats.failed(why, Instant::now(), Local::now()) {
        Say::Reason => {
            let remedy = limits::remedy(interface.queue, kernel_limits::queue_that_overflowed());
            warn!("source `{name}`: {why}, so what changed {told} is looked for; if this is usual, {remedy}");
        }
        Say::Still(how) => warn!("source `{name}`: {why}, and what changed {told} is looked for; {how}"),
        Say::Nothing => info!("source `{name}`: {why}, and what changed {told} is looked for"),
    }
}

fn tell_of_failure(name: &str, why: &str, repeats: &mut Repeats) {
    match repeats.failed(why, Instant::now(), Local::now()) {
        Say::Reason => error!("source `{name}`: {why}; trying again"),
        Say::Still(how) => error!("source `{name}`: {why}; {how}"),
        Say::Nothing => {}
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
    let why = format!("its changes cannot be watched: {e}");
    match Errno::from_io_error(e) {
        Some(Errno::MFILE) => {
            let remedy = limits::remedy(kernel_limits::INSTANCES, kernel_limits::one_each(1));
            format!("{why}; {remedy}, or that of open files")
        }
        _ => why,
    }
}
