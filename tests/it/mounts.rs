//! Sources with other file systems mounted inside: what is mounted, or is not, never deletes anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::full_sync::Place;
use crate::support::daemon::Rsyncd;
use crate::support::events::for_each_source;
use crate::support::sersync::{Running, Sersync, config};
use crate::support::tree::{assert_same, wait_until_same};
use crate::support::{SOON, fixture, is_root, skip, wait_for};
use crate::watch::LATER;

for_each_source! {
    by_default_other_file_systems_are_not_entered_and_what_the_mirror_has_there_stays,
    with_one_file_system_off_everything_is_mirrored,
    what_is_unmounted_or_mounted_while_it_watches_is_noticed,
    all_file_systems_are_followed_when_that_is_wanted,
    what_is_pending_when_it_is_unmounted_deletes_nothing,
    what_was_mounted_while_it_watched_is_known_to_whoever_comes_next,
    what_is_mounted_goes_with_the_directory_above_it,
    another_file_system_in_the_same_place_is_followed,
    what_is_being_sent_cannot_be_unmounted_in_the_ordinary_way,
    a_directory_that_is_mounted_in_another_place_is_followed_and_kept,
    what_takes_the_place_of_a_mount_point_is_not_mirrored,
    what_is_left_out_in_real_time_is_no_mount_that_is_missed,
    what_was_replaced_unseen_before_it_was_unmounted_is_found_when_it_is_mounted_again,
}

/// A file system in memory, mounted while this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Nothing when this user cannot mount; the test is reported as skipped then, and has to return.
    pub(crate) fn tmpfs(on: &Path) -> Option<Mount> {
        Self::tmpfs_with(on, "rw")
    }

    /// The same with options, such as `size=64k`.
    pub(crate) fn tmpfs_with(on: &Path, options: &str) -> Option<Mount> {
        if !is_root() {
            skip("only root can mount a file system");
            return None;
        }
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "sersync-test"]).arg(on).status().expect("mount");
        assert!(status.success(), "mount: {status}");
        Some(Mount(on.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status().expect("umount");
        assert!(status.success() || std::thread::panicking(), "umount: {status}");
    }
}

fn configured(place: &Place, daemon: &Rsyncd, more: &str) -> PathBuf {
    let text = format!(
        "[rsync]\nuser = 'tester'\npassword-file = '{}'\n[watch]\ndelay = '50ms'\n[full-sync]\nmax-delete = '100%'\n\
         [targets.t]\nmodule = 'mod'\nhosts = ['127.0.0.1:{}']\n[sources.name]\npath = '{}'\ntargets = ['t']\n{more}",
        daemon.password_file().display(),
        daemon.port(),
        place.source().display(),
    );
    config(&place.dir, &text)
}

fn run(place: &Place, command: &str, config: &Path) -> Sersync {
    Sersync::new(&[command, "-v", "-c"]).arg(config).state_dir(&place.dir.path().join("state"))
}

fn by_default_other_file_systems_are_not_entered_and_what_the_mirror_has_there_stays() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    fs::write(mount_point.join("below"), "from before").unwrap();
    let config = configured(&place, &daemon, "");
    run(&place, "full-sync", &config).run().code(0);
    assert_same(&place.source(), &daemon.module_path().join("name"));
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    fs::write(mount_point.join("elsewhere"), "of another file system").unwrap();
    fs::write(place.source().join("a/new"), "new").unwrap();
    let mirror = daemon.module_path().join("name");
    let check = |when: &str| {
        assert!(!mirror.join("a/mnt/elsewhere").exists(), "{when}");
        assert!(mirror.join("a/mnt/below").exists(), "{when}");
    };
    run(&place, "full-sync", &config).run().code(0);
    check("after a pass");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    fs::write(mount_point.join("more elsewhere"), "x").unwrap();
    // The directory of the mount is touched from outside, and its neighbours change.
    fs::rename(place.source().join("a"), place.source().join("b")).unwrap();
    fs::rename(place.source().join("b"), place.source().join("a")).unwrap();
    fs::write(place.source().join("a/last"), "last").unwrap();
    wait_until_same(&place.source().join("a/last"), &mirror.join("a/last"), SOON);
    running.terminate().signal(Signal::TERM);
    assert!(!mirror.join("a/mnt/elsewhere").exists() && !mirror.join("a/mnt/more elsewhere").exists());
    drop(mount);
    run(&place, "full-sync", &config).run().code(0);
    assert_same(&place.source(), &mirror);
}

