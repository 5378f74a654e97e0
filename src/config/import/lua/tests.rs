use super::*;

#[test]
fn literal_tables_are_read_and_the_rest_is_skipped() {
    let chunk = parse(
        "--[[ all\nof this ]]\nsettings {\n logfile = \"/var/log/l\", -- here\n nodaemon = true;\n}\n\
         for i = 1, 3 do\nsync(x)\nend\nlocal t = os.getenv('X')\n\
         sync({default.rsync, source='/a', [\"target\"]=[[h::m/a]], delay = 5, exclude = {'*.tmp', \"b\\\"c\"}})\n\
         sync { default.rsync, source = base .. '/x', target = 'h::m' }\n",
    );
    let names: Vec<&str> = chunk.tables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["settings", "sync"]);
    let sync = &chunk.tables[1].1;
    assert_eq!((sync.text("target"), sync.text("delay")), (Some("h::m/a"), Some("5")));
    assert_eq!(sync.texts("exclude"), ["*.tmp", "b\"c"]);
    assert_eq!(sync.listed, [Value::Name("default.rsync".to_owned())]);
    let lines: Vec<usize> = chunk.skipped.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [7, 8, 9, 10, 12]);
}

#[test]
fn what_stands_in_a_block_is_skipped() {
    let sync = "sync{default.rsync, source='/a', target='h::m/a'}";
    for (before, after) in [
        ("if x then -- end", "end"),
        ("if x then\nprint('end')\nelseif y then", "end"),
        ("for i = 1, 3 do", "end"),
        ("while x do", "end"),
        ("repeat", "until x"),
        ("function f()\nif x then y() end", "end"),
        ("local f = function(a)", "end"),
    ] {
        let chunk = parse(&format!("{before}\n{sync}\n{after}\nsettings{{a='b'}}\n"));
        let names: Vec<&str> = chunk.tables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["settings"], "{before}");
        assert!(chunk.skipped.iter().any(|(_, words)| words == sync), "{before}");
    }
}

#[test]
fn what_is_not_closed_ends_with_the_file() {
    for text in ["sync{", "sync{a=\"", "--[[", "sync{[[", "sync{{{", "a", "sync{a=", "-", "--"] {
        assert!(parse(text).tables.is_empty(), "{text}");
    }
}

#[test]
fn where_there_is_too_much_to_skip_that_is_said() {
    let chunk = parse(&("x = 1\n".repeat(2 * MOST_SKIPPED) + "sync{default.rsync}\n"));
    assert!(chunk.tables.is_empty());
    let (line, words) = chunk.skipped.last().unwrap();
    assert_eq!(*line, MOST_SKIPPED + 2);
    assert!(words.contains("nor any after it"), "{words}");
}

#[test]
fn what_stands_in_a_long_text_or_comment_is_none_of_ours() {
    for (before, after) in [("x = 1 --[[ a comment", "]]"), ("print([[", "]])")] {
        let chunk = parse(&format!("{before}\nsync{{default.rsync}}\n{after}\nsettings{{a='b'}}\n"));
        let names: Vec<&str> = chunk.tables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["settings"], "{before}");
    }
}
