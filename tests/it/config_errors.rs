//! Every line that a wrong configuration can cause, word for word.
//!
//! `tests/golden/config-errors.txt` holds the cases: `## name`, the configuration, and after `>> ` the lines that it
//! causes. With `UPDATE_GOLDEN=1` the lines are written anew; read the difference before you keep it.

use std::path::{Path, PathBuf};

use sersync::config;

/// What is added to a case that has no targets, and to one that has no sources, so that it has one fault only.
const TARGETS: &str = "[targets.nas]\nmodule = 'm'\nhosts = ['h']\n";
const SOURCES: &str = "[sources.ok]\npath = '/ok'\ntargets = ['nas']\n";

/// The cases with what the program says now.
fn current(golden: &str) -> String {
    let mut text = String::new();
    for case in golden.split_inclusive('\n').filter(|line| !line.starts_with(">> ")).collect::<String>().split("## ") {
        let Some((name, input)) = case.split_once('\n') else { continue };
        let input = input.trim_end();
        let mut whole = format!("{input}\n");
        // Whoever has a case about the absence itself says so in the name.
        let complete = name.starts_with("nothing");
        whole.push_str(if complete || input.contains("targets.") || input.contains("[targets") { "" } else { TARGETS });
        whole.push_str(if complete || input.contains("[sources") || input.contains("sources =") {
            ""
        } else {
            SOURCES
        });
        let error = config::parse(&whole, "sersync.toml").map(|_| "accepted").map_err(|error| error.to_string());
        let lines = error.map_or_else(|lines| lines, str::to_owned);
        let shown = format!(">> {}\n", lines.replace('\n', "\n>> "));
        let newline = if input.is_empty() { "" } else { "\n" };
        text += &["## ", name, "\n", input, newline, &shown, "\n"].concat();
    }
    text
}

#[test]
fn every_error_line_is_as_agreed() {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config-errors.txt");
    let golden = std::fs::read_to_string(&file).unwrap();
    let now = current(&golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &now).unwrap();
    } else {
        for (expected, got) in golden.split("## ").zip(now.split("## ")) {
            assert_eq!(expected, got, "set UPDATE_GOLDEN=1 if the new lines are right");
        }
        assert_eq!(golden, now);
    }
    assert!(!now.contains(">> accepted"), "a case has no fault");
}

#[test]
fn a_file_that_cannot_be_read_is_one_line_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("x.toml");
    let line = config::load(&missing).unwrap_err().to_string();
    let why = "the configuration cannot be read: No such file or directory (os error 2)";
    assert_eq!(line, format!("{}: {why}; create it, or name another with -c FILE", missing.display()));
    assert!(config::load(directory.path()).unwrap_err().to_string().contains("not its directory"));

    let binary = directory.path().join("b.toml");
    std::fs::write(&binary, b"[watch]\n# caf\xe9\n").unwrap();
    let line = format!("{}:2:6: this byte is not UTF-8; save the file in UTF-8", binary.display());
    assert_eq!(config::load(&binary).unwrap_err().to_string(), line);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("b.toml");
    std::fs::write(&file, "\u{feff}wtch = 1\n").unwrap();
    let line = config::load(&file).unwrap_err().to_string();
    assert!(line.starts_with(&format!("{}:1:1: ", file.display())), "{line}");
}
