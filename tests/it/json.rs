//! What `--json` prints is what the manual promises: no field more, and none less.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use sersync::commands::objects;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::golden::assert_golden;
use crate::support::sersync::{Output, Sersync};
use crate::support::wait_for;
use crate::watch::{LATER, quick, watch};

/// The fields that were seen, by page and type.
#[derive(Default)]
struct Seen(BTreeMap<(String, String), BTreeSet<String>>);

impl Seen {
    fn add(&mut self, page: &str, output: &Output) {
        for line in output.stdout.lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let kind = object["type"].as_str().unwrap().to_owned();
            fields(&object, "", self.0.entry((page.to_owned(), kind)).or_default());
        }
    }
}

/// The names of the fields, as the manual writes them.
fn fields(value: &Value, name: &str, all: &mut BTreeSet<String>) {
    // These are like the first one.
    let name = name.replace("last_good_pass.", "last_pass.").replace("last_full_pass.", "last_pass.");
    match value {
        Value::Object(inner) => {
            for (field, value) in inner {
                let field = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                fields(value, &field, all);
                all.insert(field.replace("last_good_pass.", "last_pass.").replace("last_full_pass.", "last_pass."));
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, &format!("{name}[]"), all)),
        _ => {}
    }
}

#[test]
fn every_object_has_the_fields_of_the_manual() {
    let daemon = Rsyncd::builder().extra("exclude = *refused*").start();
    let place = Place::new();
    let config = quick(&place, &[&daemon], "[history]\nkeep-days = 1\n");
    let hostile = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"not\xffutf8");
    for name in ["f".as_ref(), hostile, "refused".as_ref()] {
        fs::write(place.source().join(name), "one").unwrap();
    }
    let state = place.dir.path().join("state");
    let run = |args: &[&str]| Sersync::new(args).arg("--json").arg("-c").arg(&config).state_dir(&state).run();
    let mut seen = Seen::default();
    seen.add("sersync-full-sync", &run(&["full-sync", "--dry-run"]));
    seen.add("sersync-full-sync", &run(&["full-sync"]).code(3));
    seen.add("sersync-status", &run(&["status"]).code(3));
    fs::write(daemon.module_path().join("name/f"), "not this").unwrap();
    seen.add("sersync-verify", &run(&["verify"]).code(3));
    let running = watch(&place, &config).arg("--json").spawn();
    running.wait_for_log("caught up", LATER);
    for content in ["other", "third"] {
        fs::write(place.source().join("f"), content).unwrap();
        let mirrored = daemon.module_path().join("name/f");
        wait_for("the file", LATER, || fs::read_to_string(&mirrored).is_ok_and(|now| now == content));
    }
    fs::write(place.source().join("refused again"), "").unwrap();
    wait_for("a failing path", LATER, || run(&["status"]).stdout.contains("failing_paths\":[{"));
    seen.add("sersync-status", &run(&["status"]).code(3));
    seen.add("sersync-watch", &running.terminate());
    fs::write(place.source().join("g"), "").unwrap();
    seen.add("sersync-watch", &run(&["watch", "--dry-run", "--until-idle", "0s"]));
    seen.add("sersync-prune-history", &run(&["prune-history"]).code(0));
    seen.add("sersync-history-list", &run(&["history", "list", "--size"]).code(0));
    seen.add("sersync-history-find", &run(&["history", "find", "name", "f"]).code(0));
    seen.add("sersync-restore", &run(&["restore", "name", "f", "--at", "1s ago", "--dry-run"]).code(0));
    seen.add("sersync-check-target", &run(&["check-target"]));
    seen.add("sersync-check-kernel", &run(&["check-kernel"]));
    seen.0.entry(("sersync-check-kernel".into(), "done".into())).or_default().extend(["type".into(), "done".into()]);
    let mut documented = String::new();
    for (page, all) in objects::COMMANDS {
        for object in *all {
            let seen = seen.0.remove(&((*page).to_owned(), object.kind.to_owned()));
            let mut seen = seen.unwrap_or_else(|| panic!("{page}: no object of type {}", object.kind));
            assert!(seen.remove("type"));
            writeln!(documented, "{page} {}", object.kind).unwrap();
            for (field, _) in object.fields() {
                assert!(seen.remove(*field), "{page} {}: no field {field}", object.kind);
                writeln!(documented, "  {field}").unwrap();
            }
            for (field, _) in object.sometimes {
                seen.remove(*field);
                writeln!(documented, "  {field} (sometimes)").unwrap();
            }
            assert!(seen.is_empty(), "{page} {}: not in the manual: {seen:?}", object.kind);
        }
    }
    assert!(seen.0.is_empty(), "not in the manual: {:?}", seen.0.keys());
    // A promise that is taken back is at least taken back on purpose.
    assert_golden("json-fields.txt", &documented);
}
