//! Tests of how hooks end, and what is said of that.

use super::*;
use crate::exit::Exit;

fn source() -> Source {
    Source {
        name: "n".into(),
        path: "/p".into(),
        targets: vec![],
        exclude: vec![],
        watch_exclude: vec![],
        marker: None,
        one_file_system: true,
    }
}

fn run(hooks: &Hooks, purpose: Purpose, argv: &[&str]) -> Result<(), String> {
    let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
    hooks.run(purpose, &argv, &source(), Duration::from_secs(600))
}

#[test]
fn an_empty_list_is_no_hook() {
    assert_eq!(run(&Hooks::default(), Purpose::Before, &[]), Ok(()));
}

#[test]
fn each_end_has_its_words() {
    let hooks = Hooks::default();
    let ended = |argv: &[&str]| run(&hooks, Purpose::Before, argv).unwrap_err();
    assert_eq!(
        ended(&["/nowhere/x\n"]),
        "the `before` hook /nowhere/x\\n of source `n` cannot be started: No such file or directory (os error 2)"
    );
    assert!(ended(&["/bin/sh", "-c", "exit 7"]).ends_with(" exited with 7"));
    assert!(ended(&["/bin/sh", "-c", "kill -9 $$"]).ends_with(" was killed by signal 9"));
}

#[test]
fn a_pass_that_is_over_begins_nothing_but_cleans_up() {
    let hooks = Hooks::default();
    hooks.stop(Over::Beginnings);
    assert!(run(&hooks, Purpose::Before, &["/bin/true"]).unwrap_err().contains("was not run"));
    assert_eq!(run(&hooks, Purpose::After(Exit::Partial), &["/bin/true"]), Ok(()));
    hooks.stop(Over::Everything);
    assert!(run(&hooks, Purpose::After(Exit::Partial), &["/bin/true"]).is_err());
}
