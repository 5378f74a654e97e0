//! The configuration as it is written: the shape of the TOML file and nothing else.
//!
//! Everything may be left out here, and nothing is checked beyond its TOML type. The spans are what lets the second
//! stage say where something is wrong. Values that may be a number or a word are taken as TOML values for the same
//! reason: the second stage explains better than an untagged enum could. The same types, filled from the validated
//! settings, are what `config show` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Spanned, Value};

/// A text with its place.
pub(super) type Text = Spanned<String>;
/// A list of texts, each with its place.
pub(super) type Texts = Vec<Text>;
/// Tables by name; the place is that of the name.
pub(super) type Named<T> = BTreeMap<Text, T>;

/// The whole file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Config {
    pub(super) rsync: Option<Rsync>,
    pub(super) watch: Option<Watch>,
    pub(super) full_sync: Option<FullSync>,
    pub(super) history: Option<History>,
    pub(super) metrics: Option<Metrics>,
    pub(super) notify: Option<Notify>,
    pub(super) targets: Option<Named<Target>>,
    pub(super) sources: Option<Named<Source>>,
}

/// `[rsync]` and `[targets.NAME.rsync]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rsync {
    pub(super) user: Option<Text>,
    pub(super) password_file: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) connect_timeout: Option<Text>,
    pub(super) bwlimit: Option<Text>,
    pub(super) jobs: Option<Spanned<Value>>,
    pub(super) hard_links: Option<bool>,
    pub(super) acls: Option<bool>,
    pub(super) xattrs: Option<bool>,
    pub(super) numeric_ids: Option<bool>,
    pub(super) extra_args: Option<Texts>,
}

/// `[watch]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Watch {
    pub(super) delay: Option<Text>,
    pub(super) max_delay: Option<Text>,
    pub(super) backend: Option<Text>,
    pub(super) start: Option<Text>,
    pub(super) max_pending: Option<Spanned<i64>>,
    pub(super) rename_min_size: Option<Text>,
}

/// `[full-sync]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FullSync {
    pub(super) timeout: Option<Text>,
    pub(super) every: Option<Text>,
    pub(super) max_delete: Option<Spanned<Value>>,
    pub(super) hook_timeout: Option<Text>,
    pub(super) before: Option<Spanned<Vec<String>>>,
    pub(super) after: Option<Spanned<Vec<String>>>,
}

/// `[history]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct History {
    pub(super) keep_days: Option<Spanned<i64>>,
    pub(super) resolution: Option<Text>,
    pub(super) max_size: Option<Text>,
}

/// `[metrics]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Metrics {
    pub(super) textfile_dir: Option<Text>,
    pub(super) legacy_names: Option<bool>,
}

/// `[notify]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Notify {
    pub(super) failure_every: Option<Text>,
    pub(super) heartbeat_every: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) on_failure: Option<Spanned<Vec<String>>>,
    pub(super) on_recovery: Option<Spanned<Vec<String>>>,
    pub(super) heartbeat: Option<Spanned<Vec<String>>>,
}

/// `[targets.NAME]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Target {
    pub(super) module: Option<Text>,
    pub(super) hosts: Option<Spanned<Texts>>,
    pub(super) path: Option<Text>,
    pub(super) rsync: Option<Rsync>,
    pub(super) server: Option<Spanned<Server>>,
}

/// `[targets.NAME.server]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Server {
    pub(super) path: Option<Text>,
    pub(super) hosts_allow: Option<Texts>,
    pub(super) max_connections: Option<Spanned<i64>>,
    pub(super) uid: Option<Text>,
    pub(super) gid: Option<Text>,
}

/// `[sources.NAME]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Source {
    pub(super) path: Option<Text>,
    pub(super) targets: Option<Spanned<Texts>>,
    pub(super) exclude: Option<Texts>,
    pub(super) marker: Option<Text>,
    pub(super) one_file_system: Option<bool>,
    pub(super) watch: Option<SourceWatch>,
}

/// `[sources.NAME.watch]`, mostly written as `watch.exclude`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SourceWatch {
    pub(super) exclude: Option<Texts>,
}