fn with_one_file_system_off_everything_is_mirrored() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    let Some(_mount) = Mount::tmpfs(&mount_point) else { return };
    fs::create_dir(mount_point.join("d")).unwrap();
    fs::write(mount_point.join("d/elsewhere"), "of another file system").unwrap();
    let config = configured(&place, &daemon, "one-file-system = false\n");
    run(&place, "full-sync", &config).run().code(0);
    let mirror = daemon.module_path().join("name");
    assert_same(&place.source(), &mirror);
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    fs::write(mount_point.join("d/live"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    running.terminate().signal(Signal::TERM);
}

fn what_is_unmounted_or_mounted_while_it_watches_is_noticed() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a b/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    fs::write(mount_point.join("below"), "from before").unwrap();
    let mirror = daemon.module_path().join("name");
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    let config = configured(&place, &daemon, "");
    let running = run(&place, "watch", &config).spawn();
    running.wait_for_log("caught up", SOON);
    assert!(!mirror.join("a b/mnt/below").exists());
    drop(mount);
    running.wait_for_log("was unmounted from", SOON);
    wait_until_same(&place.source(), &mirror, SOON);
    fs::write(mount_point.join("later"), "x").unwrap();
    wait_until_same(&place.source(), &mirror, SOON);
    let mount = Mount::tmpfs(&mount_point);
    running.wait_for_log("was mounted at", SOON);
    fs::write(place.source().join("end"), "x").unwrap();
    wait_until_same(&place.source().join("end"), &mirror.join("end"), SOON);
    assert!(mirror.join("a b/mnt/later").exists(), "what the mirror has there stays");
    drop(mount);
    running.terminate().signal(Signal::TERM);
}

/// A source in which everything that is mounted is mirrored, and a watch that sends nothing before its end, or that sends at once.
struct Followed {
    daemon: Rsyncd,
    place: Place,
    config: PathBuf,
}

const AT_THE_END: &str = "1h";
const AT_ONCE: &str = "50ms";

impl Followed {
    /// `a/mnt` is there, with something in it that is seen when nothing is mounted.
    fn new(delay: &str) -> Followed {
        let (daemon, place) = (Rsyncd::builder().start(), Place::new());
        fs::create_dir_all(place.source().join("a/mnt/under")).unwrap();
        fs::write(place.source().join("a/mnt/under/f"), "under").unwrap();
        fs::write(place.source().join("f"), "f").unwrap();
        let config = configured(&place, &daemon, "one-file-system = false\n");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace("delay = '50ms'", &format!("delay = '{delay}'\nmax-delay = '1h'"))).unwrap();
        Followed { daemon, place, config }
    }

    fn point(&self) -> PathBuf {
        self.place.source().join("a/mnt")
    }

    fn mirror(&self) -> PathBuf {
        self.daemon.module_path().join("name")
    }

    fn watch(&self) -> Running {
        let running = run(&self.place, "watch", &self.config).spawn();
        running.wait_for_log("caught up", SOON);
        running
    }

    /// Something mounted there, with two files.
    fn mount(&self) -> Option<Mount> {
        let mount = Mount::tmpfs(&self.point())?;
        fs::create_dir(self.point().join("d")).unwrap();
        for name in ["d/kept", "changed"] {
            fs::write(self.point().join(name), "elsewhere").unwrap();
        }
        Some(mount)
    }

    /// Sends something else, and all that was reported before it.
    fn settle(&self) {
        for round in 0..2 {
            let name = format!("settled-{round}-{}", std::process::id());
            fs::write(self.place.source().join(&name), "x").unwrap();
            wait_until_same(&self.place.source().join(&name), &self.mirror().join(&name), SOON);
            fs::remove_file(self.place.source().join(&name)).unwrap();
            wait_for("it to be removed", SOON, || !self.mirror().join(&name).exists());
        }
    }

    /// What was mounted there is on the mirror, and nothing of what is seen instead.
    fn assert_left_as_it_is(&self) {
        let at = |name: &str| fs::read_to_string(self.mirror().join("a/mnt").join(name)).ok();
        assert_eq!([at("d/kept"), at("changed")], [Some("elsewhere".into()), Some("elsewhere".into())]);
        assert_eq!([at("under/f"), at("under/new")], [None, None]);
    }
}

