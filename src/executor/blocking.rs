//! What is done about a path because of which the receiver breaks off each session in which it comes up, like a file for which
//! there is no room: the job is done without it, and it fails by itself. Where nothing gets through at all, or one path after
//! the other fails like that, it is the endpoint that fails.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use log::debug;

use super::session::{BrokenOff, Ended, Together};
use super::{Executor, OnItem};
use crate::backoff::SETTLE;
use crate::report::text;
use crate::rsync::argv::pattern_for;
use crate::rsync::outcome::{Failing, Outcome};
use crate::rsync::tally::Tally;
use crate::scope::Scope;

/// After so many paths in a row, with nothing that got through in between, the receiver takes nothing at all.
const MOST_IN_A_ROW: usize = 5;
/// More than so many are no exceptions. Each costs a [`SETTLE`] in which nothing else is sent, and a daemon may say anything.
const MOST: usize = 20;

/// The paths without which a job goes on.
#[derive(Default)]
struct Blocking {
    failing: Failing,
    in_a_row: usize,
}

impl Blocking {
    /// Takes one more path out of a job, which is what is returned; nothing when the job is to be given up.
    fn take_out(&mut self, scope: &Scope, BrokenOff { by, first_sent }: BrokenOff) -> Option<Scope> {
        let got_through = first_sent.is_some_and(|first| first != by.path);
        self.in_a_row = if got_through { 1 } else { self.in_a_row + 1 };
        if self.in_a_row >= MOST_IN_A_ROW || self.failing.paths.len() >= MOST {
            return None;
        }
        let rest = without(scope, &by.path)?;
        // What was taken out and comes up again all the same cannot be taken out.
        self.failing.paths.insert(by.path, by.why).is_none().then_some(rest)
    }

    /// The patterns that keep rsync from what was taken out.
    fn patterns(&self) -> impl Iterator<Item = OsString> {
        self.failing.paths.keys().map(|path| pattern_for(path))
    }

    /// What became of the job, with what was taken out.
    fn end(self, outcome: Outcome) -> Outcome {
        let mut failing = self.failing;
        match outcome {
            Outcome::Done if !failing.is_empty() => Outcome::Partial(failing),
            Outcome::Partial(more) => {
                failing.extend(more);
                Outcome::Partial(failing)
            }
            outcome => outcome,
        }
    }
}

/// A job without a path of it, which has to be excluded as well; nothing when the path is no part of it.
fn without(scope: &Scope, path: &Path) -> Option<Scope> {
    match scope {
        Scope::Tree(roots) => {
            let is_below = |root: &PathBuf| path.starts_with(root) && path != root;
            roots.iter().any(is_below).then(|| scope.clone())
        }
        Scope::Listed(listed) => {
            let parent = path.parent()?;
            let mut rest = listed.clone();
            rest.present.retain(|present| present != path);
            if rest.present.len() == listed.present.len() && !listed.shallow.iter().any(|dir| dir == parent) {
                return None;
            }
            // A temporary file came and went there, which has changed its time.
            if !rest.all().any(|listed| listed == parent) {
                rest.present.push(parent.to_owned());
            }
            Some(Scope::Listed(rest))
        }
    }
}

