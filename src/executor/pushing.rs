//! The steps of a push: scopes are run one after the other, as the endpoint can take them, until something fails that is not
//! about single paths.

use std::ffi::OsString;
use std::mem;
use std::path::PathBuf;
use std::slice;
use std::thread;

use log::info;

use super::division::{groups, jobs};
use super::session::Together;
use super::{Executor, Mode, OnItem, Versions};
use crate::bucket::Bucket;
use crate::config::settings::Jobs;
use crate::rsync::argv::{Compare, Manner, MissingArgs};
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::probe;
use crate::rsync::tally::Tally;
use crate::scope::{Listed, Scope};

impl Executor<'_> {
    /// Sends these paths, which must exist, without doing anything to what is in their way.
    pub fn run_carefully(
        &mut self,
        present: Vec<PathBuf>,
        exclude: &[OsString],
        on_item: &OnItem<'_>,
    ) -> (Outcome, Tally) {
        self.manner = Manner::Careful;
        let result = self.run(&[Scope::Listed(Listed { present, ..Listed::default() })], exclude, on_item);
        self.manner = Manner::Thorough;
        result
    }

    /// Sends what in these scopes has another content than the mirror's, whatever sizes and times it has.
    pub fn run_by_content(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let compare = mem::replace(&mut self.compare, Compare::Content);
        let result = self.run(scopes, exclude, on_item);
        self.compare = compare;
        result
    }

    /// Sends everything in these scopes as if it had changed, so that no file is linked to another one any more.
    pub fn run_anew(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let compare = mem::replace(&mut self.compare, Compare::Never);
        let result = self.run(scopes, exclude, on_item);
        self.compare = compare;
        result
    }

    /// Runs the scopes one after the other, and stops at the first failure that is not about single paths.
    pub fn run(&mut self, scopes: &[Scope], exclude: &[OsString], on_item: &OnItem<'_>) -> (Outcome, Tally) {
        let mut tally = Tally::default();
        self.count_anew();
        if let Some(trouble) = probe::target_missing(&self.mirror.endpoint) {
            return (Outcome::Permanent(trouble), tally);
        }
        let outcome = match self.attempt(scopes, exclude, &mut tally, on_item) {
            Outcome::NoMissingArgs if self.fall_back() => self.attempt(scopes, exclude, &mut tally, on_item),
            outcome => outcome,
        };
        if !matches!(outcome, Outcome::Done | Outcome::Partial(_)) {
            self.history().leave();
        }
        (outcome, tally)
    }

    /// Does without `--delete-missing-args` from now on; false when that is so already.
    pub(super) fn fall_back(&mut self) -> bool {
        if self.missing_args == MissingArgs::Broken {
            return false;
        }
        info!(
            mirror:% = self.mirror;
            "{}: its rsync cannot delete by name (--delete-missing-args), as that of plain Debian 12; whole directories are \
             compared instead, which is slower for large ones",
            self.mirror
        );
        self.missing_args = MissingArgs::Broken;
        true
    }

    fn attempt(&mut self, scopes: &[Scope], exclude: &[OsString], tally: &mut Tally, on_item: &OnItem<'_>) -> Outcome {
        let mut failing = Failing::default();
        let clients = self.clients_for_a_batch();
        let scopes = self.adapted(scopes, exclude);
        for group in groups(scopes.into_iter().flat_map(jobs), clients) {
            let outcomes = if let [job] = &group[..] {
                // What was a directory for the job before may have become a file for this one.
                let bucket = self.bucket_for(&group);
                let ended = self.job(job, exclude, bucket.as_ref(), Together::ALONE, tally, on_item);
                vec![self.pass_by(job, ended, exclude, tally, on_item)]
            } else {
                let (results, more) = self.run_at_once(&group, clients, exclude, on_item);
                tally.add(more);
                results.into_iter().map(|(_, outcome)| outcome).collect()
            };
            for outcome in outcomes {
                match outcome {
                    Outcome::Done => {}
                    Outcome::Partial(paths) => failing.extend(paths),
                    other => return other,
                }
            }
        }
        if failing.is_empty() { Outcome::Done } else { Outcome::Partial(failing) }
    }

    /// How many rsync clients send a big batch. One, when all links have to be seen by the same.
    fn clients_for_a_batch(&self) -> usize {
        match self.mirror.rsync.jobs {
            _ if self.mirror.rsync.attributes.hard_links => 1,
            Jobs::Fixed(jobs) => jobs,
            Jobs::Auto => thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The scopes as this endpoint can take them, without what is left alone. Where something is excluded, nothing is deleted by
    /// name either: inside a directory that is named as missing, rsync 3.5.0 deletes what is excluded as well.
    pub(super) fn adapted(&self, scopes: &[Scope], exclude: &[OsString]) -> Vec<Scope> {
        let by_name = self.missing_args == MissingArgs::Work && exclude.is_empty();
        let adapt = |scope: Scope| match scope {
            Scope::Listed(listed) if !by_name => Scope::Listed(listed.without_missing()),
            scope => scope,
        };
        scopes.iter().filter_map(|scope| scope.clone().without(&self.left_alone)).map(adapt).collect()
    }

    /// Where what these scopes replace or delete goes; nowhere when it is not kept.
    pub(super) fn bucket_for(&self, scopes: &[Scope]) -> Option<Bucket> {
        match (self.mode, self.versions) {
            (Mode::DryRun, _) | (_, Versions::None) => None,
            (Mode::Real, Versions::Kept) => self.history().bucket_for(self.mirror, scopes),
        }
    }

    /// The same for a scope that was run already, and not to its end. What that run has sent is a version by now, also where
    /// there was no mirror before: the source may have something else in the meantime.
    pub(super) fn bucket_for_more(&self, scope: &Scope) -> Option<Bucket> {
        match self.mode {
            Mode::DryRun => None,
            Mode::Real => self.history().bucket_for(self.mirror, slice::from_ref(scope)),
        }
    }
}
