//! The mirrors that the tests of this module work with.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{Attributes, Host, Jobs, Rsync, Source};
use crate::mirror::{Endpoint, Mirror};

/// The mirror `n` of a source on this endpoint.
pub(super) fn mirror(endpoint: Endpoint) -> Mirror {
    let source = Source {
        name: "n".into(),
        path: "/tmp/p/src".into(),
        targets: vec![],
        exclude: vec![],
        watch_exclude: vec![],
        marker: None,
        one_file_system: true,
    };
    let rsync = Rsync {
        user: None,
        password_file: None,
        timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        bwlimit: None,
        jobs: Jobs::Auto,
        attributes: Attributes::default(),
        extra_args: vec![],
    };
    Mirror { source: Arc::new(source), endpoint, rsync: Arc::new(rsync), excludes: Arc::default() }
}

/// The same on a daemon.
pub(super) fn daemon() -> Mirror {
    mirror(Endpoint::Daemon { host: Host { name: "h".into(), port: 873 }, module: "m".into() })
}