fn all_file_systems_are_followed_when_that_is_wanted() {
    let followed = Followed::new(AT_ONCE);
    let running = followed.watch();
    let Some(mount) = followed.mount() else { return };
    running.wait_for_log("was mounted at", SOON);
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    followed.settle();
    drop(mount);
    running.wait_for_log("its mirror stays", SOON);
    running.wait_for_log("a/mnt is left as it is: something was mounted there before", SOON);
    // What is seen instead is not mirrored, and neither is that the place is gone.
    fs::write(followed.point().join("under/new"), "x").unwrap();
    fs::remove_dir_all(followed.point().join("under")).unwrap();
    followed.settle();
    followed.assert_left_as_it_is();
    fs::remove_dir_all(followed.place.source().join("a")).unwrap();
    followed.settle();
    followed.assert_left_as_it_is();
    // Until something is mounted there again.
    fs::create_dir_all(followed.point()).unwrap();
    let mount = Mount::tmpfs(&followed.point());
    fs::write(followed.point().join("other"), "x").unwrap();
    running.wait_for_log("which was left as it is, is mirrored again", SOON);
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    running.terminate().signal(Signal::TERM);
    drop(mount);
}

fn what_is_pending_when_it_is_unmounted_deletes_nothing() {
    let followed = Followed::new(AT_THE_END);
    let Some(mount) = followed.mount() else { return };
    let running = followed.watch();
    fs::write(followed.point().join("changed"), "too late").unwrap();
    fs::write(followed.point().join("d/new"), "too late").unwrap();
    fs::remove_dir_all(followed.point().join("d")).unwrap();
    fs::create_dir(followed.point().join("d")).unwrap();
    fs::write(followed.place.source().join("f"), "changed").unwrap();
    drop(mount);
    running.terminate().code(3).stderr_has("a/mnt is left as it is");
    followed.assert_left_as_it_is();
    wait_until_same(&followed.place.source().join("f"), &followed.mirror().join("f"), SOON);
}

fn what_was_mounted_while_it_watched_is_known_to_whoever_comes_next() {
    let followed = Followed::new(AT_ONCE);
    let running = followed.watch();
    let Some(mount) = followed.mount() else { return };
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    followed.settle();
    drop(running.kill());
    drop(mount);
    run(&followed.place, "full-sync", &followed.config).run().code(3).stderr_has("a/mnt: is left as it is");
    followed.assert_left_as_it_is();
    for start in ["changed", "full"] {
        let text = fs::read_to_string(&followed.config).unwrap();
        let with = text.replacen("[watch]\n", &format!("[watch]\nstart = '{start}'\n"), 1);
        fs::write(&followed.config, with).unwrap();
        let running = followed.watch();
        fs::write(followed.point().join("under/new"), "x").unwrap();
        fs::write(followed.point().join("under/f"), start).unwrap();
        followed.settle();
        running.terminate().code(3);
        followed.assert_left_as_it_is();
        fs::write(&followed.config, text).unwrap();
    }
    // It is meant.
    let running = followed.watch();
    run(&followed.place, "full-sync", &followed.config).arg("--force-delete").run().code(0);
    assert_same(&followed.place.source(), &followed.mirror());
    running.wait_for_log("which was left as it is, is mirrored again", LATER);
    fs::write(followed.point().join("under/newer"), "x").unwrap();
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    running.terminate().signal(Signal::TERM);
}

fn what_is_mounted_goes_with_the_directory_above_it() {
    let followed = Followed::new(AT_ONCE);
    let Some(mount) = followed.mount() else { return };
    let running = followed.watch();
    let moved = followed.place.source().join("b");
    fs::rename(followed.place.source().join("a"), &moved).unwrap();
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    fs::write(moved.join("mnt/d/later"), "x").unwrap();
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    followed.settle();
    running.terminate().signal(Signal::TERM);
    fs::rename(moved, followed.place.source().join("a")).unwrap();
    drop(mount);
}

