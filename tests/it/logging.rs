//! What log lines look like to their different readers.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::sersync::Sersync;

/// What a failing command writes to a stderr that is a file, with `$JOURNAL_STREAM` naming that file or another one.
fn stderr_in_a_file(journal_is_the_file: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stderr");
    fs::write(&file, "").unwrap();
    let meta = fs::metadata(&file).unwrap();
    let inode = if journal_is_the_file { meta.ino() } else { meta.ino() + 1 };
    Sersync::of("sh", &["-c", "exec \"$0\" -c /nonexistent config check 2>\"$1\""])
        .arg(env!("CARGO_BIN_EXE_sersync"))
        .arg(&file)
        .env("JOURNAL_STREAM", format!("{}:{inode}", meta.dev()))
        .run()
        .code(78);
    fs::read_to_string(file).unwrap()
}

#[test]
fn the_journal_gets_priorities_and_others_get_words() {
    assert!(stderr_in_a_file(true).starts_with("<3>/nonexistent: "), "{}", stderr_in_a_file(true));
    // A child of a service whose output was redirected inherits the variable.
    assert!(stderr_in_a_file(false).starts_with("error: /nonexistent: "), "{}", stderr_in_a_file(false));
}
