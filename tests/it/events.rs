//! The event sources of `watch`: which one is used, why, and what is only said of one of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use sersync::kernel_limits;

use crate::content::age;
use crate::full_sync::{Place, as_nobody};
use crate::mounts::Mount;
use crate::support::daemon::Rsyncd;
use crate::support::events::{Source, for_each_source, run_with};
use crate::support::sersync::{Sersync, config};
use crate::support::tree::wait_until_same;
use crate::support::{SOON, is_root, skip, wait_for};
use crate::watch::{LATER, mirror, quick, watch};

for_each_source! {
    the_one_that_is_asked_for_is_used_and_named,
    the_same_file_system_at_a_second_place_in_the_source_is_watched_there,
    a_source_that_is_watched_can_be_unmounted_and_mounted_anew,
    a_source_under_a_symbolic_link_is_watched_wherever_its_directory_is,
    what_is_watched_in_a_directory_that_is_renamed_is_what_is_mirrored_in_its_new_place,
}

fn the_one_that_is_asked_for_is_used_and_named() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("f"), "f").unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    let log = running.terminate().signal(Signal::TERM).stderr;
    let told = if crate::support::events::is_fanotify() {
        "source `name`: watching by fanotify: as `backend` says"
    } else {
        "source `name`: watching 1 directory by inotify: as `backend` says"
    };
    assert!(log.contains(told), "{log}");
}

#[test]
fn without_privileges_it_is_inotify_and_fanotify_is_refused() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::create_dir(place.source().join("d")).unwrap();
    let running = as_nobody(&place, &daemon, "watch").arg("-v").spawn();
    running.wait_for_log(
        "2 directories by inotify: fanotify cannot be used: it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH",
        SOON,
    );
    running.wait_for_log("caught up", SOON);
    running.terminate().signal(Signal::TERM);
    let target = place.dir.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, PermissionsExt::from_mode(0o777)).unwrap();
    let config = config(
        &place.dir,
        &format!(
            "[watch]\nbackend = 'fanotify'\n[targets.t]\npath = '{}'\n[sources.name]\npath = '{}'\ntargets = ['t']\n",
            target.display(),
            place.source().display()
        ),
    );
    let program = place.dir.path().join("sersync");
    let refused = if is_root() {
        Sersync::of("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program)
    } else {
        Sersync::of(program.to_str().unwrap(), &[""; 0])
    };
    let refused = refused.args(&["watch", "-c"]).arg(config).state_dir(&place.dir.path().join("state-of-nobody"));
    let output = refused.run().code(1);
    assert!(
        output.stderr.contains("fanotify cannot be used: it needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH")
            && output.stderr.contains("set `backend` in [watch] to \"auto\" or \"inotify\"")
            && output.stderr.lines().count() == 1,
        "{output}"
    );
}

#[test]
fn where_the_file_system_cannot_do_it_it_is_inotify() {
    if !is_root() {
        return skip("only root can mount a file system");
    }
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let at = |name: &str| place.dir.path().join(name);
    for name in ["layers", "layers/lower", "layers/upper", "layers/work"] {
        // Layers on a layer are refused where the tests themselves run on one.
        fs::create_dir(at(name)).unwrap();
        if name == "layers" {
            std::mem::forget(Mount::tmpfs(&at(name)));
        }
    }
    fs::write(at("layers/lower/f"), "below").unwrap();
    let layers = at("layers");
    let _layers = scopeguard(move || {
        let _ = Command::new("umount").arg("-l").arg(&layers).status();
    });
    let options = format!("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", at("layers").display());
    let mounted = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(place.source()).output();
    let mounted = mounted.unwrap();
    if !mounted.status.success() {
        return skip(&format!("no overlay can be mounted: {}", String::from_utf8_lossy(&mounted.stderr)));
    }
    let source = place.source();
    let _source = scopeguard(move || {
        let _ = Command::new("umount").arg("-l").arg(&source).status();
    });
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("by inotify: fanotify cannot be used: the file system of", SOON);
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("f"), "above").unwrap();
    fs::create_dir_all(place.source().join("new/deep")).unwrap();
    fs::write(place.source().join("new/deep/f"), "1").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
    let text = fs::read_to_string(quick(&place, &[&daemon], "")).unwrap();
    let config = config(&place.dir, &text.replace("[watch]\n", "[watch]\nbackend = 'fanotify'\n"));
    let output = watch(&place, &config).run().code(1);
    assert!(output.stderr.contains("fanotify cannot be used: the file system of"), "{output}");
}

