//! What the service manager is told, as `sd_notify(3)` says: that everything is watched, that this process is alive, and
//! that it ends. Where no service manager listens, nothing happens.

use std::time::{Duration, Instant};

use log::warn;
use sd_notify::NotifyState;

use crate::report::text::count;

/// The conversation with the service manager.
#[derive(Debug)]
pub(super) struct Service {
    /// How many sources are not watched yet.
    missing: usize,
    /// Said when all are.
    status: String,
    /// How often it wants to hear that this process is alive: twice in the time after which it would end it.
    every: Option<Duration>,
    /// When it heard it last.
    heard: Instant,
    /// When that is written down for monitoring next, if it is.
    noted: Option<Instant>,
}

/// How often it is written down that this process is alive.
const NOTED_EVERY: Duration = Duration::from_secs(30);

impl Service {
    /// At the beginning, when no source is watched. `noted`: whether it is written down for monitoring that this process is
    /// alive, which is to be done at once.
    #[must_use]
    pub(super) fn new(sources: usize, mirrors: usize, noted: bool) -> Self {
        let status = format!("watching {} for {}", count(sources, "source"), count(mirrors, "mirror"));
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let now = Instant::now();
        Service { missing: sources, status, every, heard: now, noted: noted.then_some(now) }
    }

    /// One more source is watched: from then on nothing is missed that happens in it.
    pub(super) fn watched(&mut self) {
        self.missing = self.missing.saturating_sub(1);
        if self.missing == 0 {
            tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
        }
    }

    /// When somebody wants to hear next that this process is alive.
    #[must_use]
    pub(super) fn due(&self) -> Option<Instant> {
        self.heard_again().into_iter().chain(self.noted).min()
    }

    /// Says that this process is alive, if it is time for that.
    pub(super) fn alive(&mut self) {
        if self.heard_again().is_some_and(|due| due <= Instant::now()) {
            self.heard = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Whether it is time to write it down again.
    pub(super) fn is_noted_again(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.noted.is_some_and(|due| due <= now);
        if is_due {
            self.noted = Some(now + self.every.map_or(NOTED_EVERY, |every| every.min(NOTED_EVERY)));
        }
        is_due
    }

    fn heard_again(&self) -> Option<Instant> {
        self.every.map(|every| self.heard + every)
    }

    /// Says that it reads its settings again, and will be ready after that.
    pub(super) fn reloading() {
        let now = NotifyState::monotonic_usec_now().ok();
        let news: Vec<NotifyState<'_>> = [NotifyState::Reloading].into_iter().chain(now).collect();
        tell(&news);
    }

    /// Says that it ends, as soon as what is pending is sent.
    pub(super) fn ending() {
        tell(&[NotifyState::Stopping, NotifyState::Status("sending what is pending")]);
    }
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(news) {
        warn!("the service manager cannot be told anything: {e}");
    }
}
