//! Tests that every assignment of what is imported is taken, or kept as a comment with its value.

mod overlaps;
mod properties;

use super::import;

const BASH: &str = "listen_dir=('a=/data/a')\nrsyncd_mod=('m=/data/a')\nrsyncd_ip=('m=10.0.0.1')\n";
const LUA: &str = "sync{default.rsync, source='/data/a', target='h::m/a'";

/// The comments, each on one line.
fn comments(written: &str) -> String {
    let lines =
        written.lines().filter_map(|line| line.strip_prefix('#').or_else(|| line.split_once("  #").map(|(_, c)| c)));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn imported(text: &str, format: &str) -> String {
    import(text, "f", format.parse().unwrap()).unwrap_or_else(|e| panic!("{text}: {e}"))
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
        let written = imported(&format!("{BASH}{setting}\n"), "bash");
        assert!(comments(&written).contains(&format!("Line 4: {setting}: ")), "{setting}: {written}");
    }
    let text = BASH.replace("'a=/data/a'", "'a=/data/a' 'stray'").replace("'m=10.0.0.1'", "'m=10.0.0.1' 'n=10.0.0.2'");
    let text = text.replace("'m=/data/a'", "'m=/data/a,/data/x' 'n=/data/a' 'o=/data/y'");
    let written = comments(&imported(&text, "bash"));
    for comment in [
        "Line 1: listen_dir: stray: left out: it has no `=`",
        "Line 3: rsyncd_ip: n=10.0.0.2: left out: nothing is mirrored to a module of this name",
        "Line 2: rsyncd_mod: m=/data/x: left out: no source",
        "Line 2: rsyncd_mod: n=/data/a: left out: the directory goes to the module m",
        "Line 2: rsyncd_mod: o=/data/y: left out: no source",
    ] {
        assert!(written.contains(comment), "{comment}: {written}");
    }
    let replaced = comments(&imported(&format!("{BASH}rsync_timeout=7\nrsync_timeout=8\n"), "bash"));
    assert!(replaced.contains("Line 4: rsync_timeout=7: another value replaces it"), "{replaced}");
}

#[test]
fn a_rule_that_matches_what_is_listened_to_is_called_so() {
    for regex in [".*", "logs|.", "\\./", "^./"] {
        let written = imported(&format!("{BASH}exclude_file_rule=('/data/a={regex}')\n"), "bash");
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
        let written = imported(&format!("{BASH}{setting}\n"), "bash");
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
        let written = imported(&text, "xml");
        assert!(comments(&written).contains(&format!("Line 3: {comment}")), "{element}: {written}");
    }
}

#[test]
fn keys_that_are_not_known_stay_as_comments_with_their_line() {
    for (key, comment) in [
        ("maxDelays = 3", "Line 1: maxDelays = 3: not needed"),
        ("onCreate = foo", "Line 1: onCreate = foo: not taken over"),
        ("delay = 'x'", "Line 1: delay = \"x\": left out: no number of seconds"),
        ("rsync = {perms = false}", "Line 1: rsync.perms = false: not taken over"),
        ("rsync = {owner = false, binary = '/b'}", "Line 1: rsync.binary = \"/b\": not taken over"),
        ("rsync = 5", "Line 1: rsync = 5: not taken over"),
        ("init = 1", "Line 1: init = 1: not taken over"),
        ("exclude = 7", "Line 1: exclude = 7: not taken over"),
        ("'stray'", "Line 1: \"stray\": left out: it has no name"),
    ] {
        let written = imported(&format!("{LUA}, {key}}}\n"), "lsyncd");
        assert!(comments(&written).contains(comment), "{key}: {written}");
    }
}

#[test]
fn what_is_not_utf_8_stays_as_a_comment() {
    let bash = BASH.replace(")\nrsyncd_mod", " 'b=/data/caf\u{fffd}')\nrsyncd_mod");
    let written = imported(&format!("{bash}extra_rsync_args=--exclude=\u{fffd}\nrsync_user=\u{fffd}\n"), "bash");
    let lua = imported(&format!("{LUA}, exclude={{'\u{fffd}'}}}}\n{LUA}\u{fffd}'}}\n"), "lsyncd");
    let xml = imported(
        "<head><sersync><localpath watch=\"/a\"><remote ip=\"h\" name=\"m\"/></localpath>\n\
         <localpath watch=\"/\u{fffd}\"><remote ip=\"h\" name=\"m\"/></localpath></sersync></head>",
        "xml",
    );
    for written in [written, lua, xml] {
        assert!(comments(&written).contains("bytes that are not UTF-8"), "{written}");
        assert!(!comments(&written).contains("left out: left out"), "{written}");
        let settings = written.lines().filter(|line| !line.starts_with('#'));
        assert!(!settings.collect::<String>().contains('\u{fffd}'), "{written}");
    }
}

#[test]
fn where_there_is_nothing_to_mirror_the_reasons_are_said() {
    let text = "listen_dir=('a=/data/a' 'b')\nrsyncd_mod=('m=/data/x')\nif x; then\nrsyncd_ip=('m=h')\nfi\n";
    let error = import(text, "f", "bash".parse().unwrap()).unwrap_err().to_string();
    for line in [
        "f: Line 1: listen_dir: a=/data/a: no module in rsyncd_mod has it",
        "f: Line 1: listen_dir: b: left out",
        "f: Line 4 is a part of that, and is not taken over: rsyncd_ip=('m=h')",
    ] {
        assert!(error.contains(line), "{line}: {error}");
    }
}