/// With fewer watches than directories everything is mirrored all the same, and when there are enough, all at once.
#[test]
fn with_too_few_watches_it_says_how_many_it_needs_and_finds_what_changed() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    for number in 0..60 {
        let dir = place.source().join(format!("{}/{number}", number % 6));
        fs::create_dir_all(dir.join("deep")).unwrap();
        fs::write(dir.join("deep/f"), "1").unwrap();
    }
    let limit = Path::new("/proc/sys/user/max_inotify_watches");
    let script = format!("echo 40 >{} && exec \"$@\"", limit.display());
    let namespace = ["--user", "--map-root-user", "sh", "-c", &script, "sh"];
    if !Command::new("unshare").args(namespace).arg("true").output().is_ok_and(|output| output.status.success()) {
        return skip("no user namespace with a limit of its own can be made");
    }
    let (config, state) = (quick(&place, &[&daemon], ""), place.dir.path().join("state"));
    let running = Sersync::of("unshare", &namespace)
        .args(&[env!("CARGO_BIN_EXE_sersync"), "watch", "-v", "-c"])
        .arg(&config)
        .state_dir(&state)
        .spawn();
    running.wait_for_log("caught up", LATER);
    // The root and what is in it: 1 + 6 + 60 + 60.
    running.wait_for_log("it has 127 directories, and the kernel gives watches for only 40 of them", SOON);
    // What `check-kernel` says of as many directories; only where the whole host may have more already, it is more.
    let now = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap().trim().parse().unwrap();
    let raised = kernel_limits::watches(127).above(now);
    running.wait_for_log(&format!("sysctl -w fs.inotify.max_user_watches={raised} "), SOON);
    let status = || Sersync::new(&["status", "-c"]).arg(&config).state_dir(&state).run().stdout;
    wait_for("status to tell", SOON, || {
        let status = status();
        status.contains("degraded") && status.contains("only 40 of 127 directories have an inotify watch")
    });
    for round in ["22", "333"] {
        for number in 0..60 {
            let dir = place.source().join(format!("{}/{number}", number % 6));
            if !dir.exists() {
                continue;
            }
            fs::write(dir.join("deep/f"), format!("{round} {number}")).unwrap();
            fs::write(dir.join(format!("new{round}")), round).unwrap();
            // Of the same size and time each round.
            fs::write(dir.join("aged"), &round[..2]).unwrap();
            age(&dir.join("aged"));
        }
        let moved = place.source().join(format!("5/{round}"));
        fs::rename(place.source().join(format!("5/{}", 5 + 6 * round.len())), &moved).unwrap();
        fs::create_dir_all(moved.join("made/deep")).unwrap();
        fs::write(moved.join("made/deep/f"), round).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), LATER);
    }
    // With fewer directories there are watches for all of them.
    for number in 1..6 {
        fs::remove_dir_all(place.source().join(number.to_string())).unwrap();
    }
    running.wait_for_log("every directory is watched now", LATER);
    // Also when nothing changes any more.
    wait_for("status to tell that as well", SOON, || !status().contains("degraded"));
    fs::write(place.source().join("0/0/deep/f"), "live").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    running.terminate().signal(Signal::TERM);
}

#[test]
fn what_is_written_to_a_file_that_was_opened_without_a_name_is_followed_by_fanotify() {
    run_with(Source::Fanotify, writes_through_an_old_descriptor_are_followed);
}