impl Executor<'_> {
    /// Goes on with a job that was run, without the paths because of which the receiver breaks it off.
    pub(super) fn pass_by(
        &self,
        job: &Scope,
        ended: Ended,
        exclude: &[OsString],
        tally: &mut Tally,
        on_item: &OnItem<'_>,
    ) -> Outcome {
        let (mut blocking, mut ended, mut rest) = (Blocking::default(), ended, job.clone());
        while let Some(broken_off) = ended.broken_off.take() {
            let (mirror, path) = (self.mirror, text::path(&broken_off.by.path));
            let Some(next) = blocking.take_out(&rest, broken_off) else { return ended.outcome };
            debug!(mirror:%; "{mirror}: the receiver has broken off because of {path}; going on without it");
            self.children.pause(SETTLE);
            rest = next;
            // It is not known what the run before put into the bucket.
            self.history().leave();
            let bucket = self.bucket_for_more(&rest);
            let exclude: Vec<OsString> = exclude.iter().cloned().chain(blocking.patterns()).collect();
            ended = self.job(&rest, &exclude, bucket.as_ref(), Together::ALONE, tally, on_item);
        }
        blocking.end(ended.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsync::outcome::Blocked;
    use crate::scope::Listed;

    fn broken_off(path: &str, first_sent: &str) -> BrokenOff {
        let by = Blocked { path: path.into(), why: "no room".to_owned() };
        BrokenOff { by, first_sent: Some(first_sent).filter(|first| !first.is_empty()).map(PathBuf::from) }
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_listed_path_is_replaced_by_its_directory_and_nothing_else_changes() {
        let listed = |present: &[&str]| {
            Scope::Listed(Listed { present: paths(present), missing: paths(&["m"]), shallow: paths(&["s"]) })
        };
        let job = listed(&["a/big", "a/small"]);
        assert_eq!(without(&job, Path::new("a/big")), Some(listed(&["a/small", "a"])));
        assert_eq!(without(&listed(&["big"]), Path::new("big")), Some(listed(&[""])));
        assert_eq!(without(&listed(&["a/big", "a"]), Path::new("a/big")), Some(listed(&["a"])));
        assert_eq!(without(&job, Path::new("s/x")), Some(job.clone()));
        for elsewhere in ["m", "s/d/x", "a", "b", "a/smal", ""] {
            assert_eq!(without(&job, Path::new(elsewhere)), None, "{elsewhere}");
        }
    }

    #[test]
    fn of_trees_only_what_is_in_them_is_taken_out() {
        let job = Scope::Tree(paths(&["a", "b/c"]));
        assert_eq!(without(&job, Path::new("b/c/d/big")), Some(job.clone()));
        for elsewhere in ["a", "b", "b/cc", "d/a", ""] {
            assert_eq!(without(&job, Path::new(elsewhere)), None, "{elsewhere}");
        }
    }

    #[test]
    fn where_nothing_gets_through_the_job_is_given_up_soon() {
        let job = Scope::Tree(paths(&[""]));
        let mut blocking = Blocking::default();
        for place in 1..MOST_IN_A_ROW {
            let path = format!("f{place}");
            assert!(blocking.take_out(&job, broken_off(&path, &path)).is_some(), "{place}");
        }
        assert!(blocking.take_out(&job, broken_off("f", "")).is_none());
        assert_eq!(blocking.patterns().count(), MOST_IN_A_ROW - 1);
    }

    #[test]
    fn whatever_is_said_there_is_an_end() {
        let job = Scope::Tree(paths(&[""]));
        let mut blocking = Blocking::default();
        for place in 0..MOST {
            assert!(blocking.take_out(&job, broken_off(&format!("f{place}"), "small")).is_some(), "{place}");
        }
        assert!(blocking.take_out(&job, broken_off("f", "small")).is_none());
        let mut blocking = Blocking::default();
        assert!(blocking.take_out(&job, broken_off("f", "small")).is_some());
        assert!(blocking.take_out(&job, broken_off("f", "small")).is_none(), "it cannot be taken out");
    }

    #[test]
    fn what_was_taken_out_fails_whatever_becomes_of_the_rest() {
        let failing = |paths: &[&str]| Failing {
            paths: paths.iter().map(|path| (path.into(), "no room".to_owned())).collect(),
            ..Failing::default()
        };
        let blocking = |paths| Blocking { failing: failing(paths), in_a_row: 0 };
        assert_eq!(blocking(&[]).end(Outcome::Done), Outcome::Done);
        assert_eq!(blocking(&["a"]).end(Outcome::Done), Outcome::Partial(failing(&["a"])));
        let more = Outcome::Partial(failing(&["b"]));
        assert_eq!(blocking(&["a"]).end(more), Outcome::Partial(failing(&["a", "b"])));
        assert_eq!(blocking(&["a"]).end(Outcome::Stopped), Outcome::Stopped);
    }
}
