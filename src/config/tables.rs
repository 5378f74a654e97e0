//! The second stage for the tables that there is one of: what each key may be.

use std::path::PathBuf;
use std::time::Duration;

use toml::{Spanned, Value};

use super::error::Problems;
use super::settings::{Attributes, Backend, FullSync, History, Jobs, MaxDelete, Metrics, Notify, Rsync, Start, Watch};
use super::units::{Size, Span};
use super::{extra_args, names, paths, suggest, written};

/// The words for [`Backend`].
pub(super) const BACKENDS: &[(&str, Backend)] = &[
    (Backend::Auto.word(), Backend::Auto),
    (Backend::Fanotify.word(), Backend::Fanotify),
    (Backend::Inotify.word(), Backend::Inotify),
];

/// The words for [`Start`].
pub(super) const STARTS: &[(&str, Start)] =
    &[("full", Start::Full), ("changed", Start::Changed), ("none", Start::None)];

/// What stands for no limit, so that a target can lift the one of `[rsync]`.
pub(super) const NO_LIMIT: &str = "none";

/// The smallest `max-pending`: with less, every change would be folded into whole directories at once.
const LEAST_PENDING: usize = 16;

/// The longest `keep-days`, a hundred years.
pub(super) const MOST_DAYS: u32 = 36_500;

/// One `[rsync]` table over the values that hold where it says nothing.
pub(super) fn rsync(problems: &mut Problems, written: Option<&written::Rsync>, base: &Rsync) -> Rsync {
    let Some(written) = written else { return base.clone() };
    let extra_args = written.extra_args.as_ref().map(|args| {
        let mut checked = Vec::new();
        for arg in args {
            checked.extend(problems.take("extra-args", Some(arg), |arg| extra_args::check(arg).map(|()| arg.clone())));
        }
        checked
    });
    Rsync {
        user: problems
            .take("user", written.user.as_ref(), |user| names::check_user(user))
            .or_else(|| base.user.clone()),
        password_file: problems
            .take("password-file", written.password_file.as_ref(), |path| paths::absolute(path))
            .or_else(|| base.password_file.clone()),
        timeout: problems.take("timeout", written.timeout.as_ref(), |text| seconds(text)).unwrap_or(base.timeout),
        connect_timeout: problems
            .take("connect-timeout", written.connect_timeout.as_ref(), |text| seconds(text))
            .unwrap_or(base.connect_timeout),
        bwlimit: problems.take("bwlimit", written.bwlimit.as_ref(), |text| bwlimit(text)).unwrap_or(base.bwlimit),
        jobs: problems.take("jobs", written.jobs.as_ref(), jobs).unwrap_or(base.jobs),
        attributes: Attributes {
            hard_links: written.hard_links.unwrap_or(base.attributes.hard_links),
            acls: written.acls.unwrap_or(base.attributes.acls),
            xattrs: written.xattrs.unwrap_or(base.attributes.xattrs),
            numeric_ids: written.numeric_ids.unwrap_or(base.attributes.numeric_ids),
        },
        extra_args: extra_args.unwrap_or_else(|| base.extra_args.clone()),
    }
}

pub(super) fn watch(problems: &mut Problems, written: Option<&written::Watch>) -> Watch {
    let default = Watch::default();
    let Some(written) = written else { return default };
    let watch = Watch {
        delay: problems.take("delay", written.delay.as_ref(), |text| duration(text)).unwrap_or(default.delay),
        max_delay: problems
            .take("max-delay", written.max_delay.as_ref(), |text| duration(text))
            .unwrap_or(default.max_delay),
        backend: problems
            .take("backend", written.backend.as_ref(), |word| choice(word, BACKENDS))
            .unwrap_or(default.backend),
        start: problems.take("start", written.start.as_ref(), |word| choice(word, STARTS)).unwrap_or(default.start),
        max_pending: problems
            .take("max-pending", written.max_pending.as_ref(), |number| max_pending(*number))
            .unwrap_or(default.max_pending),
        rename_min_size: problems
            .take("rename-min-size", written.rename_min_size.as_ref(), |text| size(text))
            .unwrap_or(default.rename_min_size),
    };
    if watch.max_delay < watch.delay {
        let (delay, max_delay) = (Span(watch.delay), Span(watch.max_delay));
        if let Some(place) = &written.max_delay {
            let message =
                format!("`max-delay`: {max_delay} is less than `delay` ({delay}); raise it, or lower `delay`");
            problems.at(place.span(), message);
        } else if let Some(place) = &written.delay {
            let message =
                format!("`delay`: {delay} is more than `max-delay` ({max_delay}); lower it, or set `max-delay`");
            problems.at(place.span(), message);
        }
    }
    watch
}

pub(super) fn full_sync(problems: &mut Problems, written: Option<&written::FullSync>) -> FullSync {
    let default = FullSync::default();
    let Some(written) = written else { return default };
    FullSync {
        timeout: problems.take("timeout", written.timeout.as_ref(), |text| seconds(text)).unwrap_or(default.timeout),
        every: problems.take("every", written.every.as_ref(), |text| seconds(text)).unwrap_or(default.every),
        max_delete: problems.take("max-delete", written.max_delete.as_ref(), max_delete).unwrap_or(default.max_delete),
        before: problems.take("before", written.before.as_ref(), |argv| program(argv)).unwrap_or_default(),
        after: problems.take("after", written.after.as_ref(), |argv| program(argv)).unwrap_or_default(),
        hook_timeout: problems
            .take("hook-timeout", written.hook_timeout.as_ref(), |text| seconds(text))
            .unwrap_or(default.hook_timeout),
    }
}

