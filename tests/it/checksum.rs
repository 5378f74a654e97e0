//! `full-sync --checksum` against real daemons: it sees what was replaced under the same size and time.

use std::fs;
use std::path::Path;

use crate::full_sync::{Place, history};
use crate::support::daemon::{Rsyncd, Version};
use crate::support::fixture::{self, mtime};
use crate::support::tree::assert_same;

/// Replaces the content of a file; its size and its time stay the same.
pub(crate) fn damage(file: &Path) {
    let content: Vec<u8> = fs::read(file).unwrap().iter().map(|byte| !byte).collect();
    let meta = fs::metadata(file).unwrap();
    fs::write(file, content).unwrap();
    fs::File::open(file).unwrap().set_modified(meta.modified().unwrap()).unwrap();
}

#[test]
fn content_that_was_replaced_under_the_same_size_and_time_is_mended_with_its_version_kept() {
    for version in Version::ALL.into_iter().filter(|version| version.is_here()) {
        let daemon = Rsyncd::builder().version(version).start();
        let place = Place::new();
        fixture::small_tree(&place.source());
        fs::write(place.source().join("f"), "good").unwrap();
        mtime(&place.source().join("f"), 1_600_000_000, 5);
        place.command("full-sync", &daemon).run().code(0);
        let mirror = daemon.module_path().join("name");
        damage(&mirror.join("f"));
        let damaged = fs::read(mirror.join("f")).unwrap();
        place.command("full-sync", &daemon).run().code(0);
        assert_eq!(fs::read(mirror.join("f")).unwrap(), damaged, "size and time do not tell");
        let listed = place.command("full-sync", &daemon).args(&["--checksum", "-n"]).run().code(0);
        listed.stdout_has("update f\n").stdout_has("0 created, 1 updated, 0 deleted, 0 attributes");
        assert_eq!(fs::read(mirror.join("f")).unwrap(), damaged, "a dry run changes nothing");
        place.command("full-sync", &daemon).arg("--checksum").run().code(0).silent();
        assert_same(&place.source(), &mirror);
        assert_eq!(history(&daemon), [("f".to_owned(), damaged)]);
    }
}
