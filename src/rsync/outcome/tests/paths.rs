//! Which paths are taken for those that failed.

use super::*;

#[test]
fn failing_paths_are_named_relative_to_the_source() {
    let stderr = "rsync: [sender] send_files failed to open \"/tmp/p/src/x\": Permission denied (13)\n\
        rsync: [sender] opendir \"/tmp/p/src/a/b\" failed: Permission denied (13)\n\
        rsync: [receiver] mkstemp \"/n/a/.g.RE68xc\" (in m) failed: Permission denied (13)\n\
        rsync: [generator] failed to set times on \"/n/t\" (in m): Operation not permitted (1)\n\
        rsync: [generator] delete_file: unlink(a/b/f) failed: Permission denied (13)\n\
        file has vanished: \"/tmp/p/src/odd \\#012\"name\"\n\
        rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)";
    let Outcome::Partial(failing) = outcome_of(&daemon(), 23, stderr) else { panic!() };
    let paths: Vec<&str> = failing.paths.keys().map(|p| p.to_str().unwrap()).collect();
    assert_eq!(paths, ["a/b", "a/b/f", "a/g", "odd \n\"name", "t", "x"]);
    assert_eq!(failing.unattributed, [""; 0]);
    assert_eq!(failing.unreadable, [Path::new("a/b")]);
}

#[test]
fn a_local_target_names_its_own_paths() {
    let mirror = mirror(Endpoint::Directory("/mnt/usb".into()));
    let stderr = "rsync: [receiver] mkstemp \"/mnt/usb/n/a/.g.RE68xc\" failed: Permission denied (13)";
    let Outcome::Partial(failing) = outcome_of(&mirror, 23, stderr) else { panic!() };
    assert_eq!(failing.paths.keys().collect::<Vec<_>>(), [Path::new("a/g")]);
}

#[test]
fn what_names_no_path_makes_the_whole_job_suspect() {
    let Outcome::Partial(failing) = outcome_of(&daemon(), 23, "") else { panic!() };
    assert_eq!((failing.paths.len(), failing.unattributed.len()), (0, 1));
}

#[test]
fn what_the_daemon_refuses_is_named() {
    let outcome =
        outcome_of(&daemon(), 23, "ERROR: daemon refused to receive file \"d/f1\"\nrsync error: some files (code 23)");
    let Outcome::Partial(failing) = outcome else { panic!("{outcome:?}") };
    assert!(failing.paths[Path::new("d/f1")].contains("rsyncd.conf"), "{failing:?}");
}

#[test]
fn of_lines_with_two_names_the_one_that_failed_is_taken_or_none() {
    let named = |line: &str| {
        let Outcome::Partial(failing) = outcome_of(&daemon(), 23, line) else { panic!("{line}") };
        failing.paths.into_keys().next()
    };
    let expected = |path: &str| Some(PathBuf::from(path));
    for (line, path) in [
        (
            r#"rsync: [receiver] rename "/n/t1/.f.072izF" (in m) -> "t1/f": Operation not permitted (1)"#,
            expected("t1/f"),
        ),
        (r#"rsync: [receiver] rename "/n/t1/.f.072izF" (in m) -> "t1/g": Operation not permitted (1)"#, None),
        (r#"rsync: [generator] symlink "/n/l" (in m) -> "else/where" failed: File exists (17)"#, expected("l")),
        // Names that look like more of the line.
        (r#"rsync: [receiver] mkstemp "/n/.a" (in m).RE68xc" (in m) failed: Permission denied (13)"#, None),
        (r#"rsync: [sender] send_files failed to open "/tmp/p/src/a"b": Permission denied (13)"#, expected("a\"b")),
        (r#"rsync: [sender] send_files failed to open "/tmp/p/src/a" -> "b": Permission denied (13)"#, None),
    ] {
        assert_eq!(named(line), path, "{line}");
    }
}

#[test]
fn the_path_because_of_which_a_receiver_gave_up_is_told_from_all_else() {
    let named = |mirror: &Mirror, code: i32, line: &str| {
        let errors =
            ["rsync: [sender] x", line, "rsync error: error in file IO (code 11)"].map(|line| line.as_bytes().to_vec());
        blocked(mirror, ending(code, &errors)).map(|it| it.path)
    };
    let expected = |path: &str| Some(PathBuf::from(path));
    for (line, path) in [
        (r#"rsync: [receiver] write failed on "/n/d/big" (in m): No space left on device (28)"#, expected("d/big")),
        (r#"rsync: [receiver] write failed on "/n/d/big" (in m): File too large (27)"#, expected("d/big")),
        (r#"rsync: [receiver] close failed on "/n/d/big" (in m): Disk quota exceeded (122)"#, expected("d/big")),
        (r#"rsync: write failed on "/n/d/big" (in m): No space left on device (28)"#, expected("d/big")),
        (
            r#"rsync: [receiver] write failed on "/n/mkstemp/.a.b.c" (in m): No space left on device (28)"#,
            expected("mkstemp/.a.b.c"),
        ),
        (
            r#"rsync: [receiver] write failed on "/n/a\#012b"c" (in m): No space left on device (28)"#,
            expected("a\nb\"c"),
        ),
        // Elsewhere, the mirror itself, and names that look like more of the line.
        (r#"rsync: [receiver] write failed on "/other/big" (in m): No space left on device (28)"#, None),
        (r#"rsync: [receiver] write failed on "/n" (in m): No space left on device (28)"#, None),
        (r#"rsync: [receiver] write failed on "/n/../x" (in m): No space left on device (28)"#, None),
        (r#"rsync: [receiver] write failed on "/n/a" (in m): b" (in m): No space left on device (28)"#, None),
        (r#"rsync: [sender] x write failed on "/n/d/big" (in m): No space left on device (28)"#, None),
        (r#"write failed on "/n/d/big" (in m): No space left on device (28)"#, None),
        ("rsync: [receiver] mkstemp \"/n/.a.RE68xc\" (in m) failed: No space left on device (28)", None),
    ] {
        assert_eq!(named(&daemon(), 11, line), path, "{line}");
        assert_eq!(named(&daemon(), 12, line), None, "{line}");
    }
    let local = mirror(Endpoint::Directory("/mnt/usb".into()));
    let line = r#"rsync: [receiver] write failed on "/mnt/usb/n/big": No space left on device (28)"#;
    assert_eq!(named(&local, 11, line), expected("big"));
}