fn another_file_system_in_the_same_place_is_followed() {
    let followed = Followed::new(AT_ONCE);
    let Some(mount) = followed.mount() else { return };
    let running = followed.watch();
    // As one command, so that nobody has time to see nothing mounted.
    let point = followed.point();
    let script = format!("umount '{0}' && mount -t tmpfs sersync-test '{0}' && echo x >'{0}/other'", point.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    fs::write(point.join("later"), "x").unwrap();
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    running.terminate().signal(Signal::TERM);
    drop(mount);
}

fn what_is_being_sent_cannot_be_unmounted_in_the_ordinary_way() {
    let followed = Followed::new(AT_ONCE);
    let text = fs::read_to_string(&followed.config).unwrap();
    fs::write(&followed.config, text.replacen("[rsync]", "[rsync]\nbwlimit = '1M'", 1)).unwrap();
    let Some(mount) = followed.mount() else { return };
    let running = followed.watch();
    fs::write(followed.point().join("slow"), fixture::bytes(4 << 20)).unwrap();
    wait_for("the slow file to be on its way", SOON, || {
        let entries = fs::read_dir(followed.mirror().join("a/mnt")).unwrap().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".slow."))
    });
    assert!(!Command::new("umount").arg(followed.point()).output().unwrap().status.success());
    wait_until_same(&followed.place.source(), &followed.mirror(), LATER);
    // As soon as nothing is to be sent it can.
    wait_for("it to be unmounted", SOON, || {
        Command::new("umount").arg(followed.point()).output().unwrap().status.success()
    });
    running.terminate();
    std::mem::forget(mount);
}

/// The device tells nothing of a directory of the same file system.
fn a_directory_that_is_mounted_in_another_place_is_followed_and_kept() {
    if !is_root() {
        return skip("only root can mount a directory");
    }
    let followed = Followed::new(AT_ONCE);
    let (point, outside) = (followed.place.source().join("bound"), followed.place.dir.path().join("outside"));
    for dir in [&point, &outside] {
        fs::create_dir(dir).unwrap();
    }
    let bind = || {
        let status = Command::new("mount").arg("--bind").arg(&outside).arg(&point).status();
        assert!(status.unwrap().success());
        Mount(point.clone())
    };
    let mount = bind();
    let running = followed.watch();
    fs::write(point.join("live"), "x").unwrap();
    wait_until_same(&followed.place.source(), &followed.mirror(), SOON);
    followed.settle();
    running.terminate().signal(Signal::TERM);
    run(&followed.place, "full-sync", &followed.config).run().code(0);
    drop(mount);
    run(&followed.place, "full-sync", &followed.config).run().code(3).stderr_has("bound: is left as it is");
    assert!(followed.mirror().join("bound/live").exists());
    let mount = bind();
    run(&followed.place, "full-sync", &followed.config).run().code(0);
    assert_same(&followed.place.source(), &followed.mirror());
    drop(mount);
}

fn what_takes_the_place_of_a_mount_point_is_not_mirrored() {
    let followed = Followed::new(AT_ONCE);
    let Some(mount) = followed.mount() else { return };
    let running = followed.watch();
    drop(mount);
    running.wait_for_log("a/mnt is left as it is", SOON);
    fs::remove_dir_all(followed.point()).unwrap();
    std::os::unix::fs::symlink("/nowhere", followed.point()).unwrap();
    // The level of the directory is compared because of it.
    fs::write(followed.place.source().join("a/gone"), "x").unwrap();
    wait_for("a file beside it", SOON, || followed.mirror().join("a/gone").exists());
    fs::remove_file(followed.place.source().join("a/gone")).unwrap();
    wait_for("a file beside it to go", SOON, || !followed.mirror().join("a/gone").exists());
    followed.assert_left_as_it_is();
    running.terminate().code(3);
    run(&followed.place, "full-sync", &followed.config).run().code(3);
    followed.assert_left_as_it_is();
}

fn what_is_left_out_in_real_time_is_no_mount_that_is_missed() {
    let followed = Followed::new(AT_ONCE);
    let text = fs::read_to_string(&followed.config).unwrap();
    fs::write(&followed.config, text + "watch.exclude = ['/a/mnt/']\n").unwrap();
    let Some(mount) = followed.mount() else { return };
    run(&followed.place, "full-sync", &followed.config).run().code(0);
    let running = followed.watch();
    followed.settle();
    drop(mount);
    followed.settle();
    running.terminate().signal(Signal::TERM);
    followed.assert_left_as_it_is();
}

