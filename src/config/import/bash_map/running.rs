//! How the bash sersync ran rsync, when, and what it kept. Pure.

use std::time::Duration;

use super::super::draft::Draft;
use super::super::{options, schedule};
use super::settings::{Pair, Settings};
use crate::config::units::Span;
use crate::config::{names, paths, tables};

/// How rsync is run.
pub(super) fn connection(settings: &mut Settings<'_>, draft: &mut Draft) {
    if let Some(user) = settings.take("rsync_user", names::check_user) {
        draft.rsync.set_from(&settings.origin("rsync_user", &user), "user", user.as_str(), "");
    }
    if let Some(file) = settings.take("rsync_passwd_file", |file| paths::absolute(file).map(|_| file)) {
        draft.rsync.set_from(&settings.origin("rsync_passwd_file", file), "password-file", file, "");
    }
    let timeout = settings.take("rsync_timeout", |text| {
        let why = "it meant no limit at all, with which a dead connection is waited for for ever";
        Ok((text, positive(whole_seconds(text)?, why)?))
    });
    if let Some((text, timeout)) = timeout {
        draft.rsync.set_from(&settings.origin("rsync_timeout", text), "timeout", Span(timeout).to_string(), "");
    }
    if let Some(rate) = settings.take("rsync_bwlimit", Ok) {
        options::rate(rate, &mut draft.rsync, &settings.origin("rsync_bwlimit", rate));
    }
    settings.explain(
        "real_time_rsync_timeout",
        "no equal: a batch may take as long as data moves; `timeout` in [rsync] ends one that has stalled",
        &mut draft.rsync,
    );
    if let Some(words) = settings.take("extra_rsync_args", Ok) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let patterns = options::take_over(&words, &settings.place("extra_rsync_args", 0), &mut draft.rsync);
        draft.each_source().for_each(|source| source.add("exclude", patterns.clone()));
    }
}

/// Full passes and the history.
pub(super) fn passes(settings: &mut Settings<'_>, draft: &mut Draft) {
    let interval = settings.take("full_rsync_interval", |text| {
        let days = whole(text, "days")?;
        if (1..=365).contains(&days) { Ok((text, days)) } else { Err("not between 1 and 365 days".to_owned()) }
    });
    if let Some((text, days)) = interval {
        draft.full_sync.set_from(&settings.origin("full_rsync_interval", text), "every", format!("{days}d"), "");
    }
    let period = settings.take("cron_exp", |cron| {
        let irregular =
            "no crontab line with equal times between its runs: put `sersync full-sync` into a crontab for it";
        schedule::period(cron).map(|period| (cron, period)).ok_or_else(|| irregular.to_owned())
    });
    if let Some((cron, period)) = period {
        let origin = settings.origin("cron_exp", &format!("\"{cron}\""));
        draft.full_sync.set_from(&origin, "every", Span(period).to_string(), "");
        let why = "`sersync gen-schedule --cron` or `--systemd` writes what starts the passes";
        draft.full_sync.comment(&origin, why);
    }
    match settings.is_on("full_rsync_enable") {
        Some(true) => draft.full_sync.comment(
            &settings.origin("full_rsync_enable", "1"),
            "passes run when they are started: `sersync gen-schedule` writes crontab lines or timers for them",
        ),
        Some(false) => draft.full_sync.comment(
            &settings.origin("full_rsync_enable", "0"),
            "nothing starts passes unless `sersync gen-schedule` is used",
        ),
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
    clients(settings, draft);
    kept(settings, draft);
}

/// How many of rsync work at the same time.
fn clients(settings: &mut Settings<'_>, draft: &mut Draft) {
    let several = settings.is_on("parallel_rsync_enable");
    if let Some(several) = several {
        draft.rsync.comment(
            &settings.origin("parallel_rsync_enable", if several { "1" } else { "0" }),
            "jobs says how many there are; jobs = 1 for a single one",
        );
    }
    for name in ["parallel_rsync_num", "full_rsync_parallel_rsync_num"] {
        let number = settings.take(name, |text| match whole(text, "rsync clients")? {
            number if (1..=1000).contains(&number) && several != Some(false) => Ok((text, number)),
            _ => Err("not in use; jobs = \"auto\" chooses by itself".to_owned()),
        });
        if let Some((text, number)) = number {
            let note = "rsync clients per mirror in a pass; \"auto\" chooses by itself";
            draft.rsync.set_from(&settings.origin(name, text), "jobs", number, note);
        }
    }
}

/// What is kept of passes: the history, and figures.
fn kept(settings: &mut Settings<'_>, draft: &mut Draft) {
    let most = i64::from(tables::MOST_DAYS);
    // Whatever is wished, not less is kept than can be.
    if let Some((text, days)) = settings.take("keep_history_backup_days", |text| Ok((text, whole(text, "days")?))) {
        draft.history.set("keep-days", days.min(most), "removed by `sersync prune-history`");
        if days > most {
            let origin = settings.origin("keep_history_backup_days", text);
            draft.history.comment(&origin, "more days than can be kept: the most that can be are taken");
        }
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
            draft.watch.comment(&settings.origin("full_rsync_first_enable", "0"), why);
        }
        None => {}
    }
    if settings.is_on("real_time_sync_enable") == Some(false) {
        draft.watch.comment(&settings.origin("real_time_sync_enable", "0"), "do not start `sersync watch`");
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
                &format!("{}exec_command_list: {source}={script}", settings.place("exec_command_list", at)),
                "there is one `before` for all sources: name a program that looks at SERSYNC_SOURCE or SERSYNC_PATH",
            );
        }
    }
}

/// A whole number.
fn whole(text: &str, of: &str) -> Result<i64, String> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Nothing but its size can be wrong with a number then.
    if plain { Ok(text.parse().unwrap_or(i64::MAX)) } else { Err(format!("not a whole number of {of}")) }
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