fn writes_through_an_old_descriptor_are_followed() {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags};
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let source = place.source();
    fs::create_dir(source.join("d")).unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    let fd = rustix::fs::openat(CWD, source.join("d"), OFlags::TMPFILE | OFlags::WRONLY, Mode::from_bits_retain(0o644));
    let mut file = fs::File::from(fd.unwrap());
    file.write_all(b"before").unwrap();
    let by_fd = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::fs::linkat(CWD, by_fd.as_str(), CWD, source.join("d/named"), AtFlags::SYMLINK_FOLLOW).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    for piece in ["once", "twice"] {
        file.write_all(piece.as_bytes()).unwrap();
        wait_until_same(&source, &mirror(&daemon), LATER);
    }
    file.set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
    wait_until_same(&source, &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}

/// The directories whose content the crawler of inotify has put watches on.
fn crawled(log: &str) -> Vec<String> {
    let of = |line: &str| line.split_once("watching what is in ").map(|(_, dir)| dir.to_owned());
    log.lines().filter_map(of).collect()
}

#[test]
fn a_directory_that_is_renamed_keeps_its_inotify_watches() {
    run_with(Source::Inotify, renamed_directories_keep_their_watches);
}

fn renamed_directories_keep_their_watches() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let source = place.source();
    for number in 0..60 {
        fs::create_dir_all(source.join(format!("tree/{}/{number}", number % 6))).unwrap();
    }
    for dir in ["elsewhere", "a/only in a", "b/only in b"] {
        fs::create_dir_all(source.join(dir)).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "")).arg("-v").spawn();
    running.wait_for_log("caught up", LATER);
    let changes = |path: &str, text: &str| {
        fs::write(source.join(path), text).unwrap();
        wait_until_same(&source, &mirror(&daemon), LATER);
    };
    changes("tree/5/59/f", "before");
    for (from, to) in [("tree", "elsewhere/tree"), ("elsewhere/tree/3", "3"), ("elsewhere", "tree")] {
        fs::rename(source.join(from), source.join(to)).unwrap();
    }
    changes("tree/tree/5/59/f", "after");
    changes("3/3/new", "after");
    fs::create_dir(source.join("tree/tree/made")).unwrap();
    changes("tree/tree/made/f", "made");
    // Both keep their watches, but which is which is only known to who looks.
    let exchange = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, source.join("a"), rustix::fs::CWD, source.join("b"), exchange).unwrap();
    changes("a/only in b/f", "1");
    changes("b/only in a/f", "1");
    let log = running.terminate().signal(Signal::TERM).stderr;
    let crawled = crawled(&log);
    let of_the_tree: Vec<&String> = crawled.iter().filter(|dir| dir.contains("tree") || *dir == "3").collect();
    assert_eq!(of_the_tree, ["tree/tree/made"], "{log}");
}

fn what_is_watched_in_a_directory_that_is_renamed_is_what_is_mirrored_in_its_new_place() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let source = place.source();
    for dir in ["left/kept/deep", "other/cache/deep"] {
        fs::create_dir_all(source.join(dir)).unwrap();
    }
    let running = watch(&place, &quick(&place, &[&daemon], "exclude = ['/other/cache/', '/new/kept/']\n")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(source.join("left/f"), "1").unwrap();
    wait_for("the file", LATER, || mirror(&daemon).join("left/f").exists());
    fs::rename(source.join("other"), source.join("third")).unwrap();
    fs::rename(source.join("left"), source.join("new")).unwrap();
    wait_for("both directories", LATER, || {
        mirror(&daemon).join("third").exists() && mirror(&daemon).join("new/f").exists()
    });
    fs::write(source.join("third/cache/deep/f"), "mirrored now").unwrap();
    fs::write(source.join("new/kept/deep/f"), "left out now").unwrap();
    wait_for("the file", LATER, || mirror(&daemon).join("third/cache/deep/f").exists());
    running.terminate().signal(Signal::TERM);
    assert!(!mirror(&daemon).join("new/kept/deep/f").exists());
}

/// Runs something at the end, whatever the end is.
fn scopeguard(end: impl FnMut()) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}

fn bind(from: &Path, to: &Path) -> impl Drop + use<> {
    assert!(Command::new("mount").arg("--bind").args([from, to]).status().unwrap().success());
    let to = to.to_owned();
    scopeguard(move || {
        let _ = Command::new("umount").arg("-l").arg(&to).status();
    })
}

