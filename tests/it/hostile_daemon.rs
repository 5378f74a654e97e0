//! Whatever answers in the place of a daemon, each command that asks it comes to an end by itself, fails, says why in plain
//! words, and changes nothing here.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::security::assert_plain;
use crate::support::daemon::Rsyncd;
use crate::support::process::children_of;
use crate::support::sersync::{Output, Sersync, config};
use crate::support::{SOON, holds_within};
use crate::watch::quick;

/// Something that greets like a daemon, hears which module is wanted, and then answers in its own way; each connection by
/// itself. It ends with the test process.
pub(crate) fn hostile_daemon(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = stream.write_all(b"@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4\n");
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                let _ = reader.read_line(&mut line).and_then(|_| reader.read_line(&mut line));
                answer(&mut stream);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = reader.read_to_end(&mut Vec::new());
            });
        }
    });
    port
}

pub(crate) fn configured(place: &Place, port: u16) -> PathBuf {
    let text = format!(
        "[rsync]\ntimeout = '2s'\nconnect-timeout = '2s'\n[watch]\ndelay = '20ms'\n[full-sync]\ntimeout = '3s'\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{port}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
        place.source().display()
    );
    config(&place.dir, &text)
}

/// All that ask a daemon.
const ASKING: [&[&str]; 8] = [
    &["full-sync"],
    &["full-sync", "--dry-run"],
    &["watch", "--until-idle", "100ms", "--for", "2s", "--drain-timeout", "1s"],
    &["verify"],
    &["history", "list", "name"],
    &["history", "find", "name", "f"],
    &["restore", "name", "f", "--at", "now"],
    &["prune-history"],
];

fn start(args: &[&str], config: &Path, place: &Place) -> Sersync {
    Sersync::new(args).arg("-c").arg(config).state_dir(&place.dir.path().join("state"))
}

fn assert_failed(what: &str, args: &[&str], output: &Output, place: &Place) {
    let ended_badly = output.code.is_some_and(|code| code != 0) || args[0] == "watch";
    assert!(ended_badly && !output.stderr.contains("panicked"), "{what}: {args:?}: {output}");
    assert!(!output.stderr.trim().is_empty(), "{what}: {args:?} says nothing: {output}");
    assert_plain(output);
    assert_eq!(fs::read_to_string(place.source().join("f")).unwrap(), "here", "{what}: {args:?}");
}

#[test]
fn whatever_a_daemon_answers_each_command_ends_and_says_why() {
    type Answer = fn(&mut TcpStream);
    let answers: [(&str, Answer); 6] = [
        ("closes", |_| {}),
        ("EXIT", |stream| drop(stream.write_all(b"@RSYNCD: EXIT\n"))),
        ("an error", |stream| drop(stream.write_all(b"@ERROR: \x1b]0;title\x07 \xff\xfe \x1b[2J\n"))),
        ("noise", |stream| {
            let mut random = fastrand::Rng::with_seed(1);
            let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 16).collect();
            drop(stream.write_all(b"@RSYNCD: OK\n").and_then(|()| stream.write_all(&noise)));
        }),
        ("zeros without an end", |stream| {
            let _ = stream.write_all(b"@RSYNCD: OK\n");
            while stream.write_all(&[0; 4096]).is_ok() {}
        }),
        ("silence", |stream| {
            let _ = stream.write_all(b"@RSYNCD: OK\n");
            // Until the other side has had enough.
            let _ = stream.read_to_end(&mut Vec::new());
        }),
    ];
    thread::scope(|scope| {
        for (what, answer) in answers {
            scope.spawn(move || {
                let (place, port) = (Place::new(), hostile_daemon(answer));
                fs::write(place.source().join("f"), "here").unwrap();
                let config = configured(&place, port);
                for args in ASKING {
                    assert_failed(what, args, &start(args, &config, &place).run(), &place);
                }
            });
        }
    });
}

/// Lines of welcome that never end cannot be told from a slow daemon: what has a limit of its own keeps to it, and the rest
/// ends as soon as somebody wants it to.
#[test]
fn a_welcome_without_an_end_holds_up_nobody_who_wants_to_end() {
    let port = hostile_daemon(|stream| while stream.write_all(b"welcome \x1b[2J\n").is_ok() {});
    let place = Place::new();
    fs::write(place.source().join("f"), "here").unwrap();
    let config = configured(&place, port);
    for args in [ASKING[0], ASKING[2]] {
        assert_failed("welcome", args, &start(args, &config, &place).run(), &place);
    }
    // These end when they are told to, not by their own limit. One that comes after a run that was cut off waits for a while
    // before it asks.
    let text = fs::read_to_string(&config).unwrap().replace("timeout = '3s'", "timeout = '1h'");
    fs::write(&config, text).unwrap();
    for args in &ASKING[3..] {
        let running = start(args, &config, &place).spawn();
        let id = running.id();
        let seen = holds_within(SOON, || !children_of(id).is_empty());
        assert!(seen, "{args:?} has no rsync: {}", running.stderr_so_far());
        running.signal(Signal::TERM);
        let output = running.wait(SOON).signal(Signal::TERM);
        assert_plain(&output);
    }
}

/// A real daemon behind a line on which nothing comes back any more after so many bytes of each session.
fn behind_a_line_that_goes_dead(daemon: u16, bytes: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", daemon)) else { return };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                // Whatever the client says arrives, its signs of life among it.
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let _ = std::io::copy(&mut (&mut server).take(bytes as u64), &mut client);
                let _ = std::io::copy(&mut server, &mut std::io::sink());
            });
        }
    });
    port
}

/// rsync's own `--timeout` does not end a session in which the other side has gone silent.
#[test]
fn a_daemon_that_goes_silent_in_the_middle_of_a_session_is_given_up() {
    let (place, daemon) = (Place::new(), Rsyncd::builder().start());
    for number in 0..200 {
        fs::write(place.source().join(number.to_string()), "content").unwrap();
    }
    let config = quick(&place, &[&daemon], "[full-sync]\ntimeout = '1h'\n");
    let first = start(&["full-sync"], &config, &place).run().code(0);
    for number in 0..100 {
        fs::write(place.source().join(number.to_string()), "another content").unwrap();
    }
    assert_eq!(first.stderr, "");
    start(&["full-sync"], &config, &place).run().code(0);
    fs::write(place.source().join("new"), "new").unwrap();
    let port = behind_a_line_that_goes_dead(daemon.port(), 150);
    let text = fs::read_to_string(&config).unwrap().replace("timeout = '20s'", "timeout = '2s'");
    fs::write(&config, text.replace(&daemon.port().to_string(), &port.to_string())).unwrap();
    for args in [
        &["full-sync"][..],
        &["history", "list", "name"],
        &["restore", "name", "0", "--at", "now"],
        &["watch", "--batches", "1", "--for", "8s", "--drain-timeout", "1s"],
    ] {
        let output = start(args, &config, &place).run();
        assert!(output.code.is_some_and(|code| code != 0), "{args:?}: {output}");
        assert_plain(&output);
    }
}
