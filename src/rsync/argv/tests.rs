//! What rsync is told for each kind of run: the tables are the answer to "which options does it get for that".

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::bucket::Bucket;
use crate::retention::Unit;
use crate::rsync::fixture::{daemon, mirror};
use crate::rsync::placement::{self, Basis, Placement};
use crate::rsync::retrieval::{self, Depth, SenderCheck};
use crate::rsync::{removal, trial};
use crate::scope::{Listed, Scope};

/// What every run on a daemon begins with.
const DAEMON: &str = "rsync --timeout=1 --sockopts=TCP_NODELAY --contimeout=1 ";
/// And every job after that.
const JOB: &str =
    "-lptgoD --8-bit-output --no-h --stats --modify-window=-1 --outbuf=L '--out-format=%i %l %n' --one-file-system -R ";
/// And every listing.
const LISTING: &str = "--8-bit-output --no-h --outbuf=B ";

/// A job that changes what is to be changed, and nothing else is known.
fn ordinary() -> JobOptions<'static> {
    JobOptions {
        root: Path::new("/"),
        bucket: None,
        exclude: &[],
        clients: 1,
        missing_args: MissingArgs::Work,
        compare: Compare::Quick,
        manner: Manner::Thorough,
        file_list: FileList::Growing,
        keep_temporary: false,
        max_delete: None,
        dry_run: false,
        progress: false,
    }
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

fn tree() -> Scope {
    Scope::Tree(paths(&[""]))
}

fn listed(present: &[&str], missing: &[&str], shallow: &[&str]) -> Scope {
    Scope::Listed(Listed { present: paths(present), missing: paths(missing), shallow: paths(shallow) })
}

fn bucket() -> Bucket {
    "2026-01-02/030405".parse().unwrap()
}

/// What stands after the prefix.
fn rest<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.strip_prefix(prefix).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn jobs() {
    let (bucket, exclude) = (bucket(), [OsString::from("*.tmp"), OsString::from("/a b")]);
    let all = || listed(&["p"], &["m"], &["s", ""]);
    let cases = [
        (tree(), ordinary(), "-r --delete -- ./"),
        (Scope::Tree(paths(&["a", "b/c"])), ordinary(), "-r --delete -- ./a/ ./b/c/"),
        (tree(), JobOptions { file_list: FileList::Whole, ..ordinary() }, "--no-inc-recursive -r --delete -- ./"),
        // What is there already takes no other manner.
        (tree(), JobOptions { manner: Manner::Careful, ..ordinary() }, "-r --delete -- ./"),
        (listed(&["-p"], &[], &[]), ordinary(), "-d --force --delete-missing-args -- ./-p"),
        (all(), ordinary(), "-d --delete --force --delete-missing-args -- ./s/ ./ ./m ./p"),
        (
            all(),
            JobOptions { missing_args: MissingArgs::Broken, ..ordinary() },
            "-d --delete --force -- ./s/ ./ ./m ./p",
        ),
        (listed(&["p"], &[], &[]), JobOptions { manner: Manner::Careful, ..ordinary() }, "-d -- ./p"),
        (tree(), JobOptions { dry_run: true, ..ordinary() }, "--dry-run -r --delete -- ./"),
        (
            tree(),
            JobOptions { bucket: Some(&bucket), ..ordinary() },
            "--backup --backup-dir=/history-backup/n/2026-01-02/030405 -r --delete -- ./",
        ),
        (tree(), JobOptions { compare: Compare::Content, ..ordinary() }, "--checksum -r --delete -- ./"),
        (tree(), JobOptions { compare: Compare::Never, ..ordinary() }, "--ignore-times -r --delete -- ./"),
        (tree(), JobOptions { max_delete: Some(0), ..ordinary() }, "--max-delete=0 -r --delete -- ./"),
        (tree(), JobOptions { max_delete: Some(u64::MAX), ..ordinary() }, "--max-delete=2147483647 -r --delete -- ./"),
        (tree(), JobOptions { progress: true, ..ordinary() }, "--info=progress2 -r --delete -- ./"),
        (
            tree(),
            JobOptions { exclude: &exclude, ..ordinary() },
            "'--exclude=*.tmp' '--exclude=/a b' -r --delete -- ./",
        ),
        (
            tree(),
            JobOptions { keep_temporary: true, ..ordinary() },
            "'--filter=P .*.[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]' -r --delete -- ./",
        ),
    ];
    for (scope, options, expected) in cases {
        let text = as_text(&command(&daemon(), &scope, options));
        assert_eq!(rest(&text, &[DAEMON, JOB].concat()), format!("{expected} rsync://h/m/n/"), "{scope:?} {options:?}");
    }
}

#[test]
fn what_a_mirror_is_configured_to_have_is_told_each_job() {
    let mut mirror = daemon();
    let rsync = Arc::make_mut(&mut mirror.rsync);
    rsync.user = Some("u".to_owned());
    rsync.password_file = Some("/p w".into());
    rsync.bwlimit = Some(1 << 20);
    rsync.attributes.hard_links = true;
    rsync.attributes.numeric_ids = true;
    rsync.extra_args = vec!["--compress".to_owned()];
    let text = as_text(&command(&mirror, &tree(), JobOptions { clients: 2, ..ordinary() }));
    let expected = "'--password-file=/p w' -lptgoD --8-bit-output --no-h --stats --hard-links --numeric-ids --bwlimit=512 \
                    --modify-window=-1 --outbuf=L '--out-format=%i %l %n' --one-file-system --compress -R -r --delete -- ./ \
                    rsync://u@h/m/n/";
    assert_eq!(rest(&text, DAEMON), expected);
}

