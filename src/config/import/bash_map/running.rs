//! How the bash sersync ran rsync, when, and what it kept. Pure.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::{options, schedule};
use super::Settings;
use crate::config::units::Span;
use crate::config::{names, paths, validate};

/// How rsync is run.
pub(super) fn connection(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(user) = settings.text("rsync_user") {
        match names::check_user(user) {
            Ok(user) => draft.rsync.set("user", user, ""),
            Err(why) => draft.rsync.comment(&format!("rsync_user={user}"), &why),
        }
    }
    if let Some(file) = settings.text("rsync_passwd_file") {
        match paths::absolute(file) {
            Ok(_) => draft.rsync.set("password-file", file, ""),
            Err(why) => draft.rsync.comment(&format!("rsync_passwd_file={file}"), &why),
        }
    }
    if let Some(seconds) =
        settings.number("rsync_timeout").filter(|seconds| *seconds > 0 && options::is_short(*seconds))
    {
        draft.rsync.set("timeout", spelled(seconds), "");
    }
    if let Some(rate) = settings.text("rsync_bwlimit") {
        options::rate(rate, &mut draft.rsync, &format!("rsync_bwlimit={rate}"));
    }
    if let Some(seconds) = settings.text("real_time_rsync_timeout") {
        let why = "no equal: a batch may take as long as data moves; `timeout` in [rsync] ends one that has stalled";
        draft.rsync.comment(&format!("real_time_rsync_timeout={seconds}"), why);
    }
    if let Some(words) = settings.text("extra_rsync_args") {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let patterns = options::take_over(&words, &mut draft.rsync);
        draft.each_source().for_each(|source| source.add("exclude", patterns.clone()));
    }
}

/// Full passes and the history.
pub(super) fn passes(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(days) = settings.number("full_rsync_interval").filter(|days| *days > 0 && *days <= 365) {
        draft.full_sync.set("every", format!("{days}d"), "");
    }
    if let Some(cron) = settings.text("cron_exp") {
        let original = format!("cron_exp=\"{cron}\"");
        match schedule::period(cron) {
            Some(period) => {
                draft.full_sync.set("every", Span(period).to_string(), "");
                let why = "`sersync gen-schedule --cron` or `--systemd` writes what starts the passes";
                draft.full_sync.comment(&original, why);
            }
            None => draft
                .full_sync
                .comment(&original, "no regular period: put `sersync full-sync` into a crontab with these times"),
        }
    }
    match settings.is_on("full_rsync_enable") {
        Some(true) => draft.full_sync.comment(
            "full_rsync_enable=1",
            "passes run when they are started: `sersync gen-schedule` writes crontab lines or timers for them",
        ),
        Some(false) => draft
            .full_sync
            .comment("full_rsync_enable=0", "nothing starts passes unless `sersync gen-schedule` is used"),
        None => {}
    }
    if let Some(hours) = settings.number("full_rsync_timeout").filter(|hours| *hours > 0 && *hours <= 24 * 100) {
        draft.full_sync.set("timeout", format!("{hours}h"), "");
    }
    let several = settings.is_on("parallel_rsync_enable");
    for name in ["parallel_rsync_num", "full_rsync_parallel_rsync_num"] {
        let Some(number) = settings.number(name) else { continue };
        match i64::try_from(number).ok().filter(|number| (1..=1000).contains(number) && several != Some(false)) {
            Some(number) => {
                draft.rsync.set("jobs", number, "rsync clients per mirror in a pass; \"auto\" chooses by itself");
            }
            None => draft.rsync.comment(&format!("{name}={number}"), "not in use; jobs = \"auto\" chooses by itself"),
        }
    }
    if let Some(days) = settings.number("keep_history_backup_days") {
        let days_kept = i64::try_from(days).ok().filter(|days| *days <= i64::from(validate::MOST_DAYS));
        match days_kept {
            Some(days) => draft.history.set("keep-days", days, "removed by `sersync prune-history`"),
            None => draft.history.comment(&format!("keep_history_backup_days={days}"), "too many days"),
        }
    }
    if let Some(dir) = settings.text("textfile_collector_dir") {
        match paths::absolute(dir) {
            Ok(_) => {
                draft.metrics.set("textfile-dir", dir, "");
                draft.metrics.set("legacy-names", true, "for dashboards that know the old names");
            }
            Err(why) => draft.metrics.comment(&format!("textfile_collector_dir={dir}"), &why),
        }
    }
}

/// What watched.
pub(super) fn real_time(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(seconds) = settings.number("real_time_sync_delay").filter(|seconds| options::is_short(*seconds)) {
        draft.watch.set("delay", spelled(seconds), "a few seconds are enough: a batch is one run of rsync here");
        draft.watch.set("max-delay", spelled(seconds.max(10)), "");
    }
    match settings.is_on("full_rsync_first_enable") {
        Some(true) => {
            draft.watch.set("start", "full", "\"changed\" is quicker: it compares everything on the first start only");
        }
        Some(false) => {
            draft.watch.set("start", "changed", "");
            let why = "what changed while it did not run was missed; start = \"none\" would do the same";
            draft.watch.comment("full_rsync_first_enable=0", why);
        }
        None => {}
    }
    if settings.is_on("real_time_sync_enable") == Some(false) {
        draft.watch.comment("real_time_sync_enable=0", "do not start `sersync watch`");
    }
    if let Some(number) = settings.text("real_time_sync_parallel_num") {
        let why = "not needed: all changes of a mirror go in one run of rsync, and mirrors do not wait for each other";
        draft.watch.comment(&format!("real_time_sync_parallel_num={number}"), why);
    }
}

/// Scripts that ran before a full pass: there is one for all sources here.
pub(super) fn programs(settings: &mut Settings<'_>, draft: &mut Draft) {
    let (enabled, scripts) = (settings.is_on("exec_command_enable"), settings.pairs("exec_command_list"));
    let work_dir = settings.text("work_dir").unwrap_or("/usr/local/sersync");
    if enabled != Some(true) || scripts.is_empty() {
        if let (Some(false), false) = (enabled, scripts.is_empty()) {
            draft.full_sync.comment("exec_command_list", "not in use, since exec_command_enable is 0");
        }
        return;
    }
    let mut programs: Vec<&str> = scripts.iter().map(|(_, script)| *script).collect();
    programs.sort_unstable();
    programs.dedup();
    let path = |script: &str| format!("{work_dir}/scripts/{script}");
    match programs[..] {
        [one] if scripts.len() == draft.sources().len() && paths::absolute(&path(one)).is_ok() => {
            draft.full_sync.set("before", vec![path(one)], "its failure stops that source");
        }
        _ => {
            for (source, script) in scripts {
                draft.full_sync.comment(
                    &format!("exec_command_list: {source}={script}"),
                    "there is one `before` for all sources: name a program that looks at SERSYNC_SOURCE or SERSYNC_PATH",
                );
            }
        }
    }
}

fn spelled(seconds: u64) -> String {
    Span(Duration::from_secs(seconds)).to_string()
}
