//! The generated files in the repository are those that the program would write now, and they work.

use std::fs;
use std::path::Path;

use crate::support::sersync::Sersync;

#[test]
fn man_pages_and_completions_are_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    Sersync::new(&["generate"]).arg(dir.path()).run().code(0).silent();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kind in ["man", "completions"] {
        for entry in fs::read_dir(dir.path().join(kind)).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let committed = fs::read_to_string(repository.join(kind).join(&name)).unwrap_or_default();
            let fresh = fs::read_to_string(entry.path()).unwrap();
            assert!(committed == fresh, "{kind}/{} is out of date: run `sersync generate .`", name.display());
        }
    }
    // Nothing is left of what was renamed.
    for kind in ["man", "completions"] {
        for entry in fs::read_dir(repository.join(kind)).unwrap().map(Result::unwrap) {
            let by_hand = entry.path().extension().is_some_and(|extension| extension == "5");
            assert!(
                by_hand || dir.path().join(kind).join(entry.file_name()).exists(),
                "{:?} is not generated",
                entry.path()
            );
        }
    }
}

#[test]
fn completions_need_no_configuration() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Sersync::new(&["completions", shell]).env("SERSYNC_CONFIG", "/nonexistent").run().code(0);
        assert!(output.stdout.contains("full-sync"), "{output}");
    }
}

#[test]
fn no_shell_offers_what_is_hidden() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = Sersync::new(&["completions", shell]).run().code(0);
        // What is said of the command that writes manual pages, and its name as these shells have it.
        for hidden in ["Write manual pages", "generate:", "'generate'", "(generate)", " generate "] {
            assert!(!output.stdout.contains(hidden), "{shell}: {hidden}");
        }
    }
}

#[test]
fn every_help_lists_the_exit_codes() {
    for command in [
        "--help",
        "full-sync --help",
        "verify --help",
        "prune-history --help",
        "watch --help",
        "config --help",
        "history --help",
        "history find --help",
        "check-kernel --help",
        "check-target --help",
        "gen-rsyncd-conf --help",
        "gen-schedule --help",
    ] {
        let output = Sersync::new(&command.split(' ').collect::<Vec<_>>()).run().code(0);
        for (exit, meaning) in sersync::exit::Exit::TABLE {
            let line = format!("{:>3}  {meaning}", exit.code());
            assert!(output.stdout.contains(&line), "`sersync {command}` does not list {line:?}");
        }
    }
}
