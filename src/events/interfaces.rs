//! The interfaces of the kernel that report changes, and which of them a source is watched by.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::session::{CannotOpen, Scene, Session, Stop};
use super::{Arrival, Mark, Sink, fanotify, inotify};
use crate::config::settings::{Backend, Source};
use crate::exclude::Excludes;
use crate::exit::{Exit, Failure};
use crate::kernel_limits;
use crate::moment::Moment;
use crate::root::Identity;
use crate::tree::Reach;

/// Opens an interface for a source. The text is why it is this one, which is said as soon as it watches.
type Open = for<'a> fn(Scene<'a>, String) -> Result<Box<dyn Session + 'a>, CannotOpen>;

/// An interface of the kernel.
pub(super) struct Interface {
    backend: Backend,
    /// The limit of its queue.
    pub(super) queue: &'static str,
    open: Open,
}

/// All of them, the best one first. The last one needs nothing that a process or a file system may lack.
const INTERFACES: &[Interface] = &[
    Interface {
        backend: Backend::Fanotify,
        queue: kernel_limits::FANOTIFY_QUEUE,
        open: |scene, why| Ok(Box::new(fanotify::open(scene, why)?)),
    },
    Interface {
        backend: Backend::Inotify,
        queue: kernel_limits::INOTIFY_QUEUE,
        open: |scene, why| Ok(Box::new(inotify::open(scene, why)?)),
    },
];

/// Opens the interface that is asked for, or the first one that works.
pub(super) fn open(scene: Scene<'_>, wish: Backend) -> io::Result<(&'static Interface, Box<dyn Session + '_>)> {
    let mut why = match wish {
        Backend::Auto => "this process may, and the file system can",
        Backend::Fanotify | Backend::Inotify => "as `backend` says",
    }
    .to_owned();
    for interface in INTERFACES.iter().filter(|interface| wish == Backend::Auto || wish == interface.backend) {
        match (interface.open)(scene, why) {
            Ok(session) => return Ok((interface, session)),
            Err(CannotOpen::Failed(e)) => return Err(e),
            Err(CannotOpen::Unable(reason)) => why = cannot_be_used(interface.backend, &reason),
        }
    }
    Err(io::Error::other(why))
}

/// That an interface is asked for where it can never work is better said before anything begins. Anything else that is wrong
/// may be better later.
pub(super) fn check_wish(scene: Scene<'_>, wish: Backend) -> Result<(), Failure> {
    for interface in INTERFACES.iter().filter(|interface| interface.backend == wish) {
        if let Err(CannotOpen::Unable(why)) = (interface.open)(scene, String::new()) {
            let why = cannot_be_used(wish, &why);
            let always = INTERFACES.last().map_or("", |last| last.backend.word());
            let why = format!("{why}; set `backend` in [watch] to \"auto\" or \"{always}\"");
            return Err(Failure::new(Exit::Failed, why));
        }
    }
    Ok(())
}

fn cannot_be_used(backend: Backend, why: &str) -> String {
    format!("{} cannot be used: {why}", backend.word())
}

/// What `backend = "auto"` tries, in this order.
pub fn best_first() -> impl Iterator<Item = Backend> {
    INTERFACES.iter().map(|interface| interface.backend)
}

/// What keeps an interface from watching this source from this process; nothing when it can, or when something went wrong that
/// may be better later. It is tried out, since only the kernel knows for sure, and closed again.
#[must_use]
pub fn obstacle(source: &Source, excludes: &Excludes, backend: Backend) -> Option<String> {
    let stop = Stop::new().ok()?;
    let scene = Scene { source, excludes, reach: Reach::of_source(source, excludes), sink: &Nobody, stop: &stop };
    let interface = INTERFACES.iter().find(|interface| interface.backend == backend)?;
    match (interface.open)(scene, String::new()) {
        Err(CannotOpen::Unable(why)) => Some(cannot_be_used(backend, &why)),
        Ok(_) | Err(CannotOpen::Failed(_)) => None,
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