fn the_same_file_system_at_a_second_place_in_the_source_is_watched_there() {
    if !is_root() {
        return skip("only root can mount a file system");
    }
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::create_dir_all(outside.join("d")).unwrap();
    for dir in ["early", "late"] {
        fs::create_dir(place.source().join(dir)).unwrap();
    }
    let _early = bind(&outside, &place.source().join("early"));
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(place.source().join("early/d/f"), "1").unwrap();
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    let _late = bind(&outside, &place.source().join("late"));
    running.wait_for_log("was mounted at", SOON);
    wait_until_same(&place.source(), &mirror(&daemon), SOON);
    fs::create_dir(outside.join("new")).unwrap();
    fs::write(outside.join("new/g"), "2").unwrap();
    // With inotify one directory has one watch, which is that of the place where it was seen last.
    wait_for("the change at one of the places", SOON, || {
        ["early", "late"].iter().any(|place| mirror(&daemon).join(place).join("new/g").exists())
    });
    if crate::support::events::is_fanotify() {
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
    }
    running.terminate().signal(Signal::TERM);
}

fn a_source_that_is_watched_can_be_unmounted_and_mounted_anew() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    fs::write(place.source().join("below"), "not of the mount").unwrap();
    let Some(mount) = Mount::tmpfs(&place.source()) else { return };
    std::mem::forget(mount);
    fs::write(place.source().join("f"), "1").unwrap();
    let text =
        fs::read_to_string(quick(&place, &[&daemon], "")).unwrap().replace("[watch]\n", "[watch]\nstart = 'none'\n");
    let config = place.dir.path().join("sersync.toml");
    fs::write(&config, text).unwrap();
    let running = watch(&place, &config).spawn();
    running.wait_for_log("source `name`: watching", LATER);
    for round in 0..3 {
        // In the ordinary way, as long as nothing was sent: watching alone holds nothing open but for moments.
        let option = if round == 0 { "-v" } else { "-l" };
        let unmount = || Command::new("umount").arg(option).arg(place.source()).output().unwrap().status.success();
        wait_for("it to be unmounted", SOON, unmount);
        // Another one at once, which may well have the same numbers.
        std::mem::forget(Mount::tmpfs(&place.source()));
        fs::write(place.source().join(format!("round {round}")), "1").unwrap();
        wait_for("that to be noticed", SOON, || {
            running.stderr_so_far().matches("the directory is back").count() > round
        });
        wait_until_same(&place.source(), &mirror(&daemon), LATER);
        fs::write(place.source().join("live"), format!("{round}")).unwrap();
        wait_until_same(&place.source(), &mirror(&daemon), SOON);
    }
    running.terminate().signal(Signal::TERM);
    let _ = Command::new("umount").arg("-l").arg(place.source()).status();
}

fn a_source_under_a_symbolic_link_is_watched_wherever_its_directory_is() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let real = place.dir.path().join("above/real");
    fs::create_dir(place.dir.path().join("above")).unwrap();
    fs::rename(place.source(), &real).unwrap();
    std::os::unix::fs::symlink(&real, place.source()).unwrap();
    fs::create_dir(real.join("d")).unwrap();
    let running = watch(&place, &quick(&place, &[&daemon], "")).spawn();
    running.wait_for_log("caught up", LATER);
    fs::write(real.join("d/f"), "1").unwrap();
    wait_until_same(&real, &mirror(&daemon), SOON);
    // The directory is the same one, under another path, to which the link now leads.
    let moved = place.dir.path().join("above 2");
    fs::remove_file(place.source()).unwrap();
    fs::rename(place.dir.path().join("above"), &moved).unwrap();
    std::os::unix::fs::symlink(moved.join("real"), place.source()).unwrap();
    fs::write(moved.join("real/d/g"), "2").unwrap();
    fs::rename(moved.join("real/d"), moved.join("real/e")).unwrap();
    wait_until_same(&moved.join("real"), &mirror(&daemon), LATER);
    running.terminate().signal(Signal::TERM);
}
