//! How the bash sersync ran rsync, when, and what it kept. Pure.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::{options, schedule};
use super::settings::{Pair, Settings};
use crate::config::units::Span;
use crate::config::{names, paths, validate};

/// How rsync is run.
pub(super) fn connection(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(user) = settings.take("rsync_user", names::check_user) {
        draft.rsync.set("user", user, "");
    }
    if let Some(file) = settings.take("rsync_passwd_file", |file| paths::absolute(file).map(|_| file)) {
        draft.rsync.set("password-file", file, "");
    }
    let timeout = settings.take("rsync_timeout", |text| {
        positive(whole_seconds(text)?, "it meant no limit at all, with which a dead connection is waited for for ever")
    });
    if let Some(timeout) = timeout {
        draft.rsync.set("timeout", Span(timeout).to_string(), "");
    }
    if let Some(rate) = settings.take("rsync_bwlimit", Ok) {
        options::rate(rate, &mut draft.rsync, &format!("rsync_bwlimit={rate}"));
    }
    settings.explain(
        "real_time_rsync_timeout",
        "no equal: a batch may take as long as data moves; `timeout` in [rsync] ends one that has stalled",
        &mut draft.rsync,
    );
    if let Some(words) = settings.take("extra_rsync_args", Ok) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let patterns = options::take_over(&words, &mut draft.rsync);
        draft.each_source().for_each(|source| source.add("exclude", patterns.clone()));
    }
}

