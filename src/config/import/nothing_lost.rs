//! Tests that every assignment of what is imported is taken, or kept as a comment with its value.

use proptest::prelude::*;

use super::{Format, import};

const BASH: &str = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1')\n";
const LUA: &str = "sync{default.rsync, source='/data/a', target='h::m/a'";

/// The comments, each on one line.
fn comments(written: &str) -> String {
    let lines =
        written.lines().filter_map(|line| line.strip_prefix('#').or_else(|| line.split_once("  #").map(|(_, c)| c)));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn imported(text: &str, format: Format) -> String {
    import(text, "f", format).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn values_that_are_refused_stay_as_comments_with_their_line() {
    for setting in [
        "full_rsync_timeout=3h",
        "full_rsync_timeout=0",
        "real_time_sync_delay=soon",
        "rsync_timeout=0",
        "rsync_timeout=x",
        "full_rsync_interval=0",
        "full_rsync_interval=-3",
        "keep_history_backup_days=abc",
        "rsync_user=a:b",
        "rsync_passwd_file=rel/p",
        "full_rsync_enable=yes",
        "no_such_setting=7",
    ] {
        let written = imported(&format!("{BASH}{setting}\n"), Format::Bash);
        assert!(comments(&written).contains(&format!("Line 4: {setting}: ")), "{setting}: {written}");
    }
    let text = BASH.replace("'a=/data/a'", "'a=/data/a' 'stray'").replace("'m=10.0.0.1'", "'m=10.0.0.1' 'n=10.0.0.2'");
    let text = text.replace("'m=/data/a'", "'m=/data/a,/data/x' 'n=/data/a' 'o=/data/y'");
    let written = comments(&imported(&text, Format::Bash));
    for comment in [
        "Line 1: listen_dir: stray: left out: it has no `=`",
        "Line 3: rsyncd_ip: n=10.0.0.2: left out: nothing is mirrored to a module of this name",
        "rsyncd_mod: m=/data/x: left out: no source",
        "Line 2: rsyncd_mod: n=/data/a: left out: the directory goes to the module m",
        "Line 2: rsyncd_mod: o=/data/y: left out: no source",
    ] {
        assert!(written.contains(comment), "{comment}: {written}");
    }
    let replaced = comments(&imported(&format!("{BASH}rsync_timeout=7\nrsync_timeout=8\n"), Format::Bash));
    assert!(replaced.contains("Line 4: rsync_timeout=7: another value replaces it"), "{replaced}");
}

#[test]
fn a_rule_that_matches_what_is_listened_to_is_called_so() {
    for regex in [".*", "logs|.", "\\./", "^./"] {
        let written = imported(&format!("{BASH}exclude_file_rule=('/data/a={regex}')\n"), Format::Bash);
        assert!(comments(&written).contains("it matches the listened path itself"), "{regex}: {written}");
    }
}

#[test]
fn times_are_translated_where_that_is_exact() {
    for (setting, key) in [
        ("full_rsync_timeout=1.5", "timeout = \"90m\""),
        ("real_time_sync_delay=1.5", "delay = \"1500ms\""),
        ("real_time_sync_delay=1m", "delay = \"1m\""),
        ("real_time_sync_delay=0.5h", "delay = \"30m\""),
    ] {
        let written = imported(&format!("{BASH}{setting}\n"), Format::Bash);
        assert!(written.lines().any(|line| line.starts_with(key)), "{setting}: {written}");
    }
}

#[test]
fn attributes_that_are_refused_stay_as_comments_with_their_line() {
    for (element, comment) in [
        ("<userDefinedPort start=\"true\" port=\"99999\"/>", "<userDefinedPort port=\"99999\">: left out: no port"),
        ("<userDefinedPort start=\"true\" port=\"abc\"/>", "<userDefinedPort port=\"abc\">: left out: no port"),
        ("<auth start=\"true\" passwordfile=\"rel/p\"/>", "<auth passwordfile=\"rel/p\">: left out: "),
        ("<auth start=\"true\" users=\"u:x\"/>", "<auth users=\"u:x\">: left out: "),
        ("<auth start=\"false\" users=\"u\"/>", "<auth users=\"u\">: left out: it is switched off"),
        ("<timeout start=\"true\" time=\"-1\"/>", "<timeout time=\"-1\">: left out: no number of seconds"),
        ("<timeout start=\"true\" time=\"0\"/>", "<timeout time=\"0\">: left out: no number of seconds"),
        ("<other x=\"y\"/>", "<other x=\"y\">: left out: nothing goes by it"),
    ] {
        let text = format!(
            "<head><sersync>\n<localpath watch=\"/data/a\"><remote ip=\"h\" name=\"m\"/></localpath>\n<rsync>{element}</rsync></sersync></head>"
        );
        let written = imported(&text, Format::Xml);
        assert!(comments(&written).contains(&format!("Line 3: {comment}")), "{element}: {written}");
    }
}

#[test]
fn keys_that_are_not_known_stay_as_comments_with_their_line() {
    for (key, comment) in [
        ("maxDelays = 3", "line 1: maxDelays = 3: not needed"),
        ("onCreate = foo", "line 1: onCreate = foo: not taken over"),
        ("delay = 'x'", "line 1: delay = \"x\": left out: no number of seconds"),
        ("rsync = {perms = false}", "line 1: rsync.perms = false: not taken over"),
        ("rsync = {owner = false, binary = '/b'}", "line 1: rsync.binary = \"/b\": not taken over"),
        ("rsync = 5", "line 1: rsync = 5: not taken over"),
        ("init = 1", "line 1: init = 1: not taken over"),
        ("exclude = 7", "line 1: exclude = 7: not taken over"),
        ("'stray'", "line 1: \"stray\": left out: it has no name"),
    ] {
        let written = imported(&format!("{LUA}, {key}}}\n"), Format::Lsyncd);
        assert!(comments(&written).contains(comment), "{key}: {written}");
    }
}

#[test]
fn what_is_not_utf_8_stays_as_a_comment() {
    let bash = BASH.replace(")\nrsyncd_mod", " 'b=/data/caf\u{fffd}')\nrsyncd_mod");
    let written = imported(&format!("{bash}extra_rsync_args=--exclude=\u{fffd}\nrsync_user=\u{fffd}\n"), Format::Bash);
    let lua = imported(&format!("{LUA}, exclude={{'\u{fffd}'}}}}\n{LUA}\u{fffd}'}}\n"), Format::Lsyncd);
    let xml = imported(
        "<head><sersync><localpath watch=\"/a\"><remote ip=\"h\" name=\"m\"/></localpath>\n\
         <localpath watch=\"/\u{fffd}\"><remote ip=\"h\" name=\"m\"/></localpath></sersync></head>",
        Format::Xml,
    );
    for written in [written, lua, xml] {
        assert!(comments(&written).contains("bytes that are not UTF-8"), "{written}");
        let settings = written.lines().filter(|line| !line.starts_with('#'));
        assert!(!settings.collect::<String>().contains('\u{fffd}'), "{written}");
    }
}

#[test]
fn where_there_is_nothing_to_mirror_the_reasons_are_said() {
    let text = "listen_dir=('a=/data/a' 'b')\nrsyncd_mod=('m=/data/x')\nif x; then\nrsyncd_ip=('m=h')\nfi\n";
    let error = import(text, "f", Format::Bash).unwrap_err().to_string();
    for line in [
        "f: Line 1: listen_dir: a=/data/a: no module in rsyncd_mod has it",
        "f: Line 1: listen_dir: b: left out",
        "f: Line 4 is a part of the command of line 3",
    ] {
        assert!(error.contains(line), "{line}: {error}");
    }
}

const NAMES: [&str; 17] = [
    "rsync_user",
    "rsync_passwd_file",
    "rsync_timeout",
    "rsync_bwlimit",
    "real_time_rsync_timeout",
    "full_rsync_interval",
    "cron_exp",
    "full_rsync_enable",
    "full_rsync_timeout",
    "parallel_rsync_num",
    "full_rsync_parallel_rsync_num",
    "keep_history_backup_days",
    "textfile_collector_dir",
    "real_time_sync_delay",
    "full_rsync_first_enable",
    "real_time_sync_parallel_num",
    "whatever_else",
];

proptest! {
    #[test]
    fn every_assignment_of_bash_is_taken_or_said_to_be_left_out(
        name in prop::sample::select(NAMES.to_vec()),
        value in "[0-9]{1,4}|[0-9]\\.[0-9]{1,5}[smhd]?|-[0-9]|/[a-z]{1,5}|[a-z]{1,8}(:[a-z])?",
    ) {
        let before = imported(BASH, Format::Bash);
        let written = imported(&format!("{BASH}{name}={value}\n"), Format::Bash);
        prop_assert!(written.lines().count() > before.lines().count(), "{}={}: {}", name, value, written);
        let settings = |text: &str| text.lines().filter(|line| !line.starts_with('#') && !line.starts_with('[')).count();
        prop_assert!(
            settings(&written) > settings(&before) || comments(&written).contains(&value),
            "{}={}: {}", name, value, written
        );
    }

    #[test]
    fn every_key_of_a_block_is_taken_or_said_to_be_left_out(
        key in prop::sample::select(vec!["delay", "maxDelays", "exclude", "filter", "crontab", "rsync", "onMove", "x"]),
        value in prop::sample::select(vec!["3", "-1", "'a'", "true", "false", "{'b'}", "{c = 5}", "{perms = false}", "foo"]),
    ) {
        let (before, written) = (imported(&format!("{LUA}}}"), Format::Lsyncd), imported(&format!("{LUA}, {key} = {value}}}"), Format::Lsyncd));
        prop_assert!(written.len() > before.len(), "{} = {}: {}", key, value, written);
    }

    #[test]
    fn every_attribute_is_taken_or_said_to_be_left_out(
        tag in prop::sample::select(vec!["auth", "timeout", "userDefinedPort", "ssh", "commonParams", "other"]),
        name in prop::sample::select(vec!["users", "passwordfile", "time", "port", "params", "x"]),
        value in "[1-9]{1,6}|[a-z]{1,5}|/[a-z]{1,5}|-[a-z]",
    ) {
        let with = |element: &str| imported(&format!(
            "<head><sersync><localpath watch=\"/data/a\"><remote ip=\"h\" name=\"m\"/></localpath><rsync>{element}</rsync></sersync></head>"
        ), Format::Xml);
        let (before, written) = (with(""), with(&format!("<{tag} start=\"true\" {name}=\"{value}\"/>")));
        prop_assert!(written != before && written.contains(value.trim_start_matches('-')) || name == "time" || name == "port", "{}", written);
        prop_assert!(written.len() > before.len());
    }
}
