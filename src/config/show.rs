//! The validated settings as TOML and as JSON, with all defaults filled in, in the shape of the configuration file: the
//! TOML form loads again as the same settings. There is no secret in it, only the path of the password file.
//!
//! A path that is not UTF-8 can come from the command line only; it is shown with replacement characters.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use toml::{Spanned, Value};

use super::settings::{FullSync, Jobs, MaxDelete, Notify, Place, Rsync, Server, Settings, Source, Target, Watch};
use super::tables::{BACKENDS, NO_LIMIT, STARTS};
use super::units::{Size, Span};
use super::written::{self, Text, Texts};

/// The settings as a configuration file.
///
/// # Errors
///
/// When the TOML writer fails, which it has no reason to do.
pub fn as_toml(settings: &Settings) -> anyhow::Result<String> {
    toml::to_string(&written(settings)).context("the settings cannot be written as TOML")
}

/// The settings as one JSON object with the same keys; what is not set is `null`.
///
/// # Errors
///
/// When the JSON writer fails, which it has no reason to do.
pub fn as_json(settings: &Settings) -> anyhow::Result<String> {
    serde_json::to_string_pretty(&written(settings)).context("the settings cannot be written as JSON")
}

/// What would have to be written for these settings.
fn written(settings: &Settings) -> written::Config {
    let targets = settings.targets.iter().map(|(name, value)| (text(name), target(value)));
    let sources = settings.sources.iter().map(|(name, value)| (text(name), source(value)));
    written::Config {
        rsync: Some(rsync(&settings.rsync)),
        watch: Some(watch(&settings.watch)),
        full_sync: Some(full_sync(&settings.full_sync)),
        history: Some(written::History {
            keep_days: Some(placed(settings.history.keep_days.into())),
            resolution: Some(text(&Span(settings.history.resolution))),
            max_size: Some(settings.history.max_size.map_or_else(|| text(NO_LIMIT), |bytes| text(&Size(bytes)))),
        }),
        metrics: Some(written::Metrics {
            textfile_dir: settings.metrics.textfile_dir.as_deref().map(path),
            legacy_names: Some(settings.metrics.legacy_names),
        }),
        notify: Some(notify(&settings.notify)),
        targets: Some(targets.collect::<BTreeMap<_, _>>()),
        sources: Some(sources.collect::<BTreeMap<_, _>>()),
    }
}

fn rsync(rsync: &Rsync) -> written::Rsync {
    written::Rsync {
        user: rsync.user.as_ref().map(text),
        password_file: rsync.password_file.as_deref().map(path),
        timeout: Some(text(&Span(rsync.timeout))),
        connect_timeout: Some(text(&Span(rsync.connect_timeout))),
        bwlimit: Some(rsync.bwlimit.map_or_else(|| text(NO_LIMIT), |bytes| text(&Size(bytes)))),
        jobs: Some(placed(match rsync.jobs {
            Jobs::Auto => Value::from("auto"),
            Jobs::Fixed(number) => number_or_text(number as u64),
        })),
        hard_links: Some(rsync.attributes.hard_links),
        acls: Some(rsync.attributes.acls),
        xattrs: Some(rsync.attributes.xattrs),
        numeric_ids: Some(rsync.attributes.numeric_ids),
        extra_args: Some(texts(&rsync.extra_args)),
    }
}

fn watch(watch: &Watch) -> written::Watch {
    written::Watch {
        delay: Some(text(&Span(watch.delay))),
        max_delay: Some(text(&Span(watch.max_delay))),
        backend: word(BACKENDS, &watch.backend),
        start: word(STARTS, &watch.start),
        max_pending: Some(placed(i64::try_from(watch.max_pending).unwrap_or(i64::MAX))),
        rename_min_size: Some(text(&Size(watch.rename_min_size))),
    }
}

fn full_sync(full_sync: &FullSync) -> written::FullSync {
    written::FullSync {
        timeout: Some(text(&Span(full_sync.timeout))),
        every: Some(text(&Span(full_sync.every))),
        max_delete: Some(placed(match full_sync.max_delete {
            MaxDelete::Count(count) => number_or_text(count),
            share @ MaxDelete::Percent(_) => Value::from(share.to_string()),
        })),
        before: Some(placed(full_sync.before.clone())),
        after: Some(placed(full_sync.after.clone())),
        hook_timeout: Some(text(&Span(full_sync.hook_timeout))),
    }
}

fn notify(notify: &Notify) -> written::Notify {
    written::Notify {
        failure_every: Some(text(&Span(notify.failure_every))),
        heartbeat_every: Some(text(&Span(notify.heartbeat_every))),
        timeout: Some(text(&Span(notify.timeout))),
        on_failure: Some(placed(notify.on_failure.clone())),
        on_recovery: Some(placed(notify.on_recovery.clone())),
        heartbeat: Some(placed(notify.heartbeat.clone())),
    }
}

fn target(target: &Target) -> written::Target {
    let rsync = Some(rsync(&target.rsync));
    match &target.place {
        Place::Directory(directory) => {
            written::Target { path: Some(path(directory)), rsync, ..written::Target::default() }
        }
        Place::Daemon { module, hosts } => written::Target {
            module: Some(text(module)),
            hosts: Some(placed(texts(hosts))),
            path: None,
            rsync,
            server: (target.server != Server::default()).then(|| placed(server(&target.server))),
        },
    }
}

fn server(server: &Server) -> written::Server {
    written::Server {
        path: server.path.as_deref().map(path),
        hosts_allow: (!server.hosts_allow.is_empty()).then(|| texts(&server.hosts_allow)),
        max_connections: server.max_connections.map(|most| placed(most.into())),
        uid: server.uid.as_ref().map(text),
        gid: server.gid.as_ref().map(text),
    }
}

fn source(source: &Source) -> written::Source {
    written::Source {
        path: Some(path(&source.path)),
        targets: Some(placed(texts(&source.targets))),
        exclude: Some(texts(&source.exclude)),
        marker: source.marker.as_deref().map(path),
        one_file_system: Some(source.one_file_system),
        watch: Some(written::SourceWatch { exclude: Some(texts(&source.watch_exclude)) }),
    }
}

/// A value of the written form; its place means nothing here.
fn placed<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

fn text(value: &(impl ToString + ?Sized)) -> Text {
    placed(value.to_string())
}

fn texts<T: ToString>(values: &[T]) -> Texts {
    values.iter().map(text).collect()
}

fn path(path: &Path) -> Text {
    text(&path.display())
}

fn word<T: PartialEq>(table: &[(&str, T)], value: &T) -> Option<Text> {
    table.iter().find(|(_, known)| known == value).map(|(name, _)| text(*name))
}

/// TOML's integers end at 2^63; a text reads back beyond that.
fn number_or_text(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::from)
}

#[cfg(test)]
mod tests;
