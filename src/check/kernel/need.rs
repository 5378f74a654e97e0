//! What each source needs: its directories are counted, all sources in parallel.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::backend::{self, Choice, Conditions};
use super::filesystems::{self, Sight};
use super::host::Host;
use super::inside::resolve;
use crate::config::settings::{Backend, Source};
use crate::events;
use crate::exclude::Excludes;
use crate::exit::Exit;
use crate::report::findings::{Finding, Grade};
use crate::report::text::{self, count};
use crate::tree::Reach;
use crate::tree::walk;

/// What was found out about one source.
#[derive(Debug)]
pub(super) struct Need {
    source: Source,
    /// How many directories it has, and how many of them could not be read; or why the root cannot be.
    counted: Result<(usize, usize), String>,
    kind: Option<String>,
    mounts_below: usize,
    /// How it would be watched.
    pub(super) choice: Choice,
}

/// Looks at all of them at the same time.
pub(super) fn all<'s>(sources: impl Iterator<Item = &'s Source>, host: &Host, wish: Backend, root: &Path) -> Vec<Need> {
    let sources: Vec<&Source> = sources.collect();
    sources.into_par_iter().map(|source| one(source, host, wish, root)).collect()
}

fn one(source: &Source, host: &Host, wish: Backend, root: &Path) -> Need {
    let path = resolve(root, &source.path);
    // The kernel's table has real paths.
    let real: PathBuf = match &path {
        Ok(path) if root == Path::new("/") => path.canonicalize().ok(),
        Ok(path) => path.strip_prefix(root).ok().map(|below| Path::new("/").join(below)),
        Err(_) => None,
    }
    .unwrap_or_else(|| source.path.clone());
    let kind = filesystems::kind_of(&host.mounts, &real).map(str::to_owned);
    let mounts_below = filesystems::below(&host.mounts, &real);
    let (path, circle) = match path {
        Ok(path) => (path, None),
        Err(e) => (source.path.clone(), Some(e.to_string())),
    };
    let source = Source { path, ..source.clone() };
    let choice = if root == Path::new("/") {
        // The kernel itself knows better than any table.
        let excludes = Excludes::new(&left_out(&source)).unwrap_or_default();
        backend::choose(wish, events::best_first(), |backend| events::obstacle(&source, &excludes, backend))
    } else {
        let conditions = Conditions { privileged: host.privileged, kernel: host.kernel, filesystem: kind.as_deref() };
        backend::choose(wish, events::best_first(), |backend| backend::obstacle(backend, conditions))
    };
    let counted = circle.map_or_else(|| directories(&source), Err);
    Need { source, counted, kind, mounts_below, choice }
}

/// What is not watched.
fn left_out(source: &Source) -> Vec<&String> {
    source.exclude.iter().chain(&source.watch_exclude).collect()
}

/// The directories that are watched: what is excluded is not.
fn directories(source: &Source) -> Result<(usize, usize), String> {
    let excludes = Excludes::new(&left_out(source)).map_err(|e| e.to_string())?;
    let census = walk::census(Reach::of_source(source, &excludes), &|_| 0).map_err(|e| e.to_string())?;
    Ok((census.directories.len(), census.unreadable.len()))
}

impl Need {
    /// How many directories it has.
    pub(super) fn directories(&self) -> u64 {
        self.counted.as_ref().map_or(0, |(directories, _)| *directories as u64)
    }

    pub(super) fn finding(&self) -> Finding {
        let name = &self.source.name;
        let check = format!("source {name}");
        let (directories, unreadable) = match &self.counted {
            Ok(counted) => *counted,
            Err(why) => {
                let found = format!("{}: {why}", text::path(&self.source.path));
                let correct = format!("correct `path` in [sources.{name}]");
                let remedy = match std::fs::metadata(&self.source.path) {
                    Ok(metadata) if !metadata.is_dir() => {
                        format!("{correct}: only directories are watched")
                    }
                    _ => format!("mount it or make it, or {correct}"),
                };
                return Finding::with_remedy(check, Grade::Bad(Exit::Failed), found, remedy);
            }
        };
        let kind = self.kind.as_deref().unwrap_or("an unknown file system");
        let kind = text::escaped(kind.as_bytes());
        let backend = self.choice.backend.word();
        let found = format!("{} on {kind}, watched by {backend}: {}", count(directories, "directory"), self.choice.why);
        let elsewhere =
            format!("run `sersync full-sync {name}` regularly; `sersync gen-schedule` writes the timer for it");
        if !self.choice.works {
            let remedy = "set `backend = \"auto\"` in [watch]";
            return Finding::with_remedy(check, Grade::Bad(Exit::Failed), found, remedy);
        }
        match filesystems::sight(self.kind.as_deref().unwrap_or_default()) {
            Sight::Nothing => {
                return Finding::with_remedy(
                    check,
                    Grade::Bad(Exit::Failed),
                    format!("{found}; changes there are reported to nobody"),
                    elsewhere,
                );
            }
            Sight::OwnChanges => {
                return Finding::with_remedy(
                    check,
                    Grade::Warning,
                    format!("{found}; what other hosts change there is not seen"),
                    format!("mirror it from the host that has it, or {elsewhere}"),
                );
            }
            Sight::Full => {}
        }
        if unreadable > 0 {
            let found = format!("{found}; {} cannot be read", count(unreadable, "directory"));
            return Finding::with_remedy(check, Grade::Warning, found, "run as a user who may read them, such as root");
        }
        if self.mounts_below > 0 && self.source.one_file_system {
            let found = format!("{found}; {} below it", count(self.mounts_below, "mount"));
            let remedy = "give what is mounted a source of its own, or set `one-file-system = false`, to mirror it too";
            return Finding::with_remedy(check, Grade::Hint, found, remedy);
        }
        Finding::ok(check, found)
    }
}
