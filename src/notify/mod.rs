//! Tells the operator's programs that a mirror fails, that it works again, and that all is well.
//!
//! They are run one after the other by a thread of their own. Who has something to tell never waits for them; when too
//! much waits to be told, what comes is left out, and that is said.

mod line;
mod rules;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use log::{debug, warn};

use self::line::{Line, Notice};
use self::rules::{News, Rules};
use crate::config::settings::Notify;
use crate::exit::Exit;
use crate::hooks::Hooks;
use crate::mirror::Mirror;
use crate::mutex::lock;
use crate::report::text::escaped;
use crate::state::StateDir;
use crate::state::notices::{Notices, Work};

/// Heartbeats do not wait behind more than this, since the next ones come soon.
const MOST_BEFORE_A_HEARTBEAT: usize = 256;
/// More than this does not wait to be told.
const MOST_WAITING: usize = 10_000;

/// The rest of a longer message is left out: what is too long for an environment could tell nobody anything.
const LONGEST_ERROR: usize = 16_384;

/// Whether somebody waits for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurry {
    /// Nobody.
    None,
    /// The next one, which is to go on with the work.
    Some,
}

/// How a mirror does, as far as somebody may want to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// What it is there for works.
    Well,
    /// It fails.
    Failing {
        /// Why.
        why: String,
        /// The exit code that this would give.
        exit: Exit,
        /// How many paths fail.
        paths: usize,
    },
}

/// Decides who is to be told what, and has it done.
#[derive(Debug)]
pub struct Notifier {
    settings: Notify,
    work: Work,
    state: StateDir,
    /// What is known of each mirror by its name.
    known: Mutex<BTreeMap<String, Known>>,
    line: Option<Line>,
    last_heartbeat: Mutex<Instant>,
}

#[derive(Debug)]
struct Known {
    mirror: Mirror,
    notices: Notices,
    is_well: bool,
}

impl Notifier {
    /// For this kind of work. Where nobody wants to be told anything, nothing is started.
    #[must_use]
    pub fn start(settings: &Notify, work: Work, state: &StateDir, hooks: &Arc<Hooks>) -> Notifier {
        let wanted = [&settings.on_failure, &settings.on_recovery, &settings.heartbeat].iter().any(|it| !it.is_empty());
        let line = wanted.then(|| Line::start(hooks, settings.timeout));
        let line = line.transpose().unwrap_or_else(|e| {
            warn!("nobody is told how the mirrors do, since no thread can be started: {e}");
            None
        });
        let last_heartbeat = Mutex::new(Instant::now());
        Notifier {
            settings: settings.clone(),
            work,
            state: state.clone(),
            known: Mutex::default(),
            line,
            last_heartbeat,
        }
    }

    /// A mirror does so now.
    pub fn note(&self, mirror: &Mirror, health: &Health) {
        if self.line.is_none() {
            return;
        }
        let now = Utc::now();
        let name = mirror.to_string();
        let mut all = self.known();
        let known = all.entry(name).or_insert_with(|| Known {
            mirror: mirror.clone(),
            notices: Notices::load(&self.state, mirror, self.work).unwrap_or_default(),
            is_well: false,
        });
        let before = known.notices.clone();
        let rules = Rules { failure_every: self.settings.failure_every };
        let news = match health {
            Health::Well => Rules::worked(&mut known.notices),
            Health::Failing { .. } => rules.failed(&mut known.notices, now),
        };
        let was_well = std::mem::replace(&mut known.is_well, *health == Health::Well);
        if known.notices != before
            && (self.work == Work::Pass || known.notices.is_other_than(&before))
            && let Err(e) = known.notices.save(&self.state, mirror, self.work)
        {
            // The state directory has said it aloud.
            debug!(mirror:%; "{mirror}: who was told what cannot be written down: {e}");
        }
        let since = before.failing_since.or(known.notices.failing_since);
        drop(all);
        let told = news.map(|news| match news {
            News::Failure => ("on-failure", &self.settings.on_failure, before.times + 1),
            News::Recovery => ("on-recovery", &self.settings.on_recovery, before.times),
        });
        if let Some((key, argv, times)) = told {
            self.send(key, argv, mirror, health, since.zip(Some(times)));
        }
        // A pass that went well is always told, a watch when it begins to be well, and then from time to time.
        if *health == Health::Well && (self.work == Work::Pass || !was_well) {
            self.send("heartbeat", &self.settings.heartbeat, mirror, health, None);
        }
    }

    /// When the next heartbeats of a watch are due; never where none are wanted.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let wanted = self.line.is_some() && !self.settings.heartbeat.is_empty();
        wanted.then(|| *lock(&self.last_heartbeat) + self.settings.heartbeat_every)
    }

    /// Sends the heartbeats of all mirrors that are well, if they are due.
    pub fn beat(&self) {
        if self.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        *lock(&self.last_heartbeat) = Instant::now();
        let well: Vec<Mirror> = self.known().values().filter(|it| it.is_well).map(|it| it.mirror.clone()).collect();
        for mirror in well {
            self.send("heartbeat", &self.settings.heartbeat, &mirror, &Health::Well, None);
        }
    }

    /// Waits until everybody has been told, but not for ever: what is left after a while is not told any more.
    pub fn finish(self, hooks: &Hooks, hurry: Hurry) {
        if let Some(line) = self.line {
            line.finish(hooks, self.settings.timeout, hurry);
        }
    }

    fn send(
        &self,
        key: &'static str,
        argv: &[String],
        mirror: &Mirror,
        health: &Health,
        failures: Option<(DateTime<Utc>, u64)>,
    ) {
        let Some(line) = self.line.as_ref().filter(|_| !argv.is_empty()) else { return };
        let most = if *health == Health::Well && failures.is_none() { MOST_BEFORE_A_HEARTBEAT } else { MOST_WAITING };
        let mut variables: Vec<(&'static str, OsString)> = vec![
            ("SERSYNC_EVENT", key.into()),
            ("SERSYNC_COMMAND", self.work.command().into()),
            ("SERSYNC_SOURCE", mirror.source.name.clone().into()),
            ("SERSYNC_PATH", mirror.source.path.clone().into()),
            ("SERSYNC_MIRROR", mirror.to_string().into()),
            ("SERSYNC_ENDPOINT", mirror.endpoint.to_string().into()),
        ];
        if let Health::Failing { why, exit, paths } = health {
            // No part of a message can be a NUL, which an environment cannot have.
            let why: String = escaped(why.as_bytes()).chars().take(LONGEST_ERROR).collect();
            variables.push(("SERSYNC_ERROR", why.into()));
            variables.push(("SERSYNC_EXIT", exit.code().to_string().into()));
            variables.push(("SERSYNC_FAILING", paths.to_string().into()));
        }
        if let Some((since, times)) = failures {
            variables.push(("SERSYNC_SINCE", since.to_rfc3339_opts(SecondsFormat::Secs, true).into()));
            variables.push(("SERSYNC_FAILURES", times.to_string().into()));
        }
        line.send(Notice { key, argv: argv.to_vec(), mirror: mirror.to_string(), variables }, most);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        lock(&self.known)
    }
}
