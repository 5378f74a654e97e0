//! The same for whatever chance makes of the three languages.

use proptest::prelude::*;

use super::overlaps::lua_block;
use super::{BASH, LUA, comments, imported};

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
        let before = imported(BASH, "bash");
        let written = imported(&format!("{BASH}{name}={value}\n"), "bash");
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
        let (before, written) = (imported(&format!("{LUA}}}"), "lsyncd"), imported(&format!("{LUA}, {key} = {value}}}"), "lsyncd"));
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
        ), "xml");
        let (before, written) = (with(""), with(&format!("<{tag} start=\"true\" {name}=\"{value}\"/>")));
        prop_assert!(written != before && written.contains(value.trim_start_matches('-')) || name == "time" || name == "port", "{}", written);
        prop_assert!(written.len() > before.len());
    }

    /// Blocks have what they say, whatever others say, or are quoted.
    #[test]
    fn no_block_has_what_another_one_says(
        blocks in prop::collection::vec(
            (0..2_usize, 0..2_usize, prop::option::of("[ab]"), prop::option::of(30..32_u64), prop::option::of("D70[01]"), prop::option::of(2..4_u64)),
            1..5,
        ),
    ) {
        let mut text = String::new();
        for (number, (host, module, user, timeout, chmod, rate)) in blocks.iter().enumerate() {
            let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
            let options = [
                timeout.map(|timeout| format!("timeout={timeout}")),
                chmod.as_ref().map(|chmod| format!("chmod='{chmod}'")),
                rate.map(|rate| format!("_extra={{'--bwlimit={rate}'}}")),
            ];
            let options: Vec<String> = options.into_iter().flatten().collect();
            text += &lua_block(number, &format!("'{user}h{host}::m{module}/s{number}', rsync={{{}}}", options.join(", ")));
        }
        let written = imported(&text, "lsyncd");
        let settings = crate::config::parse(&written, "w").unwrap();
        for (number, (host, module, user, timeout, chmod, rate)) in blocks.iter().enumerate() {
            let source = &settings.sources[&format!("s{number}")];
            prop_assert_eq!(source.targets.len(), 1, "{}", written);
            let target = &settings.targets[&source.targets[0]];
            let place = format!("{:?}", target.place);
            prop_assert!(place.contains(&format!("h{host}")) && place.contains(&format!("m{module}")), "{}: {}", place, written);
            prop_assert_eq!(&target.rsync.user, user, "{}", written);
            prop_assert_eq!(target.rsync.timeout.as_secs(), timeout.unwrap_or(settings.rsync.timeout.as_secs()), "{}", written);
            prop_assert_eq!(target.rsync.bwlimit, rate.map(|rate| rate * 1024), "{}", written);
            let chmod: Vec<String> = chmod.iter().map(|chmod| format!("--chmod={chmod}")).collect();
            prop_assert_eq!(&target.rsync.extra_args, &chmod, "{}", written);
        }
    }

    /// Wherever an assignment stands in a command, and however long the line is, it is kept.
    #[test]
    fn every_line_of_a_command_is_kept(
        shapes in prop::collection::vec(prop::sample::select(vec![
            "if x; then A\nelse B\nfi",
            "if x; then\nA\nelif y; then B; fi",
            "for i in a b; do A\nB\ndone",
            "while x; do A; B; done",
            "case $x in\n web*) A ;;\n (db) B;;\nesac",
            "if x; then\n  l=('p'\n 'q=A'\n B)\nfi",
            "true && l=(\n'A'\n'B'\n)",
            "while x; do true && A\nB; done",
            "f() {\nA\n}; if x; then B\nfi",
            "{ A\nB\n}",
            "( A; B )",
            "cat <<E\nA\nB\nE",
            "echo 'A\nB'",
            "z=$(A\nB)",
            "exit_if x || A \\\n B",
        ]), 1..4),
        far in prop::sample::select(vec![0_usize, 90, 300]),
        after in prop::sample::select(vec!["", "; ", " # c\n", "\nreturn 1\n"]),
    ) {
        let (mut text, mut values) = (BASH.to_owned(), Vec::new());
        for shape in &shapes {
            let mut one = (*shape).to_owned();
            for place in ["A", "B"] {
                let value = format!("v{}v", values.len());
                one = one.replacen(place, &format!(": {}; rsync_timeout={value}", "x".repeat(far)), 1);
                values.push(value);
            }
            text += &[&one, "\n", after].concat();
        }
        let written = imported(&text, "bash");
        for value in values {
            prop_assert!(comments(&written).contains(&value), "{}: {}: {}", value, text, written);
        }
    }

    /// Of several values for one thing one counts, and the others are named.
    #[test]
    fn no_value_hides_another(
        key in prop::sample::select(vec![
            ("rsync_timeout", "timeout", "time", "--timeout"),
            ("rsync_bwlimit", "", "", "--bwlimit"),
            ("rsync_passwd_file", "auth", "passwordfile", "--password-file"),
        ]),
        values in prop::collection::vec(1..9_u32, 1..4),
        in_xml in any::<bool>(),
    ) {
        let (setting, tag, attribute, option) = key;
        let value = |number: u32| if option == "--password-file" { format!("/p{number}") } else { format!("7{number}") };
        let options: Vec<String> = values.iter().map(|number| format!("{option}={}", value(*number))).collect();
        let own = value(9);
        let written = if in_xml {
            let element = if tag.is_empty() { String::new() } else { format!("<{tag} start=\"true\" {attribute}=\"{own}\"/>") };
            imported(&format!(
                "<head><sersync><localpath watch=\"/data/a\"><remote ip=\"h\" name=\"m\"/></localpath><rsync>{element}<commonParams params=\"{}\"/></rsync></sersync></head>",
                options.join(" ")
            ), "xml")
        } else {
            imported(&format!("{BASH}{setting}={own}\nextra_rsync_args=\"{}\"\n", options.join(" ")), "bash")
        };
        let comments = comments(&written);
        let mut all: Vec<String> = options;
        if !in_xml {
            all.push(format!("{setting}={own}"));
        } else if !tag.is_empty() {
            all.push(format!("{attribute}=\"{own}\""));
        }
        all.sort();
        all.dedup();
        let hidden = all.iter().filter(|one| !comments.contains(one.as_str())).count();
        prop_assert!(hidden <= 1, "{:?}: {}", all, written);
    }
}