/// Full passes and the history.
pub(super) fn passes(settings: &mut Settings<'_>, draft: &mut Draft) {
    let interval = settings.take("full_rsync_interval", |text| {
        let days = whole(text, "days")?;
        if (1..=365).contains(&days) { Ok(days) } else { Err("not between 1 and 365 days".to_owned()) }
    });
    if let Some(days) = interval {
        draft.full_sync.set("every", format!("{days}d"), "");
    }
    let period = settings.take("cron_exp", |cron| {
        let irregular = "no regular period: put `sersync full-sync` into a crontab with these times";
        schedule::period(cron).map(|period| (cron, period)).ok_or_else(|| irregular.to_owned())
    });
    if let Some((cron, period)) = period {
        draft.full_sync.set("every", Span(period).to_string(), "");
        let why = "`sersync gen-schedule --cron` or `--systemd` writes what starts the passes";
        draft.full_sync.comment(&format!("cron_exp=\"{cron}\""), why);
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
    let timeout = settings.take("full_rsync_timeout", |text| {
        let hours = span(text, 3_600_000).map_err(|why| format!("not a number of hours: {why}"))?;
        if hours.subsec_nanos() != 0 {
            return Err("not a whole number of seconds".to_owned());
        }
        positive(hours, "it meant no limit at all, and a pass that hangs would block those after it")
    });
    if let Some(timeout) = timeout {
        draft.full_sync.set("timeout", Span(timeout).to_string(), "");
    }
    let several = settings.is_on("parallel_rsync_enable");
    if let Some(several) = several {
        draft.rsync.comment(
            &format!("parallel_rsync_enable={}", u8::from(several)),
            "jobs says how many there are; jobs = 1 for a single one",
        );
    }
    for name in ["parallel_rsync_num", "full_rsync_parallel_rsync_num"] {
        let number = settings.take(name, |text| match whole(text, "rsync clients")? {
            number if (1..=1000).contains(&number) && several != Some(false) => Ok(number),
            _ => Err("not in use; jobs = \"auto\" chooses by itself".to_owned()),
        });
        if let Some(number) = number {
            draft.rsync.set("jobs", number, "rsync clients per mirror in a pass; \"auto\" chooses by itself");
        }
    }
    let days = settings.take("keep_history_backup_days", |text| {
        let days = whole(text, "days")?;
        if days <= i64::from(validate::MOST_DAYS) { Ok(days) } else { Err("too many days".to_owned()) }
    });
    if let Some(days) = days {
        draft.history.set("keep-days", days, "removed by `sersync prune-history`");
    }
    if let Some(dir) = settings.take("textfile_collector_dir", |dir| paths::absolute(dir).map(|_| dir)) {
        draft.metrics.set("textfile-dir", dir, "");
        draft.metrics.set("legacy-names", true, "for dashboards that know the old names");
    }
}

/// What watched.
pub(super) fn real_time(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(delay) = settings.take("real_time_sync_delay", |text| slept(text).and_then(short)) {
        draft.watch.set("delay", Span(delay).to_string(), "a few seconds are enough: a batch is one run of rsync here");
        draft.watch.set("max-delay", Span(delay.max(Duration::from_secs(10))).to_string(), "");
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
    settings.explain(
        "real_time_sync_parallel_num",
        "not needed: all changes of a mirror go in one run of rsync, and mirrors do not wait for each other",
        &mut draft.watch,
    );
}

/// Scripts that ran before a full pass: there is one for all sources here.
pub(super) fn programs(settings: &mut Settings<'_>, draft: &mut Draft) {
    let (enabled, scripts) = (settings.is_on("exec_command_enable"), settings.pairs("exec_command_list"));
    let work_dir = settings.text("work_dir").unwrap_or("/usr/local/sersync");
    if enabled != Some(true) {
        for script in &scripts {
            settings.refuse("exec_command_list", script.at, "not in use, since exec_command_enable is not 1");
        }
        return;
    }
    let mut programs: Vec<&str> = scripts.iter().map(|script| script.value).collect();
    programs.sort_unstable();
    programs.dedup();
    let path = |script: &str| format!("{work_dir}/scripts/{script}");
    let one = match programs[..] {
        [one] if scripts.len() == draft.sources().len() && paths::absolute(&path(one)).is_ok() => Some(one),
        _ => None,
    };
    if let Some(one) = one {
        draft.full_sync.set("before", vec![path(one)], "its failure stops that source");
    }
    for Pair { at, key: source, value: script } in scripts {
        settings.used("exec_command_list", at);
        if one.is_none() {
            draft.full_sync.comment(
                &format!("exec_command_list: {source}={script}"),
                "there is one `before` for all sources: name a program that looks at SERSYNC_SOURCE or SERSYNC_PATH",
            );
        }
    }
}

/// A whole number.
fn whole(text: &str, of: &str) -> Result<i64, String> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("not a whole number of {of}"))
}

/// A whole number of seconds, as rsync takes it.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    short(Duration::from_secs(u64::try_from(whole(text, "seconds")?).unwrap_or_default()))
}

/// What `sleep` takes: seconds, or minutes, hours or days with their letter.
fn slept(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let units = [('s', 1000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let unit = units.into_iter().find_map(|(letter, ms)| text.strip_suffix(letter).map(|number| (number, ms)));
    let (number, ms) = unit.unwrap_or((text, 1000));
    span(number, ms)
}

/// A decimal number of units, where that is a whole number of milliseconds.
fn span(text: &str, unit_ms: u64) -> Result<Duration, String> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = [whole, part].concat();
    if digits.is_empty() || part.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a number".to_owned());
    }
    let scale = 10_u64.pow(u32::try_from(part.len()).unwrap_or_default());
    let scaled = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    let scaled = scaled.ok_or_else(|| "too long".to_owned())?;
    if !scaled.is_multiple_of(scale) {
        return Err("not a whole number of milliseconds".to_owned());
    }
    short(Duration::from_millis(scaled / scale))
}

fn short(span: Duration) -> Result<Duration, String> {
    if options::is_short(span.as_secs()) { Ok(span) } else { Err("too long".to_owned()) }
}

fn positive(span: Duration, why: &str) -> Result<Duration, String> {
    if span.is_zero() { Err(format!("not taken over: {why}")) } else { Ok(span) }
}
