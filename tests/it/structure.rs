//! The structure of the sources: data flows one way, so no two modules know each other, and a file can be read in one sitting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Longer files than this are divided.
const LONGEST_FILE: usize = 300;

/// Where global state may be, and why there: what the whole process has once.
const GLOBAL: &[(&str, &str)] = &[
    ("moment.rs", "the number of this start of the host"),
    ("report/logger.rs", "the logger"),
    ("report/screen.rs", "the terminal"),
    ("signals.rs", "the signal handlers"),
];

/// What a source file says outside of its tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
    text.match_indices("#[cfg(test)]\nmod ").find(begins).map_or(text, |(at, _)| &text[..at])
}

/// The names after `crate::` in a text, those in braces included.
fn named(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => names.extend(items(list).map(|item| name(item.trim()))),
            None => drop(names.insert(name(rest))),
        }
    }
    names
}

/// The items of a list up to the brace that closes it; what they have in braces of their own stays with them.
fn items(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    let mut depth = 0;
    list[..end.unwrap()].split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    })
}

#[test]
fn what_a_file_says_is_seen() {
    let text =
        "use crate::{a::{b, c}, d};\n#[cfg(test)]\nmod tests;\nuse crate::e;\n#[cfg(test)]\nmod more {\n crate::f";
    assert_eq!(named(without_tests(text)), ["a", "d", "e"].map(str::to_owned).into());
}

/// Each file below `src` with its module, and what it says.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(Result::unwrap);
    let rust = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    rust.map(|entry| {
        let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        (module, path, fs::read_to_string(entry.path()).unwrap())
    })
    .collect()
}

/// Which module knows which others.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let modules: BTreeSet<&String> = sources.iter().map(|(module, _, _)| module).collect();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, _, text) in &sources {
        let others = named(without_tests(text)).into_iter().filter(|other| other != module && modules.contains(other));
        arrows.entry(module.clone()).or_default().extend(others);
    }
    arrows
}

#[test]
fn no_two_modules_know_each_other() {
    let mut left = arrows();
    assert!(left["pass"].contains("executor") && left["config"].contains("exclude"), "{left:?}");
    // Whoever knows nobody that is left can be taken away, until none is left that is part of a ring.
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, others)| others.iter().all(|other| !left.contains_key(other)))
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        left.retain(|module, _| !free.contains(module));
    }
    let known: BTreeSet<String> = left.keys().cloned().collect();
    let rings: Vec<String> = left
        .iter()
        .map(|(module, others)| format!("{module} -> {:?}", others.intersection(&known).collect::<Vec<_>>()))
        .collect();
    assert!(rings.is_empty(), "these know each other, directly or through others:\n{}", rings.join("\n"));
}

#[test]
fn only_the_commands_know_the_command_line() {
    for (module, others) in arrows() {
        let may = ["main", "lib", "commands", "cli"].contains(&module.as_str());
        assert!(may || !others.contains("cli") && !others.contains("commands"), "{module} knows {others:?}");
    }
}

#[test]
fn contributing_says_of_each_module_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let table = text.split("| in `src/` | |").nth(1).unwrap().split("\n\n").next().unwrap();
    let lib = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let is_there = [format!("`{module}.rs`"), format!("`{module}/`")].iter().any(|name| table.contains(name));
        assert!(is_there, "{module} is not in the table \"Where things live\"");
    }
}

#[test]
fn global_state_is_where_it_is_known_to_be() {
    let mutable = ["Atomic", "Mutex", "RwLock", "Cell", "Lazy", "Once"];
    for (_, path, text) in sources() {
        let is_static = |line: &&str| {
            let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
            words.next() == Some("static")
        };
        let mut statics = without_tests(&text).lines().filter(is_static);
        let found = statics.find(|line| line.contains("static mut ") || mutable.iter().any(|kind| line.contains(kind)));
        assert_eq!(found.is_some(), GLOBAL.iter().any(|(known, _)| *known == path), "{path}: {found:?}");
        assert!(!text.contains("thread_local!"), "{path}");
    }
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    for (_, path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{path} has {lines} lines");
    }
}

/// Whoever waits for something waits until it is there.
#[test]
fn no_test_sleeps() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files =
        walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let others = files.filter(|file| !file.path().starts_with(root.join("support")));
    let sleeping = |path: &Path| fs::read_to_string(path).unwrap().contains(&["thread::", "sleep"].concat());
    let sleepers: Vec<_> = others.map(walkdir::DirEntry::into_path).filter(|path| sleeping(path)).collect();
    assert!(sleepers.is_empty(), "wait_for is for what is waited for: {sleepers:?}");
}
