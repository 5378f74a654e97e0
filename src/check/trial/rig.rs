//! What a trial works with: a small tree on this host, its mirror on the endpoint, and sessions between them that are short
//! whatever the other side does.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::verdict::{GONE, KEPT, LINK, LINK_TARGET, TIMED, trouble};
use crate::bucket::Bucket;
use crate::config::settings::{Source, Target};
use crate::exclude::Excludes;
use crate::history::remote::Remote;
use crate::mirror::{Endpoint, Mirror};
use crate::rsync::argv::{self, Compare, FileList, JobOptions, Manner, MissingArgs};
use crate::rsync::children::{Children, Limit};
use crate::rsync::listing::{self, Entry};
use crate::rsync::outcome::{Outcome, Trouble};
use crate::scope::Scope;

/// What lists half a million entries of a module.
const MOST_BYTES: u64 = 64 << 20;

/// A tree on this host and its mirror on the endpoint.
pub(super) struct Trial<'a> {
    pub(super) dir: TempDir,
    pub(super) mirror: Mirror,
    pub(super) children: &'a Children,
}

impl<'a> Trial<'a> {
    /// `name` is one that no source can have.
    pub(super) fn new(
        name: String,
        target: &Target,
        endpoint: &Endpoint,
        children: &'a Children,
    ) -> io::Result<Trial<'a>> {
        let dir = tempfile::Builder::new().prefix("sersync-check-").tempdir()?;
        let path = dir.path().join("source");
        fs::create_dir_all(path.join("d"))?;
        for name in [KEPT, GONE, TIMED] {
            fs::write(path.join(name), "sersync check-target\n")?;
        }
        symlink(LINK_TARGET, path.join(LINK))?;
        let source = Source {
            name,
            path,
            targets: Vec::new(),
            exclude: Vec::new(),
            watch_exclude: Vec::new(),
            marker: None,
            one_file_system: true,
        };
        let mirror = Mirror {
            source: Arc::new(source),
            endpoint: endpoint.clone(),
            rsync: Arc::new(target.rsync.clone()),
            excludes: Arc::new(Excludes::default()),
        };
        Ok(Trial { dir, mirror, children })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.mirror.source.path.join(name)
    }

    pub(super) fn job(&self, scope: &Scope, bucket: Option<&Bucket>, missing_args: MissingArgs) -> Outcome {
        self.rsync(|mirror| argv::command(mirror, scope, self.options(bucket, missing_args)), |_| {})
    }

    pub(super) fn options<'o>(&'o self, bucket: Option<&'o Bucket>, missing_args: MissingArgs) -> JobOptions<'o> {
        JobOptions {
            root: &self.mirror.source.path,
            bucket,
            exclude: &[],
            clients: 1,
            missing_args,
            compare: Compare::Quick,
            manner: Manner::Thorough,
            file_list: FileList::Whole,
            keep_temporary: false,
            max_delete: None,
            dry_run: false,
            progress: false,
        }
    }

    pub(super) fn list(&self, command: impl Fn(&Mirror) -> Command) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        match self.rsync(command, |line| entries.extend(listing::parse(line))) {
            Outcome::Done | Outcome::Partial(_) => Ok(entries),
            other => Err(trouble(other)),
        }
    }

    pub(super) fn rsync(&self, command: impl Fn(&Mirror) -> Command, mut on_line: impl FnMut(&[u8])) -> Outcome {
        let mut remote = Remote::new(&self.mirror, self.children).within(limit(&self.mirror));
        remote.session(|remote| remote.rsync(command(&self.mirror), &mut on_line))
    }
}

/// A peer that says a byte now and then, or something new for ever, is not waited for: every session of a trial is short.
pub(super) fn limit(mirror: &Mirror) -> Limit {
    Limit { time: mirror.rsync.connect_timeout.saturating_add(mirror.rsync.timeout), bytes: MOST_BYTES }
}
