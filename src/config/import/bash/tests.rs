use super::*;

fn text(script: &Script, name: &str) -> String {
    script.variables.get(name).map(|value| value.list().join("|")).unwrap_or_default()
}

#[test]
fn literal_assignments_are_understood() {
    let script = parse(
        "# a comment\nwork_dir=/usr/local/sersync # more\nlogs_dir=${work_dir}/logs\na='x y'\"z $work_dir\"\\ w\n\
         list=('a=/b' \"c=/d e\"\n  # inside\n  f) ; b=1;c=2\nlist+=(g)\nexport d=4\nx=1 y=$x\r\n",
    );
    assert_eq!(text(&script, "logs_dir"), "/usr/local/sersync/logs");
    assert_eq!(text(&script, "a"), "x yz /usr/local/sersync w");
    assert_eq!(text(&script, "list"), "a=/b|c=/d e|f|g");
    assert_eq!(["b", "c", "d", "x", "y"].map(|name| text(&script, name)), ["1", "2", "4", "1", "1"]);
    assert!(script.skipped.is_empty(), "{script:?}");
}

#[test]
fn what_bash_would_compute_is_named_and_not_taken() {
    let script = parse("a=$(rm -rf /)\nb=`id`; z=1\nc=\"x$(id)\"\nd=${e:-f}\nLANG=C date\nh='open\ni=2\n");
    assert_eq!(script.variables.keys().collect::<Vec<_>>(), ["z"], "{script:?}");
    let lines: Vec<usize> = script.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6]);
    assert_eq!(script.skipped[0].text, "a=$(rm -rf /)");
    assert_eq!(script.skipped[5].inside, [(7, "i=2".to_owned())]);
}

/// In each of these bash would take `g` perhaps, or never; what comes after it is taken for real.
#[test]
fn nothing_within_another_command_is_taken() {
    for command in [
        "if true; then\ng=1\nfi",
        "if true; then g=1; else g=2; fi > /dev/null 2>&1",
        "if a; then if b; then\ng=1\nfi fi",
        "case $x in\nfi) g=1 ;;\n(esac|y)\ng=1;; esac",
        "case $x in a) g=1;; esac",
        "for x in if a b; do\ng=1\ndone",
        "for ((i=1<<2; i<9; i++)); do\ng=1\ndone",
        "while read -r x; do\ng=1\ndone <<EOF\nx\nEOF",
        "f() {\ng=1\n}",
        "f()\n{\ng=1\n}",
        "function f {\nif x; then\ng=1\nfi\ng=2\n}",
        "( g=1\ng=2 )",
        "{ g=1\n}",
        "cat <<EOF\ng=1\nEOF",
        "cat <<-'E F' <<Z; echo\n\tE\ng=1\n\tE F\ng=2\nZ",
        "cat <<EOF &&\ng=1\nEOF\ng=2",
        "true &&\n  g=1",
        "false || g=1",
        "x=1 |\ng=1",
        "g=1 &",
        "echo \"\ng=1\n\"",
        "echo 'it\ng=1\n'",
        "echo $'it\\'s\ng=1\n'",
        "echo \"$(echo \"\ng=1\n\")\"",
        "echo ${x:-\ng=1\n}",
        "echo `\ng=1\n`",
        "echo a \\\ng=1",
        "echo $((1<<2)) x#y <<<z >&2 &>f",
    ] {
        let script = parse(&format!("{command}\nafter=1\n"));
        assert_eq!(text(&script, "g"), "", "{command}");
        assert_eq!(text(&script, "after"), "1", "{command}: {script:?}");
        assert!(!script.skipped.is_empty());
        // Every line is kept.
        let said = script
            .skipped
            .iter()
            .flat_map(|skipped| skipped.inside.iter().map(|(line, _)| *line).chain([skipped.line]));
        let said: std::collections::BTreeSet<usize> = said.collect();
        assert_eq!(said, (1..=command.lines().count()).collect(), "{command}: {:?}", script.skipped);
    }
}

#[test]
fn indexes_are_understood_where_they_change_nothing() {
    let script = parse("a=([0]='f=/data/f' [1]=g h)\nb=([1]=x)\nc=([x]=y)\nd=([0-9]a)\n");
    assert_eq!(text(&script, "a"), "f=/data/f|g|h");
    assert_eq!((script.variables.len(), script.skipped.len()), (1, 3), "{script:?}");
}

#[test]
fn what_follows_the_end_of_a_script_is_not_taken() {
    for end in ["exit", "exit 0", "return;", "exit # done", "[ -n x ] && exit\nreturn 3"] {
        let script = parse(&format!("a=1\nexit_code=3\nif x; then exit; fi\nb=2\n{end}\nc=3\n\nd=4\n"));
        let taken: Vec<&str> = script.variables.keys().map(String::as_str).collect();
        assert_eq!(taken, ["a", "b", "exit_code"], "{end}: {script:?}");
        let inside = &script.skipped.last().unwrap().inside;
        assert!(inside.iter().map(|(_, text)| text.as_str()).eq(["c=3", "d=4"]), "{end}: {inside:?}");
    }
}

#[test]
fn words_are_those_of_a_shell() {
    let of = |text: &str| words(text).map(|words| words.join("|"));
    assert_eq!(
        of("-a --exclude='*.log'  --exclude=\"/a b/\" x\\ y").unwrap(),
        "-a|--exclude=*.log|--exclude=/a b/|x y"
    );
    assert_eq!(of("").unwrap(), "");
    for text in
        ["'", "\"", "$x", "`x`", "a;b", "a|b", "a&b", "a<b", "a>b", "(a)", "a) b=(c", "a #b", "a\nb", "{a,b}", "\\"]
    {
        assert_eq!(of(text), None, "{text}");
    }
}
