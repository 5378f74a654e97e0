//! What every command that talks to endpoints does first: settings, mirrors, and the checks that need no network.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cli::{Global, Selection};
use crate::config::settings::Settings;
use crate::config::{self, adhoc, locate, password};
use crate::exit::Failure;
use crate::guard;
use crate::metrics::Textfiles;
use crate::mirror::{Endpoint, Mirror};
use crate::rsync::version;
use crate::state::StateDir;

/// What a command works with.
#[derive(Debug)]
pub(super) struct Setup {
    /// The validated settings.
    pub(super) settings: Settings,
    /// The mirrors that were asked for, at least one.
    pub(super) mirrors: Vec<Mirror>,
    /// Where locks and memories are.
    pub(super) state: StateDir,
    /// Where figures for monitoring go.
    pub(super) metrics: Textfiles,
}

/// Everything that can be checked before anything is touched.
pub(super) fn prepare(global: &Global, selection: &Selection) -> Result<Setup> {
    let (settings, mirrors) = select(global, selection)?;
    for file in password_files(&mirrors) {
        password::check(file)?;
    }
    mirrors.iter().try_for_each(guard::check_apart)?;
    version::check()?;
    let state = StateDir::open(global.state_dir.as_deref())?;
    let metrics = Textfiles::new(&settings.metrics);
    Ok(Setup { settings, mirrors, state, metrics })
}

/// The settings, and the mirrors that were asked for.
pub(super) fn select(global: &Global, selection: &Selection) -> Result<(Settings, Vec<Mirror>)> {
    let settings = match &selection.from {
        Some(from) => {
            let base = locate::named(global.config.as_deref())
                .as_deref()
                .map(config::load)
                .transpose()
                .map_err(Failure::from)?;
            adhoc::adhoc(from, &selection.to, selection.password_file.as_deref(), base.as_ref())?
        }
        None => load(global)?,
    };
    let mirrors = Mirror::select(&settings, &selection.sources)?;
    Ok((settings, mirrors))
}

/// The configuration file's settings.
pub(super) fn load(global: &Global) -> Result<Settings> {
    let file = locate::locate(global.config.as_deref()).map_err(Failure::from)?;
    Ok(config::load(&file).map_err(Failure::from)?)
}

/// The password files that these mirrors need, each once.
pub(super) fn password_files(mirrors: &[Mirror]) -> BTreeSet<&std::path::Path> {
    let daemons = mirrors.iter().filter(|mirror| matches!(mirror.endpoint, Endpoint::Daemon { .. }));
    daemons.filter_map(|mirror| mirror.rsync.password_file.as_deref()).collect()
}