pub(super) fn history(problems: &mut Problems, written: Option<&written::History>) -> History {
    let default = History::default();
    let Some(written) = written else { return default };
    History {
        keep_days: problems
            .take("keep-days", written.keep_days.as_ref(), |days| keep_days(*days))
            .unwrap_or(default.keep_days),
        resolution: problems
            .take("resolution", written.resolution.as_ref(), |text| duration(text))
            .unwrap_or(default.resolution),
        max_size: problems.take("max-size", written.max_size.as_ref(), |text| max_size(text)).unwrap_or_default(),
    }
}

pub(super) fn metrics(problems: &mut Problems, written: Option<&written::Metrics>) -> Metrics {
    let directory = written.and_then(|metrics| metrics.textfile_dir.as_ref());
    Metrics {
        textfile_dir: problems.take("textfile-dir", directory, |path| paths::absolute(path)),
        legacy_names: written.and_then(|metrics| metrics.legacy_names).unwrap_or_default(),
    }
}

pub(super) fn notify(problems: &mut Problems, written: Option<&written::Notify>) -> Notify {
    let default = Notify::default();
    let Some(written) = written else { return default };
    let mut argv =
        |key, argv: Option<&Spanned<Vec<String>>>| problems.take(key, argv, |argv| program(argv)).unwrap_or_default();
    let (on_failure, on_recovery) =
        (argv("on-failure", written.on_failure.as_ref()), argv("on-recovery", written.on_recovery.as_ref()));
    let heartbeat = argv("heartbeat", written.heartbeat.as_ref());
    let mut time =
        |key, text: Option<&written::Text>, default| problems.take(key, text, |text| seconds(text)).unwrap_or(default);
    Notify {
        on_failure,
        on_recovery,
        heartbeat,
        failure_every: time("failure-every", written.failure_every.as_ref(), default.failure_every),
        heartbeat_every: time("heartbeat-every", written.heartbeat_every.as_ref(), default.heartbeat_every),
        timeout: time("timeout", written.timeout.as_ref(), default.timeout),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse().map(|Span(duration)| duration)
}

/// A duration of whole seconds, the only ones that rsync and systemd timers know, other than 0, which rsync takes for
/// "never".
fn seconds(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() || duration.subsec_nanos() != 0 {
        return Err(format!("\"{text}\" must be whole seconds, at least \"1s\""));
    }
    Ok(duration)
}

fn bwlimit(text: &str) -> Result<Option<u64>, String> {
    if text == NO_LIMIT {
        return Ok(None);
    }
    match text.parse()? {
        Size(0) => Err(format!("\"{text}\" would send nothing; write \"{NO_LIMIT}\" for no limit")),
        Size(bytes) => Ok(Some(bytes)),
    }
}

fn jobs(value: &Value) -> Result<Jobs, String> {
    match value {
        Value::String(word) if word == "auto" => Ok(Jobs::Auto),
        Value::Integer(number) if *number >= 1 => {
            usize::try_from(*number).map(Jobs::Fixed).map_err(|_| format!("{number} is too big"))
        }
        other => Err(format!("{other} is neither \"auto\" nor a number from 1 on (without quotes)")),
    }
}

fn max_delete(value: &Value) -> Result<MaxDelete, String> {
    match value {
        Value::String(text) => text.parse(),
        Value::Integer(number) if *number >= 0 => Ok(MaxDelete::Count(number.unsigned_abs())),
        other => Err(format!("{other} is not a limit; write a share such as \"50%\" or a count such as 1000")),
    }
}

fn max_pending(number: i64) -> Result<usize, String> {
    let pending = usize::try_from(number).ok().filter(|pending| *pending >= LEAST_PENDING);
    pending.ok_or_else(|| format!("{number} is too small; at least {LEAST_PENDING}"))
}

fn size(text: &str) -> Result<u64, String> {
    text.parse::<Size>().map(|Size(bytes)| bytes)
}

fn keep_days(days: i64) -> Result<u32, String> {
    let days_kept = u32::try_from(days).ok().filter(|days| *days <= MOST_DAYS);
    days_kept.ok_or_else(|| format!("{days} is not a number of days from 0 (no history) to {MOST_DAYS}"))
}

fn max_size(text: &str) -> Result<Option<u64>, String> {
    if text == NO_LIMIT {
        return Ok(None);
    }
    match text.parse()? {
        Size(0) => Err(format!("\"{text}\" would leave nothing but the newest; write \"{NO_LIMIT}\" for no limit")),
        Size(bytes) => Ok(Some(bytes)),
    }
}

/// One of a few words.
fn choice<T: Copy>(word: &str, table: &[(&str, T)]) -> Result<T, String> {
    let words: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    let found = table.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("unknown value \"{}\"{}", word.escape_debug(), suggest::hint(word, &words)))
}

/// A program with its arguments, or nothing at all. It is run without a shell and with a bare environment, so that its
/// path has to be complete.
fn program(argv: &[String]) -> Result<Vec<String>, String> {
    if argv.iter().any(|arg| arg.contains('\0')) {
        return Err("an argument cannot contain a NUL character".to_owned());
    }
    if let Some(name) = argv.first()
        && !PathBuf::from(name).is_absolute()
    {
        let shown = name.escape_debug();
        return Err(format!(
            "the program \"{shown}\" must be an absolute path, with its arguments as further elements"
        ));
    }
    Ok(argv.to_vec())
}