#[test]
fn a_directory_takes_the_same_but_for_what_is_about_the_network() {
    let mirror = mirror(Endpoint::Directory("/mnt/usb".into()));
    let bucket = bucket();
    let text = as_text(&command(&mirror, &tree(), JobOptions { bucket: Some(&bucket), ..ordinary() }));
    let expected = "--backup --backup-dir=/mnt/usb/history-backup/n/2026-01-02/030405 -r --delete -- ./ /mnt/usb/n/";
    assert_eq!(rest(&text, &["rsync --timeout=1 ", JOB].concat()), expected);
}

#[test]
fn placements() {
    let directory = |basis, to: &str| Placement::Directory {
        from: "old dir".into(),
        to: to.into(),
        basis,
        without: paths(&["w*"]),
        exclude: vec!["*.tmp".into()],
    };
    let files = |from: &str, to: &str| Placement::Files {
        from: from.into(),
        to: to.into(),
        basis: Basis::Linked,
        names: vec!["f".into()],
    };
    for (placement, expected) in [
        (
            directory(Basis::Linked, "new"),
            "-r '--link-dest=/n/old dir/' '--exclude=*.tmp' '--exclude=/w\\*' -- ./new/ rsync://h/m/n/new/",
        ),
        (
            directory(Basis::Copied, "a/b"),
            "-r '--copy-dest=/n/old dir/' '--exclude=*.tmp' '--exclude=/w\\*' -- ./a/b/ rsync://h/m/n/a/b/",
        ),
        (files("d", "d"), "-y -- ./d/f rsync://h/m/n/d/"),
        (files("d", ""), "-yy --link-dest=/n/d/ -- ./f rsync://h/m/n/"),
        (files("", "d"), "-yy --link-dest=/n/ -- ./d/f rsync://h/m/n/d/"),
    ] {
        let text = as_text(&placement::command(&daemon(), &placement, Path::new("/")));
        let begin = [DAEMON, JOB.trim_end_matches("-R "), "--ignore-existing -ii "].concat();
        assert_eq!(rest(&text, &begin), expected, "{placement:?}");
    }
}

#[test]
fn listings() {
    let mirror = &daemon();
    let path = Path::new("d[1]/f");
    let day = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]";
    let cases = [
        (retrieval::root_listing(mirror), "-d", "-- rsync://h/m/n/".to_owned()),
        (placement::listing(mirror, Path::new("")), "-d", "-- rsync://h/m/n/".to_owned()),
        (placement::listing(mirror, Path::new("a/b")), "-d", "-- rsync://h/m/n/a/b/".to_owned()),
        (trial::root_listing(mirror), "-d", "-- rsync://h/m/".to_owned()),
        (trial::history_listing(mirror), "-r", "-- rsync://h/m/history-backup/n/".to_owned()),
        (retrieval::mirror_listing(mirror, Path::new("")), "-r", "-- rsync://h/m/n/".to_owned()),
        (
            retrieval::mirror_listing(mirror, path),
            "-r",
            r"'--include=/d\[1]/f' '--include=/d\[1]' '--include=/d\[1]/f/**' '--exclude=*' -- rsync://h/m/n/"
                .to_owned(),
        ),
        (
            retrieval::history_listing(mirror, Depth::Buckets),
            "-r",
            format!(
                "--include=/n '--include=/n/*' '--include=/n/{day}/*' '--exclude=*' -- rsync://h/m/history-backup/"
            ),
        ),
        (
            retrieval::history_listing(mirror, Depth::Below(Path::new("f"))),
            "-r",
            format!(
                "--include=/n '--include=/n/*' '--include=/n/{day}/*' '--include=/n/{day}/*/f' '--include=/n/{day}/*/f/**' \
                 --include=/n/{day}/f '--include=/n/{day}/f/**' '--exclude=*' -- rsync://h/m/history-backup/"
            ),
        ),
    ];
    for (command, levels, expected) in cases {
        let text = as_text(&command);
        assert_eq!(rest(&text, &[DAEMON, "--list-only ", levels, " ", LISTING].concat()), expected);
    }
}

#[test]
fn what_is_fetched_and_what_is_removed() {
    let mirror = &daemon();
    let fetch = |check| as_text(&retrieval::fetch(mirror, Path::new("/list"), Path::new("/to"), check));
    let begin = [DAEMON, "-lptgoD --8-bit-output --no-h --stats --from0 "].concat();
    assert_eq!(rest(&fetch(SenderCheck::Also), &begin), "--files-from=/list -- rsync://h/m/ ./");
    assert_eq!(rest(&fetch(SenderCheck::Ours), &begin), "--trust-sender --files-from=/list -- rsync://h/m/ ./");
    let list = |unit| retrieval::list(mirror, unit, [Path::new("a"), Path::new("b\nc")].into_iter());
    assert_eq!(list(None), b"n/./a\0n/./b\nc\0");
    let of_a_bucket = b"history-backup/n/2026-01-02/030405/./a\0history-backup/n/2026-01-02/030405/./b\nc\0";
    assert_eq!(list(Some(Unit::Bucket(bucket()))), of_a_bucket);

    let text = as_text(&removal::command(mirror, Path::new("/rules"), Path::new("/tree")));
    let expected = "-r --delete --existing --8-bit-output --no-h --outbuf=B '--out-format=%i %l %n' '--filter=merge /rules' -- \
                    /tree/ rsync://h/m/history-backup/n/";
    assert_eq!(rest(&text, DAEMON), expected);
}
