//! The controlling thread: it waits for a reason to end, and then ends the sources, the queues and the workers, in this order.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use log::{error, info};

use super::queue::{Ending, Queue};
use super::service::Service;
use super::{Ended, Engine, News};
use crate::events::source::EventSource;
use crate::executor::Mode;
use crate::mirror::Mirror;

/// How often it is looked whether all is idle, or a source has ended.
const TICK: Duration = Duration::from_millis(20);
/// How often it is looked whether mirrors that were left out at the beginning could be watched now.
const LOOK_FOR_MIRRORS: Duration = Duration::from_secs(10);
/// For so long what is pending is sent before the settings are read again.
const LONGEST_RELOAD: Duration = Duration::from_secs(5);
/// Even with nothing to send, the workers need a moment to end.
const LEAST_TIME_TO_END: Duration = Duration::from_millis(500);

/// What it works with.
pub(super) struct Control<'a> {
    engine: &'a Engine<'a>,
    mirrors: &'a [Mirror],
    sources: &'a [EventSource],
    queues: &'a [Arc<Queue>],
    news: &'a Receiver<News>,
    service: Service,
    /// Until then it may send what is left, once a signal has asked for the end.
    deadline: Option<Instant>,
    /// Not decided upon yet; who ends already does not begin anew.
    asked_to_reload: bool,
    outcome: Ended,
}

impl<'a> Control<'a> {
    /// At the beginning, when no source is watched.
    pub(super) fn new(
        engine: &'a Engine<'a>,
        mirrors: &'a [Mirror],
        sources: &'a [EventSource],
        queues: &'a [Arc<Queue>],
        news: &'a Receiver<News>,
    ) -> Self {
        let noted = engine.metrics.are_wanted() && engine.mode == Mode::Real;
        let service = Service::new(sources.len(), queues.len(), noted);
        let outcome = Ended { exits: Vec::new(), signal: None, reload: false };
        Control { engine, mirrors, sources, queues, news, service, deadline: None, asked_to_reload: false, outcome }
    }

    /// Controls the engine until all its workers have ended.
    pub(super) fn run(mut self) -> Ended {
        self.wait_for_a_reason();
        self.say_that_it_ends();
        let drain = self.engine.bounds.drain_timeout;
        // What is not sent by then is found from the stamp on.
        let time = if self.outcome.reload { drain.min(LONGEST_RELOAD) } else { drain };
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + time);
        self.stop_sources(deadline);
        let ending = if self.outcome.reload { Ending::Anew } else { Ending::ForGood };
        self.queues.iter().for_each(|queue| queue.close(ending));
        self.wait_for_workers(deadline);
        if !self.outcome.reload {
            self.note_alive(None);
        }
        self.outcome
    }

    /// Waits until a bound is reached, a signal arrives, or it is to begin anew.
    fn wait_for_a_reason(&mut self) {
        let bounds = &self.engine.bounds;
        let end = bounds.run_for.map(|time| Instant::now() + time);
        let mut look = self.engine.left_out.map(|_| Instant::now() + LOOK_FOR_MIRRORS);
        while !self.all_have_ended() && !self.is_to_end() {
            if self.outcome.signal.is_none() && self.is_to_begin_anew(&mut look) {
                self.outcome.reload = true;
                return;
            }
            let looks = bounds.until_idle.is_some() || self.outcome.signal.is_some();
            let tick = looks.then(|| Instant::now() + TICK);
            self.alive();
            self.engine.notifier.beat();
            let due = self.service.due().into_iter().chain(self.engine.notifier.due()).chain(look);
            if !self.wait(end.into_iter().chain(tick).chain(due).min()) {
                let idle = |limit| self.queues.iter().all(|queue| queue.idle_for().is_some_and(|idle| idle >= limit));
                if end.is_some_and(|end| end <= Instant::now()) || bounds.until_idle.is_some_and(idle) {
                    return;
                }
            }
        }
    }

    /// Whether the settings are to be read again: somebody asks for it, or a mirror that was left out could be watched now.
    fn is_to_begin_anew(&mut self, look: &mut Option<Instant>) -> bool {
        if mem::take(&mut self.asked_to_reload) && (self.engine.may_reload)() {
            return true;
        }
        if look.is_none_or(|look| Instant::now() < look) {
            return false;
        }
        *look = Some(Instant::now() + LOOK_FOR_MIRRORS);
        let why = self.engine.left_out.and_then(|may_begin| may_begin());
        why.inspect(|why| info!("{why}")).is_some()
    }

    /// Whether a signal has asked for the end. Who has begun anew catches up before, as far as there is time: nobody has seen
    /// what happened meanwhile.
    fn is_to_end(&mut self) -> bool {
        if self.outcome.signal.is_none() {
            return false;
        }
        if !self.engine.anew || !self.queues.iter().any(|queue| queue.is_catching_up()) {
            return true;
        }
        let drain = self.engine.bounds.drain_timeout;
        let deadline = *self.deadline.get_or_insert_with(|| {
            info!("ending: looking first for what changed while it began anew");
            Instant::now() + drain
        });
        deadline <= Instant::now()
    }

    fn say_that_it_ends(&self) {
        if self.outcome.reload {
            info!("beginning anew with other settings: sending what is pending");
            Service::reloading();
        } else {
            if !self.all_have_ended() {
                info!("ending: sending what is pending");
            }
            Service::ending();
        }
    }

    /// Stops the sources, which deliver what has happened before they end.
    fn stop_sources(&mut self, deadline: Instant) {
        self.sources.iter().for_each(EventSource::stop);
        while !self.sources.iter().all(EventSource::is_finished) && Instant::now() < deadline {
            self.alive();
            thread::sleep(TICK);
        }
    }

    /// Waits until all workers have ended. When that takes too long, what they wait for is stopped.
    fn wait_for_workers(&mut self, deadline: Instant) {
        let least = Instant::now() + LEAST_TIME_TO_END;
        let mut until = Some(deadline.max(least));
        while !self.all_have_ended() {
            // For an endpoint that fails anyway, the others do not wait.
            if self.outcome.reload && self.queues.iter().all(|queue| queue.is_stuck()) {
                until = until.map(|until| until.min(least));
            }
            if !self.wait(until.into_iter().chain(self.service.due()).min()) {
                self.alive();
                if until.is_none_or(|until| Instant::now() < until) {
                    continue;
                }
                if !self.outcome.reload {
                    error!("not everything could be sent within --drain-timeout");
                }
                self.engine.children.stop();
                until = None;
            }
        }
    }

    fn all_have_ended(&self) -> bool {
        self.outcome.exits.len() == self.queues.len()
    }

    /// Takes one piece of news; false when there was none until the given time.
    fn wait(&mut self, until: Option<Instant>) -> bool {
        let piece = match until {
            None => self.news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => self.news.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match piece {
            Ok(News::Ended(exit)) => self.outcome.exits.push(exit),
            Ok(News::Signal(signal)) => self.outcome.signal = Some(signal),
            Ok(News::Reload) => self.asked_to_reload = true,
            Ok(News::Watched) => self.service.watched(),
            Err(_) => return false,
        }
        true
    }

    /// Says that this process is alive, if it is time for that.
    fn alive(&mut self) {
        self.service.alive();
        if self.service.is_noted_again() {
            self.note_alive(Some(Utc::now()));
        }
    }

    /// Writes down for monitoring that it is alive, or that it is not any more.
    fn note_alive(&self, at: Option<DateTime<Utc>>) {
        if self.engine.mode == Mode::Real {
            for mirror in self.mirrors {
                self.engine.metrics.alive(&mirror.to_string(), at);
            }
        }
    }
}
