//! A `watch` whose endpoints fail: each is waited for by itself, and gets what it missed.

use std::fs;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::security::rsync_that;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::proxy::Proxy;
use crate::support::sersync::Sersync;
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    a_dead_endpoint_costs_the_other_nothing_and_gets_what_it_missed,
    a_daemon_that_takes_the_connection_and_says_nothing_is_not_waited_for_for_ever,
    it_waits_for_a_daemon_that_is_not_there_yet,
    a_pass_beside_it_finds_out_for_itself_that_the_daemon_is_dead,
    only_the_mirror_whose_session_was_cut_off_waits_for_it,
}

fn a_dead_endpoint_costs_the_other_nothing_and_gets_what_it_missed() {
    let (alive, mut dying) = (Rsyncd::builder().start(), Rsyncd::builder().start());
    let place = Place::new();
    fixture::small_tree(&place.source());
    let running = watch(&place, &quick(&place, &[&alive, &dying], "")).spawn();
    wait_until_same(&place.source(), &mirror(&alive), LATER);
    wait_until_same(&place.source(), &mirror(&dying), LATER);
    // A comparison that is cut off tries again by itself; what is asked for here is what follows.
    wait_for("both have caught up", LATER, || running.stderr_so_far().matches("caught up").count() == 2);
    dying.kill();
    fs::write(place.source().join("a/new"), "new").unwrap();
    fs::rename(place.source().join("a/b"), place.source().join("moved")).unwrap();
    wait_until_same(&place.source(), &mirror(&alive), SOON);
    running.wait_for_log("cannot be reached", SOON);
    fs::remove_dir_all(place.source().join("links")).unwrap();
    wait_until_same(&place.source(), &mirror(&alive), SOON);
    dying.start();
    wait_until_same(&place.source(), &mirror(&dying), LATER);
    running.wait_for_log("works again", SOON);
    running.terminate().signal(Signal::TERM);
}

fn a_daemon_that_takes_the_connection_and_says_nothing_is_not_waited_for_for_ever() {
    let daemon = Rsyncd::builder().start();
    let proxy = Proxy::start(daemon.port());
    let place = Place::new();
    fixture::small_tree(&place.source());
    let config = quick(&place, &[&daemon], "");
    let text = fs::read_to_string(&config).unwrap().replace("timeout = '20s'", "timeout = '2s'");
    fs::write(&config, text.replace(&daemon.port().to_string(), &proxy.port().to_string())).unwrap();
    proxy.swallow(true);
    let running = watch(&place, &config).spawn();
    running.wait_for_log("the connection stalled for longer than `timeout`", LATER);
    proxy.swallow(false);
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn it_waits_for_a_daemon_that_is_not_there_yet() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fixture::small_tree(&place.source());
    daemon.stop();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("cannot be reached", LATER);
    daemon.start();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

fn a_pass_beside_it_finds_out_for_itself_that_the_daemon_is_dead() {
    let mut daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    daemon.stop();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("trying again", SOON);
    place.command("full-sync", &daemon).run().code(10).stderr_has("cannot be reached");
    daemon.start();
    running.wait_for_log("caught up", LATER);
    running.terminate().signal(Signal::TERM);
    assert_same(&place.source(), &mirror(&daemon));
}

fn only_the_mirror_whose_session_was_cut_off_waits_for_it() {
    let daemon = Rsyncd::builder().start();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let config = quick(&place, &[&daemon], "");
    let silent_host = silent.local_addr().unwrap().to_string();
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("hosts = [", &format!("hosts = ['{silent_host}', "));
    let text = text.replace("timeout = '20s'", "timeout = '2s'\nconnect-timeout = '1s'");
    fs::write(&config, text).unwrap();
    let state = place.dir.path().join("state");
    Sersync::new(&["full-sync", "-c"]).arg(&config).state_dir(&state).run().code(3);
    let output = watch(&place, &config).args(&["--for", "1s", "--drain-timeout", "2s"]).run();
    let healthy = format!("name@127.0.0.1:{}/mod", daemon.port());
    assert!(output.stderr.contains(&format!("{healthy}: caught up")), "{output}");
    assert!(!output.stderr.contains(&format!("{healthy}: the run before")), "{output}");
}

/// Whatever is said of a limit of deletions, there is none for what a watch sends: it is a failure like any other.
#[test]
fn a_limit_of_deletions_that_nobody_set_is_waited_for_as_any_failure_is() {
    let (daemon, place) = (Rsyncd::builder().start(), Place::new());
    fs::write(place.source().join("f"), "1").unwrap();
    let script = "case \"$*\" in *--version*) ;; *) if [ -e DIR/limits ]; then echo >>DIR/runs; exit 25; fi;; esac";
    let running = watch(&place, &quick(&place, &[&daemon], "")).env("PATH", rsync_that(&place, script)).spawn();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.wait_for_log("caught up", LATER);
    fs::write(place.dir.path().join("limits"), "").unwrap();
    fs::write(place.source().join("f"), "changed").unwrap();
    running.wait_for_log("but was given none", SOON);
    running.wait_for_log("trying again in", SOON);
    let runs = fs::read_to_string(place.dir.path().join("runs")).unwrap().lines().count();
    assert!(runs < 10, "{runs}");
    fs::remove_file(place.dir.path().join("limits")).unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}
