//! What is written down survives whatever happens to the process and to the file: at any moment the old content or the new one
//! is there, and a file that was cut anywhere is never taken for one that says something else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Local;
use sersync::mirror::Mirror;
use sersync::state::condition::Condition;
use sersync::state::lock::{Kind, Lock};
use sersync::state::passes::Passes;
use sersync::state::record::Record;
use sersync::state::{StateDir, bucket_claim, journal, links};
use sersync::tree::shard::Shard;

use crate::full_sync::Place;
use crate::support::sersync::{Sersync, config};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, holds_within, let_pass};

/// A source, a local target and the state that real runs have left.
struct Stand {
    place: Place,
    config: PathBuf,
    state: StateDir,
    mirror: Mirror,
}

impl Stand {
    fn new() -> Stand {
        let place = Place::new();
        let target = place.dir.path().join("target");
        fs::create_dir(&target).unwrap();
        let text = format!(
            "[watch]\ndelay = '1ms'\nmax-delay = '10ms'\nrename-min-size = '0B'\n[history]\nresolution = '0s'\n\
             [full-sync]\nmax-delete = '100%'\n[targets.t]\npath = '{}'\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
            target.display(),
            place.source().display(),
        );
        let config = config(&place.dir, &text);
        let state = StateDir::open(Some(&place.dir.path().join("state"))).unwrap();
        let settings = sersync::config::load(&config).unwrap();
        let mirror = Mirror::select(&settings, &[]).unwrap().remove(0);
        Stand { place, config, state, mirror }
    }

    fn run(&self, command: &[&str]) -> Sersync {
        Sersync::new(command).arg("-c").arg(&self.config).state_dir(&self.place.dir.path().join("state"))
    }

    fn target(&self) -> PathBuf {
        self.place.dir.path().join("target/name")
    }

    /// The only file in a directory of the state that has this ending.
    fn files(&self, dir: &str) -> Vec<PathBuf> {
        let all = walkdir::WalkDir::new(self.place.dir.path().join("state").join(dir)).sort_by_file_name();
        let files = all.into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }

    fn file(&self, dir: &str, kind: &str) -> PathBuf {
        let found = self.files(dir).into_iter().find(|path| path.to_string_lossy().contains(kind));
        found.unwrap_or_else(|| panic!("no {dir}/*{kind}*"))
    }

    /// Real runs that leave every kind of file.
    fn with_state() -> Stand {
        let stand = Stand::new();
        for (name, text) in [("a/f", "1"), ("a/g", "1"), ("b/h", "1")] {
            fs::create_dir_all(stand.place.source().join(name).parent().unwrap()).unwrap();
            fs::write(stand.place.source().join(name), text).unwrap();
        }
        stand.run(&["full-sync"]).run().code(0);
        fs::write(stand.place.source().join("a/f"), "22").unwrap();
        fs::remove_dir_all(stand.place.source().join("b")).unwrap();
        stand.run(&["full-sync"]).run().code(0);
        stand.run(&["watch", "--until-idle", "100ms"]).run().code(0);
        let old: Vec<PathBuf> = ["old/name", "other"].map(PathBuf::from).to_vec();
        links::note(&stand.state, &stand.mirror, &old).unwrap();
        stand
    }
}

/// Cuts a file at every length, and lets `check` look at what is read then.
fn cut_everywhere(path: &Path, mut check: impl FnMut(usize, usize)) {
    let whole = fs::read(path).unwrap();
    for length in 0..=whole.len() {
        fs::write(path, &whole[..length]).unwrap();
        check(length, whole.len());
    }
    fs::write(path, whole).unwrap();
}

