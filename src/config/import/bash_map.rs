//! What `sersync.conf` of the bash sersync comes to, in both of its generations. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bash::{Script, Value};
use super::draft::{self, Draft};
use super::options;
use super::regex::{Matching, translate};
use super::schedule;
use crate::config::names;
use crate::config::settings::Host;
use crate::config::units::Span;
use crate::config::{paths, validate};

/// The settings, of which each is looked at once.
struct Settings<'s> {
    variables: &'s BTreeMap<String, Value>,
    seen: Vec<&'static str>,
}

impl<'s> Settings<'s> {
    fn get(&mut self, name: &'static str) -> Option<&'s Value> {
        self.seen.push(name);
        self.variables.get(name)
    }

    fn text(&mut self, name: &'static str) -> Option<&'s str> {
        self.get(name).map(Value::text).filter(|text| !text.is_empty())
    }

    fn number(&mut self, name: &'static str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    fn is_on(&mut self, name: &'static str) -> Option<bool> {
        self.text(name).map(|text| text == "1")
    }

    /// The elements `KEY=VALUE` of a list.
    fn pairs(&mut self, name: &'static str) -> Vec<(&'s str, &'s str)> {
        let list = self.get(name).map(Value::list).unwrap_or_default();
        list.iter().filter_map(|element| element.split_once('=')).collect()
    }
}

pub(super) fn map(script: &Script) -> Draft {
    let mut draft = Draft::default();
    let mut settings = Settings { variables: &script.variables, seen: Vec::new() };
    draft.head.push(
        "The bash sersync kept neither owners nor groups (rsync -rlptD); they are kept here where the daemon runs as root. To \
         leave them out as before, set extra-args = [\"--no-owner\", \"--no-group\"] in [rsync]."
            .to_owned(),
    );
    mirrors(&mut settings, &mut draft);
    if !draft.is_empty() {
        connection(&mut settings, &mut draft);
        passes(&mut settings, &mut draft);
        real_time(&mut settings, &mut draft);
        programs(&mut settings, &mut draft);
    }
    for name in ["work_dir", "logs_dir"] {
        if let Some(path) = settings.text(name) {
            let why =
                "not needed: the log goes to stderr and so to the journal, and state to /var/lib/sersync (--state-dir)";
            draft.rsync.comment(&format!("{name}={path}"), why);
        }
    }
    for (line, text) in &script.skipped {
        draft.say(&format!("Line {line} is not a literal assignment, and was not executed: {}", cut(text)));
    }
    for (name, value) in &script.variables {
        if !settings.seen.contains(&name.as_str()) {
            draft.say(&format!("{name}={}: not known, and left out", cut(value.text())));
        }
    }
    draft
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Sources and targets.
fn mirrors(settings: &mut Settings<'_>, draft: &mut Draft) {
    let sources = settings.pairs("listen_dir");
    let (modules, addresses) = (settings.pairs("rsyncd_mod"), settings.pairs("rsyncd_ip"));
    for (alias, path) in sources {
        let original = format!("listen_dir: {alias}={path}");
        let is_here = |list: &str| list.split(',').any(|other| trimmed(other) == trimmed(path));
        let Some((module, _)) = modules.iter().find(|(_, paths)| is_here(paths)) else {
            draft.say(&format!("{original}: no module in rsyncd_mod has it, so that it was not mirrored"));
            continue;
        };
        let hosts: Vec<Host> = hosts(module, &addresses, draft);
        if let Err(why) = paths::absolute(path).and_then(|_| names::check(module)) {
            draft.say(&format!("{original}: left out: {why}"));
            continue;
        }
        if hosts.is_empty() {
            draft.say(&format!("{original}: rsyncd_ip has no address for the module {module}"));
            continue;
        }
        let name = draft::usable(alias);
        let same = |(_, section): &(String, draft::Section)| {
            section.get("path").and_then(toml::Value::as_str).is_some_and(|other| trimmed(other) == trimmed(path))
        };
        if draft.sources().iter().any(same) {
            draft.say(&format!("{original}: left out: another source has this directory"));
            continue;
        }
        if draft.sources().iter().any(|(other, _)| *other == name) {
            draft.say(&format!("{original}: left out: another source has this name"));
            continue;
        }
        let target = draft.target(module);
        target.set("module", *module, "");
        target.add("hosts", hosts.iter().map(Host::to_string));
        let source = draft.source(&name);
        source.set("path", path, "");
        source.add("targets", [(*module).to_owned()]);
        if name != alias {
            source.comment(
                &original,
                "the name has characters that it cannot have here: rename its directory on the target",
            );
        }
    }
    excludes(settings, draft);
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn hosts(module: &str, addresses: &[(&str, &str)], draft: &mut Draft) -> Vec<Host> {
    let list = addresses.iter().find(|(other, _)| *other == module).map_or("", |(_, list)| list);
    let mut hosts: Vec<Host> = Vec::new();
    for address in list.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        match draft::host(address, None) {
            Ok(host) if hosts.contains(&host) => {}
            Ok(host) => hosts.push(host),
            Err(why) => draft.say(&format!("rsyncd_ip: {module}={address}: {why}")),
        }
    }
    hosts
}

/// Regular expressions by the paths of sources.
fn excludes(settings: &mut Settings<'_>, draft: &mut Draft) {
    for (path, regex) in settings.pairs("exclude_file_rule") {
        let original = format!("exclude_file_rule: {path}={regex}");
        let of_path = |section: &draft::Section| {
            section.get("path").and_then(toml::Value::as_str).is_some_and(|other| trimmed(other) == trimmed(path))
        };
        let Some(source) = draft.each_source().find(|section| of_path(section)) else { continue };
        match translate(regex, Matching::Part) {
            Some(patterns) => {
                source.add("watch.exclude", patterns);
                let why = if regex.contains('.') && !regex.contains("\\.") {
                    "translated exactly: in it a point stands for any character, which was perhaps not meant"
                } else {
                    "translated exactly, for real time only, as it was"
                };
                source.comment(&original, why);
            }
            None => source.comment(
                &original,
                "not taken over: rsync's patterns cannot say exactly this regular expression; write what is meant into \
                 watch.exclude (real time only) or exclude",
            ),
        }
    }
}

/// How rsync is run.
fn connection(settings: &mut Settings<'_>, draft: &mut Draft) {
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
fn passes(settings: &mut Settings<'_>, draft: &mut Draft) {
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
            Ok(_) => draft.metrics.set("textfile-dir", dir, ""),
            Err(why) => draft.metrics.comment(&format!("textfile_collector_dir={dir}"), &why),
        }
    }
}

fn real_time(settings: &mut Settings<'_>, draft: &mut Draft) {
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
fn programs(settings: &mut Settings<'_>, draft: &mut Draft) {
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

#[cfg(test)]
mod tests {
    use super::super::{Format, import};
    use crate::config::parse;

    const BASIS: &str = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1:8730,10.0.0.2')\n";

    #[test]
    fn ports_schedules_and_jobs_of_the_later_generation() {
        let text = format!(
            "{BASIS}cron_exp=\"05 23 * * *\"\nparallel_rsync_enable=1\nparallel_rsync_num=6\ntextfile_collector_dir=/var/prom\n\
             real_time_sync_parallel_num=10\nreal_time_rsync_timeout=180\nrsync_bwlimit=10M\n"
        );
        let written = import(&text, "f", Format::Bash).unwrap();
        let settings = parse(&written, "w").unwrap();
        assert_eq!(settings.full_sync.every.as_secs(), 24 * 3600);
        assert_eq!(settings.rsync.jobs, crate::config::settings::Jobs::Fixed(6));
        assert_eq!(settings.metrics.textfile_dir.unwrap(), std::path::Path::new("/var/prom"));
        assert!(written.contains("hosts = [\"10.0.0.1:8730\", \"10.0.0.2\"]"), "{written}");
    }

    #[test]
    fn what_cannot_be_mirrored_is_an_error_or_a_comment() {
        assert!(
            import("listen_dir=('a=/data/a')\n", "f", Format::Bash)
                .unwrap_err()
                .to_string()
                .contains("nothing to mirror")
        );
        let more = BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/b' 'c d=/data/a'");
        let written = import(&more, "f", Format::Bash).unwrap();
        assert!(written.contains("listen_dir: b=/data/b: no module"), "{written}");
        assert!(written.contains("listen_dir: c d=/data/a: left out: another source has this directory"), "{written}");
        let nested =
            BASIS.replace("'a=/data/a'", "'a=/data/a' 'b=/data/a/b'").replace("m=/data/a'", "m=/data/a,/data/a/b'");
        let error = import(&nested, "f", Format::Bash).unwrap_err().to_string();
        assert!(
            error.starts_with("f: what it says cannot be done here: /data/a/b is inside the source `a`"),
            "{error}"
        );
    }
}
