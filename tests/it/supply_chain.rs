//! What the program is built from: crates of crates.io only, under licences that were looked at, and not twice.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Licences that allow what this program's own does.
const LICENCES: [&str; 6] = ["MIT", "Apache-2.0", "Unlicense", "Unicode-3.0", "BSD-3-Clause", "Zlib"];

/// Crates that are there in several versions, with the reason.
const SEVERAL: [(&str, &str); 1] = [("syn", "derive macros of different ages; it is not in the program")];

/// Whether a licence expression can be met by these licences alone.
fn is_allowed(expression: &str) -> bool {
    let all = |part: &str| part.split(" AND ").all(|one| LICENCES.contains(&one.trim_matches(['(', ')', ' '])));
    match expression.strip_prefix('(').and_then(|rest| rest.split_once(") AND ")) {
        Some((inside, rest)) => is_allowed(inside) && is_allowed(rest),
        None => expression.replace('/', " OR ").split(" OR ").any(all),
    }
}

#[test]
fn every_crate_comes_from_the_registry_under_a_known_licence_and_once() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        *versions.entry(name).or_default() += 1;
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence), "{name} has the licence {licence}; look at it, then add it to LICENCES");
        let source = package["source"].as_str().unwrap_or("this checkout");
        let is_ours = name == "sersync" && source == "this checkout";
        assert!(
            is_ours || source.starts_with("registry+https://github.com/rust-lang/crates.io-index"),
            "{name}: {source}"
        );
    }
    let several: Vec<&str> = versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name).collect();
    assert_eq!(several, SEVERAL.map(|(name, _)| name), "crates in several versions");
    // What is locked is what was looked at: each has the sum of its content.
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let count = |text: &str| lock.lines().filter(|line| line.starts_with(text)).count();
    assert_eq!(count("checksum = "), count("[[package]]") - 1);
}

#[test]
fn licences_are_read_as_they_are_meant() {
    for allowed in ["MIT", "Unlicense/MIT", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "none"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}
