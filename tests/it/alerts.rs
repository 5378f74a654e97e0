//! The alerts and the dashboard of `packaging/`: they speak of nothing that the program does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use sersync::metrics::families::{FILES, STATES};

use crate::metrics::promtool;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The names of metrics in a text that the program does not write.
fn unknown(text: &str) -> Vec<String> {
    let known: BTreeSet<&str> = FILES.iter().flat_map(|(_, _, all)| all.iter().map(|family| family.name)).collect();
    let name = Regex::new(r"\b(?:sersync|rsync)_\w+").unwrap();
    let state = Regex::new(r#"state="([^"]*)""#).unwrap();
    let names = name.find_iter(text).map(|it| it.as_str()).filter(|name| !known.contains(name));
    let states = state.captures_iter(text).map(|it| it.get(1).unwrap().as_str()).filter(|it| !STATES.contains(it));
    names.chain(states).map(str::to_owned).collect()
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let board: Value = serde_json::from_str(&read("grafana/sersync.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

fn promtool_is_content(arguments: &[&str], file: &Path) {
    let Some(tool) = promtool() else { return };
    let output = Command::new(tool).args(arguments).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn alerts_and_dashboard_know_every_metric_that_they_name() {
    let (rules, queries) = (read("prometheus/rules.yml"), queries());
    assert_eq!(unknown(&rules), [""; 0]);
    assert!(rules.matches("- alert:").count() >= 5 && queries.len() >= 15);
    for query in queries {
        assert_eq!(unknown(&query), [""; 0], "{query}");
        assert!(query.contains("sersync_"), "{query}");
    }
    assert_eq!(unknown("rate(sersync_nonsense_total[5m]) + sersync_watch_state{state=\"lively\"}").len(), 2);
}

#[test]
fn promtool_takes_the_alerts_and_they_fire_when_they_should() {
    promtool_is_content(&["check", "rules", "--lint-fatal"], &file("prometheus/rules.yml"));
    promtool_is_content(&["test", "rules"], &file("prometheus/rules_test.yml"));
}

#[test]
fn promtool_takes_every_query_of_the_dashboard() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in queries().iter().enumerate() {
        let query = query.replace("$source", ".*").replace("$endpoint", ".*");
        assert!(!query.contains('$'), "{query}");
        let query = serde_json::to_string(&query).unwrap();
        writeln!(rules, "      - record: panel:number{number}\n        expr: {query}").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dashboard.yml");
    fs::write(&file, rules).unwrap();
    promtool_is_content(&["check", "rules"], &file);
}

#[test]
fn the_panels_of_the_dashboard_have_each_a_place() {
    let board: Value = serde_json::from_str(&read("grafana/sersync.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "two panels at {cell:?}");
        }
    }
}
