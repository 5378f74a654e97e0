//! What holds for everything that the configuration does not mention.

use std::time::Duration;

use super::settings::{
    Attributes, Backend, FullSync, History, Jobs, MaxDelete, Metrics, Notify, Rsync, Settings, Start, Watch,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Settings {
    /// The defaults of every section, with nothing to mirror and nowhere to mirror it to.
    fn default() -> Self {
        Settings {
            rsync: Rsync::default(),
            watch: Watch::default(),
            full_sync: FullSync::default(),
            history: History::default(),
            metrics: Metrics::default(),
            notify: Notify::default(),
            targets: std::collections::BTreeMap::new(),
            sources: std::collections::BTreeMap::new(),
        }
    }
}

impl Default for Rsync {
    fn default() -> Self {
        Rsync {
            user: None,
            password_file: None,
            timeout: Duration::from_secs(3 * 60),
            connect_timeout: Duration::from_secs(10),
            bwlimit: None,
            jobs: Jobs::Auto,
            attributes: Attributes::default(),
            extra_args: Vec::new(),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Watch {
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(10),
            backend: Backend::Auto,
            start: Start::Changed,
            max_pending: 65536,
            rename_min_size: 1 << 20,
        }
    }
}

impl Default for FullSync {
    fn default() -> Self {
        FullSync {
            timeout: 12 * HOUR,
            every: 3 * DAY,
            max_delete: MaxDelete::Percent(50.0),
            before: Vec::new(),
            after: Vec::new(),
            hook_timeout: HOUR,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        History { keep_days: 7, resolution: Duration::from_secs(60), max_size: None }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Notify {
            on_failure: Vec::new(),
            on_recovery: Vec::new(),
            heartbeat: Vec::new(),
            failure_every: HOUR,
            heartbeat_every: Duration::from_secs(5 * 60),
            timeout: Duration::from_secs(30),
        }
    }
}
