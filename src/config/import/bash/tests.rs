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
        let named = script.skipped.iter().flat_map(|skipped| &skipped.inside).count();
        let there = command.lines().skip(1).filter(|line| looks_like_assignment(line.trim())).count();
        let first = script.skipped.iter().skip(1).filter(|skipped| looks_like_assignment(&skipped.text)).count();
        assert_eq!(named + first, there, "{command}: {:?}", script.skipped);
    }
}
