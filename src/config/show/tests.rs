//! Tests that what is shown loads again as the same settings.

use super::super::settings::{Attributes, Backend, History, Host, Metrics, Start};
use super::*;
use crate::config::{EXAMPLE, parse};
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

fn secs() -> impl Strategy<Value = Duration> {
    (1u64..10_000_000).prop_map(Duration::from_secs)
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    r#"(/[a-zé "'\\#=\n]{1,8}[a-z]){1,3}"#.prop_map(PathBuf::from)
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    any::<[bool; 4]>().prop_map(|[hard_links, acls, xattrs, numeric_ids]| Attributes {
        hard_links,
        acls,
        xattrs,
        numeric_ids,
    })
}

fn any_rsync() -> impl Strategy<Value = Rsync> {
    let args = prop::sample::subsequence(vec!["-z", "--zl=3", "--chmod=F644"], 0..=3);
    let jobs = prop_oneof![Just(Jobs::Auto), (1usize..99).prop_map(Jobs::Fixed)];
    // A target can replace a user or a password file but not remove it, so that both are set here.
    let ways = (secs(), secs(), prop::option::of(1u64..), jobs, any_attributes(), args);
    ("[a-z# ]{1,9}", any_path(), ways).prop_map(
        |(user, file, (timeout, connect_timeout, bwlimit, jobs, attributes, args))| Rsync {
            user: Some(user),
            password_file: Some(file),
            timeout,
            connect_timeout,
            bwlimit,
            jobs,
            attributes,
            extra_args: args.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn any_place() -> impl Strategy<Value = Place> {
    let host = ("[a-z0-9][a-z0-9.-]{0,9}|::1|fe80::1%eth0", 1u16..).prop_map(|(name, port)| Host { name, port });
    let hosts = prop::collection::btree_set(host, 1..4).prop_map(|hosts| hosts.into_iter().collect());
    prop_oneof![
        ("[a-z0-9][a-z.]{0,5}", hosts).prop_map(|(module, hosts)| Place::Daemon { module, hosts }),
        any_path().prop_map(|path| Place::Directory(Path::new("/targets").join(path.strip_prefix("/").unwrap()))),
    ]
}

fn any_server(place: &Place) -> impl Strategy<Value = Server> + use<> {
    let daemon = matches!(place, Place::Daemon { .. });
    let allowed = prop::collection::vec("[0-9a-f:]{1,9}|[1-9]{1,2}(\\.[1-9]{1,2}){3}(/[0-9])?", 0..3);
    let name = || prop::option::of("[a-z0-9][a-z0-9_.-]{0,5}");
    // Fewer characters can stand in rsyncd.conf than in a path.
    let path = prop::option::of("(/[a-zé \"#=]{1,8}[a-z]){1,3}".prop_map(PathBuf::from));
    (path, allowed, prop::option::of(1u32..), name(), name()).prop_map(
        move |(path, hosts_allow, max_connections, uid, gid)| {
            let server = Server { path, hosts_allow, max_connections, uid, gid };
            if daemon { server } else { Server::default() }
        },
    )
}

fn any_max_delete() -> impl Strategy<Value = MaxDelete> {
    prop_oneof![any::<u64>().prop_map(MaxDelete::Count), (0.0..=100.0).prop_map(MaxDelete::Percent)]
}

prop_compose! {
    fn any_source()(
        path in any_path(),
        exclude in prop::collection::vec(r#"[a-z*/"']{1,8}"#, 0..3),
        watch_exclude in prop::collection::vec("[*][.][a-z]{3}", 0..3),
        marker in prop::option::of("[.a][a-z]{1,3}"),
        one_file_system in any::<bool>(),
    ) -> Source {
        Source {
            name: "one".to_owned(),
            path: Path::new("/sources").join(path.strip_prefix("/").unwrap()),
            targets: vec!["t.1".to_owned()],
            exclude,
            watch_exclude,
            marker: marker.map(PathBuf::from),
            one_file_system,
        }
    }
}

prop_compose! {
    fn any_notify()(
        (failure_every, heartbeat_every, timeout) in (secs(), secs(), secs()),
        on_failure in prop::collection::vec("/[ -~]{1,9}", 0..3),
        heartbeat in prop::collection::vec("/[ -~]{1,9}", 0..3),
    ) -> Notify {
        Notify { on_recovery: on_failure.clone(), on_failure, heartbeat, failure_every, heartbeat_every, timeout }
    }
}

prop_compose! {
    fn any_settings()(
        (rsync, override_, source) in (any_rsync(), any_rsync(), any_source()),
        (place, server) in any_place().prop_flat_map(|place| (any_server(&place), Just(place)).prop_map(|(s, p)| (p, s))),
        (delay, more) in (0u64..100_000, 0u64..100_000),
        (backend, start) in (0usize..3, 0usize..3),
        (max_pending, rename_min_size) in (16usize..1_000_000, any::<u64>()),
        max_delete in any_max_delete(),
        (timeout, every, hook_timeout) in (secs(), secs(), secs()),
        before in prop::collection::vec("/[ -~]{1,9}", 0..3),
        (keep_days, resolution, max_size) in (0u32..=36500, 0u64..1_000_000, prop::option::of(1u64..)),
        notify in any_notify(),
        (textfile_dir, legacy_names) in (prop::option::of(any_path()), any::<bool>()),
    ) -> Settings {
        let delay = Duration::from_millis(delay);
        let target = Target { name: "t.1".to_owned(), place, rsync: override_, server };
        Settings {
            rsync,
            watch: Watch {
                delay,
                max_delay: delay + Duration::from_millis(more),
                backend: [Backend::Auto, Backend::Fanotify, Backend::Inotify][backend],
                start: [Start::Full, Start::Changed, Start::None][start],
                max_pending,
                rename_min_size,
            },
            full_sync: FullSync { timeout, every, max_delete, after: before.clone(), before, hook_timeout },
            history: History { keep_days, resolution: Duration::from_millis(resolution), max_size },
            metrics: Metrics { textfile_dir, legacy_names },
            notify,
            targets: [(target.name.clone(), target)].into(),
            sources: [(source.name.clone(), source)].into(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_shown_loads_again_as_the_same_settings(settings in any_settings()) {
        let shown = as_toml(&settings).unwrap();
        let again = parse(&shown, "shown");
        prop_assert_eq!(again.as_ref(), Ok(&settings), "{}", shown);
    }
}

#[test]
fn the_example_shows_and_loads_again() {
    let settings = parse(EXAMPLE, "example.toml").unwrap();
    assert_eq!(parse(&as_toml(&settings).unwrap(), "shown").unwrap(), settings);
}

#[test]
fn json_has_the_keys_of_the_file_and_null_for_what_is_not_set() {
    let settings = parse(EXAMPLE, "example.toml").unwrap();
    let json: serde_json::Value = serde_json::from_str(&as_json(&settings).unwrap()).unwrap();
    assert_eq!(json["full-sync"]["max-delete"], "50%");
    assert_eq!(json["sources"]["file-backup"]["watch"]["exclude"][0], "*.swp");
    assert!(json["targets"]["backup1"]["path"].is_null());
}