#[test]
fn a_state_file_that_was_cut_anywhere_is_never_taken_for_another_one() {
    let stand = Stand::with_state();
    let Stand { state, mirror, .. } = &stand;
    let record = || Record::load(state, mirror, Shard::WHOLE);
    let known = record().unwrap();
    cut_everywhere(&stand.file("mirrors", ".json"), |length, whole| {
        assert_eq!(record(), (length == whole).then(|| known.clone()), "{length} of {whole}");
    });
    cut_everywhere(&stand.file("mirrors", ".directories"), |length, whole| {
        assert_eq!(known.directories(state, mirror, Shard::WHOLE).is_ok(), length == whole, "{length} of {whole}");
    });
    let passes = Passes::load(state, mirror).unwrap();
    cut_everywhere(&stand.file("status", ".passes"), |length, whole| match Passes::load(state, mirror) {
        Ok(read) => assert!(length == whole && read == passes, "{length} of {whole}"),
        Err(e) => assert!(length < whole && e.to_string().contains(".passes"), "{e}"),
    });
    let condition = Condition::load(state, mirror).unwrap();
    cut_everywhere(&stand.file("status", ".watch"), |length, whole| match Condition::load(state, mirror) {
        Ok(read) => assert!(length == whole && read == condition, "{length} of {whole}"),
        Err(e) => assert!(length < whole && e.to_string().contains(".watch"), "{e}"),
    });
    let noted = links::noted(state, mirror).unwrap();
    assert_eq!(noted.len(), 2);
    cut_everywhere(&stand.file("links", ""), |length, whole| match links::noted(state, mirror) {
        // At the end of a name it cannot be told that there was another one. The file is never written in parts.
        Ok(read) => assert!(noted.starts_with(&read), "{length} of {whole}: {read:?}"),
        Err(e) => assert!(length < whole && e.to_string().contains("is damaged"), "{e}"),
    });
    for kind in [Kind::Pass, Kind::Watch, Kind::Turn] {
        cut_everywhere(&stand.file("locks", &format!(".{kind}")), |length, _| {
            let lock = Lock::take(state, mirror, kind, Duration::ZERO, || false).unwrap();
            // Where it does not say that all went well, the next one is careful.
            if kind != Kind::Turn && (1..5).contains(&length) {
                assert!(lock.after_crash(), "{length}");
            }
            lock.end();
        });
    }
    // A bucket by its name: the last two parts of the path of its journal.
    let name = |path: &Path| -> Vec<OsString> { path.iter().rev().take(2).map(ToOwned::to_owned).collect() };
    let mut given: BTreeSet<_> = stand.files("journal").iter().map(|file| name(file)).collect();
    let note = stand.file("buckets", "");
    for length in 0..30 {
        let last = fs::read(&note).unwrap();
        fs::write(&note, &last[..length.min(last.len())]).unwrap();
        let bucket = bucket_claim::claim(state, mirror, Local::now().naive_local());
        assert!(given.insert(name(Path::new(&bucket.to_string()))), "{bucket} a second time, after {length} bytes");
    }
    for file in stand.files("journal") {
        let pages = || journal::read(state, mirror, |_| true).unwrap();
        let place = |pages: &[journal::Page]| {
            let is_it = |page: &&journal::Page| name(Path::new(&page.bucket.to_string())) == name(&file);
            pages.iter().find(is_it).cloned().unwrap()
        };
        let whole = place(&pages());
        let text = fs::read(&file).unwrap();
        cut_everywhere(&file, |length, _| {
            let read = place(&pages());
            assert!(whole.created.starts_with(&read.created) && whole.removed.starts_with(&read.removed));
            // Each line is written at once, so a cut within one is damage, and is said to be.
            assert_eq!(read.damaged, length > 0 && text[length - 1] != 0, "{length}");
        });
    }
}

#[test]
fn with_cut_state_files_every_command_goes_on_and_the_mirror_becomes_equal() {
    let stand = Stand::with_state();
    for (round, part) in [(0, 1), (1, 3), (1, 2), (9, 10)].into_iter().enumerate() {
        for file in stand.files("") {
            let content = fs::read(&file).unwrap();
            fs::write(&file, &content[..content.len() * part.0 / part.1]).unwrap();
        }
        fs::write(stand.place.source().join("a/f"), format!("round {round}")).unwrap();
        fs::write(stand.place.source().join(format!("new {round}")), "1").unwrap();
        for command in [&["status"][..], &["history", "list", "name"], &["history", "find", "name", "a/f"]] {
            let output = stand.run(command).run();
            assert!(matches!(output.code, Some(0 | 3)), "{output}");
        }
        let command: &[&str] = if round % 2 == 0 { &["full-sync"] } else { &["watch", "--until-idle", "100ms"] };
        stand.run(command).run().code(0);
        assert_same(&stand.place.source(), &stand.target());
        stand.run(&["full-sync"]).run().code(0);
        let out = stand.place.dir.path().join(format!("out {round}"));
        let output = stand.run(&["restore", "name", "a/f"]).arg("--to").arg(out).run();
        assert!(matches!(output.code, Some(0 | 3)), "{output}");
    }
}

#[test]
fn killed_in_the_middle_of_writing_its_state_it_leaves_the_old_or_the_new() {
    let stand = Stand::with_state();
    fs::remove_file(stand.file("links", "")).unwrap();
    let Stand { state, mirror, place, .. } = &stand;
    for round in 0..30_u64 {
        // Without these it would wait at its start, for sessions that there are not here.
        stand.files("locks").iter().for_each(|file| fs::remove_file(file).unwrap());
        let watch = stand.run(&["watch"]).spawn();
        let target = stand.target().join(format!("begun {round}"));
        fs::write(place.source().join(format!("begun {round}")), "1").unwrap();
        assert!(holds_within(SOON, || target.exists()));
        // Each change is a batch, with a bucket, a journal and a status of its own.
        for number in 0..5 + round % 7 {
            fs::write(place.source().join("a/f"), format!("{round} {number}")).unwrap();
            let_pass(Duration::from_millis(3 + round));
        }
        watch.kill();
        let record = Record::load(state, mirror, Shard::WHOLE).expect("what is remembered of the last pass");
        assert!(record.directories(state, mirror, Shard::WHOLE).is_ok());
        Passes::load(state, mirror).unwrap();
        Condition::load(state, mirror).unwrap().expect("how it does");
        links::noted(state, mirror).unwrap();
        for page in journal::read(state, mirror, |_| true).unwrap() {
            assert!(!page.damaged, "{}", page.bucket);
        }
    }
    let watch = stand.run(&["watch"]).spawn();
    wait_until_same(&place.source(), &stand.target(), SOON);
    watch.terminate();
}