fn what_was_replaced_unseen_before_it_was_unmounted_is_found_when_it_is_mounted_again() {
    let followed = Followed::new(AT_THE_END);
    let disk = followed.place.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(outside) = Mount::tmpfs(&disk) else { return };
    let bind = || {
        let status = Command::new("mount").arg("--bind").arg(&disk).arg(followed.point()).status();
        assert!(status.unwrap().success());
        Mount(followed.point())
    };
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
    let write = |dir: &Path, content: &str| {
        fs::write(dir.join("x"), content).unwrap();
        fs::File::options().write(true).open(dir.join("x")).unwrap().set_times(old).unwrap();
    };
    write(&disk, "one");
    let mount = bind();
    let running = followed.watch();
    write(&followed.point(), "two");
    drop(mount);
    // It is left out, and then mounted again; the first signal sends what is pending.
    running.terminate().code(3);
    assert_eq!(fs::read_to_string(followed.mirror().join("a/mnt/x")).unwrap(), "one");
    let mount = bind();
    let running = followed.watch();
    running.terminate().signal(Signal::TERM);
    assert_same(&followed.place.source(), &followed.mirror());
    drop((mount, outside));
}

/// Whatever became of the pass, and under whatever settings the next one runs.
#[test]
fn what_a_pass_saw_mounted_is_known_also_when_it_failed_or_had_other_settings() {
    let mut followed = Followed::new(AT_ONCE);
    let Some(mount) = followed.mount() else { return };
    run(&followed.place, "full-sync", &followed.config).run().code(0);
    fs::remove_dir_all(followed.place.dir.path().join("state/mirrors")).unwrap();
    followed.daemon.stop();
    run(&followed.place, "full-sync", &followed.config).run().code(10);
    followed.daemon.start();
    drop(mount);
    let text = fs::read_to_string(&followed.config).unwrap();
    fs::write(&followed.config, text + "exclude = ['*.tmp']\n").unwrap();
    run(&followed.place, "full-sync", &followed.config).run().code(3).stderr_has("a/mnt: is left as it is");
    followed.assert_left_as_it_is();
    for shard in ["1/2", "2/2"] {
        run(&followed.place, "full-sync", &followed.config).args(&["--shard", shard]).run();
        followed.assert_left_as_it_is();
    }
    // Half of what is known is not known.
    let note =
        fs::read_dir(followed.place.dir.path().join("state/mirrors")).unwrap().flatten().map(|entry| entry.path());
    let note = note.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "mounts")).unwrap();
    let bytes = fs::read(&note).unwrap();
    fs::write(&note, &bytes[..bytes.len() - 2]).unwrap();
    run(&followed.place, "full-sync", &followed.config).run().code(1).stderr_has("is damaged; when all is mounted");
    followed.assert_left_as_it_is();
}

#[test]
fn what_is_unmounted_by_force_during_a_pass_is_said() {
    let daemon = Rsyncd::builder().start();
    let place = Place::new();
    let mount_point = place.source().join("a/mnt");
    fs::create_dir_all(&mount_point).unwrap();
    let Some(mount) = Mount::tmpfs(&mount_point) else { return };
    fs::write(mount_point.join("elsewhere"), "of another file system").unwrap();
    let config = configured(&place, &daemon, "one-file-system = false\n");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("[rsync]", "[rsync]\nbwlimit = '1M'", 1)).unwrap();
    run(&place, "full-sync", &config).run().code(0);
    fs::write(place.source().join("slow"), fixture::bytes(4 << 20)).unwrap();
    let pass = run(&place, "full-sync", &config).spawn();
    let mirror = daemon.module_path().join("name");
    wait_for("the slow file to be on its way", SOON, || {
        fs::read_dir(&mirror).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".slow."))
    });
    // In the ordinary way it cannot be unmounted while it is mirrored.
    let output = Command::new("umount").arg(&mount_point).output().unwrap();
    assert!(!output.status.success());
    drop(mount);
    pass.wait(SOON).code(3).stderr_has("a/mnt: was unmounted during the pass");
    run(&place, "full-sync", &config).run().code(3).stderr_has("a/mnt: is left as it is");
}
